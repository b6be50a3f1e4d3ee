"""A clean database for a moment: autogenerate compares with it, and the tests run on it.

And what such a database holds: what can be inspected of its tables, and values to fill them with.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic.util import CommandError

from app.url import describe, is_sqlite

# The URL, or the role, may name another schema than public: a new database has no other.
SCHEMA = """
    DO $$ BEGIN IF current_schema() IS NULL THEN
        EXECUTE 'CREATE SCHEMA ' || split_part(current_setting('search_path'), ',', 1);
    END IF; END $$"""


class ScratchRefusedError(CommandError):
    """The user may not create a database on this server."""


@contextmanager
def scratch_database(url: sa.URL, purpose: str) -> Iterator[sa.URL]:
    """Make an empty database beside the one of `url`, yield its URL, and drop it.

    Its name is a new one, so that no other database is ever touched. Raises ScratchRefusedError
    where the user may not create it, and OperationalError where the server does not answer.
    """
    name = f"{Path(url.database or '').stem[:30]}_{purpose}_{token_hex(4)}"
    if is_sqlite(url):
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield url.set(database=str(Path(folder) / f"{name}.db"))
        return
    force = " WITH (FORCE)" if url.get_backend_name() == "postgresql" else ""
    # PostgreSQL wants a database to connect to, and keeps this one for the purpose.
    url = url.set(database="postgres" if force else None)
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    quoted = server.dialect.identifier_preparer.quote(name)
    with server.connect() as connection:
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {quoted}")
        except sa.exc.DBAPIError as error:
            raise ScratchRefusedError(
                f"{describe(url)} may not create a database for a moment: {error.orig}\n"
                "Grant it that (PostgreSQL: ALTER ROLE … CREATEDB; MariaDB: GRANT ALL ON *.*), "
                "or use a server of your own."
            ) from None
        try:
            if force:
                make_schema(url.set(database=name))
            yield url.set(database=name)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {quoted}{force}")


def make_schema(url: sa.URL) -> None:
    """Make the schema that new tables go to, in a new database of PostgreSQL."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql(SCHEMA)


PARTS = ["columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints"]
PARTS += ["check_constraints", "table_comment"]
OTHERS = {  # what belongs to no table, or is not inspected
    "postgresql": "SELECT 'enum', typname, array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum"
    " JOIN pg_type ON pg_type.oid = enumtypid GROUP BY typname",
    "sqlite": "SELECT type, name FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL",
}


@dataclass
class Table:
    """What can be inspected of a table, as text, and what it takes to write rows."""

    facts: set[str] = field(default_factory=set)
    columns: dict[str, Any] = field(default_factory=dict)  # the types of those that can be written
    key: list[str] = field(default_factory=list)
    foreign_keys: list[Any] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def parents(self) -> set[str]:
        return {key["referred_table"] for key in self.foreign_keys}

    def values(self, column: str) -> Counter[str]:
        return Counter(repr(row.get(column)) for row in self.rows)


def read_tables(connection: sa.Connection, names: Collection[str]) -> dict[str, Table]:
    """Return tables by name, and under "" what belongs to none of them."""
    inspector, dialect = sa.inspect(connection), connection.dialect
    found: dict[str, Table] = defaultdict(Table)
    for part in PARTS if dialect.supports_comments else PARTS[:-1]:
        parts = getattr(inspector, f"get_multi_{part}")(filter_names=[*names])
        for (_, name), value in parts.items():
            items = value if isinstance(value, list) else [value]
            found[name].facts |= {f"{part} {item!r}" for item in items}
            if part == "columns":
                found[name].columns = {c["name"]: c["type"] for c in items if writable(c)}
            elif part == "foreign_keys":
                found[name].foreign_keys = items
            elif part == "pk_constraint":
                found[name].key = value["constrained_columns"]
    found.pop("alembic_version", None)
    for name in found:
        found[name].rows = read_rows(connection, name)
    if dialect.name in OTHERS:
        found[""].facts = set(map(repr, connection.exec_driver_sql(OTHERS[dialect.name])))
    return found


def writable(column: Any) -> bool:
    return "computed" not in column and not column.get("identity", {}).get("always")


def read_rows(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    found = connection.execute(sa.select(sa.text("*")).select_from(sa.table(table)))
    return [dict(row) for row in found.mappings()]


START = datetime(2001, 2, 3, 4, 5, 6)
SAMPLES: dict[type, Any] = {  # a value for each number; those of two in a row differ
    bool: lambda n: n % 2 == 0,
    int: int,
    float: lambda n: float(n % 10),
    Decimal: lambda n: Decimal(n % 10),
    str: '"Ab{}"'.format,  # JSON too, which is text on MariaDB
    bytes: lambda n: b"%d" % n,
    date: lambda n: (START + timedelta(n)).date(),
    datetime: lambda n: START + timedelta(n),
    time: lambda n: time(n % 24),
    timedelta: timedelta,
    UUID: lambda n: UUID(int=n),
    dict: lambda n: {"n": n},
}


def sample(kind: Any, number: int) -> Any:
    """Return a value of a column's type, or None for a type that is unknown here."""
    if isinstance(kind, sa.ARRAY):
        return [sample(kind.item_type, number)]
    if isinstance(kind, sa.Enum):
        return kind.enums[number % len(kind.enums)]
    with suppress(NotImplementedError, KeyError):
        python = bool if type(kind).__name__ == "TINYINT" else kind.python_type
        value = SAMPLES[python](number)
        return value[-(kind.length or 99) :] if python in (str, bytes) else value
    return None
