"""What the proof needs to know of MySQL, which is the same as for MariaDB."""

from migrator.mariadb.proof import Special

__all__ = ["Special"]
