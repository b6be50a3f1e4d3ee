"""MySQL: like MariaDB, except for what is in this folder."""

from migrator.mariadb import MariaDB


class MySQL(MariaDB):
    KIND = "MySQL"


DATABASE = MySQL
