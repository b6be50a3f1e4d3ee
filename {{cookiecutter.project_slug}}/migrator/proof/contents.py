"""What the tables of a database hold, and what is lost of it between two moments."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from migrator.description import OWN_TABLES
from migrator.proof.finding import Finding
from migrator.proof.special import Special

# What has to be known of a table to make rows up, as in the inspector's methods `get_multi_<part>`.
PARTS = (
    "columns",
    "pk_constraint",
    "foreign_keys",
    "unique_constraints",
    "indexes",
    "check_constraints",
)
LONGEST = 60  # characters of a value in a message
Row = dict[str, Any]


class TableName(NamedTuple):
    """A table's name; the schema is "" for the usual one."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    def clause(self, *columns: sa.ColumnClause[Any]) -> sa.TableClause:
        """Return the table for a statement."""
        return sa.table(self.name, *columns, schema=self.schema or None)


@dataclass
class Table:
    """What the inspector says of a table, by part, and its rows."""

    parts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    @property
    def column_names(self) -> set[str]:
        return {column["name"] for column in self.parts["columns"]}

    @property
    def key(self) -> list[str]:
        """The columns of the primary key, or none."""
        return [*self.parts["pk_constraint"][0]["constrained_columns"]]

    def identity(self, row: Row) -> list[str]:
        """Return the columns that tell a row from others: those of the key, or else all."""
        return self.key or [*row]

    def generated(self) -> set[str]:
        """Return the column whose numbers the database makes up, if this is how it tells rows."""
        referring = {
            name for key in self.parts["foreign_keys"] for name in key["constrained_columns"]
        }
        types = {column["name"]: column["type"] for column in self.parts["columns"]}
        is_number = len(self.key) == 1 and isinstance(types[self.key[0]], sa.Integer)
        return {*self.key} - referring if is_number else set()


Tables = Mapping[TableName, Table]


def names_of_tables(
    inspector: sa.Inspector, special: Special, text: str | None
) -> dict[str | None, set[str]]:
    """Return the tables that a text names in lower case, or all of them, by schema.

    A revision of one table among a thousand is then judged as fast as one among ten.
    """
    found = {}
    for schema in special.schemas(inspector):
        names = set(inspector.get_table_names(schema)) - {*OWN_TABLES}
        found[schema] = {name for name in names if text is None or name.lower() in text}
    return found


def read_tables(
    connection: sa.Connection, inspector: sa.Inspector, schema: str | None, names: Collection[str]
) -> dict[TableName, Table]:
    """Return these tables of a schema."""
    tables = {TableName(schema or "", name): Table() for name in names}
    if not names:
        return tables
    for part in PARTS:
        read = getattr(inspector, f"get_multi_{part}")
        for (_, name), found in read(schema=schema, filter_names=[*names]).items():
            items = found if isinstance(found, list) else [found]  # one key
            tables[TableName(schema or "", name)].parts[part] = items
    for name, table in tables.items():
        table.rows = read_rows(connection, name)
    return tables


def read_rows(connection: sa.Connection, name: TableName) -> list[Row]:
    """Return all rows of a table."""
    query = sa.select(sa.text("*")).select_from(name.clause())
    return [dict(row) for row in connection.execute(query).mappings()]


def losses(wanted: Tables, there: Tables, come: Mapping[TableName, list[Row]]) -> list[Finding]:
    """Return each table that lost rows, and of other tables each column that lost values.

    `come` are rows that the revision itself inserts. The database may give them another number and
    another time when it inserts them again. So they are only counted.
    """
    found = []
    for name, old in sorted(wanted.items()):
        now = there.get(name, Table({**old.parts}))
        rows = Rows(old, now.rows, come.get(name, []))
        if rows.are_missing():
            found.append(loss(str(name), ""))
        else:
            examples = dict(rows.changes())
            found += [loss(f"{name}.{column}", text) for column, text in sorted(examples.items())]
    return found


def inserted(before: Table, after: Table) -> list[Row]:
    """Return the rows of a table that were not there before."""
    old = {identity(after, row) for row in before.rows}
    return [row for row in after.rows if identity(after, row) not in old]


def identity(table: Table, row: Row) -> str:
    """Return what tells a row of a table from others."""
    return repr([content(row.get(name)) for name in table.identity(row)])


def loss(subject: str, example: str) -> Finding:
    return Finding("loss", subject, f"loss of {subject}", f"values of {subject} are lost{example}")


class Rows:
    """The rows that a table should hold, beside those that it holds now."""

    def __init__(self, table: Table, there: Sequence[Row], come: Sequence[Row]) -> None:
        self.table = table
        new = {self.key(row) for row in come}
        self.kept = [row for row in table.rows if self.key(row) not in new]
        self.new = len(table.rows) - len(self.kept)
        self.there = there

    def key(self, row: Row) -> str:
        return identity(self.table, row)

    def held(self, row: Row) -> str:
        """Return all that a row holds, but for a number that the database has made up."""
        generated = self.table.generated()
        return repr(
            [(name, content(value)) for name, value in row.items() if name not in generated]
        )

    def are_missing(self) -> bool:
        """Tell whether there are less rows than there should be, or others."""
        wanted, there = Counter(map(self.key, self.kept)), Counter(map(self.key, self.there))
        gone, others = wanted - there, there - wanted
        lost = Counter(self.held(row) for row in self.kept if self.key(row) in gone)
        come = Counter(self.held(row) for row in self.there if self.key(row) in others)
        return bool(lost - come) or others.total() < gone.total() + self.new

    def changes(self) -> Iterator[tuple[str, str]]:
        """Yield the columns whose values are not the same in rows of the same key."""
        there = {self.key(row): row for row in self.there}
        for row in self.kept:
            other = there.get(self.key(row), row)
            for name, value in row.items():
                if name not in other:
                    if value is not None:
                        yield name, f", such as {shown(value)}"
                elif content(value) != content(other[name]):
                    yield name, f", such as {shown(value)}, which became {shown(other[name])}"


def content(value: Any) -> str:
    """Return a value as a text that is the same for the same value.

    JSON is the same whatever the order of its keys and the spaces in it. Digits of it may become a
    number on their way through a column.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:  # a text that only looks like it
            return repr(value)
    if isinstance(value, dict | list):
        return json.dumps(with_numbers(value), sort_keys=True, default=repr)
    return repr(value)


def with_numbers(value: Any) -> Any:
    """Return JSON with numbers in the place of texts that are all digits."""
    if isinstance(value, dict):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [*map(with_numbers, value)]
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
