"""Apply a revision, take it back and apply it again, with rows in the tables: what is lost?"""

import io
import re
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import AbstractOperations, MigrateOperation
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep
from alembic.script import Script, ScriptDirectory

from alembic_support.scratch import Table, read_rows, read_tables, sample


@dataclass
class Outcome:
    """What a revision does on its way up, and what its way down does not undo."""

    operations: list[MigrateOperation] = field(default_factory=list)  # of upgrade()
    sql: str = ""  # of upgrade(), on PostgreSQL
    online_only: str = ""  # why that cannot write it
    traces: list[str] = field(default_factory=list)  # what fails, is left behind or is gone
    losses: list[str] = field(default_factory=list)  # tables and columns whose values are gone


class Rehearsal:
    """Revisions, applied to the database of an Alembic configuration and taken back, in order.

    After a step only the tables that its SQL names are looked at, so that it takes as long among
    a thousand tables as among ten.
    """

    def __init__(self, config: AlembicConfig, script: ScriptDirectory) -> None:
        self.config, self.script = config, script
        self.connection: sa.Connection = config.attributes["connection"]
        self.tables: dict[str, Table] = {}
        self.numbers = count(30_001)  # above the ids that revisions give to rows of their own
        self.operations: list[MigrateOperation] = []
        self.statements: list[str] = []
        note = ("before_cursor_execute", lambda *args: self.statements.append(args[2]))
        sa.event.listen(self.connection, *note)

    def apply(self, scripts: list[Script]) -> None:
        """Apply revisions, with no look at each; then the tables have rows."""
        self.fill(self.step("upgrade", *scripts), {})

    def rehearse(self, script: Script) -> Outcome:
        """Apply, take back and apply a revision, or as much of that as works."""
        outcome, before, way = Outcome(), dict(self.tables), "upgrade"
        try:
            touched = self.step(way, script)
            outcome.operations = self.operations
            self.write(script, outcome)
            self.fill(touched, before)
            after = dict(self.tables)
            touched |= self.step(way := "downgrade", script)
            self.compare(before, touched, outcome)
            if not outcome.traces:
                touched |= self.step(way := "upgrade", script)
                self.compare(after, touched, outcome)
                self.fill(touched, before)
        except Exception as error:
            self.connection.rollback()
            outcome.operations = outcome.operations or self.operations
            outcome.traces.append(f"{way}() fails: {error}")
        return outcome

    def step(self, way: str, *scripts: Script) -> set[str]:
        """Apply revisions, or take them back; return the names of the tables in their SQL."""
        self.statements.clear()
        self.operations = operations = []
        invoke = AbstractOperations.invoke

        def note(by: AbstractOperations, operation: MigrateOperation) -> Any:
            operations.append(operation)
            return invoke(by, operation)

        with patch.object(AbstractOperations, "invoke", note):
            self.run(way, *scripts)
        self.connection.commit()
        return self.look("\n".join(self.statements))

    def run(self, way: str, *scripts: Script, **options: Any) -> None:
        """Do what `alembic` does, without reading all the revisions at each step."""
        steps = [RevisionStep(self.script.revision_map, s, way == "upgrade") for s in scripts]
        with EnvironmentContext(self.config, self.script, fn=lambda *_: steps, **options):
            self.script.run_env()

    def write(self, script: Script, outcome: Outcome) -> None:
        """Try `alembic upgrade --sql`, but on SQLite, whose batch mode has to see the tables."""
        buffer, kind = io.StringIO(), self.connection.dialect.name
        options = {"as_sql": True, "starting_rev": script.down_revision, "output_buffer": buffer}
        try:
            if kind != "sqlite":
                self.run("upgrade", script, **options)
            outcome.sql = buffer.getvalue() if kind == "postgresql" else ""
        except Exception as error:
            outcome.online_only = f"{type(error).__name__}: {error}"

    def look(self, sql: str) -> set[str]:
        """Look again at the tables that are named, by an index too, and at those they empty."""
        there = sa.inspect(self.connection).get_table_names()
        touched = {name for name in ("", *self.tables, *there) if name in sql}
        emptied = set(re.findall(r"DELETE FROM \W?(\w+)", sql, re.IGNORECASE))
        indexes = re.findall(r"INDEX (?:CONCURRENTLY |IF EXISTS )*\W?(\w+)", sql, re.IGNORECASE)
        for name, table in self.tables.items():
            if table.parents & emptied or any(repr(i) in f for i in indexes for f in table.facts):
                touched.add(name)
        kept = {name: table for name, table in self.tables.items() if name not in touched}
        self.tables = kept | read_tables(self.connection, touched)
        self.connection.rollback()
        return touched

    def fill(self, names: set[str], before: dict[str, Table]) -> None:
        """Give two rows to each table that has none, and to others values in their new columns.

        A table whose CHECK refuses them stays empty.
        """
        waiting = sorted(name for name in names if name and name in self.tables)
        while waiting:
            ready = (n for n in waiting if not self.tables[n].parents & {*waiting} - {n})
            waiting.remove(name := next(ready, waiting[0]))
            table = self.tables[name]
            known = before[name].columns if table.rows and name in before else {}
            new = {key: kind for key, kind in table.columns.items() if key not in known}
            for row in table.rows[:2] or [{}, {}]:
                with suppress(sa.exc.SQLAlchemyError), self.connection.begin_nested():
                    self.connection.execute(self.change(name, new, row))
            table.rows = read_rows(self.connection, name)
        self.connection.commit()

    def change(self, name: str, columns: dict[str, Any], row: dict[str, Any]) -> sa.UpdateBase:
        """Return the INSERT of a row, or where there is one, the UPDATE of these columns of it."""
        table, number = self.tables[name], next(self.numbers)
        values = {column: sample(kind, number) for column, kind in columns.items()}
        for key in table.foreign_keys:
            parents = self.tables.get(key["referred_table"], Table()).rows or [{}]
            parent = parents[number % len(parents)]
            pairs = zip(key["constrained_columns"], key["referred_columns"], strict=True)
            values |= {mine: parent.get(theirs) for mine, theirs in pairs if mine in values}
        target = sa.table(name, *(sa.column(*column) for column in columns.items()))
        if not row:
            return target.insert().values(values)
        which = (sa.column(key) == row[key] for key in table.key or [*row][:1])
        return target.update().where(*which).values(values)

    def compare(self, before: dict[str, Table], names: set[str], outcome: Outcome) -> None:
        """Note what differs from an earlier look at these tables."""
        for name in sorted(names):
            old, new = before.get(name, Table()), self.tables.get(name, Table())
            outcome.traces += [f"{name} {fact} is gone" for fact in sorted(old.facts - new.facts)]
            outcome.traces += [f"{name} {fact} is left" for fact in sorted(new.facts - old.facts)]
            lost = [f"{name}.{key}" for key in old.columns if old.values(key) - new.values(key)]
            outcome.losses += [name] if len(new.rows) < len(old.rows) else lost
