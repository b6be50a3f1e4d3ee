"""PostgreSQL: an advisory lock on a second connection, and settings for one transaction each."""

import math
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from alembic.util import CommandError

from migrator.database import Code, Database, listening, scratch_age
from migrator.description import Difference
from migrator.messages import ALREADY_THERE, MAY_NOT
from migrator.postgresql import likeness
from migrator.postgresql.unreachable import cure
from migrator.server import (
    create_database,
    drop_leftovers,
    temporary_database,
    wait_for_lock,
)

ME = f"alembic, process {os.getpid()} on {platform.node()}"[:63]  # the length that PostgreSQL keeps
DUPLICATE_DATABASE = "42P04"
LOCK_KEYS = (0x616C656D, 0x626963)  # "alem", "bic" in ASCII
# Without parameters, because a statement with parameters keeps a snapshot. CREATE INDEX
# CONCURRENTLY would wait for its end.
TRY_LOCK = (
    "SELECT pg_try_advisory_xact_lock({}, {}),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
).format(*LOCK_KEYS)
WHO = """
    SELECT concat('process ', pid, ' (', application_name, '), since ', xact_start)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE granted AND datname = current_database() AND pid <> pg_backend_pid() AND """
HOLDS_OUR_LOCK = "(locktype, classid, objid) = ('advisory', {}, {})".format(*LOCK_KEYS)
IS_HELD_HERE = "SELECT EXISTS (SELECT FROM pg_locks WHERE granted AND pid = {} AND {})"
HOLDS_THE_TABLE = "strpos(:statement, (SELECT relname FROM pg_class WHERE oid = relation)) > 0"
# Without client_connection_check_interval, the server continues the statement of a killed client
# and keeps its table locked. PostgreSQL has that since 14, and refuses it on systems such as
# Windows.
LIMIT_WAITING = """
    SELECT set_config('lock_timeout', '{}', true), (
        SELECT set_config(name, '1s', true) FROM pg_settings
        WHERE name = 'client_connection_check_interval' AND strpos(version(), 'linux') > 0)"""
# A revision has changed table A and waits for table B; a request reads B and waits for A. After
# deadlock_timeout, PostgreSQL ends one of the two, which may be the request. So the revision gives
# up long before that, and is tried again. pg_settings has milliseconds.
LIMIT_HOLDING = """
    SELECT set_config('lock_timeout', LEAST({}, setting::integer / 10 + 1)::text, true)
    FROM pg_settings WHERE name = 'deadlock_timeout'"""
# The search_path of the address or the role may name a schema that a new database does not have.
MAKE_SCHEMA = """
    DO $$ BEGIN IF current_schema() IS NULL THEN
        EXECUTE 'CREATE SCHEMA ' || split_part(current_setting('search_path'), ',', 1);
    END IF; END $$"""
# The statement may come from op.execute(), so only its text is known. In INVALID, parse_ident() and
# to_regclass() fold and unquote the two names.
CONCURRENTLY = re.compile(
    r"\s*CREATE\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(IF\s+NOT\s+EXISTS\s+)?"
    r"""(?P<index>"[^"]+"|\S+)\s+ON\s+(ONLY\s+)?(?P<table>("[^"]+"|[^\s"(])+)""",
    re.IGNORECASE,
)
INVALID = """
    SELECT indexrelid::regclass FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE NOT indisvalid AND relname = (parse_ident(%s))[1] AND indrelid = to_regclass(%s)"""


class PostgreSQL(Database):
    KIND = "PostgreSQL"
    PORT = 5432
    SCHEMAS_WITHIN = True
    # They end a connection that falls silent, as in a failover, after about 15 seconds: keepalives
    # while it is idle, tcp_user_timeout while it waits for an acknowledgement. In seconds.
    CONNECT_ARGS: ClassVar[Mapping[str, Any]] = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,  # milliseconds
    }
    # The next revision can use a new value of an enum only after a commit.
    CONFIGURE: ClassVar[Mapping[str, Any]] = {"transaction_per_migration": True}
    BUSY = frozenset({"55P03", "40P01"})  # lock_not_available, deadlock_detected
    CURES: ClassVar[Mapping[Code, str]] = {
        "25006": "This database is read-only, as a replica is: name the primary in {variable}, or, "
        "where it names several hosts, write target_session_attrs=read-write after its ?",
        "53100": "{error}: make room, and run this again",  # disk_full
        "42P07": ALREADY_THERE,  # duplicate_table
        "42501": MAY_NOT,  # insufficient_privilege
    }

    def engine(self) -> sa.Engine:
        engine = super().engine()
        sa.event.listen(engine, "connect", prepare_connection)
        if scratch_age(self.url.database or "") is not None:
            likeness.let_extensions_exist(engine)
        return engine

    @contextmanager
    def scratch(self, purpose: str) -> Iterator[Self]:
        name = self.scratch_name(purpose)
        new = type(self)(self.url.set(database=name), self.engine_options)
        # A connection needs a database, and "postgres" exists for this purpose.
        server = type(self)(self.url.set(database="postgres"), self.engine_options).engine()
        server = server.execution_options(isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            drop_leftovers(connection, self.scratch_stem, likeness.unused(connection))
            like = likeness.options(connection, self.url.database)
        right = "ALTER ROLE … CREATEDB"
        with temporary_database(server, name, right, like or "", drop=" WITH (FORCE)"):
            if like is not None:
                likeness.copy_settings(self.engine(), new.engine())
            with new.engine().begin() as connection:
                connection.exec_driver_sql(MAKE_SCHEMA)
            if like is not None:
                likeness.copy_extensions(self.engine(), new.engine())
            yield new

    @contextmanager
    def lock(self, connection: sa.Connection, wait: float, timeout: float) -> Iterator[None]:
        """Hold an advisory lock in the transaction of a second connection.

        A second connection, because a commit on ours would release the lock. A transaction's lock,
        because PgBouncer hands a session, with its locks and settings, to others.
        """
        with guard_of(connection) as guard:
            wait_for_lock(partial(claim, guard), wait)
            refuse_another_server(connection, guard)
            limit = math.ceil(timeout * 1000)
            with listening(
                (connection, "begin", partial(execute, LIMIT_WAITING.format(limit))),
                (connection, "before_cursor_execute", drop_invalid_index),
                (connection, "after_cursor_execute", partial(wait_less, limit)),
            ):
                yield

    def in_the_way(self, connection: sa.Connection, statement: str) -> str | None:
        return who(connection, HOLDS_THE_TABLE, statement=statement)

    def settled(
        self, connection: sa.Connection, differences: Sequence[Difference]
    ) -> list[Difference]:
        found: list[Difference] = self.part("describe").settled(connection, differences)
        return found

    def ready_for_models(self, connection: sa.Connection) -> sa.Connection:
        """Prepare for indexes with `postgresql_concurrently=True`: no transaction takes them."""
        return connection.execution_options(isolation_level="AUTOCOMMIT")

    def code(self, error: BaseException | None) -> Code:
        return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)  # psycopg2's name

    def why_unreachable(self, error: BaseException, variable: str) -> str:
        return cure(error, variable, self.url.username)

    def create(self) -> bool:
        if self.exists():
            return False
        server = type(self)(self.url.set(database="postgres"), self.engine_options).engine()
        return create_database(
            server.execution_options(isolation_level="AUTOCOMMIT"),
            self.url.database or "",
            lambda error: self.code(error) == DUPLICATE_DATABASE,
            "ALTER ROLE … CREATEDB",
        )


def prepare_connection(connection: Any, _record: object) -> None:
    """Switch a new connection to explicit commits, and prepared statements off."""
    if hasattr(connection, "prepare_threshold"):  # psycopg2 has none, and prepares no statements
        connection.prepare_threshold = None  # behind PgBouncer, the next transaction lacks them
    connection.autocommit = False  # connect_args may set it


def execute(statement: str, connection: sa.Connection) -> None:
    connection.exec_driver_sql(statement)


def wait_less(limit: int, connection: sa.Connection, cursor: Any, *_rest: object) -> None:
    """After a change, wait less than `limit` (milliseconds) for tables: see LIMIT_HOLDING."""
    if cursor.description is None:  # a query has a description
        connection.connection.cursor().execute(LIMIT_HOLDING.format(limit))


@contextmanager
def guard_of(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Open a second connection to the same database until the block ends.

    Raises CommandError if the server refuses it, and sa.exc.DBAPIError if the server is gone.
    """
    try:
        guard = connection.engine.connect()
    except sa.exc.DBAPIError as error:
        connection.exec_driver_sql("SELECT 1")  # raises if this connection was lost as well
        connection.rollback()
        raise CommandError(
            "A migration needs two connections at once, one of them for its lock, and the second "
            f"was refused: {str(error.orig).strip()}\nRaise the limit of this role "
            "(ALTER ROLE … CONNECTION LIMIT) or of the server, and run this again."
        ) from None
    try:
        yield guard
    finally:
        try:
            guard.rollback()
        except sa.exc.DBAPIError:  # the server has ended the connection, which released the lock
            guard.invalidate()
        guard.close()


def claim(guard: sa.Connection) -> str | None:
    """Take the lock and return None, or return who has it."""
    guard.execute(sa.select(sa.func.set_config("application_name", ME, True)))
    if guard.exec_driver_sql(TRY_LOCK).scalar():
        return None
    return who(guard, HOLDS_OUR_LOCK)


def refuse_another_server(connection: sa.Connection, guard: sa.Connection) -> None:
    """Raise CommandError where the lock of `guard` is not on the server of `connection`.

    An address with several hosts may lead to another one each time, and to a replica, which gives
    the lock to everybody who comes there.
    """
    process = guard.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    held = connection.exec_driver_sql(IS_HELD_HERE.format(process, HOLDS_OUR_LOCK)).scalar_one()
    connection.rollback()
    if not held:
        raise CommandError(
            "The two connections of a migration reached different servers, so its lock keeps "
            "nobody out: write target_session_attrs=read-write after the ? of the address, and run "
            "this again"
        )


def who(connection: sa.Connection, condition: str, **values: str) -> str:
    """Describe the process whose lock in pg_locks fulfils a condition in SQL.

    `values` are the parameters of the condition.
    """
    found = None
    with suppress(sa.exc.DBAPIError):  # to see others requires a privilege
        found = connection.execute(sa.text(WHO + condition), values).scalar()
    connection.rollback()
    return found or "a process that is hidden or gone"


def drop_invalid_index(
    _connection: sa.Connection, cursor: Any, statement: str, *_rest: object
) -> None:
    """Drop the invalid index of an interrupted CREATE INDEX CONCURRENTLY, before it runs again.

    With IF NOT EXISTS, PostgreSQL would keep the invalid index.
    """
    found = CONCURRENTLY.match(statement)
    if found:
        cursor.execute(INVALID, (found["index"], found["table"]))
        for (index,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY {index}")


DATABASE = PostgreSQL
