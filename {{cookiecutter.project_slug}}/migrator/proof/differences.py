"""What a database holds, and what differs between two moments.

Each part of a table is described as text by the database itself, through SQLAlchemy's inspector; so
is what there is beside tables. Two moments differ where those texts or the rows do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from migrator.log import LOG_TABLE
from migrator.proof.finding import Finding
from migrator.proof.special import Parts, Special

# The parts of a table, as in the inspector's methods `get_multi_<part>`.
PARTS = (
    "columns",
    "pk_constraint",
    "foreign_keys",
    "indexes",
    "unique_constraints",
    "check_constraints",
)
COMMENT = "table_comment"  # a part, too, where a database has comments
VERSION_TABLE = "alembic_version"
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

    parts: Parts = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    @property
    def column_names(self) -> set[str]:
        return {column["name"] for column in self.parts["columns"]}

    def identity(self, row: Row) -> list[str]:
        """Return the columns that tell a row from others: those of the key, or else all."""
        return [*self.parts["pk_constraint"][0]["constrained_columns"]] or [*row]


@dataclass(frozen=True)
class Contents:
    """What a database holds: its tables, and each part of a table and each other object as text."""

    tables: Mapping[TableName, Table]
    texts: frozenset[str]


def look(connection: sa.Connection, special: Special, text: str | None = None) -> Contents:
    """Return what a database holds: the tables that a text names in lower case, or all of them.

    A revision of one table among a thousand is then judged as fast as one among ten.
    """
    inspector = sa.inspect(connection)
    tables: dict[TableName, Table] = {}
    for schema in special.schemas(inspector):
        names = set(inspector.get_table_names(schema)) - {VERSION_TABLE, LOG_TABLE}
        named = {name for name in names if text is None or name.lower() in text}
        tables |= read_tables(connection, inspector, schema, named)
    for name, table in tables.items():
        table.parts = special.settled(connection, name.clause(), table.parts)
    texts = {
        f"{name} {part} {item!r}"
        for name, table in tables.items()
        for part, items in table.parts.items()
        for item in items
    }
    texts.update(special.others(connection))
    connection.rollback()
    return Contents(tables, frozenset(texts))


def read_tables(
    connection: sa.Connection, inspector: sa.Inspector, schema: str | None, names: set[str]
) -> dict[TableName, Table]:
    """Return these tables of a schema."""
    tables = {TableName(schema or "", name): Table() for name in names}
    if not names:
        return tables
    for part in (*PARTS, COMMENT) if connection.dialect.supports_comments else PARTS:
        read = getattr(inspector, f"get_multi_{part}")
        for (_, name), found in read(schema=schema, filter_names=[*names]).items():
            items = found if isinstance(found, list) else [found]  # one key, one comment
            tables[TableName(schema or "", name)].parts[part] = items
    for name, table in tables.items():
        table.rows = read_rows(connection, name)
    return tables


def read_rows(connection: sa.Connection, name: TableName) -> list[Row]:
    """Return all rows of a table."""
    query = sa.select(sa.text("*")).select_from(name.clause())
    return [dict(row) for row in connection.execute(query).mappings()]


def losses(before: Contents, after: Contents) -> list[Finding]:
    """Return each table that lost rows, and of other tables each column that lost values."""
    found = []
    for name, old in sorted(before.tables.items()):
        lost = values(name, old) - values(name, after.tables.get(name, Table()))
        subjects = {subject for subject, _ in lost}
        for subject in [str(name)] if str(name) in subjects else sorted(subjects):
            text = f"values of {subject} are lost"
            found.append(Finding("loss", subject, f"loss of {subject}", text))
    return found


def values(name: TableName, table: Table) -> set[tuple[str, str]]:
    """Return each row and each value of a table, beside the name of the table or the column."""
    found = set()
    for row in table.rows:
        key = repr([row[column] for column in table.identity(row)])
        found.add((str(name), key))
        found |= {(f"{name}.{column}", f"{key} {value!r}") for column, value in row.items()}
    return found


def leftovers(before: Contents, after: Contents) -> list[str]:
    """Return what is gone and what is left, of all that is no row."""
    gone = [f"{text} is gone" for text in sorted(before.texts - after.texts)]
    return gone + [f"{text} is left" for text in sorted(after.texts - before.texts)]
