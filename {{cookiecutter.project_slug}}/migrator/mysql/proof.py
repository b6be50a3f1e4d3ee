"""What the proof needs to know of MySQL: what it needs to know of MariaDB."""

from migrator.mariadb.proof import Special

__all__ = ["Special"]
