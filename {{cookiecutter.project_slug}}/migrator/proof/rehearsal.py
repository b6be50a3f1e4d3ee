"""A rehearsal: a revision is applied, taken back and applied again, with rows in the tables.

Only the tables that the revision or its SQL names are looked at, so that it takes as long among a
thousand tables as among ten. One that deletes, or that cannot be read as SQL, may touch them all.
"""

import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory

from migrator.database import Database
from migrator.proof.differences import Contents, leftovers, look, losses
from migrator.proof.finding import Finding, not_allowed, waivers
from migrator.proof.locks import lock_findings
from migrator.proof.rows import Gap, Rows
from migrator.proof.running import run_steps
from migrator.proof.special import Special
from migrator.steps import downgrade_step, upgrade_step

NEWEST = 30  # revisions that are judged
EMPTY = Contents({}, frozenset())
# What a comment in a revision allows, beside what a finding names by itself.
ONE_WAY = "one-way"  # it is not taken back
WITHOUT_ROWS = "no made-up rows"  # it is rehearsed on empty tables


def prove(config: AlembicConfig, database: Database) -> dict[Path, list[Finding]]:
    """Return what is wrong with the new revisions, by file, and no comment in them allows.

    `config` names the revisions, and `database` one of the kind that they run on: an empty database
    like it is made for the purpose. New are those after `judged_after` of alembic.ini, and of them
    the 30 newest. After a revision that leaves a trace, nothing can be said of the next.

    Raises ScratchRefusedError when the user of `database` may not create one, and what a revision
    raises that is older than those.
    """
    script = ScriptDirectory.from_config(config)
    known = config.get_main_option("judged_after") or "base"
    new = [*script.iterate_revisions("heads", known)][:NEWEST]
    old = [each for each in script.walk_revisions() if each not in new]
    applied, found = old[::-1], dict[Path, list[Finding]]()
    for scripts in parts(new[::-1]):
        with database.scratch("migrations") as scratch, scratch.engine().connect() as connection:
            rehearsal = Rehearsal(config, script, scratch, connection)
            rehearsal.begin(applied, WITHOUT_ROWS not in waivers(Path(scripts[0].path)))
            for each in scripts:
                path = Path(each.path)
                findings = rehearsal.judge(each, waivers(path))
                found[path] = not_allowed(findings, path)
                if leave_a_trace(findings):
                    return found
        applied += scripts
    return found


def parts(scripts: list[Script]) -> list[list[Script]]:
    """Return revisions in parts, each of which begins with an empty database.

    A new one begins where a revision is rehearsed without made-up rows.
    """
    found: list[list[Script]] = []
    for script in scripts:
        if not found or WITHOUT_ROWS in waivers(Path(script.path)):
            found.append([])
        found[-1].append(script)
    return found


@dataclass(frozen=True)
class Offline:
    """What a function of a revision writes without a connection, and why it stopped."""

    sql: str
    error: str


def leave_a_trace(findings: Iterable[Finding]) -> bool:
    """Tell whether a database may not be any more what the revisions make it."""
    return any(finding.kind == "trace" for finding in findings)


class Rehearsal:
    """The revisions of an Alembic configuration, on an empty database.

    `database` is that one, and `connection` is connected to it.
    """

    def __init__(
        self,
        config: AlembicConfig,
        script: ScriptDirectory,
        database: Database,
        connection: sa.Connection,
    ) -> None:
        self.config, self.script = config, script
        self.database, self.connection = database, connection
        self.special: Special = database.part("proof").Special()
        self.rows = Rows(connection, self.special)

    def begin(self, scripts: list[Script], with_rows: bool) -> None:
        """Apply revisions without judging them, and fill the tables that they make."""
        self.run([upgrade_step(self.script, script) for script in scripts])
        if with_rows:
            self.rows.fill(EMPTY, self.look())

    def judge(self, script: Script, allowed: Collection[str]) -> list[Finding]:
        """Return what is wrong with a revision; the database is left with it applied."""
        own = self.connection.dialect
        read = self.special.squawk_dialect(own)
        upgrade = offline(script.module.upgrade, read)
        downgrade = offline(script.module.downgrade, read)
        found = []
        if self.database.OFFLINE and (error := offline(script.module.upgrade, own).error):
            found.append(Finding("sql", "upgrade()", "online-only", error))
        found += lock_findings(upgrade.sql, self.special.LOCK_RULES)
        source = Path(script.path).read_text("utf-8")
        text = "\n".join([source, upgrade.sql, downgrade.sql]).lower()
        everything = upgrade.error or downgrade.error or "delete" in text
        return found + self.rehearse(script, text, bool(everything), allowed)

    def rehearse(
        self, script: Script, text: str, everything: bool, allowed: Collection[str]
    ) -> list[Finding]:
        """Return what is lost or left in the tables that a text names, or in all."""
        where = None if everything else text
        with_rows = WITHOUT_ROWS not in allowed
        before = self.look(where)
        if error := self.attempt("upgrade", script, WITHOUT_ROWS if with_rows else ""):
            return [error]
        gaps = self.rows.fill(before, self.look(where)) if with_rows else []
        found = [row_finding(gap) for gap in gaps if gap.table.name.lower() in text]
        if ONE_WAY not in allowed:
            found += self.take_back(script, where, before)
        if not leave_a_trace(found):  # the next revision finds rows in all that this one made
            self.rows.fill(before, self.look(where if with_rows else None))
        return found

    def take_back(self, script: Script, text: str | None, before: Contents) -> list[Finding]:
        """Take a revision back and apply it again; return what is lost or left."""
        after = self.look(text)
        found: list[Finding] = []
        for way, wanted in (("downgrade", before), ("upgrade", after)):
            if error := self.attempt(way, script, ONE_WAY):
                return [*found, error]
            there = self.look(text)
            found += losses(wanted, there)
            if traces := leftovers(wanted, there):
                # What is left may well keep the next step from being done: that is no other fault.
                return [*found, Finding("trace", f"{way}()", ONE_WAY, "\n".join(traces))]
        return found

    def look(self, text: str | None = None) -> Contents:
        """Return what the database holds of what a text names, or all."""
        return look(self.connection, self.special, text)

    def attempt(self, way: str, script: Script, waiver: str) -> Finding | None:
        """Upgrade to a revision or downgrade from it; return what is wrong if that fails."""
        step = upgrade_step if way == "upgrade" else downgrade_step
        try:
            self.run([step(self.script, script)])
        except Exception as error:  # a revision may raise any
            self.connection.rollback()
            text = f"{way}() fails: {error}"
            if waiver == WITHOUT_ROWS:
                text += (
                    "\n  If made-up rows are to blame, name this revision in judged_after of "
                    "alembic.ini, or rehearse it without:"
                )
            return Finding("trace", f"{way}()", waiver, text)
        return None

    def run(self, steps: list[MigrationStep]) -> None:
        run_steps(self.config, self.script, self.connection, steps)


def row_finding(gap: Gap) -> Finding:
    """Return what a table or a column without a value means to a rehearsal."""
    if gap.column is None:
        subject, waiver = str(gap.table), f"no rows in {gap.table}"
        text = f"nothing can be said of rows in {gap.table}: none could be made up ({gap.reason})"
    else:
        subject = f"{gap.table}.{gap.column}"
        waiver = f"no values in {subject}"
        text = f"nothing can be said of values in {subject}: none could be made up ({gap.reason})"
    return Finding("rows", subject, waiver, text)


def offline(function: Callable[[], None], dialect: sa.Dialect) -> Offline:
    """Return what a function of a revision writes as SQL of a dialect, without a connection."""
    buffer = io.StringIO()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": buffer}
    context = MigrationContext.configure(dialect=dialect, opts=options)
    try:
        with Operations.context(context):
            function()
    except Exception as error:  # a revision may raise any
        return Offline(buffer.getvalue(), f"{type(error).__name__}: {error}")
    return Offline(buffer.getvalue(), "")
