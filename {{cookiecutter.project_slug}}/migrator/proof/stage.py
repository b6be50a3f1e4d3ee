"""A clean database on which a revision is applied, taken back and applied again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationStep
from alembic.script import Script, ScriptDirectory

from migrator.database import Database
from migrator.description import EXISTENCE, Description, Difference, differences
from migrator.proof.contents import Row, Table, TableName, losses
from migrator.proof.finding import Finding
from migrator.proof.running import Declared, declarations, run_steps
from migrator.steps import downgrade_step, upgrade_step

Progress = Callable[[str], None]  # is called with what is done next, such as "apply"
Way = Literal["upgrade", "downgrade"]  # the function of a revision that is executed
ONE_WAY = "one-way"  # a waiver: the revision is not taken back
NOTHING = ""  # allows that an upgrade fails
WHEN: dict[Way, str] = {
    "downgrade": "after downgrade()",
    "upgrade": "after downgrade() and another upgrade()",
}
STEPS: dict[Way, str] = {"downgrade": "take back", "upgrade": "apply again"}


@dataclass(frozen=True)
class Moment:
    """How a database describes itself at a moment, and its tables with their rows, if any."""

    description: Description
    tables: Mapping[TableName, Table] = field(default_factory=dict)


class Stage:
    """A clean database on which revisions are tried; `connection` is connected to `database`."""

    def __init__(
        self,
        config: AlembicConfig,
        script: ScriptDirectory,
        database: Database,
        connection: sa.Connection,
    ) -> None:
        self.config, self.script = config, script
        self.database, self.connection = database, connection
        self.declared: Declared = {}
        self.come: Mapping[TableName, list[Row]] = {}  # rows that the revision itself inserts

    def run(self, steps: list[MigrationStep]) -> None:
        """Run steps, and commit. Raises whatever a revision raises."""
        with declarations(self.declared):
            run_steps(self.config, self.script, self.connection, steps)

    def apply(self, revisions: Sequence[Script]) -> None:
        """Apply revisions without judging them. Raises whatever they raise."""
        self.run([upgrade_step(self.script, revision) for revision in revisions])

    def attempt(self, way: Way, revision: Script, waiver: str) -> Finding | None:
        """Execute a function of a revision. If it fails, return a finding that `waiver` allows."""
        step = upgrade_step if way == "upgrade" else downgrade_step
        try:
            self.run([step(self.script, revision)])
        except Exception as error:  # a revision may raise any
            self.connection.rollback()
            reason = str(getattr(error, "orig", error)).strip()
            return Finding("trace", f"{way}()", waiver, f"{way}() fails: {reason}")
        return None

    def take_back(
        self, revision: Script, before: Moment, progress: Progress = lambda _: None
    ) -> Iterator[Finding]:
        """Take a revision back and apply it again; yield what is not as it was.

        `before` is the database before the revision was applied.
        """
        ways: list[tuple[Way, Moment]] = [("downgrade", before), ("upgrade", self.look())]
        told: set[str] = set()  # what the downgrade loses is still lost after another upgrade
        for way, wanted in ways:
            progress(STEPS[way])
            if failure := self.attempt(way, revision, ONE_WAY):
                yield failure
                return
            there = self.look()
            found = losses(wanted.tables, there.tables, self.come if way == "upgrade" else {})
            yield from (loss for loss in found if loss.waiver not in told)
            told |= {loss.waiver for loss in found}
            traces = self.traces(way, wanted, there)
            yield from traces
            if traces:  # the next step may fail because of them, which is no fault of its own
                return

    def look(self) -> Moment:
        """Return how the database describes itself."""
        found = self.database.describe(self.connection)
        self.connection.rollback()
        return Moment(found)

    def traces(self, way: Way, wanted: Moment, there: Moment) -> list[Finding]:
        """Return a finding for each difference between two descriptions."""
        found = self.settled(differences(there.description, wanted.description))
        return [trace(way, difference) for difference in found if not is_no_trace(difference)]

    def differences(self, wanted: Description) -> list[Difference]:
        """Return how the database differs from a description."""
        return self.settled(differences(self.look().description, wanted))

    def settled(self, found: Sequence[Difference]) -> list[Difference]:
        """Return the differences without two ways to write the same expression."""
        settled = self.database.settled(self.connection, found)
        self.connection.rollback()
        return settled


def trace(way: Way, difference: Difference) -> Finding:
    return Finding("trace", f"{way}()", ONE_WAY, f"{WHEN[way]}, {difference}")


def leave_a_trace(findings: Iterable[Finding]) -> bool:
    """Tell whether the database may now differ from what the revisions make it."""
    return any(finding.kind == "trace" for finding in findings)


def is_no_trace(difference: Difference) -> bool:
    """Tell whether a difference after a downgrade is as it should be.

    A downgrade may drop an extension that was there before: the upgrade would have created it, had
    the clean database not come with it. And it leaves schemas, where somebody else may have tables.
    """
    if difference.attribute != EXISTENCE:  # a comment, say: a downgrade has to take that back
        return False
    if difference.name.kind == "extension":
        return difference.there is None
    return difference.name.kind == "schema" and difference.wanted is None
