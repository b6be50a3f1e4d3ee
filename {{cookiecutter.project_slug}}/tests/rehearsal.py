"""A rehearsal: a revision is applied, taken back and applied again, with rows in the tables.

Only the tables that the revision or its SQL names are looked at, so that it takes as long among a
thousand tables as among ten. One that deletes, or that cannot be read as SQL, may touch them all.
"""

import io
import json
import re
import shutil
import subprocess
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy.engine.default import StrCompileDialect

from alembic_support.autogenerate.compare import ADDED

NEWEST = 30  # revisions that are judged
Key = tuple[str, str]  # a schema, "" for the usual one, and the name of a table in it
Tables = dict[Key, dict[str, Any]]  # by kind: what the inspector says, and the rows
NO_TABLE = ("", "")  # the key of what belongs to none
KINDS = ["columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints"]
KINDS += ["check_constraints", "table_comment"]
# What is in no table, or is not inspected: of SQLite's tables, what a copy loses.
SQLITE = """SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL
    UNION ALL SELECT 'table', name, column1 FROM sqlite_master,
        (VALUES ('AUTOINCREMENT'), ('COLLATE'), ('STRICT'), ('WITHOUT ROWID'))
    WHERE type = 'table' AND sql LIKE '% ' || column1 || '%'"""
TRIGGERS = """SELECT trigger_name, event_object_table, action_statement
    FROM information_schema.triggers WHERE trigger_schema = :schema"""
NUMBERS = count(30_001)  # above the ids that revisions give to rows of their own
Problem = tuple[str, str, str]  # its kind, what allows it, and what is wrong
# squawk's rules, but those of style, and what alembic_support/lock.py and PostgreSQL see to.
RULES = re.compile(r"(?!prefer-|require-(lock|statement|enum)|ban-(char|concurrent)|trans)")
# Those that hold on MariaDB and SQLite too, where a new type or constraint copies the table.
EVERYWHERE = re.compile("adding-[fr]|ban-drop-(column|table)|changing|constraint|disallowed|renam")


class Rehearsal:
    """The revisions of an Alembic configuration, on the database that it has a connection to."""

    def __init__(self, config: AlembicConfig) -> None:
        self.config, self.script = config, ScriptDirectory.from_config(config)
        self.connection: sa.Connection = config.attributes["connection"]
        self.kind = self.connection.dialect.name

    def new(self) -> list[Script]:
        """Apply the old revisions; return those that are to be judged, the oldest first."""
        known = self.config.get_main_option("judged_after") or "base"
        new = [*self.script.iterate_revisions("heads", known)][:NEWEST]
        self.step("upgrade", *[old for old in self.script.walk_revisions() if old not in new][::-1])
        fill(self.connection, {}, look(self.connection))
        return new[::-1]

    def judge(self, script: Script) -> Iterator[Problem]:
        """Yield what is wrong with a revision; after a trace nothing can be said of the next."""
        own = self.connection.dialect
        read = own if self.kind == "postgresql" else StrCompileDialect()  # by squawk
        upgrade, unread = self.written(script.module.upgrade, read)
        downgrade, unread_too = self.written(script.module.downgrade, read)
        error = unread if read is own else self.written(script.module.upgrade, own)[1]
        if error and self.kind != "sqlite":  # whose batch mode has to see the tables
            yield "sql", "online-only", error
        yield from squawk(upgrade, RULES if self.kind == "postgresql" else EVERYWHERE)
        text = "\n".join([Path(script.path).read_text("utf-8"), upgrade, downgrade]).lower()
        everything = unread or unread_too or "delete" in text
        yield from self.rehearse(script, None if everything else text)

    def rehearse(self, script: Script, text: str | None) -> Iterator[Problem]:
        """Yield what is lost or left in the tables that a text names, or in all."""
        before, way = look(self.connection, text), "upgrade"
        try:
            self.step(way, script)
            fill(self.connection, before, look(self.connection, text))
            after = look(self.connection, text)
            for way, wanted in (("downgrade", before), ("upgrade", after)):
                self.step(way, script)
                yield from differences(wanted, look(self.connection, text))
            fill(self.connection, before, look(self.connection, text))
        except Exception as error:
            self.connection.rollback()
            own = "the tests' own rows are to blame, name it in judged_after of alembic.ini"
            yield "trace", "", f"{way}() fails: {error}\n  If {own}"

    def step(self, way: str, *scripts: Script) -> None:
        """Do what `alembic` does, without reading all the revisions again."""
        steps = [RevisionStep(self.script.revision_map, s, way == "upgrade") for s in scripts]
        with EnvironmentContext(self.config, self.script, fn=lambda *_: steps):
            self.script.run_env()
        self.connection.commit()

    def written(self, function: Callable[[], None], dialect: sa.Dialect) -> tuple[str, str]:
        """Return what a function writes offline, and why it stopped."""
        buffer = io.StringIO()
        options = {"as_sql": True, "literal_binds": True, "output_buffer": buffer}
        context = MigrationContext.configure(dialect=dialect, opts=options)
        try:
            with Operations.context(context):
                function()
        except Exception as error:
            return buffer.getvalue(), f"{type(error).__name__}: {error}"
        return buffer.getvalue(), ""


def squawk(sql: str, rules: re.Pattern[str]) -> Iterator[Problem]:
    """Yield squawk's last remark on each statement; those that it cannot read are left out."""
    lines = [" ".join(re.sub("--.*", "", text).split()) for text in sql.split(";\n")]
    tool = shutil.which("squawk", path=sysconfig.get_path("scripts")) or "squawk"
    command = [tool, "--reporter=json", "--assume-in-transaction"]
    sql = ";\n".join(lines)
    done = subprocess.run(command, input=sql, capture_output=True, encoding="utf-8")  # noqa: S603
    found = [(item["line"], item["rule_name"], item) for item in json.loads(done.stdout)]
    if odd := {line for line, rule, _ in found if rule == "syntax-error"}:  # it says no more then
        sql = ";\n".join(text for line, text in enumerate(lines) if line not in odd)
        return (yield from squawk(sql, rules))
    last = {line: (rule, item) for line, rule, item in found if rules.match(rule)}
    for line, (rule, item) in last.items():
        yield "lock", rule, f"{lines[line]}\n  {item['message']} {item['help'] or ''}"


def look(connection: sa.Connection, text: str | None = None) -> Tables:
    """Return the tables that a text names, or all, and what belongs to none."""
    inspector, kind = sa.inspect(connection), connection.dialect.name
    found: Tables = defaultdict(dict)
    usual = inspector.default_schema_name
    more = {*inspector.get_schema_names()} if kind == "postgresql" else set()
    for schema in ["", *sorted(more - {usual, "information_schema"})]:
        names = {*inspector.get_table_names(schema or None)} - {"alembic_version"}
        names = {name for name in names if text is None or name.lower() in text}
        for part in KINDS if connection.dialect.supports_comments else KINDS[:-1]:
            read = getattr(inspector, f"get_multi_{part}")
            told = read(schema=schema or None, filter_names=["", *names])
            for (_, name), items in told.items():
                found[schema, name][part] = items if isinstance(items, list) else [items]
        for name in names:
            found[schema, name]["rows"] = rows(connection, (schema, name))
    query = sa.text(SQLITE if kind == "sqlite" else TRIGGERS)
    others = connection.execute(query, {"schema": usual})
    enums = getattr(inspector, "get_enums", list[Any])()  # PostgreSQL's
    connection.rollback()
    return found | {NO_TABLE: {"others": [*others, *enums]}}


def rows(connection: sa.Connection, key: Key) -> list[dict[str, Any]]:
    table = sa.table(key[1], schema=key[0] or None)
    found = connection.execute(sa.select(sa.text("*")).select_from(table))
    return [dict(row) for row in found.mappings()]


def differences(before: Tables, after: Tables) -> Iterator[Problem]:
    """Yield each table or column that lost values, and at the end all else that differs."""
    traces: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        name = ".".join(filter(None, key))
        old, new = (facts(name, tables.get(key, {})) for tables in (before, after))
        lost = {what for what, _ in old - new if what}
        for what in sorted({name} & lost or lost):
            yield "loss", f"loss of {what}", f"values of {what} are lost"
        traces += [f"{fact} is gone" for what, fact in sorted(old - new) if not what]
        traces += [f"{fact} is left" for what, fact in sorted(new - old) if not what]
    if traces:
        yield "trace", "", "\n".join(traces)


def facts(name: str, table: dict[str, Any]) -> set[tuple[str, str]]:
    """Return all that a table has; beside a row and a value, what is lost with it."""
    parts = ((part, item) for part in table.keys() - {"rows"} for item in table[part])
    # Without casts and brackets: of those, PostgreSQL adds more each time that it reads them.
    texts = ((part, re.sub(r"[()]", "", ADDED.sub("", repr(item)))) for part, item in parts)
    found = {("", f"{name} {part} {text}") for part, text in texts}
    for row in table.get("rows", []):
        key = repr([row[column] for column in identity(table, row)])
        values = {(f"{name}.{column}", f"{key} {value!r}") for column, value in row.items()}
        found |= {(name, key)} | values
    return found


def identity(table: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return the columns that tell a row from others: those of the key, or else all."""
    return [*table["pk_constraint"][0]["constrained_columns"]] or [*row]


def fill(connection: sa.Connection, before: Tables, tables: Tables) -> None:
    """Give two rows to each table that has none, and to others values in their new columns."""
    waiting = {k: {*map(parent, t["foreign_keys"])} for k, t in tables.items() if k != NO_TABLE}
    while waiting:  # for the rows that theirs refer to
        ready = (key for key in waiting if not waiting[key] & waiting.keys() - {key})
        del waiting[key := next(ready, min(waiting))]
        table = tables[key]
        known = [c["name"] for c in before.get(key, table)["columns"] if table["rows"]]
        new = [c for c in table["columns"] if c["name"] not in known and "computed" not in c]
        for row in table["rows"][:2] or [{}, {}]:
            for attempt in range(4):  # a CHECK may refuse values, and names others
                with suppress(sa.exc.SQLAlchemyError), connection.begin_nested():
                    values = make_row(connection, table, new, attempt)
                    target = sa.table(key[1], *map(sa.column, values), schema=key[0] or None)
                    same = (sa.column(name) == row[name] for name in identity(table, row))
                    change = target.update().where(*same) if row else target.insert()
                    connection.execute(change.values(values))
                    break
    connection.commit()


def parent(key: dict[str, Any]) -> Key:
    """Return the table that a foreign key refers to."""
    return key["referred_schema"] or "", key["referred_table"]


def make_row(
    connection: sa.Connection, table: dict[str, Any], columns: list[Any], attempt: int
) -> dict[str, Any]:
    """Return values for these columns; from the second attempt on, those that CHECKs name."""
    number, values = next(NUMBERS), {}
    for place, column in enumerate(columns):
        texts = [check["sqltext"] for check in table["check_constraints"]]
        named = " ".join(text for text in texts if column["name"] in text)
        choices = [sample(column["type"], number + place)]
        choices += map("".join, re.findall(r"'([^']*)'|(\b\d+\b)", named))
        values[column["name"]] = choices[attempt % len(choices)]
    for key in table["foreign_keys"]:
        there = rows(connection, parent(key)) or [{}]
        pairs = zip(key["constrained_columns"], key["referred_columns"], strict=True)
        row = there[number % len(there)]
        values |= {mine: row.get(theirs) for mine, theirs in pairs if mine in values}
    return values


def sample(kind: Any, number: int) -> str | None:
    """Return a value of a type, as text, or None for one that is unknown here."""
    if isinstance(kind, sa.ARRAY):
        return "{" + str(sample(kind.item_type, number)) + "}"
    if isinstance(kind, sa.Enum):
        return kind.enums[number % len(kind.enums)]
    moment = datetime(2001, 2, 3) + timedelta(hours=25 * number)
    texts: dict[str, Any] = {"bool": number % 2, "int": number, "timedelta": number}
    texts |= {"date": moment.date(), "datetime": moment, "time": moment.time()}
    texts |= {"float": number % 10, "Decimal": number % 10, "UUID": UUID(int=number)}
    with suppress(NotImplementedError):
        name = "bool" if type(kind).__name__ == "TINYINT" else kind.python_type.__name__
        length = getattr(kind, "length", None)
        return str(texts.get(name, f"Ab{number}"[-length:] if length else f'"Ab{number}"'))
    return None
