"""A journal of what a revision has done, because MariaDB and MySQL commit at each DDL statement.

The journal is a table with an entry for each statement of a revision that writes: its position in
the revision and its digest. The entry of a data statement has its result and is committed together
with it. A rerun skips the statement and answers with that result. The entry of a DDL statement is
committed just before it, with a fingerprint of what the statement names. If it is the last entry,
the statement may not have run; a rerun skips it only if the fingerprint has changed since. A rerun
skips all earlier ones. The transaction that writes the new version deletes the entries.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

from migrator.backfill import REPEATABLE
from migrator.database import listening
from migrator.mariadb import errors
from migrator.mariadb.schema import fingerprint, stored_functions
from migrator.mariadb.statements import Effect, Reader, RefusedStatementError

TABLE = "alembic_journal"
# Position 0 is the lock of a Galera cluster.
CREATE_TABLE = (
    "CREATE TABLE IF NOT EXISTS alembic_journal (position INTEGER PRIMARY KEY, "
    "digest CHAR(64) NOT NULL, statement TEXT NOT NULL, there CHAR(64), result LONGTEXT) "
    "ENGINE=InnoDB CHARSET=utf8mb4"
)
NEW_COLUMNS = {"there": "CHAR(64)", "result": "LONGTEXT"}  # missing in journals of old releases
LONGEST = 500  # characters of a statement that are kept, for people to read
MOMENT = re.compile(r"datetime\.datetime\(.*?\)")  # now() differs at each run
# The server's errors for a DROP that has run already. A rerun always repeats the last DROP,
# because one that names several tables may have dropped only some of them.
GONE = frozenset(
    {
        errors.BAD_TABLE_ERROR,
        errors.CANT_DROP_FIELD_OR_KEY,
        errors.NO_SUCH_TABLE,
        errors.SP_DOES_NOT_EXIST,
        errors.TRG_DOES_NOT_EXIST,
        errors.EVENT_DOES_NOT_EXIST,
        errors.UNKNOWN_SEQUENCES,
        errors.UNKNOWN_VIEW,
    }
)
# The server's errors for DDL that has run already and is not in a fingerprint, because it changes
# databases or users.
OUTSIDE = frozenset({errors.DB_CREATE_EXISTS, errors.DB_DROP_EXISTS, errors.CANNOT_USER})


@dataclass(frozen=True)
class Result:
    """The result of a data statement, for SQLAlchemy and the revision."""

    rowcount: int
    lastrowid: int | None
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Entry:
    digest: str
    statement: str
    there: str | None = None  # the fingerprint before a DDL statement
    result: str | None = None  # the Result of a data statement, as JSON


class Journal:
    """The entries of the revision that runs, and the position of its current statement."""

    def __init__(self, connection: sa.Connection) -> None:
        self.driver: Any = connection.connection.driver_connection
        self.reader = Reader(stored_functions(self.driver))
        self.position = 0

    @cached_property
    def entries(self) -> dict[int, Entry]:
        """The entries that an earlier run left, by position."""
        query = (
            "SELECT position, digest, statement, there, result FROM alembic_journal "
            "WHERE position > 0"
        )
        with self.driver.cursor() as own:
            own.execute(query)
            return {position: Entry(*values) for position, *values in own.fetchall()}

    def execute(self, cursor: Any, statement: str, *values: Any) -> bool:
        """Listen to the event before SQLAlchemy executes a statement.

        `values` are the parameters, if there are any, and SQLAlchemy's context. Returns True if
        the statement needs no execution by SQLAlchemy any more.
        Raises CommandError if a rerun could not tell what to do with the statement.
        """
        *parameters, context = values
        if REPEATABLE in context.execution_options:
            return False
        try:
            effect = self.reader.effect_of(statement)
        except RefusedStatementError as error:
            raise CommandError(error.refusal(statement)) from None
        if effect is Effect.SESSION:
            return False
        if effect is Effect.VERSION:
            self.end_revision()
            return False
        self.position += 1
        digest = digest_of(statement, tuple(parameters))
        entry = Entry(digest, statement.strip()[:LONGEST])
        earlier = self.entries.get(self.position)
        if earlier and earlier.digest != digest:
            self.refuse(self.position, statement)
        if effect is Effect.DATA:
            return self.change_rows(cursor, entry, earlier, (statement, *parameters))
        return self.change_schema(cursor, entry, earlier, (statement, *parameters))

    def change_rows(
        self, cursor: Any, entry: Entry, earlier: Entry | None, arguments: tuple[Any, ...]
    ) -> bool:
        """Run a data statement and keep its result, or answer with the result of an earlier run."""
        if earlier:
            answer(cursor, earlier)
            return True
        if self.driver.get_autocommit():  # op.get_context().autocommit_block()
            self.run("BEGIN")
        self.write(entry)
        is_many = len(arguments) > 1 and isinstance(arguments[1], list)
        if is_many:
            cursor.executemany(*arguments)
            return True
        cursor.execute(*arguments)
        self.run(
            "UPDATE alembic_journal SET result = %s WHERE position = %s",
            result_of(cursor, entry),
            self.position,
        )
        return True

    def change_schema(
        self, cursor: Any, entry: Entry, earlier: Entry | None, arguments: tuple[Any, ...]
    ) -> bool:
        """Write the entry of a DDL statement, run it, and delete the entry if it fails."""
        if earlier and self.is_done(earlier, self.reader.executed(arguments[0])):
            return True
        if not earlier:
            there = fingerprint(self.driver, self.reader.executed(arguments[0]))
            self.write(Entry(entry.digest, entry.statement, there))
        self.driver.commit()
        try:
            cursor.execute(*arguments)
        except Exception as error:
            if earlier and says_done(error):
                return True
            with suppress(Exception):  # on a lost connection, the entry stays: it may have run
                if not earlier:
                    self.run("DELETE FROM alembic_journal WHERE position = %s", self.position)
                    self.driver.commit()
            raise
        return True

    def is_done(self, earlier: Entry, statement: str) -> bool:
        """Tell whether an earlier run has completed a DDL statement; only the last may not be."""
        if self.position < max(self.entries):
            return True
        if earlier.there is None or earlier.statement.upper().startswith("DROP"):
            return False  # it is run again, and an error says whether it had been run
        return earlier.there != fingerprint(self.driver, statement)

    def write(self, entry: Entry) -> None:
        self.run(
            "INSERT INTO alembic_journal (position, digest, statement, there) "
            "VALUES (%s, %s, %s, %s)",
            self.position,
            entry.digest,
            entry.statement,
            entry.there,
        )

    def run(self, statement: str, *values: Any) -> None:
        """Execute the journal's own statement, on a cursor that SQLAlchemy does not see."""
        with self.driver.cursor() as own:
            own.execute(statement, values)

    def end_revision(self) -> None:
        """Delete the entries, in the transaction that is about to write the new version."""
        left = [position for position in self.entries if position > self.position]
        if left:
            self.refuse(left[0], "its end")
        self.run("DELETE FROM alembic_journal WHERE position > 0")
        self.position = 0
        self.entries = {}

    def refuse(self, position: int, now: str) -> None:
        raise CommandError(
            f"An earlier run stopped within this revision, which has changed since: its "
            f"statement {position} was\n  {self.entries[position].statement}\nand is now\n"
            f"  {now.strip()[:LONGEST]}\n"
            "Bring the old text back and run the same command again. Or do the rest by hand "
            "(alembic_journal lists what was done) and `alembic stamp` the revision."
        )


def digest_of(statement: str, parameters: tuple[Any, ...]) -> str:
    """Return the SHA-256 of a statement and its parameters, without those that are a time."""
    constant = MOMENT.sub("", repr(parameters))
    return hashlib.sha256((statement.strip() + constant).encode()).hexdigest()


def result_of(cursor: Any, entry: Entry) -> str:
    """Return the Result of a statement as JSON; the cursor can still be read afterwards.

    Raises CommandError for rows that hold more than numbers and texts.
    """
    columns = [column[0] for column in cursor.description or ()]
    rows = [list(row) for row in cursor.fetchall()] if columns else []
    if rows:
        cursor.scroll(0, mode="absolute")
    values = {
        "rowcount": cursor.rowcount,
        "lastrowid": cursor.lastrowid,
        "columns": columns,
        "rows": rows,
    }
    try:
        return json.dumps(values)
    except TypeError:
        error = RefusedStatementError("it returns more than numbers and texts: return the key only")
        raise CommandError(error.refusal(entry.statement)) from None


def answer(cursor: Any, earlier: Entry) -> None:
    """Give a cursor the result of an earlier run."""
    if earlier.result is None:  # of executemany(), or of an old release's journal
        return
    result = Result(**json.loads(earlier.result))
    if result.columns:
        names = [f"%s AS {quoted(name)}" for name in result.columns]
        select = f"SELECT {', '.join(names)}"
        rows = result.rows or [[None] * len(result.columns)]
        query = " UNION ALL ".join([select] * len(rows))
        limit = "" if result.rows else " LIMIT 0"
        cursor.execute(query + limit, [value for row in rows for value in row])
    cursor.rowcount = result.rowcount
    cursor.lastrowid = result.lastrowid


def quoted(name: str) -> str:
    """Return a name as the driver takes it in a statement with parameters."""
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"


def says_done(error: Exception) -> bool:
    """Tell whether an error means that a DDL statement has run already."""
    code = error.args[0] if error.args else None
    return code in GONE or code in OUTSIDE


@contextmanager
def journal(connection: sa.Connection) -> Iterator[None]:
    """Keep a journal of a connection until the block ends; drop its table if there is no error."""
    connection.exec_driver_sql(CREATE_TABLE)
    found = {column["name"] for column in sa.inspect(connection).get_columns(TABLE)}
    for name, kind in NEW_COLUMNS.items():
        if name not in found:
            connection.exec_driver_sql(f"ALTER TABLE alembic_journal ADD COLUMN {name} {kind}")
    execute = Journal(connection).execute
    connection.rollback()
    with listening(
        (connection.engine, "do_execute", execute),
        (connection.engine, "do_executemany", execute),
        (connection.engine, "do_execute_no_params", execute),
    ):
        yield
    connection.exec_driver_sql("DROP TABLE alembic_journal")
