"""Made-up rows: a revision that is judged without rows loses none."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, count
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from migrator.proof.differences import Contents, Row, Table, TableName, read_rows
from migrator.proof.special import Special

Columns = Mapping[str, sa.types.TypeEngine[Any]]  # the types of some columns of a table, by name
NUMBERS = count(30_001)  # above the ids that revisions give to rows of their own
ROWS = 2  # that each table gets: one has no order, and nothing to be confused with
ATTEMPTS = 10  # with other values, where a CHECK refuses the first
LITERAL = re.compile(r"'([^']*)'|(\b\d+\b)")  # a text or a number within a CHECK
NUMERIC = (int, float, Decimal)
LONGEST = 255  # characters of a text that a number within a CHECK may be about


@dataclass(frozen=True)
class Gap:
    """A table that got no row, or a column of it that got no value; `reason` is the database's."""

    table: TableName
    column: str | None
    reason: str


class Rows:
    """Fills the tables of a database with made-up rows."""

    def __init__(self, connection: sa.Connection, special: Special) -> None:
        self.connection, self.special = connection, special

    def fill(self, before: Contents, now: Contents) -> list[Gap]:
        """Give two rows to each table that has none, and to others values in their new columns.

        `before` is what the database held when it was filled last, and `now` what it holds. Returns
        the tables and the new columns that no value could be made up for.
        """
        gaps: list[Gap] = []
        for name in parents_first(now.tables):
            table = now.tables[name]
            if not table.rows:
                gaps += self.add_rows(name, table)
            elif columns := writable(table, before.tables.get(name, table).column_names):
                gaps += self.add_values(name, table, columns)
        self.connection.commit()
        return gaps

    def add_rows(self, name: TableName, table: Table) -> list[Gap]:
        """Insert rows into an empty table."""
        columns = writable(table, known=set())
        insert = name.clause(*map(sa.column, columns)).insert()
        refusals = [self.refusal(insert, table, columns) for _ in range(ROWS)]
        if all(refusals):
            return [Gap(name, None, refusals[0])]
        return self.unknown(name, columns)

    def add_values(self, name: TableName, table: Table, columns: Columns) -> list[Gap]:
        """Update some rows of a table, in its new columns."""
        update = name.clause(*map(sa.column, columns)).update()
        refusals = []
        for row in table.rows[:ROWS]:
            same = [sa.column(column) == row[column] for column in table.identity(row)]
            refusals.append(self.refusal(update.where(*same), table, columns))
        if all(refusals):
            return [Gap(name, column, refusals[0]) for column in columns]
        return self.unknown(name, columns)

    def unknown(self, name: TableName, columns: Columns) -> list[Gap]:
        """Return the columns of a type that no value is known of; they are NULL."""
        unknown = [column for column, type_ in columns.items() if not self.samples(type_, 0)]
        return [Gap(name, column, "its type is not known") for column in unknown]

    def refusal(self, change: sa.Insert | sa.Update, table: Table, columns: Columns) -> str:
        """Change the database with made-up values; return why it refused them, or "" if not."""
        number = next(NUMBERS)
        choices = self.choices(table, columns, number)
        referred = self.references(table, columns, number)
        attempts = min(ATTEMPTS, max(map(len, choices.values()), default=1))
        refusal = ""
        for attempt in range(attempts):
            # A row of its first choices, one of its second ones, and so on.
            values = {name: texts[attempt % len(texts)] for name, texts in choices.items()}
            refusal = self.execute(change.values(values | referred))
            if not refusal:
                break
        return refusal

    def execute(self, change: sa.Insert | sa.Update) -> str:
        """Change the database; return why it refused, or "" if it did not."""
        savepoint = self.connection.begin_nested()
        try:
            self.connection.execute(change)
        except sa.exc.SQLAlchemyError as error:
            savepoint.rollback()
            return str(getattr(error, "orig", error)).strip()
        savepoint.commit()
        return ""

    def choices(
        self, table: Table, columns: Columns, number: int
    ) -> dict[str, Sequence[str | None]]:
        """Return values for each column: of its type, then those that CHECKs name."""
        checks = [check["sqltext"] for check in table.parts["check_constraints"]]
        found: dict[str, Sequence[str | None]] = {}
        for place, (name, type_) in enumerate(columns.items()):
            named = [values_in(check, type_) for check in checks if names(check, name)]
            found[name] = [*self.samples(type_, number + place), *chain(*named)] or [None]
        return found

    def references(self, table: Table, columns: Columns, number: int) -> Row:
        """Return the values of these columns' foreign keys, of the rows that are there."""
        values: Row = {}
        for key in keys(table):
            there = read_rows(self.connection, parent(key)) or [{}]
            row = there[number % len(there)]
            pairs = zip(key["constrained_columns"], key["referred_columns"], strict=True)
            values |= {mine: row.get(theirs) for mine, theirs in pairs if mine in columns}
        return values

    def samples(self, type_: sa.types.TypeEngine[Any], number: int) -> list[str]:
        """Return values of a type, as text, each good in itself; none for an unknown type."""
        if found := self.special.samples(type_, number):
            return found
        if isinstance(type_, sa.ARRAY):
            return [self.special.array(text) for text in self.samples(type_.item_type, number)]
        if isinstance(type_, sa.Enum):
            return [type_.enums[number % len(type_.enums)]]
        return samples_in_python(type_, number)


def parents_first(tables: Mapping[TableName, Table]) -> list[TableName]:
    """Return the names of tables, each after those that it refers to as far as that is possible."""
    waiting = {name: set(map(parent, keys(table))) - {name} for name, table in tables.items()}
    order: list[TableName] = []
    while waiting:
        ready = [name for name in waiting if not waiting[name] & waiting.keys()]
        order.append(min(ready or waiting))  # in a circle, no table is ready
        del waiting[order[-1]]
    return order


def keys(table: Table) -> list[dict[str, Any]]:
    """Return the foreign keys of a table."""
    return table.parts["foreign_keys"]


def parent(key: dict[str, Any]) -> TableName:
    """Return the name of the table that a foreign key refers to."""
    return TableName(key["referred_schema"] or "", key["referred_table"])


def writable(table: Table, known: set[str]) -> Columns:
    """Return the types of the columns that may be written and are not known, by name."""
    columns = [column for column in table.parts["columns"] if not is_generated(column)]
    return {c["name"]: c["type"] for c in columns if c["name"] not in known}


def is_generated(column: dict[str, Any]) -> bool:
    """Tell whether the database alone writes a column."""
    return "computed" in column or bool(column.get("identity", {}).get("always"))


def names(check: str, column: str) -> bool:
    """Tell whether a CHECK names a column."""
    return bool(re.search(rf"\b{re.escape(column)}\b", check))


def values_in(check: str, type_: sa.types.TypeEngine[Any]) -> Iterator[str]:
    """Yield the values for a column of a type that a CHECK names, and texts as long as it says."""
    kind = python_type(type_)
    for text, number in LITERAL.findall(check):
        if number or kind not in NUMERIC:
            yield text or number
        if number and kind is str and int(number) <= LONGEST:
            yield "A" * int(number)


def samples_in_python(type_: sa.types.TypeEngine[Any], number: int) -> list[str]:
    """Return a value of a type that has a type in Python, as text; none for another."""
    kind = python_type(type_)
    if kind is None:
        return []
    if kind is str:
        length = getattr(type_, "length", None)
        # Quoted where there is room: MariaDB calls the type of JSON a long text.
        return [f"Ab{number}"[-length:] if length else f'"Ab{number}"']
    return [str(value(kind, number))]


def python_type(type_: sa.types.TypeEngine[Any]) -> type | None:
    """Return the type that a column's values have in Python, or None for one that is unknown."""
    if isinstance(type_, sa.types.NullType):  # the inspector knows none
        return None
    try:
        return type_.python_type
    except NotImplementedError:  # that is how SQLAlchemy says so
        return None


def value(kind: type, number: int) -> object:
    """Return a value of a type of Python."""
    moment = datetime(2001, 2, 3) + timedelta(hours=25 * number)
    values: dict[type, object] = {
        bool: number % 2,
        int: number,
        timedelta: number,
        float: number % 10,
        Decimal: number % 10,
        UUID: UUID(int=number),
        date: moment.date(),
        time: moment.time(),
        datetime: moment,
    }
    return values.get(kind, f'"Ab{number}"')  # which is JSON, too
