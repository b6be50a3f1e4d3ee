"""What another release's models cannot do any more on a database with the new revisions.

While a service is deployed, the release before and the new one use one database. So its models are
executed: on an empty database that the pending revisions are applied to, one at a time, which tells
the revision that is to blame.
"""

import json
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, TextIO

from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationStep
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from migrator.database import Database
from migrator.leaving import INFO_KEY
from migrator.proof.finding import Finding, not_allowed
from migrator.proof.rehearsal import Rehearsal
from migrator.proof.rows import parents_first
from migrator.steps import upgrade_step

ACTIONS = ("select", "insert", "update", "delete")
TRIAL = Path(__file__).with_name("trial.py")  # what the other process executes

# What does it, by what became of a table: two releases, each of them deployed.
GONE = """\
1. take {what} out of the model, and keep it in the table: @leaving(sa.Column(…)), as
     migrator/leaving.py says. Release that.
  2. delete that line one release later: autogenerate drops the column.
  A rename is the same, after a release that adds the new one and one that copies."""
TABLE_GONE = """\
1. put db.Table({what!r}, …, info={info}) in the place of the model. Release that.
  2. delete it one release later: autogenerate drops the table."""
REQUIRED = """\
1. add {what} as nullable or with a server_default, and have the code write it. Release that.
  2. fill it and make it NOT NULL one release later."""
CHANGED = """\
1. have the code write only what both the old and the new {what} take. Release that.
  2. change the table one release later."""


class Fault(NamedTuple):
    """What a release cannot do with a table: select, insert, update or delete, and why."""

    table: str
    action: str
    reason: str


@dataclass(frozen=True)
class Release:
    """Another release of this project.

    - `name` is what people call it
    - `heads` are the revisions that it leads to
    - `folder` has its files
    - `command` executes `TRIAL` there with the metadata of its models
    """

    name: str
    heads: Sequence[str]
    folder: Path
    command: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """What a release cannot do any more, by the revision's file, and what could not be tried."""

    findings: Mapping[Path, list[Finding]]
    untried: Sequence[Fault]


def try_release(config: AlembicConfig, database: Database, release: Release) -> Verdict:
    """Return what a release cannot do any more after the revisions that it does not have.

    `config` names the revisions, and `database` one of the kind that they run on: an empty database
    like it is made for the purpose.

    Raises CommandError for a release that cannot be loaded, or that has a revision which is not
    among these, and ScratchRefusedError when the user of `database` may not create one.
    """
    script = ScriptDirectory.from_config(config)
    old, pending = revisions_before(script, release), revisions_after(script, release)
    with (
        database.scratch("compatible") as scratch,
        scratch.engine().connect() as connection,
        started(release) as process,
    ):
        rehearsal = Rehearsal(config, script, scratch, connection)
        rehearsal.run(upgrades(script, old))
        untried = [*process.open(scratch), *learn(rehearsal, process), *process.attempt()]
        before = columns_by_table(rehearsal)
        known = {(fault.table, fault.action) for fault in untried}
        findings: dict[Path, list[Finding]] = {}
        for revision in pending:
            rehearsal.run(upgrades(script, [revision]))
            faults = new_faults(process.attempt(), known)
            known |= {(fault.table, action) for fault in faults for action in ACTIONS}
            now = columns_by_table(rehearsal) if faults else {}
            found = [finding(release, fault, before, now) for fault in faults]
            findings[Path(revision.path)] = not_allowed(found, Path(revision.path))
    return Verdict(findings, untried)


def new_faults(faults: Sequence[Fault], known: Collection[tuple[str, str]]) -> list[Fault]:
    """Return the faults of a table that are not known, without those that another one explains."""
    new = [fault for fault in faults if (fault.table, fault.action) not in known]
    return [fault for fault in new if fault.action in ACTIONS]


def revisions_before(script: ScriptDirectory, release: Release) -> list[Script]:
    """Return the revisions that a release has, the oldest first.

    Raises CommandError for one that is not among these.
    """
    try:
        script.get_revisions(tuple(release.heads))
    except CommandError as error:
        raise CommandError(
            f"{release.name} has a revision that is not among these ({error}): was it edited or "
            "squashed? Name a release after that"
        ) from None
    found = [*script.iterate_revisions(tuple(release.heads), "base", implicit_base=True)]
    return found[::-1]


def revisions_after(script: ScriptDirectory, release: Release) -> list[Script]:
    """Return the revisions that a release does not have, the oldest first."""
    return [*script.iterate_revisions("heads", tuple(release.heads), implicit_base=True)][::-1]


def upgrades(script: ScriptDirectory, revisions: Sequence[Script]) -> list[MigrationStep]:
    return [upgrade_step(script, revision) for revision in revisions]


def learn(rehearsal: Rehearsal, process: "Process") -> list[Fault]:
    """Make rows up, as the release's own schema takes them, for the release to remember.

    Return the tables that have none.
    """
    there = rehearsal.look().tables
    reasons: dict[str, str] = {}
    for name in parents_first(there):
        gaps = rehearsal.rows.add_rows(name, there[name])
        reasons |= {str(gap.table): gap.reason for gap in gaps if gap.column is None}
    rehearsal.connection.commit()
    empty = process.learn()
    return [fault._replace(reason=reasons.get(fault.table, fault.reason)) for fault in empty]


class Process:
    """The process that tries what a release does; its answers are faults."""

    def __init__(self, release: Release, process: "subprocess.Popen[str]", errors: TextIO) -> None:
        self.release, self.process, self.errors = release, process, errors

    def open(self, database: Database) -> list[Fault]:
        options = database.options_for_migrations()
        url = database.url.render_as_string(hide_password=False)
        return self.ask(do="open", url=url, options=options)

    def learn(self) -> list[Fault]:
        return self.ask(do="learn")

    def attempt(self) -> list[Fault]:
        return self.ask(do="try")

    def ask(self, **question: Any) -> list[Fault]:
        """Return the answer to a question; raise CommandError where there is none."""
        with suppress(BrokenPipeError):  # it has ended: what follows says why
            print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline() if self.process.stdout else ""
        if not answer:
            self.process.wait()
            raise CommandError(self.why_not())
        return [Fault(*fault) for fault in json.loads(answer)]

    def why_not(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines() or ["it ended without a word"]
        return (
            f"The models of {self.release.name} cannot be tried here, so nothing is known of that "
            f"release: {lines[-1]}\nInstall what it needs, or name another one: "
            "flask db compatible <commit or tag>"
        )


@contextmanager
def started(release: Release) -> Iterator[Process]:
    """Start the process of a release, and end it."""
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603 (it is our own file that is executed)
            release.command,
            cwd=release.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,  # no pipe: nobody would empty it
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield Process(release, process, errors)
        finally:
            process.kill()


Columns = dict[str, dict[str, Mapping[str, Any]]]  # what the inspector says, by table and name


def columns_by_table(rehearsal: Rehearsal) -> Columns:
    """Return the columns of all tables in a rehearsal's database."""
    return {
        str(name): {column["name"]: column for column in table.parts["columns"]}
        for name, table in rehearsal.look().tables.items()
    }


def finding(release: Release, fault: Fault, before: Columns, now: Columns) -> Finding:
    """Return a fault with the two steps that do what was meant."""
    table = fault.table
    text = (
        f"{release.name} cannot {fault.action} {table} any more: {fault.reason}\n"
        f"  Take two releases for it:\n  {steps(table, before.get(table, {}), now.get(table))}"
    )
    return Finding("release", table, f"downtime of {table}", text)


def steps(table: str, old: dict[str, Any], new: dict[str, Any] | None) -> str:
    """Return the two steps for what became of a table's columns."""
    if new is None:
        return TABLE_GONE.format(what=table, info={INFO_KEY: True})
    gone = sorted(old.keys() - new.keys())
    if gone:
        return GONE.format(what=", ".join(gone))
    added = {name: column for name, column in new.items() if name not in old}
    required = sorted(name for name, column in added.items() if is_required(column))
    if required:
        return REQUIRED.format(what=", ".join(required))
    return CHANGED.format(what=table)


def is_required(column: Mapping[str, Any]) -> bool:
    return not column["nullable"] and column["default"] is None
