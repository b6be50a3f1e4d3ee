"""Try whether the models of a release can still read and write their tables.

This file runs in a process of its own, in the folder of another release, whose packages have the
same names as ours. So it is executed by its path, and imports nothing but SQLAlchemy. It gets
questions as lines of JSON:

- {"do": "open", "url": …, "options": …}: connect to a database, which has the release's revisions
- {"do": "learn"}: remember the made-up rows that the database has by now, and delete them
- {"do": "try"}: insert, read, change and delete those rows, and leave the database as it was

The answer to each is a line of JSON as well: a list of what fails, as [table, action, reason].
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import sqlalchemy as sa

Row = dict[str, Any]
Fault = tuple[str, str, str]  # the name of a table, the action that fails, and the reason
SKIPPED = "rows"  # the action of a table that cannot be tried, because another one has no rows
LEAVING = "leaving"  # in the `info` of what the models do not use any more: see migrator/leaving.py


def serve(metadata: sa.MetaData, questions: TextIO, answers: TextIO) -> None:
    """Answer questions about the models of `metadata`, line by line, until there are no more."""
    trial: Trial | None = None
    for line in questions:
        question = json.loads(line)
        found: list[Fault] = []
        if question["do"] == "open":
            trial = Trial(metadata, question["url"], question["options"])
            found = trial.look()
        elif trial and question["do"] == "learn":
            found = trial.learn()
        elif trial and question["do"] == "try":
            found = trial.attempt()
        answers.write(json.dumps(found) + "\n")
        answers.flush()


class Trial:
    """The tables of a release, in a database."""

    def __init__(self, metadata: sa.MetaData, url: str, options: Mapping[str, Any]) -> None:
        # With AUTOCOMMIT, only the BEGIN and ROLLBACK of attempt() begin and end a transaction.
        self.engine = sa.create_engine(
            url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", **options
        )
        self.tables = [table for table in metadata.sorted_tables if LEAVING not in table.info]
        self.known: dict[sa.Table, list[Row]] = {}  # the keys of rows that revisions have inserted
        self.rows: dict[sa.Table, list[Row]] = {}  # the made-up rows

    def look(self) -> list[Fault]:
        """Remember the keys of all rows, and return a fault for each table that cannot be read.

        These are the rows that the revisions have inserted, before any is made up.
        """
        found: list[Fault] = []
        with self.engine.connect() as connection:
            for table in self.tables:
                try:
                    self.known[table] = read(connection, table, key_of(table))
                except Exception as error:  # types raise more than SQLAlchemy's errors
                    found.append((table.fullname, "select", reason(error)))
        return found

    def learn(self) -> list[Fault]:
        """Remember the made-up rows, delete them, and return a fault for each table without any."""
        found: list[Fault] = []
        with self.engine.connect() as connection:
            for table, known in self.known.items():
                keys = [key for key in read(connection, table, key_of(table)) if key not in known]
                try:
                    self.rows[table] = [read_one(connection, table, key) for key in keys]
                except Exception as error:  # a type of the release cannot read a made-up value
                    self.rows[table] = keys
                    found.append((table.fullname, "insert", reason(error)))
                if not keys:
                    found.append((table.fullname, "insert", "no row could be made up"))
            for table, rows in reversed(self.rows.items()):
                for row in reversed(rows):
                    connection.execute(table.delete().where(is_row(table, row)))
        return found

    def attempt(self) -> list[Fault]:
        """Insert, read, change and delete the rows; return what fails, and undo everything."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                return [*Attempt(connection, self.rows).run()]
            finally:
                connection.exec_driver_sql("ROLLBACK")


def read(
    connection: sa.Connection, table: sa.Table, columns: Sequence[sa.Column[Any]]
) -> list[Row]:
    """Return these columns of all rows of a table, each row by the keys of its columns."""
    rows = connection.execute(sa.select(*columns).order_by(*table.primary_key))
    return [dict(zip([column.key for column in columns], row, strict=True)) for row in rows]


def read_one(connection: sa.Connection, table: sa.Table, key: Row) -> Row:
    """Return the row with this key, after its enums were set to labels that the release has.

    A database may keep an enum as text, so the made-up value may be no label.
    """
    columns = writable(table)
    enums = {c.key: first_of(c.type) for c in columns if isinstance(c.type, sa.Enum)}
    if enums:
        connection.execute(table.update().where(is_row(table, key)).values(enums))
    row = connection.execute(sa.select(*columns).where(is_row(table, key))).one()
    return dict(zip([column.key for column in columns], row, strict=True))


def first_of(type_: sa.Enum) -> object:
    """Return the first value of an enum."""
    return next(iter(type_.enum_class)) if type_.enum_class else type_.enums[0]


def key_of(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that identify a row: those of the primary key, or else all."""
    return [*table.primary_key] or writable(table)


def reason(error: Exception) -> str:
    """Return the first line of an error, as the driver of the database says it."""
    return str(getattr(error, "orig", error)).strip().splitlines()[0]


class Attempt:
    """One attempt to insert, read, change and delete all rows.

    The tables are in the order of their foreign keys: parents come before their children, and rows
    are deleted the other way round. What fails once in a table is not tried there again.
    """

    def __init__(self, connection: sa.Connection, rows: dict[sa.Table, list[Row]]) -> None:
        self.connection = connection
        self.rows = rows
        self.failed: set[sa.Table] = set()

    def run(self) -> Iterator[Fault]:
        """Do everything, and yield what fails."""
        for table, rows in self.rows.items():
            yield from self.use(table, rows)
        for table, rows in reversed(self.rows.items()):
            if not self.failed & children(table, self.rows):
                deletes = [table.delete().where(is_row(table, row)) for row in reversed(rows)]
                yield from self.execute(table, "delete", deletes)

    def use(self, table: sa.Table, rows: list[Row]) -> Iterator[Fault]:
        """Insert the rows of a table, read them, and update them with their own values."""
        yield from self.execute(table, "select", [select(table)])
        failed_parents = self.failed & parents(table)
        if failed_parents and table not in self.failed:
            # Its rows refer to rows that are not there, so their fate says nothing of this table.
            self.failed.add(table)
            names = ", ".join(sorted(parent.fullname for parent in failed_parents))
            yield table.fullname, SKIPPED, f"there are no rows in {names}"
        for row in rows:
            # First as a session does it, without the values that the database fills in. Then, for
            # the steps that follow, with all values.
            as_session = table.insert().values(written_by_session(table, row))
            yield from self.execute(table, "insert", [as_session], undo=True)
            yield from self.execute(table, "insert", [table.insert().values(row)])
        if table not in self.failed:
            yield from self.compare(table, rows)
        updates = [update for row in rows if (update := update_of(table, row)) is not None]
        yield from self.execute(table, "update", updates)

    def execute(
        self,
        table: sa.Table,
        action: str,
        statements: Sequence[sa.Executable],
        undo: bool = False,
    ) -> Iterator[Fault]:
        """Execute statements on a table, all or none of them; yield a fault if they fail.

        With `undo`, none of them stays even if they succeed. Nothing is executed on a table that
        has failed before.
        """
        if table in self.failed:
            return
        self.connection.exec_driver_sql("SAVEPOINT attempt")
        try:
            for statement in statements:
                self.connection.execute(statement)
        except Exception as error:  # types raise more than SQLAlchemy's errors
            self.failed.add(table)
            yield table.fullname, action, reason(error)
        if undo or table in self.failed:
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT attempt")
        self.connection.exec_driver_sql("RELEASE SAVEPOINT attempt")

    def compare(self, table: sa.Table, rows: list[Row]) -> Iterator[Fault]:
        """Yield a fault for the first row that is not read as it was written."""
        rows_there = read(self.connection, table, writable(table))
        for row in rows:
            if row in rows_there:
                continue
            self.failed.add(table)
            there = next((other for other in rows_there if have_same_key(table, other, row)), {})
            changed = [key for key, value in row.items() if there.get(key) != value]
            text = ", ".join(f"{key} {row[key]!r} is read as {there.get(key)!r}" for key in changed)
            yield table.fullname, "select", text
            return


def writable(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that the release uses and may write."""
    return [c for c in table.columns if LEAVING not in c.info and not is_computed(c)]


def is_computed(column: sa.Column[Any]) -> bool:
    """Tell whether the database alone gives values to a column."""
    return column.computed is not None or bool(column.identity and column.identity.always)


def select(table: sa.Table) -> sa.Select[Any]:
    """Return a query for all columns of a table that the release uses."""
    others = [c for c in table.columns if LEAVING not in c.info and is_computed(c)]
    return sa.select(*writable(table), *others)


def have_same_key(table: sa.Table, one: Row, other: Row) -> bool:
    keys = [column.key for column in table.primary_key]
    return [one.get(key) for key in keys] == [other.get(key) for key in keys]


def written_by_session(table: sa.Table, row: Row) -> Row:
    """Return the values of a row that a session writes, not those that the database fills in."""
    filled = {c.key for c in table.columns if c.server_default is not None and c.default is None}
    if table.autoincrement_column is not None:
        filled.add(table.autoincrement_column.key)
    return {key: value for key, value in row.items() if key not in filled}


def update_of(table: sa.Table, row: Row) -> sa.Update | None:
    """Return an UPDATE that sets a row to its own values, or None if all columns are in the key."""
    values = {key: value for key, value in row.items() if not table.columns[key].primary_key}
    return table.update().where(is_row(table, row)).values(values) if values else None


def is_row(table: sa.Table, row: Row) -> sa.ColumnElement[bool]:
    """Return the condition that finds a row by its primary key, or else by all its values."""
    return sa.and_(*(column == row[column.key] for column in key_of(table)))


def parents(table: sa.Table) -> set[sa.Table]:
    """Return the tables that a table refers to, without itself."""
    return {key.column.table for key in table.foreign_keys} - {table}


def children(table: sa.Table, tables: Iterable[sa.Table]) -> set[sa.Table]:
    """Return those of the tables that refer to a table."""
    return {other for other in tables if table in parents(other)}
