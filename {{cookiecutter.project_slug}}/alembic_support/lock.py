"""One migrator of a database at a time, with bounded waits."""

import math
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

from alembic_support.journal import journal, listening

# The database's own lock, and who has it; the numbers spell "alem", "bic" in ASCII.
TRY_LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock(1634493805, 6449507)",
    "mariadb": "SELECT GET_LOCK(LEFT(CONCAT('alembic.', DATABASE()), 64), 0)",
}
HOLDER = {
    "postgresql": "SELECT concat('process ', pid, ' (', application_name, '), since ', xact_start)"
    " FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
    " AND (classid, objid, datname) = (1634493805, 6449507, current_database())",
    "mariadb": "SELECT CONCAT('connection ', id, ' (', user, ' from ', host, '), since ',"
    " NOW() - INTERVAL time SECOND) FROM information_schema.processlist"
    " WHERE id = IS_USED_LOCK(LEFT(CONCAT('alembic.', DATABASE()), 64))",
}
CONCURRENTLY = re.compile(
    r"\s*CREATE (UNIQUE )?INDEX CONCURRENTLY (IF NOT EXISTS )?(?P<index>\S+) ON (?P<table>[^\s(]+)",
    re.IGNORECASE,
)


@contextmanager
def alone(connection: sa.Connection, wait: float, timeout: float) -> Iterator[None]:
    """Keep out other migrators of this database, and limit what the site has to wait for us.

    Both limits are seconds: `wait` for another migrator, `timeout` for a table that is in use.
    Raises CommandError, naming who has the lock, when another migrator does not end in time.
    """
    kind = connection.dialect.name.replace("mysql", "mariadb")
    with ExitStack() as stack:
        if kind == "postgresql":
            # A second connection, for ours commits where a revision needs that; a transaction,
            # for PgBouncer passes a session, with its locks and settings, on to others.
            wait_for_lock(stack.enter_context(connection.engine.connect()), kind, wait)
            local = f"SET LOCAL lock_timeout = {math.ceil(timeout * 1000)}"
            begin = ("begin", lambda begun: begun.exec_driver_sql(local))
            execute = ("before_cursor_execute", drop_invalid_index)
            stack.enter_context(listening(connection, begin, execute))
        elif kind == "mariadb":
            wait_for_lock(connection, kind, wait)
            for name in ("lock_wait_timeout", "innodb_lock_wait_timeout"):
                connection.exec_driver_sql(f"SET SESSION {name} = {math.ceil(timeout)}")
            connection.rollback()
            stack.enter_context(journal(connection))
        else:  # SQLite: its transaction is the lock
            pragma = f"PRAGMA busy_timeout = {math.ceil(wait * 1000)}"
            connection.connection.cursor().execute(pragma)
            connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        yield


def wait_for_lock(guard: sa.Connection, kind: str, wait: float) -> None:
    """Poll: who blocks on a lock would stop its holder's CREATE INDEX CONCURRENTLY for ever."""
    end = time.monotonic() + wait
    while True:
        if kind == "postgresql":
            name = f"alembic, process {os.getpid()} on {platform.node()}"
            guard.execute(sa.select(sa.func.set_config("application_name", name[:63], True)))
            guard.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        if guard.exec_driver_sql(TRY_LOCK[kind]).scalar():
            return
        holder = guard.exec_driver_sql(HOLDER[kind]).scalar() or "a process that is hidden"
        guard.rollback()
        if time.monotonic() > end:
            raise CommandError(
                f"Another migration of this database did not end within {wait:g} s: {holder}. Let "
                "it end, or end it, and run this again; -x lock_wait=<seconds> waits longer"
            )
        time.sleep(0.2)


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
