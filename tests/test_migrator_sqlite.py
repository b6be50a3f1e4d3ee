"""The reader of SQLite's CREATE statements: what SQLite accepts is read as SQLite means it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from migrator import database
from migrator.sqlite.batch import options_of
from migrator.sqlite.sql import (
    Check,
    Column,
    Index,
    Unique,
    definitions,
    mentions,
    normal,
    read_index,
    read_table,
    tokens,
)

TABLE = """
CREATE TABLE IF NOT EXISTS "main"."the ""odd"" thing" ( -- a comment with a ( and a '
    id INTEGER CONSTRAINT pk PRIMARY KEY ASC ON CONFLICT ABORT AUTOINCREMENT NOT NULL,
    [a name] VARCHAR(10, 2) DEFAULT 'it''s, (not) "it"' COLLATE NOCASE,
    `n` UNSIGNED BIG INT DEFAULT -1 NOT NULL ON CONFLICT FAIL CHECK (n > 0),
    at DATETIME DEFAULT CURRENT_TIMESTAMP CONSTRAINT "at set" CHECK (at <> 'a, b' /* ) */),
    parent INTEGER REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET DEFAULT
        NOT DEFERRABLE INITIALLY DEFERRED DEFAULT (1 + (2)),
    other INTEGER REFERENCES other ON DELETE NO ACTION MATCH FULL UNIQUE ON CONFLICT REPLACE,
    total NUMERIC(12, 2) GENERATED ALWAYS AS (n * (2 + 1)) STORED,
    twice AS (n * 2) VIRTUAL NOT NULL,
    nothing,
    "check" TEXT NULL,
    CONSTRAINT u UNIQUE ("a name", n COLLATE NOCASE DESC) ON CONFLICT IGNORE,
    FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE,
    CONSTRAINT positive CHECK (n > 0 AND (n < 9 OR "check" = ')')),
    CHECK (id > 0)
) STRICT, WITHOUT ROWID
"""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def test_table_is_read_whole() -> None:
    table = read_table(TABLE)
    assert table.columns == [
        Column("id", "INTEGER", nullable=False, autoincrement=True),
        Column("a name", "VARCHAR(10, 2)", default="""'it''s, (not) "it"'""", collation="NOCASE"),
        Column("n", "UNSIGNED BIG INT", nullable=False, conflict="FAIL", default="-1"),
        Column("at", "DATETIME", default="CURRENT_TIMESTAMP"),
        Column("parent", "INTEGER", default="(1 + (2))"),
        Column("other", "INTEGER"),
        Column("total", "NUMERIC(12, 2)", computed="n * (2 + 1)", stored=True),
        Column("twice", nullable=False, computed="n * 2"),
        Column("nothing"),
        Column("check", "TEXT"),
    ]
    assert table.checks == [
        Check(None, "n > 0"),
        Check("at set", "at <> 'a, b'"),
        Check("positive", "n > 0 AND (n < 9 OR \"check\" = ')')"),
        Check(None, "id > 0"),
    ]
    assert table.uniques == [
        Unique(None, ("other",), "REPLACE"),
        Unique("u", ("a name", "n"), "IGNORE"),
    ]
    assert table.options == {"STRICT", "WITHOUT ROWID"}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a)",
        "create table t(a,b)",
        "CREATE TEMP TABLE t (a INTEGER DEFAULT(1))",
        "CREATE TABLE t (a TEXT DEFAULT x'00', b DEFAULT 1e5, c DEFAULT .5, d DEFAULT +0x1F)",
        'CREATE TABLE t (a TEXT DEFAULT true, b TEXT DEFAULT "quoted", c DEFAULT NULL)',
        "CREATE TABLE t ('a' INTEGER, [b c] INTEGER, `d` INTEGER, größe INTEGER)",
        "CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b UNIQUE)",
        "CREATE TABLE t (a INTEGER AS (b -> '$.x' ->> 1), b)",
        "CREATE TABLE t (a, b, PRIMARY KEY (a, b) ON CONFLICT REPLACE)",
    ],
)
def test_columns_are_those_that_sqlite_sees(connection: sqlite3.Connection, sql: str) -> None:
    connection.execute(sql)
    rows = connection.execute("PRAGMA table_xinfo(t)").fetchall()
    read = read_table(sql).columns
    assert [column.name for column in read] == [row[1] for row in rows]
    assert [normal(column.type) for column in read] == [
        normal(row[2]).removesuffix(" generated always") for row in rows
    ]
    defaults = [
        (normal(column.default or ""), normal(row[4] or ""))
        for column, row in zip(read, rows, strict=True)
    ]
    assert all(ours == theirs for ours, theirs in defaults), defaults


def test_virtual_table_has_no_columns() -> None:
    assert read_table("CREATE VIRTUAL TABLE notes USING fts5(title, body)").columns == []


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("CREATE INDEX i ON t (a, b)", Index(False, ("a", "b"), None)),
        (
            'CREATE UNIQUE INDEX IF NOT EXISTS main."an i" ON "t" (lower("a"), b COLLATE NOCASE'
            " DESC, coalesce(a, ',')) WHERE a <> ' WHERE ' AND (b > 1)",
            Index(
                True,
                ('lower("a")', "b COLLATE NOCASE DESC", "coalesce(a, ',')"),
                "a <> ' WHERE ' AND (b > 1)",
            ),
        ),
    ],
)
def test_index_is_read_whole(sql: str, index: Index) -> None:
    assert read_index(sql) == index


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("n > 1", '("n"  >  1)', True),
        ("((N > 1))", "n>1", True),
        ("(a) + (b)", "(a) + (b)", True),
        ("(a) + (b)", "a) + (b", False),
        ("name = 'A'", "name = 'a'", False),
        ("name = 'a  b'", "name = 'a b'", False),
        ("lower(name)", "upper(name)", False),
        ("a /* and */ b -- c", "a b", True),
    ],
)
def test_normal_form(one: str, other: str, same: bool) -> None:
    assert (normal(one) == normal(other)) == same


def test_a_name_is_mentioned_as_a_name() -> None:
    view = "CREATE VIEW v AS SELECT 'thing', other.thing_id -- thing\nFROM \"Other\""
    assert not mentions(view, "thing")
    assert mentions(view, "other")


@pytest.mark.parametrize("text", ["'", '"', "/*", "--", "[", "(", "a ' b", "€ ~ ? :x @y $z ##"])
def test_no_text_stops_the_reader(text: str) -> None:
    assert "".join(token.text for token in tokens(text)) == "".join(
        text.split("--")[0].split("/*")[0].split()
    )


NOON = "2026-01-02 12:34:56.000007"
CONVERSIONS = {
    "text to moment": (sa.Text, sa.DateTime, NOON, NOON),
    "text without a fraction to moment": (sa.Text, sa.DateTime, NOON[:19], NOON[:19]),
    "text to date": (sa.String, sa.Date, "2026-01-02", "2026-01-02"),
    "text with a time to date": (sa.String, sa.Date, NOON, "2026-01-02"),
    "text to time": (sa.String, sa.Time, "12:34:56", "12:34:56"),
    "what is no date": (sa.String, sa.Date, "soon", "soon"),
    "moment to date": (sa.DateTime, sa.Date, NOON, "2026-01-02"),
    "date to moment": (sa.Date, sa.DateTime, "2026-01-02", "2026-01-02 00:00:00.000000"),
    "moment to time": (sa.DateTime, sa.Time, NOON, NOON[11:]),
    "moment to text": (sa.DateTime, sa.Text, NOON, NOON),
    "date to text": (sa.Date, sa.String, "2026-01-02", "2026-01-02"),
    "nothing": (sa.Text, sa.DateTime, None, None),
    "text to number, as ever": (sa.Text, sa.Integer, "5", 5),
}


@pytest.mark.parametrize(("old", "new", "before", "after"), CONVERSIONS.values(), ids=CONVERSIONS)
def test_batch_mode_keeps_moments(
    tmp_path: Path, old: Any, new: Any, before: Any, after: Any
) -> None:
    engine = database(sa.make_url(f"sqlite:///{tmp_path / 'moments.db'}")).engine()
    with engine.begin() as connection:
        table = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("at", old))
        table.create(connection)
        connection.exec_driver_sql("INSERT INTO thing VALUES (1, ?)", (before,))
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("thing") as batch:
            batch.alter_column("at", existing_type=old(), type_=new())
        assert connection.exec_driver_sql("SELECT at FROM thing").scalar_one() == after


NUMBERED = "CREATE TABLE thing (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)"


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ({}, 3),
        ({"table_kwargs": {"sqlite_autoincrement": False}}, 2),
        (
            {
                "copy_from": sa.Table(
                    "thing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True)
                )
            },
            2,
        ),
    ],
    ids=["as it was", "table_kwargs", "copy_from"],
)
def test_batch_mode_gives_no_number_twice(
    tmp_path: Path, arguments: dict[str, Any], number: int
) -> None:
    """The row that has the highest number so far is deleted before the table is copied."""
    engine = database(sa.make_url(f"sqlite:///{tmp_path / 'numbers.db'}")).engine()
    with engine.begin() as connection:
        connection.exec_driver_sql(NUMBERED)
        connection.exec_driver_sql("INSERT INTO thing (name) VALUES ('a'), ('b')")
        connection.exec_driver_sql("DELETE FROM thing WHERE name = 'b'")
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("thing", recreate="always", **arguments) as batch:
            batch.add_column(sa.Column("n", sa.Integer))
        connection.exec_driver_sql("INSERT INTO thing (n) VALUES (5)")
        assert connection.exec_driver_sql("SELECT max(id) FROM thing").scalar_one() == number


def test_a_key_of_two_columns_has_no_autoincrement() -> None:
    keys = [sa.Column(name, sa.Integer, primary_key=True) for name in ("id", "part")]
    there = read_table(f"{NUMBERED} STRICT")
    assert options_of(there, sa.Table("thing", sa.MetaData(), *keys)) == {"strict": True}
    assert options_of(
        there, sa.Table("other", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    )["autoincrement"]


MADE = "CREATE TABLE t (a TEXT, b NUMERIC(4, 2) CHECK (b > 1), CONSTRAINT c CHECK (a <> ','))"


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        (MADE, True),
        (MADE.replace("TABLE t", 'TABLE "t"'), True),
        (
            "CREATE TABLE t (b NUMERIC(4, 2) CHECK (b > 1), CONSTRAINT c CHECK (a <> ','), a TEXT)",
            True,
        ),
        (MADE[:-1] + ", CONSTRAINT f FOREIGN KEY(a) REFERENCES x (y))", True),
        (MADE[:-1] + ", FOREIGN KEY(a) REFERENCES x (y))", True),
        (MADE.replace("a TEXT", "a TEXT REFERENCES x (y)"), False),
        (MADE.replace("a TEXT", "a text"), False),
        (MADE.replace("','", "', '"), False),
        (MADE.replace("4, 2", "4,2"), False),
        (MADE + " STRICT", False),
        ("CREATE VIRTUAL TABLE t USING nothing", False),
    ],
)
def test_definitions_are_the_same_to_the_letter(sql: str, same: bool) -> None:
    """Their order, the name of the table and foreign keys are no part of them."""
    assert (definitions(sql) == definitions(MADE)) is same
