"""MariaDB and MySQL commit at each DDL statement: a journal tells a rerun what is done already.

Before each statement of a revision that writes, its position and digest go to a table. A data
statement is committed together with its entry, or neither is. The entry of a DDL statement is
committed just before it: on a rerun the last one is in doubt, runs again, and may find its work
done. The entries go away in the transaction that writes the new version.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

LEADING = re.compile(r"(?:[\s(]|/\*.*?\*/|(?:--\s|#)[^\n]*)*", re.DOTALL)
PASSING = re.compile(
    r"(SELECT|SHOW|DESC|DESCRIBE|EXPLAIN|SET|USE|START|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|"
    r"CREATE TABLE alembic_version)\b|WITH\b(?!.*\b(UPDATE|DELETE)\b)",
    re.IGNORECASE | re.DOTALL,
)
DATA = re.compile(r"(INSERT|UPDATE|DELETE|REPLACE|WITH|CALL|LOAD|DO)\b", re.IGNORECASE)
VERSION = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) alembic_version\b")
MOMENT = re.compile(r"datetime\.datetime\(.*?\)")  # now() is another one at each run
# The server's errors for DDL whose work is done: it exists already, or is gone already.
DONE = {1050, 1051, 1054, 1060, 1061, 1068, 1091, 1146, 1176, 1304, 1305, 1359, 1360, 1396}
DONE |= {1537, 1539, 1826, 3821, 3822, 4091, 4092, 4124, 4135}


class Journal:
    """The entries of the revision that is being applied, and where in it we are."""

    def __init__(self, connection: sa.Connection) -> None:
        self.driver: Any = connection.connection.dbapi_connection
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS alembic_journal (position INTEGER PRIMARY KEY, "
            "digest CHAR(64) NOT NULL, statement TEXT NOT NULL) ENGINE=InnoDB CHARSET=utf8mb4"
        )
        rows = connection.exec_driver_sql("SELECT position, digest, statement FROM alembic_journal")
        self.entries = {position: (digest, text) for position, digest, text in rows}
        connection.rollback()
        self.position = 0

    def sql(self, statement: str, *values: Any) -> None:
        """Execute a statement of our own, which is not journaled itself."""
        with closing(self.driver.cursor()) as cursor:
            cursor.execute(statement, values or None)

    def step(self, statement: str, parameters: Any, run: Callable[[], Any]) -> bool:
        """Return whether a statement is dealt with; if not, SQLAlchemy executes it."""
        text = LEADING.sub("", statement, count=1)
        if PASSING.match(text):
            return False
        if VERSION.match(text):
            return self.clear()
        self.position += 1
        digest = hashlib.sha256((text + MOMENT.sub("", repr(parameters))).encode()).hexdigest()
        data = bool(DATA.match(text))
        if self.position in self.entries:
            return self.repeat(digest, text, data, run)
        if data and self.driver.get_autocommit():  # op.get_context().autocommit_block()
            self.sql("BEGIN")
        entry = (self.position, digest, text[:500])
        self.sql("INSERT INTO alembic_journal VALUES (%s, %s, %s)", *entry)
        return False if data else self.change_schema(run)

    def change_schema(self, run: Callable[[], Any]) -> bool:
        """Run a DDL statement after its entry; a statement that failed did nothing, so it goes."""
        self.driver.commit()
        try:
            run()
        except Exception:
            with suppress(Exception):  # a connection that is lost leaves the statement in doubt
                self.sql("DELETE FROM alembic_journal WHERE position = %s", self.position)
                self.driver.commit()
            raise
        return True

    def repeat(self, digest: str, text: str, data: bool, run: Callable[[], Any]) -> bool:
        """Pass over what an earlier run has done; run a DDL statement that is in doubt."""
        if self.entries[self.position][0] != digest:
            self.refuse(self.position, text)
        if not data and self.position == max(self.entries):
            try:
                run()
            except Exception as error:
                code = error.args and error.args[0]
                if code not in DONE and not (code == 1005 and "errno: 121" in str(error)):
                    raise
        return True

    def clear(self) -> bool:
        """Forget the revision, in the transaction that is about to write its version."""
        if left := [position for position in self.entries if position > self.position]:
            self.refuse(left[0], "its end")
        self.sql("DELETE FROM alembic_journal")
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
def listening(target: Any, *events: tuple[str, Callable[..., Any]]) -> Iterator[None]:
    """Have functions called at SQLAlchemy's events, for as long as this lasts."""
    for event in events:
        sa.event.listen(target, *event)
    try:
        yield
    finally:
        for event in events:
            sa.event.remove(target, *event)


@contextmanager
def journal(connection: sa.Connection) -> Iterator[None]:
    """Journal what is executed on a connection; the table goes away when all went well."""
    step = Journal(connection).step

    def one(cursor: Any, statement: str, values: Any, _: Any) -> bool:
        return step(statement, values, lambda: cursor.execute(statement, values))

    def many(cursor: Any, statement: str, values: Any, _: Any) -> bool:
        return step(statement, values, lambda: cursor.executemany(statement, values))

    def plain(cursor: Any, statement: str, _: Any) -> bool:
        return step(statement, None, lambda: cursor.execute(statement))

    events = (("do_execute", one), ("do_executemany", many), ("do_execute_no_params", plain))
    with listening(connection.engine, *events):
        yield
    connection.exec_driver_sql("DROP TABLE alembic_journal")
