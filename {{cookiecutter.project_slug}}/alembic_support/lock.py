"""One migrator of a database at a time, with bounded waits."""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError

from alembic_support.connection import tell
from alembic_support.mariadb import ME, LockRow, clustered, journal

# The database's own lock, and who has it; the numbers spell "alem", "bic" in ASCII.
TRY_LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock(1634493805, 6449507),"
    " set_config('idle_in_transaction_session_timeout', '0', true)",
    "mariadb": "SELECT GET_LOCK(LEFT(CONCAT('alembic.', DATABASE()), 64), 0)",
}
# Who has the lock, and who has what the statement that failed needs, as part of a query.
HOLDER = {
    "postgresql": "(locktype, classid, objid) = ('advisory', 1634493805, 6449507)",
    "mariadb": "id = IS_USED_LOCK(LEFT(CONCAT('alembic.', DATABASE()), 64))",
}
IN_THE_WAY = {
    "postgresql": "strpos(:statement, (SELECT relname FROM pg_class WHERE oid = relation)) > 0",
    "mariadb": "db = DATABASE()"
    " AND id IN (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx)",
}
WHO = {
    "postgresql": "SELECT concat('process ', pid, ' (', application_name, '), since ', xact_start)"
    " FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE granted AND datname = current_database() AND pid <> pg_backend_pid() AND ",
    "mariadb": "SELECT CONCAT('connection ', id, ' (', user, ' from ', host, '), since ',"
    " NOW() - INTERVAL time SECOND) FROM information_schema.processlist"
    " WHERE id <> CONNECTION_ID() AND ",
}
# A server that does not look for its client goes on with the statement of one that was killed, and
# keeps the table. PostgreSQL does look since 14, and refuses to where it cannot, as on Windows.
LOCAL = """
    SELECT set_config('lock_timeout', '{}', true), (
        SELECT set_config(name, '1s', true) FROM pg_settings
        WHERE name = 'client_connection_check_interval' AND strpos(version(), 'linux') > 0)"""
CONCURRENTLY = re.compile(
    r"\s*CREATE (UNIQUE )?INDEX CONCURRENTLY (IF NOT EXISTS )?"
    r"""(?P<index>"[^"]+"|\S+) ON (?P<table>("[^"]+"|[^\s"(])+)""",
    re.IGNORECASE,
)


@contextmanager
def alone(connection: sa.Connection, wait: float, timeout: float) -> Iterator[None]:
    """Keep out other migrators of this database, and limit what the site has to wait for us.

    Both limits are seconds: `wait` for another migrator, `timeout` for a table that is in use.
    Raises CommandError, naming who has the lock, when another migrator does not end in time.
    """
    kind = kind_of(connection)
    with ExitStack() as stack:
        if kind == "postgresql":
            # A second connection, for ours commits where a revision needs that; a transaction,
            # for PgBouncer passes a session, with its locks and settings, on to others.
            guard = stack.enter_context(connection.engine.connect())
            wait_for_lock(lambda: claim(guard), wait)
            local = LOCAL.format(math.ceil(timeout * 1000))
            sa.event.listen(connection, "begin", lambda begun: begun.exec_driver_sql(local))
            sa.event.listen(connection, "before_cursor_execute", drop_invalid_index)
        elif kind == "mariadb":
            stack.enter_context(alone_on_mariadb(connection, wait))
            limits = "lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}"
            connection.exec_driver_sql(f"SET SESSION {limits.format(math.ceil(timeout))}")
            connection.rollback()
            stack.enter_context(journal(connection))
        elif kind == "sqlite":  # its transaction is the lock: no revision may end it before time
            pragma = f"PRAGMA busy_timeout = {math.ceil(wait * 1000)}"
            connection.connection.cursor().execute(pragma)
            connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
            setattr(context.get_context(), "autocommit_block", nullcontext)  # noqa: B010
        else:
            tell(f"{kind} is migrated without a lock: see that no other process migrates it")
        yield


@contextmanager
def alone_on_mariadb(connection: sa.Connection, wait: float) -> Iterator[None]:
    """Have the lock of a server, or on a cluster, where GET_LOCK is of one node, that of a row."""
    if not clustered(connection):
        wait_for_lock(lambda: claim(connection), wait)  # its end is that of the connection
        yield
        return
    with connection.engine.connect() as guard:
        row = LockRow(guard)
        wait_for_lock(row.claim, wait)
        with row.held():
            yield


def kind_of(connection: sa.Connection) -> str:
    return connection.dialect.name.replace("mysql", "mariadb")


def wait_for_lock(claim: Callable[[], str], wait: float) -> None:
    """Poll: who blocks on a lock would stop its holder's CREATE INDEX CONCURRENTLY for ever."""
    end = time.monotonic() + wait
    while other := claim():
        if time.monotonic() > end:
            raise CommandError(
                f"Another migration of this database did not end within {wait:g} s: {other}. Let "
                "it end, or end it, and run this again; -x lock_wait=<seconds> waits longer"
            )
        time.sleep(0.2)


def claim(guard: sa.Connection) -> str:
    """Take the lock and return nothing, or return who has it."""
    kind = kind_of(guard)
    if kind == "postgresql":
        guard.execute(sa.select(sa.func.set_config("application_name", ME[:63], True)))
    # Without parameters: those leave a snapshot, which CREATE INDEX CONCURRENTLY waits for.
    if guard.exec_driver_sql(TRY_LOCK[kind]).scalar():
        return ""
    return who(guard, HOLDER)


def who(connection: sa.Connection, query: dict[str, str], **values: str) -> str:
    """Return who keeps us waiting, in words, as far as the database tells."""
    found, kind = None, kind_of(connection)
    with suppress(sa.exc.DBAPIError, KeyError):  # SQLite cannot tell; others need a privilege
        found = connection.execute(sa.text(WHO[kind] + query[kind]), values).scalar()
    connection.rollback()
    return found or "a process that is hidden or gone"


def drop_invalid_index(_: sa.Connection, cursor: Any, statement: str, *__: Any) -> None:
    """Drop what an interrupted CREATE INDEX CONCURRENTLY left: IF NOT EXISTS would accept it."""
    if found := CONCURRENTLY.match(statement):
        cursor.execute(
            "SELECT indexrelid::regclass FROM pg_index JOIN pg_class ON oid = indexrelid "
            "WHERE NOT indisvalid AND relname = %s AND indrelid = to_regclass(%s)",
            (found["index"].strip('"'), found["table"]),
        )
        for (index,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX CONCURRENTLY {index}")
