"""What a release does with the rows of its tables, tried in a process of its own.

This file is executed by path in the folder of another release, whose own packages have the same
names as ours. So it imports nothing but SQLAlchemy, and is asked by lines of JSON:

- {"do": "open", "url": …, "options": …}: here is a database as the release's revisions make it
- {"do": "learn"}: made-up rows have come; remember them, and take them out again
- {"do": "try"}: insert, read, change and delete them, and leave the database as it was

Each answer is a line of JSON, too: a list of what fails, as [table, action, reason].
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import sqlalchemy as sa

Row = dict[str, Any]
Fault = tuple[str, str, str]  # a table's name, what was done, and the database's reason
SKIP = "rows"  # where a table is left out, because of another one
LEAVING = "leaving"  # migrator/leaving.py, in `info`: the release does not use it


def serve(metadata: sa.MetaData, questions: TextIO, answers: TextIO) -> None:
    """Answer questions until they end."""
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
    """The tables of a release, on a database."""

    def __init__(self, metadata: sa.MetaData, url: str, options: Mapping[str, Any]) -> None:
        # Each statement is on its own but within BEGIN … ROLLBACK, which is the same in all SQL.
        self.engine = sa.create_engine(
            url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", **options
        )
        self.tables = [table for table in metadata.sorted_tables if LEAVING not in table.info]
        self.known: dict[sa.Table, list[Row]] = {}  # keys of what the revisions have inserted
        self.rows: dict[sa.Table, list[Row]] = {}  # what was made up

    def look(self) -> list[Fault]:
        """Remember the rows that are no made-up ones; return the tables that cannot be read."""
        found: list[Fault] = []
        with self.engine.connect() as connection:
            for table in self.tables:
                try:
                    self.known[table] = read(connection, table, key_of(table))
                except Exception as error:  # types raise more than SQLAlchemy's errors
                    found.append((table.fullname, "select", reason(error)))
        return found

    def learn(self) -> list[Fault]:
        """Remember the made-up rows, delete them, and return the tables that have none."""
        found: list[Fault] = []
        with self.engine.connect() as connection:
            for table, known in self.known.items():
                keys = [key for key in read(connection, table, key_of(table)) if key not in known]
                try:
                    self.rows[table] = [read_one(connection, table, key) for key in keys]
                except Exception as error:  # a type does not know what was made up
                    self.rows[table] = keys
                    found.append((table.fullname, "insert", reason(error)))
                if not keys:
                    found.append((table.fullname, "insert", "no row could be made up"))
            for table, rows in reversed(self.rows.items()):
                for row in reversed(rows):
                    connection.execute(table.delete().where(same(table, row)))
        return found

    def attempt(self) -> list[Fault]:
        """Insert, read, change and delete the rows, and return what fails; nothing stays."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                return [*Attempt(connection, self.rows).faults()]
            finally:
                connection.exec_driver_sql("ROLLBACK")


def read(
    connection: sa.Connection, table: sa.Table, columns: Sequence[sa.Column[Any]]
) -> list[Row]:
    """Return some columns of a table's rows, by their keys."""
    rows = connection.execute(sa.select(*columns).order_by(*table.primary_key))
    return [dict(zip([column.key for column in columns], row, strict=True)) for row in rows]


def read_one(connection: sa.Connection, table: sa.Table, key: Row) -> Row:
    """Return the row with this key, with labels of the release's own enums.

    A database may keep an enum as a text, which anything was made up for.
    """
    columns = writable(table)
    enums = {c.key: first_of(c.type) for c in columns if isinstance(c.type, sa.Enum)}
    if enums:
        connection.execute(table.update().where(same(table, key)).values(enums))
    row = connection.execute(sa.select(*columns).where(same(table, key))).one()
    return dict(zip([column.key for column in columns], row, strict=True))


def first_of(type_: sa.Enum) -> Any:
    return next(iter(type_.enum_class)) if type_.enum_class else type_.enums[0]


def key_of(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns of the primary key, or all where there is none."""
    return [*table.primary_key] or writable(table)


def reason(error: Exception) -> str:
    """Return the first line of what a database says, or else of an error."""
    return str(getattr(error, "orig", error)).strip().splitlines()[0]


class Attempt:
    """One go at the rows, parents before their children, and back."""

    def __init__(self, connection: sa.Connection, rows: dict[sa.Table, list[Row]]) -> None:
        self.connection = connection
        self.rows = rows
        self.failed: set[sa.Table] = set()

    def faults(self) -> Iterator[Fault]:
        for table, rows in self.rows.items():
            yield from self.steps(table, rows)
        for table, rows in reversed(self.rows.items()):
            if not self.failed & children(table, self.rows):
                deletes = [table.delete().where(same(table, row)) for row in reversed(rows)]
                yield from self.fault(table, "delete", deletes)

    def steps(self, table: sa.Table, rows: list[Row]) -> Iterator[Fault]:
        """Insert the rows of a table, read them back, and change them to what they are."""
        yield from self.fault(table, "select", [select(table)])
        without = self.failed & parents(table)
        if without and table not in self.failed:  # its rows could not be inserted, whatever it is
            self.failed.add(table)
            names = ", ".join(sorted(parent.fullname for parent in without))
            yield table.fullname, SKIP, f"there are no rows in {names}"
        for row in rows:
            # As a session does it, which leaves to the database what that fills in; then for good.
            as_session = table.insert().values(given(table, row))
            yield from self.fault(table, "insert", [as_session], undo=True)
            yield from self.fault(table, "insert", [table.insert().values(row)])
        if table not in self.failed:
            yield from self.compare(table, rows)
        updates = [change(table, row) for row in rows if change(table, row) is not None]
        yield from self.fault(table, "update", updates)

    def fault(
        self, table: sa.Table, action: str, statements: Sequence[Any], undo: bool = False
    ) -> Iterator[Fault]:
        """Execute statements, all or none of them, and yield why they fail, once for a table."""
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
        """Yield which value is not read as it was written."""
        there = read(self.connection, table, writable(table))
        for row in (row for row in rows if row not in there):
            self.failed.add(table)
            found = next((other for other in there if has_key(table, other, row)), {})
            changed = [key for key, value in row.items() if found.get(key) != value]
            text = ", ".join(f"{key} {row[key]!r} is read as {found.get(key)!r}" for key in changed)
            yield table.fullname, "select", text
            return


def writable(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that the release uses and may write."""
    return [c for c in table.columns if LEAVING not in c.info and not is_computed(c)]


def is_computed(column: sa.Column[Any]) -> bool:
    """Tell whether the database alone gives values to a column."""
    return column.computed is not None or bool(column.identity and column.identity.always)


def select(table: sa.Table) -> sa.Select[Any]:
    """Return a query for all columns that the release uses; those it may write come first."""
    others = [c for c in table.columns if LEAVING not in c.info and is_computed(c)]
    return sa.select(*writable(table), *others)


def has_key(table: sa.Table, one: Row, other: Row) -> bool:
    keys = [column.key for column in table.primary_key]
    return [one.get(key) for key in keys] == [other.get(key) for key in keys]


def given(table: sa.Table, row: Row) -> Row:
    """Return the values that a session writes: not those that the database fills in."""
    filled = {c.key for c in table.columns if c.server_default is not None and c.default is None}
    if table.autoincrement_column is not None:
        filled.add(table.autoincrement_column.key)
    return {key: value for key, value in row.items() if key not in filled}


def change(table: sa.Table, row: Row) -> sa.Update | None:
    """Return what sets a row's values anew, or None for a table that is all key."""
    values = {key: value for key, value in row.items() if not table.columns[key].primary_key}
    return table.update().where(same(table, row)).values(values) if values else None


def same(table: sa.Table, row: Row) -> sa.ColumnElement[bool]:
    """Return the condition that finds a row: by its key, or else by all that it holds."""
    return sa.and_(*(column == row[column.key] for column in key_of(table)))


def parents(table: sa.Table) -> set[sa.Table]:
    return {key.column.table for key in table.foreign_keys} - {table}


def children(table: sa.Table, tables: Mapping[sa.Table, Any]) -> set[sa.Table]:
    return {other for other in tables if table in parents(other)}
