"""What MySQL says that a database has. It is read in the same way as on MariaDB."""

from migrator.mariadb.describe import describe

__all__ = ["describe"]
