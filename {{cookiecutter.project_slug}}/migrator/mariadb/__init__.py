"""MariaDB and MySQL. They commit at each DDL statement, so a journal lets a rerun continue."""

import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from alembic.runtime.migration import MigrationStep
from alembic.util import CommandError

from migrator.database import Code, Database
from migrator.mariadb import errors
from migrator.mariadb.unreachable import cure
from migrator.messages import ALREADY_THERE, MAY_NOT
from migrator.server import (
    create_database,
    drop_leftovers,
    temporary_database,
    wait_for_lock,
)

ME = f"alembic, process {os.getpid()} on {platform.node()}"
# Locks belong to the server. Without the database's name, all its databases would share this one.
LOCK_NAME = "LEFT(CONCAT('alembic.', DATABASE()), 64)"
WHO = """
    SELECT CONCAT('connection ', id, ' (', user, ' from ', host, '), since ',
        NOW() - INTERVAL time SECOND)
    FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND """
HOLDS_OUR_LOCK = f"id = IS_USED_LOCK({LOCK_NAME})"
IS_IN_A_TRANSACTION = (
    "db = DATABASE() AND id IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx)"
)
# The end of a CREATE DATABASE that makes one like another; nothing where that is not there.
LIKE = """
    SELECT CONCAT(' CHARACTER SET ', default_character_set_name,
        ' COLLATE ', default_collation_name)
    FROM information_schema.schemata WHERE schema_name = %s"""
UNUSED = """
    SELECT schema_name FROM information_schema.schemata
    WHERE schema_name NOT IN (
        SELECT db FROM information_schema.processlist WHERE db IS NOT NULL)"""
READ_ONLY = (
    "This database is read-only, as a replica is, or a node that has lost its cluster: name the "
    "primary, or another node, in {variable}"
)
NO_ROOM = "{error}: make room, and run this again"
UNFIT_KEY = "{error}: give the columns of a foreign key the types of the columns they refer to"


class MariaDB(Database):
    KIND = "MariaDB"
    PORT = 3306
    # In seconds. They also end queries that take longer: PyMySQL cannot tell a slow query from a
    # silent server.
    CONNECT_ARGS: ClassVar[Mapping[str, Any]] = {
        "connect_timeout": 5,
        "read_timeout": 30,
        "write_timeout": 30,
    }
    BUSY = frozenset({errors.LOCK_WAIT_TIMEOUT, errors.LOCK_DEADLOCK})
    CURES: ClassVar[Mapping[Code, str]] = {
        errors.UNKNOWN_COM_ERROR: READ_ONLY,
        errors.OPTION_PREVENTS_STATEMENT: READ_ONLY,
        errors.CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: READ_ONLY,
        errors.READ_ONLY_MODE: READ_ONLY,
        errors.DISK_FULL: NO_ROOM,
        errors.RECORD_FILE_FULL: NO_ROOM,
        errors.TABLE_EXISTS_ERROR: ALREADY_THERE,
        errors.DBACCESS_DENIED_ERROR: MAY_NOT,
        errors.TABLEACCESS_DENIED_ERROR: MAY_NOT,
        errors.CANT_CREATE_TABLE: UNFIT_KEY,
        errors.FK_INCOMPATIBLE_COLUMNS: UNFIT_KEY,
    }

    def engine(self) -> sa.Engine:
        engine = super().engine()
        sa.event.listen(engine, "connect", switch_autocommit_off)
        return engine

    def options_for_migrations(self) -> dict[str, Any]:
        """Return the engine's options without time limits, because an ALTER can take hours."""
        options = super().options_for_migrations()
        arguments = dict(options.get("connect_args", {}))
        for name in ("read_timeout", "write_timeout"):
            arguments.pop(name, None)
        return options | {"connect_args": arguments}

    def server(self) -> sa.Engine:
        """Return an engine that uses none of the server's databases."""
        without_database = self.url.set(database="")  # set() ignores None
        return type(self)(without_database, self.engine_options).engine()

    @contextmanager
    def scratch(self, purpose: str) -> Iterator[Self]:
        name = self.scratch_name(purpose)
        server = self.server()
        with server.connect() as connection:
            unused = connection.exec_driver_sql(UNUSED).scalars()
            drop_leftovers(connection, self.scratch_stem, unused)
            like = connection.exec_driver_sql(LIKE, (self.url.database,)).scalar() or ""
        with temporary_database(server, name, f"GRANT ALL ON `{self.scratch_stem}\\_%`.*", like):
            yield type(self)(self.url.set(database=name), self.engine_options)

    @contextmanager
    def lock(self, connection: sa.Connection, wait: float, timeout: float) -> Iterator[None]:
        """Hold a lock of the server, or a row of a Galera cluster as the lock; keep the journal."""
        from migrator.mariadb.cluster import hold_cluster_lock, is_clustered
        from migrator.mariadb.journal import journal

        limits = "SET SESSION lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}"
        if is_clustered(connection):
            locked = hold_cluster_lock(connection, ME, wait)
        else:
            locked = hold_server_lock(connection, wait)
        with locked:
            connection.exec_driver_sql(limits.format(math.ceil(timeout)))
            connection.rollback()
            with journal(connection):
                yield

    def refuse_steps(self, steps: Sequence[MigrationStep]) -> None:
        from migrator.mariadb.foresight import refuse_statements

        refuse_statements(self.url, steps)

    def forget_interrupted(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM alembic_journal WHERE position > 0")
        connection.commit()

    def tidy(self, connection: sa.Connection) -> None:
        if not connection.dialect.has_table(connection, "alembic_journal"):
            return
        # The end of lock() drops the journal, unless another process has the lock and needs it.
        with suppress(CommandError), self.lock(connection, wait=0, timeout=1):
            pass

    def in_the_way(self, connection: sa.Connection, statement: str) -> str | None:
        return who(connection, IS_IN_A_TRANSACTION)

    def code(self, error: BaseException | None) -> Code:
        first = error.args[0] if error and error.args else None
        return first if isinstance(first, int) else None

    def why_unreachable(self, error: BaseException, variable: str) -> str:
        own = getattr(error, "orig", None) or error
        return cure(own, self.code(own), variable, self.url)

    def create(self) -> bool:
        if self.exists():
            return False
        name = self.url.database or ""
        return create_database(
            self.server(),
            name,
            lambda error: self.code(error) == errors.DB_CREATE_EXISTS,
            f"GRANT ALL ON `{name}%`.*",
            " CHARACTER SET utf8mb4",
        )


def switch_autocommit_off(connection: Any, _record: object) -> None:
    """Switch a new connection to explicit commits, because `connect_args` may set autocommit."""
    connection.autocommit(False)


@contextmanager
def hold_server_lock(connection: sa.Connection, wait: float) -> Iterator[None]:
    """Hold the server's lock until the block ends or the connection is closed.

    Raises CommandError when another migration does not end within `wait` seconds.
    """
    wait_for_lock(partial(claim, connection), wait)
    try:
        yield
    finally:
        with suppress(sa.exc.SQLAlchemyError):  # a lost connection has released the lock already
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK({LOCK_NAME})")
            connection.rollback()


def claim(connection: sa.Connection) -> str | None:
    """Take the lock and return None, or return who has it."""
    if connection.exec_driver_sql(f"SELECT GET_LOCK({LOCK_NAME}, 0)").scalar():
        return None
    return who(connection, HOLDS_OUR_LOCK)


def who(connection: sa.Connection, condition: str) -> str:
    """Describe the connection of the server that fulfils a condition in SQL."""
    found = None
    with suppress(sa.exc.DBAPIError):  # to see others requires a privilege
        found = connection.exec_driver_sql(WHO + condition).scalar()
    connection.rollback()
    return found or "a process that is hidden or gone"


DATABASE = MariaDB
