"""What MySQL says that a database has, which is read as what MariaDB says."""

from migrator.mariadb.describe import describe

__all__ = ["describe"]
