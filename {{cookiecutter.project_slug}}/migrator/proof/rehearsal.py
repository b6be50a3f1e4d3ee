"""A rehearsal: a revision is applied, taken back and applied again, with rows in the tables.

A rehearsal looks only at the tables that are named in the revision or in its SQL, so that it takes
no longer among a thousand tables than among ten. It looks at all tables if the revision deletes
something or cannot be written as SQL, because then it may touch any of them.
"""

import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from migrator.database import Database
from migrator.proof.contents import Table, TableName, Tables, inserted, names_of_tables, read_tables
from migrator.proof.documents import keys_in
from migrator.proof.finding import Finding, not_allowed, waivers
from migrator.proof.locks import lock_findings
from migrator.proof.new import new_revisions
from migrator.proof.rows import Gap, Rows
from migrator.proof.special import Special
from migrator.proof.stage import NOTHING, ONE_WAY, Moment, Stage, leave_a_trace

NEWEST = 30  # how many revisions are judged
# Waivers that change how a revision is rehearsed, beside ONE_WAY: see Finding.
WITHOUT_ROWS = "no made-up rows"  # it is rehearsed on empty tables
TAME_ROWS = "tame rows"  # it is rehearsed with few rows, small numbers and short texts
PLAIN = frozenset({WITHOUT_ROWS, TAME_ROWS})
TO_BLAME = f"""
  If made-up rows are to blame, rehearse it with tame ones (# allow {TAME_ROWS}: <reason>), name it
  in judged_after of alembic.ini, or rehearse it without any:"""


def prove(config: AlembicConfig, database: Database) -> dict[Path, list[Finding]]:
    """Return the findings about each new revision that no comment in it allows, by its file.

    New are the revisions after `judged_after` of alembic.ini, and of those only the NEWEST. The
    proof ends with the first revision that leaves a trace, because the database is not what the
    next one expects.

    `config` names the revisions. `database` is not touched: empty databases like it are created for
    the purpose, and dropped again.

    Raises ScratchRefusedError if the user of `database` may not create a database, and whatever an
    older revision raises when it is applied.
    """
    script = ScriptDirectory.from_config(config)
    new = new_revisions(config, script)[-NEWEST:]
    applied = [revision for revision in script.walk_revisions() if revision not in new]
    applied.reverse()
    found: dict[Path, list[Finding]] = {}
    for batch in batches(new):
        allowed = waivers(Path(batch[0].path))
        with database.scratch("migrations") as scratch, scratch.engine().connect() as connection:
            rehearsal = Rehearsal(config, script, scratch, connection, TAME_ROWS in allowed)
            rehearsal.begin(applied, with_rows=WITHOUT_ROWS not in allowed)
            for revision in batch:
                path = Path(revision.path)
                findings = rehearsal.judge(revision, waivers(path))
                found[path] = not_allowed(findings, path)
                if leave_a_trace(findings):
                    return found
        applied += batch
    return found


def batches(revisions: list[Script]) -> list[list[Script]]:
    """Return revisions in batches, each of which is rehearsed on a database of its own.

    A revision that is rehearsed without made-up rows, or with tame ones, is a batch of its own,
    because the database of the others has wild ones.
    """
    found: list[list[Script]] = []
    is_plain = True
    for revision in revisions:
        was_plain, is_plain = is_plain, bool(PLAIN & waivers(Path(revision.path)))
        if is_plain or was_plain:
            found.append([])
        found[-1].append(revision)
    return found


@dataclass(frozen=True)
class Offline:
    """The SQL that a function of a revision writes without a connection.

    `error` is why the function has stopped before its end, or "" if it has not.
    """

    sql: str
    error: str


class Rehearsal(Stage):
    """A stage with rows in its tables, which are `tame` or wild: see Rows."""

    def __init__(
        self,
        config: AlembicConfig,
        script: ScriptDirectory,
        database: Database,
        connection: sa.Connection,
        tame: bool = True,
    ) -> None:
        super().__init__(config, script, database, connection)
        self.special: Special = database.part("proof").Special()
        self.rows = Rows(connection, self.special, self.declared, tame)
        self.source: str | None = None  # names the tables that are looked at; None looks at all

    def begin(self, revisions: list[Script], with_rows: bool) -> None:
        """Apply revisions without judging them, and fill their tables if `with_rows`."""
        self.apply(revisions)
        if with_rows:
            self.rows.fill({}, self.tables(self.named()))

    def judge(self, revision: Script, allowed: Collection[str]) -> list[Finding]:
        """Return what is wrong with a revision, and leave the database with the revision applied.

        `allowed` are the waivers of the revision. Only those count that change how it is rehearsed.
        """
        dialect = self.connection.dialect
        squawk_dialect = self.special.squawk_dialect(dialect)
        upgrade = offline(revision.module.upgrade, squawk_dialect)
        downgrade = offline(revision.module.downgrade, squawk_dialect)
        found = []
        if self.database.OFFLINE and (error := offline(revision.module.upgrade, dialect).error):
            found.append(Finding("sql", "upgrade()", "online-only", error))
        found += lock_findings(upgrade.sql, self.special.LOCK_RULES)
        python = Path(revision.path).read_text("utf-8")
        source = "\n".join([python, upgrade.sql, downgrade.sql]).lower()
        may_touch_all = bool(upgrade.error or downgrade.error or "delete" in source)
        self.source = None if may_touch_all else source
        if WITHOUT_ROWS not in allowed and (keys := keys_in(python)):
            self.rows.fit(self.tables(self.named()), python, keys)
        found += self.rehearse(revision, source, allowed)
        self.source = None
        return found

    def rehearse(self, revision: Script, source: str, allowed: Collection[str]) -> list[Finding]:
        """Apply a revision, take it back and apply it again; return what is lost or left behind.

        A table without rows is a finding only if `source` names it.
        """
        with_rows = WITHOUT_ROWS not in allowed
        before = self.look()
        waiver = WITHOUT_ROWS if with_rows else NOTHING
        if failure := self.attempt("upgrade", revision, waiver):
            return [replace(failure, text=failure.text + TO_BLAME) if with_rows else failure]
        upgraded = self.tables(self.named())
        self.come = {
            name: inserted(before.tables.get(name, Table()), table)
            for name, table in upgraded.items()
        }
        gaps = self.rows.fill(before.tables, upgraded) if with_rows else []
        found = [row_finding(gap) for gap in gaps if gap.table.name.lower() in source]
        if ONE_WAY not in allowed:
            found += self.take_back(revision, before)
        if not leave_a_trace(found):
            # The next revision has to find rows in all tables that this one has created or filled.
            self.rows.fill(before.tables, self.tables(self.named()))
        return found

    def look(self) -> Moment:
        """Return how the database describes itself, and its rows."""
        named = self.named()
        every = [name for names in named.values() for name in names]
        described = self.database.describe(self.connection, None if self.source is None else every)
        return Moment(described, self.tables(named))

    def named(self) -> dict[str | None, set[str]]:
        """Return the names of the tables that are looked at, by schema."""
        return names_of_tables(sa.inspect(self.connection), self.special, self.source)

    def tables(self, named: Mapping[str | None, Collection[str]]) -> Tables:
        """Return tables with their rows."""
        found: dict[TableName, Table] = {}
        inspector = sa.inspect(self.connection)
        for schema, names in named.items():
            found |= read_tables(self.connection, inspector, schema, names)
        self.connection.rollback()
        return found


def row_finding(gap: Gap) -> Finding:
    """Return the finding for a table without a row, or a column without a value."""
    what = "rows" if gap.column is None else "values"
    subject = str(gap.table) if gap.column is None else f"{gap.table}.{gap.column}"
    text = f"nothing can be said of {what} in {subject}: none could be made up ({gap.reason})"
    return Finding("rows", subject, f"no {what} in {subject}", text)


def offline(function: Callable[[], None], dialect: sa.Dialect) -> Offline:
    """Return the SQL of a dialect that a function of a revision writes without a connection."""
    buffer = io.StringIO()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": buffer}
    context = MigrationContext.configure(dialect=dialect, opts=options)
    try:
        with Operations.context(context):
            function()
    except Exception as error:  # a revision may raise any
        return Offline(buffer.getvalue(), f"{type(error).__name__}: {error}")
    return Offline(buffer.getvalue(), "")
