"""Made-up rows are not tame, and what a database takes of them is found out by trying."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from migrator.database import database as database_at
from migrator.proof.contents import names_of_tables, read_tables
from migrator.proof.rows import Gap, Rows
from sqlalchemy.dialects import mysql
from support import DATABASES, DRIVERS, database

TYPES: dict[str, Any] = {
    "small": sa.SmallInteger,
    "big": sa.BigInteger,
    "price": sa.Numeric(10, 2),
    "name": sa.String(40),
    "at": sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mariadb", "mysql"),
    "data": sa.JSON,
    "mood": sa.Enum("sad", "ok", "glad", name="mood"),
    "flag": sa.Boolean,
    "raw": sa.LargeBinary,
}


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def filled(
    kind: str, folder: Path, *tables: sa.Table | str
) -> Iterator[tuple[sa.Connection, list[Gap]]]:
    """Make tables, fill them with rows, and yield a connection, and what could not be filled."""
    with database(kind, folder) as text:
        scheme, _, rest = text.partition(":")
        place = database_at(sa.make_url(f"{DRIVERS.get(scheme, scheme)}:{rest}"))
        with place.engine().connect() as connection:
            for table in tables:
                if isinstance(table, str):
                    connection.exec_driver_sql(table)
                else:
                    table.create(connection)
            connection.commit()
            special = place.part("proof").Special()
            inspector = sa.inspect(connection)
            names = names_of_tables(inspector, special, None)
            there = read_tables(connection, inspector, None, names[None])
            declared = {
                (table.name, column.name): column.type
                for table in tables
                if not isinstance(table, str)
                for column in table.columns
                if isinstance(column.type, sa.Enum | sa.JSON)
            }
            yield connection, Rows(connection, special, declared).fill({}, there)


def thing(*more: Any) -> sa.Table:
    columns = [sa.Column(name, type_) for name, type_ in TYPES.items()]
    key = sa.Column("id", sa.Integer, primary_key=True)
    # A server of MariaDB may have another character set by default, without a fox.
    return sa.Table("thing", sa.MetaData(), key, *columns, *more, mariadb_charset="utf8mb4")


def column(rows: Sequence[sa.Row[Any]], name: str) -> list[Any]:
    return [getattr(row, name) for row in rows]


def test_rows_are_not_tame(kind: str, tmp_path: Path) -> None:
    table = thing()
    with filled(kind, tmp_path, table) as (connection, gaps):
        rows = connection.execute(sa.select(table)).all()

    assert gaps == []
    assert len(rows) > 8
    assert len(set(column(rows, "id"))) == len(rows)
    for name in TYPES:
        assert None in column(rows, name), name
    held = {
        name: {value for value in column(rows, name) if value is not None}
        for name in ("small", "big", "price", "name", "at", "mood", "flag", "raw")
    }
    assert max(held["small"]) > 2**15 - 1000
    assert min(held["small"]) < -(2**15) + 1000
    assert max(held["big"]) > 2**63 - 1000
    assert min(held["big"]) < -(2**63) + 1000
    assert max(held["price"]) == Decimal("88888888.76")
    assert Decimal("-0.01") in held["price"]
    assert "" in held["name"]
    assert any("'" in text and '"' in text for text in held["name"])
    assert any("🦊" in text for text in held["name"])
    assert max(map(len, held["name"])) == 40
    assert held["mood"] == {"sad", "ok", "glad"}
    assert held["flag"] == {True, False}
    assert b"\x00\xff'\"\\%" in held["raw"]
    assert any(moment.microsecond == 7 for moment in held["at"])
    assert max(held["at"]) - min(held["at"]) > timedelta(days=365 * 8000)
    documents = column(rows, "data")
    for shape in (dict, list, str, float, bool):
        assert any(isinstance(document, shape) for document in documents), shape


def test_rows_repeat_where_no_key_forbids_it(kind: str, tmp_path: Path) -> None:
    table = sa.Table(
        "pair", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", sa.String(9))
    )
    with filled(kind, tmp_path, table) as (connection, _):
        rows = [tuple(row) for row in connection.execute(sa.select(table))]

    assert len(set(rows)) < len(rows)


CHECKS = (
    "length(name) = 5",
    "small BETWEEN 3 AND 7",
    "big < 0 OR big > 100000",
    "price > 0 AND price < 10",
)


def test_what_checks_take_is_tried(kind: str, tmp_path: Path) -> None:
    table = thing(
        *(sa.CheckConstraint(text, name=f"c{number}") for number, text in enumerate(CHECKS)),
        sa.UniqueConstraint("mood", "flag", name="uq"),
    )
    with filled(kind, tmp_path, table) as (connection, gaps):
        rows = connection.execute(sa.select(table)).all()

    assert gaps == []
    assert len(rows) > 2
    for name in TYPES:
        assert {*map(str, column(rows, name))} > {"None"}, name


def test_rows_refer_to_rows_that_are_there(kind: str, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    key = sa.Column("id", sa.Integer, primary_key=True)
    parent = sa.Table("parent", metadata, key, sa.Column("up", sa.ForeignKey("parent.id")))
    own: sa.Column[Any] = sa.Column(
        "parent_id", sa.ForeignKey("parent.id"), primary_key=True, autoincrement=False
    )
    other: sa.Column[Any] = sa.Column("other_id", sa.ForeignKey("parent.id"))
    child = sa.Table("a_child", metadata, own, other)
    with filled(kind, tmp_path, parent, child) as (connection, gaps):
        parents = connection.execute(sa.select(parent)).all()
        children = connection.execute(sa.select(child)).all()

    assert gaps == []
    ids = {*column(parents, "id")}
    assert {*column(parents, "up")} & ids
    assert {*column(children, "parent_id")} <= ids
    assert None in column(children, "other_id")
    assert len({*column(children, "other_id")} & ids) > 1


def test_a_table_without_a_row_is_told(kind: str, tmp_path: Path) -> None:
    size = sa.Column("size", sa.Integer, nullable=False)
    check = sa.CheckConstraint("size * size = 2", name="root")
    key = sa.Column("id", sa.Integer, primary_key=True)
    table = sa.Table("thing", sa.MetaData(), key, size, check)
    with filled(kind, tmp_path, table) as (_, gaps):
        (gap,) = gaps

    assert (str(gap.table), gap.column) == ("thing", None)
    assert "root" in gap.reason


OWN_TYPES = """CREATE TABLE odd (
    id integer PRIMARY KEY,
    address inet NOT NULL,
    net cidr,
    hardware macaddr,
    place point NOT NULL,
    area box,
    period tsrange,
    words tsvector,
    bits bit(3) NOT NULL,
    numbers integer[] NOT NULL,
    texts text[],
    amount money,
    grade grade NOT NULL,
    span interval)"""


@pytest.mark.filterwarnings("ignore:Did not recognize:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_types_of_one_database_are_tried(kind: str, tmp_path: Path) -> None:
    domain = "CREATE DOMAIN grade AS integer CHECK (value BETWEEN 1 AND 6)"
    with filled(kind, tmp_path, domain, OWN_TYPES) as (connection, gaps):
        (texts,) = connection.exec_driver_sql("SELECT array_agg(texts::text) FROM odd").one()

    assert gaps == []
    assert any("O'Brien" in text for text in texts if text)


@pytest.mark.parametrize("kind", ["mariadb"], indirect=True)
def test_a_character_set_may_refuse_some(kind: str, tmp_path: Path) -> None:
    latin = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL) CHARACTER SET latin1"
    with filled(kind, tmp_path, latin) as (connection, gaps):
        names = connection.exec_driver_sql("SELECT name FROM t").scalars().all()

    assert gaps == []
    assert not any("🦊" in name for name in names)
    assert any("'" in name for name in names)


def test_json_keeps_its_meaning(kind: str, tmp_path: Path) -> None:
    """MariaDB's is a text with a CHECK, which says nothing to SQLAlchemy."""
    table = sa.Table(
        "thing",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("code", sa.String(9), nullable=False, unique=True),
        sa.CheckConstraint("length(code) = 5", name="five"),
    )
    made = sa.schema.CreateTable(table).compile(dialect=dialect_of(kind))
    with filled(kind, tmp_path, str(made)) as (connection, gaps):
        rows = connection.execute(sa.select(table)).all()

    assert gaps == []
    assert all(len(code) == 5 for code in column(rows, "code"))
    json.dumps(column(rows, "data"))


def dialect_of(kind: str) -> sa.Dialect:
    dialect: sa.Dialect = sa.make_url(f"{DRIVERS.get(kind, kind)}://").get_dialect()()
    return dialect
