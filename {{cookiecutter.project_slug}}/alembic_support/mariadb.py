"""MariaDB and MySQL commit at each DDL statement: a journal tells a rerun what is done already.

Before each statement of a revision that writes, its position and digest go to a table. A data
statement is committed together with its entry, or neither is. The entry of a DDL statement is
committed just before it: on a rerun the last one is in doubt, runs again, and may find its work
done. The entries go away in the transaction that writes the new version.

A Galera cluster has no lock of its own, as a server has: a row of the journal stands for it.
"""

import hashlib
import os
import platform
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

ME = f"alembic, process {os.getpid()} on {platform.node()}"
STALE = 10  # seconds after which a lock that nobody renews is that of a dead process
# Position 0 is the lock of a Galera cluster.
TABLE = (
    "CREATE TABLE IF NOT EXISTS alembic_journal (position INTEGER PRIMARY KEY, "
    "digest CHAR(64) NOT NULL, statement TEXT NOT NULL) ENGINE=InnoDB CHARSET=utf8mb4"
)
LEADING = re.compile(r"(?:[\s(]|/\*.*?\*/|(?:--\s|#)[^\n]*)*", re.DOTALL)
# What changes nothing, or only the session, whose successor has to do it again.
PASSING = re.compile(
    r"(SELECT|SHOW|DESC|DESCRIBE|EXPLAIN|SET|USE|START|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|"
    r"PREPARE|DEALLOCATE|LOCK|UNLOCK|"
    r"CREATE TABLE alembic_version|UPDATE alembic_journal)\b|WITH\b(?!.*\b(UPDATE|DELETE)\b)",
    re.IGNORECASE | re.DOTALL,
)
DATA = re.compile(r"(INSERT|UPDATE|DELETE|REPLACE|WITH|CALL|LOAD|DO)\b", re.IGNORECASE)
VERSION = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) alembic_version\b")
MOMENT = re.compile(r"datetime\.datetime\(.*?\)")  # now() is another one at each run
# The server's errors for DDL whose work is done: it exists already, or is gone already.
DONE = {1050, 1051, 1054, 1060, 1061, 1068, 1091, 1146, 1176, 1304, 1305, 1359, 1360, 1396}
DONE |= {1007, 1008, 1505, 1507, 1508, 1517, 1537, 1539, 1826, 3821, 3822, 3940, 4091, 4092}
DONE |= {4124, 4135}


class Journal:
    """The entries of the revision that is being applied, and where in it we are."""

    def __init__(self, connection: sa.Connection) -> None:
        query = "SELECT position, digest, statement FROM alembic_journal WHERE position > 0"
        rows = connection.exec_driver_sql(query)
        self.entries = {position: (digest, text) for position, digest, text in rows}
        self.position = 0

    def step(self, cursor: Any, statement: str, *values: Any) -> bool:
        """Return whether a statement is dealt with; if not, SQLAlchemy executes it.

        The last of the values is SQLAlchemy's context, which is not used.
        """
        text = LEADING.sub("", statement, count=1)
        if PASSING.match(text):
            return False
        if VERSION.match(text):
            return self.clear(cursor)
        self.position += 1
        known = repr(values[:-1])
        digest = hashlib.sha256((text + MOMENT.sub("", known)).encode()).hexdigest()
        data, again = bool(DATA.match(text)), self.position in self.entries
        if again and self.entries[self.position][0] != digest:
            self.refuse(self.position, text)
        if again and (data or self.position < max(self.entries)):
            return True
        if not again:
            if data and cursor.connection.get_autocommit():  # op.get_context().autocommit_block()
                cursor.execute("BEGIN")
            entry = (self.position, digest, text[:500])
            cursor.execute("INSERT INTO alembic_journal VALUES (%s, %s, %s)", entry)
        return not data and self.change_schema(cursor, again, statement, *values[:-1])

    def change_schema(self, cursor: Any, again: bool, *statement: Any) -> bool:
        """Run a DDL statement after its entry; a statement that failed did nothing, so it goes."""
        cursor.connection.commit()
        try:
            cursor.execute(*statement)
        except Exception as error:
            code = error.args and error.args[0]
            if again and (code in DONE or (code == 1005 and "errno: 121" in str(error))):
                return True
            with suppress(Exception):  # a connection that is lost leaves the statement in doubt
                if not again:
                    entry = "DELETE FROM alembic_journal WHERE position = %s"
                    cursor.execute(entry, (self.position,))
                    cursor.connection.commit()
            raise
        return True

    def clear(self, cursor: Any) -> bool:
        """Forget the revision, in the transaction that is about to write its version."""
        if left := [position for position in self.entries if position > self.position]:
            self.refuse(left[0], "its end")
        cursor.execute("DELETE FROM alembic_journal WHERE position > 0")
        self.position, self.entries = 0, {}
        return False

    def refuse(self, position: int, now: str) -> None:
        raise CommandError(
            f"An earlier run stopped within this revision, which is another one now: its "
            f"statement {position} was\n  {self.entries[position][1]}\nand is\n  {now[:500]}\n"
            "Bring the old text back and run the same command again. Or do by hand what is "
            "missing (alembic_journal lists what was done) and `alembic stamp` the revision."
        )


@contextmanager
def journal(connection: sa.Connection) -> Iterator[None]:
    """Journal what is executed on a connection; the table goes away when all went well."""
    connection.exec_driver_sql(TABLE)
    step = Journal(connection).step
    connection.rollback()
    events = ("do_execute", "do_executemany", "do_execute_no_params")
    for event in events:
        sa.event.listen(connection.engine, event, step)
    try:
        yield
    finally:
        for event in events:
            sa.event.remove(connection.engine, event, step)
    connection.exec_driver_sql("DROP TABLE alembic_journal")


def clustered(connection: sa.Connection) -> bool:
    """Tell whether this is a node of Galera; if so, reads now wait for what other nodes wrote."""
    found = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
    if on := bool(found and found[1] == "ON"):
        connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 15")
    return on


class LockRow:
    """The journal's row 0, which a Galera cluster has but once: GET_LOCK is of a single node.

    It outlives a killed process. So its owner renews it each second, and who sees it unchanged
    for STALE seconds deletes it. Should the owner only have slept, then the primary key of the
    journal keeps it from doing a statement that its successor has done.
    """

    def __init__(self, guard: sa.Connection) -> None:
        self.guard = guard.execution_options(isolation_level="AUTOCOMMIT")
        self.seen, self.since = "", 0.0
        clustered(guard)

    def sql(self, statement: str, *values: str) -> Any:
        """Execute a statement; return nothing where another node was faster."""
        with suppress(sa.exc.SQLAlchemyError):
            return self.guard.exec_driver_sql(statement, values)

    def claim(self) -> str:
        """Insert the row and return nothing, or return who owns it."""
        if not self.guard.dialect.has_table(self.guard, "alembic_journal"):
            self.guard.exec_driver_sql(TABLE)  # where it is, DDL would end its owner's transaction
        if self.sql("INSERT INTO alembic_journal VALUES (0, UUID(), %s)", ME):
            return ""
        result = self.sql("SELECT digest, statement FROM alembic_journal WHERE position = 0")
        digest, owner = (result and result.first()) or ("", "a process on another node")
        if digest != self.seen:
            self.seen, self.since = digest, time.monotonic()
        elif time.monotonic() > self.since + STALE:
            self.sql("DELETE FROM alembic_journal WHERE position = 0 AND digest = %s", digest)
        return str(owner)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the row for as long as this lasts, and delete it then."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(1):
                self.sql("UPDATE alembic_journal SET digest = UUID() WHERE statement = %s", ME)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.sql("DELETE FROM alembic_journal WHERE statement = %s", ME)
