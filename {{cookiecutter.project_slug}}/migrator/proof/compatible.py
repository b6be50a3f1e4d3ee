"""What the models of another release cannot do any more on a database with the new revisions.

While a service is deployed, the old release and the new one use the same database. So the models of
the old release are tried on an empty database. The pending revisions are applied to it one by one,
and the models are tried after each, which shows the revision that breaks them.
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
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from migrator.database import Database
from migrator.leaving import INFO_KEY
from migrator.proof.finding import Finding, not_allowed
from migrator.proof.rehearsal import Rehearsal
from migrator.proof.rows import parents_first

ACTIONS = ("select", "insert", "update", "delete")
TRIAL = Path(__file__).with_name("trial.py")  # what the process of the other release executes

# How to reach the same in two releases, both of which are deployed. Which text is the right one
# depends on what has become of a table.
COLUMN_GONE = """\
1. take {what} out of the model, and keep it in the table: @leaving(sa.Column(…)), as
     migrator/leaving.py says. Release that.
  2. delete that line one release later: autogenerate drops the column.
  A rename is the same, after a release that adds the new one and one that copies."""
TABLE_GONE = """\
1. put db.Table({what!r}, …, info={info}) in the place of the model. Release that.
  2. delete it one release later: autogenerate drops the table."""
COLUMN_REQUIRED = """\
1. add {what} as nullable or with a server_default, and have the code write it. Release that.
  2. fill it and make it NOT NULL one release later."""
TABLE_CHANGED = """\
1. have the code write only what both the old and the new {what} take. Release that.
  2. change the table one release later."""


class Fault(NamedTuple):
    """What a release cannot do with a table, and the database's reason.

    `action` is one of ACTIONS, or "rows" if nothing could be tried because another table has none.
    """

    table: str
    action: str
    reason: str


@dataclass(frozen=True)
class Release:
    """Another release of this project.

    - `name` is its name in messages
    - `heads` are the ids of its newest revisions
    - `folder` has its files
    - `command` executes `TRIAL` in that folder with the metadata of its models
    """

    name: str
    heads: Sequence[str]
    folder: Path
    command: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """What a release cannot do any more, by the file of the revision that is to blame.

    It has an entry for each revision that was tried. `untried` are the faults that the release has
    without those revisions, so that nothing can be said of them.
    """

    findings: Mapping[Path, list[Finding]]
    untried: Sequence[Fault]


def try_release(config: AlembicConfig, database: Database, release: Release) -> Verdict:
    """Return what a release cannot do any more after the revisions that it does not have.

    `config` names the revisions. `database` is not touched: an empty database like it is created
    for the purpose, and dropped again.

    Raises CommandError if the release cannot be loaded, or has a revision which is not among these,
    and ScratchRefusedError if the user of `database` may not create a database.
    """
    script = ScriptDirectory.from_config(config)
    old, pending = revisions_before(script, release), revisions_after(script, release)
    with (
        database.scratch("compatible") as scratch,
        scratch.engine().connect() as connection,
        started(release) as process,
    ):
        rehearsal = Rehearsal(config, script, scratch, connection)
        rehearsal.apply(old)
        untried = process.open(scratch)
        untried += learn_rows(rehearsal, process)
        untried += process.attempt()
        before = columns_by_table(rehearsal)
        known = {(fault.table, fault.action) for fault in untried}
        findings: dict[Path, list[Finding]] = {}
        for revision in pending:
            rehearsal.apply([revision])
            faults = new_faults(process.attempt(), known)
            # Later revisions are not to blame for what this one has broken.
            known |= {(fault.table, action) for fault in faults for action in ACTIONS}
            now = columns_by_table(rehearsal) if faults else {}
            found = [release_finding(release, fault, before, now) for fault in faults]
            findings[Path(revision.path)] = not_allowed(found, Path(revision.path))
    return Verdict(findings, untried)


def new_faults(faults: Sequence[Fault], known: Collection[tuple[str, str]]) -> list[Fault]:
    """Return the faults that are not known by their table and action.

    Those with another action than ACTIONS are left out, because the fault of another table explains
    them.
    """
    new = [fault for fault in faults if (fault.table, fault.action) not in known]
    return [fault for fault in new if fault.action in ACTIONS]


def revisions_before(script: ScriptDirectory, release: Release) -> list[Script]:
    """Return the revisions that a release has, the oldest first.

    Raises CommandError if one of them is not among those of `script`.
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


def learn_rows(rehearsal: Rehearsal, process: "Process") -> list[Fault]:
    """Insert made-up rows, and have the process remember and delete them.

    Return a fault for each table that got no row. The rows fit the release, because the database
    has none of the pending revisions yet.
    """
    tables = rehearsal.tables(rehearsal.named())
    reasons: dict[str, str] = {}
    for name in parents_first(tables):
        gaps = rehearsal.rows.add_rows(name, tables[name])
        reasons |= {str(gap.table): gap.reason for gap in gaps if gap.column is None}
    rehearsal.connection.commit()
    empty = process.learn()
    return [fault._replace(reason=reasons.get(fault.table, fault.reason)) for fault in empty]


class Process:
    """The process that executes `TRIAL` with the models of a release.

    Each method asks it one thing, and returns the faults that it answers with: see trial.py. Each
    raises CommandError if the process has ended.
    """

    def __init__(self, release: Release, process: "subprocess.Popen[str]", errors: TextIO) -> None:
        self.release, self.process, self.errors = release, process, errors

    def open(self, database: Database) -> list[Fault]:
        """Connect to a database that has the revisions of the release; return unreadable tables."""
        options = database.options_for_migrations()
        url = database.url.render_as_string(hide_password=False)
        return self.ask(do="open", url=url, options=options)

    def learn(self) -> list[Fault]:
        """Remember the made-up rows and delete them; return the tables that have none."""
        return self.ask(do="learn")

    def attempt(self) -> list[Fault]:
        """Insert, read, change and delete the remembered rows; return what fails."""
        return self.ask(do="try")

    def ask(self, **question: object) -> list[Fault]:
        """Send a question as a line of JSON, and return the faults of the answer."""
        with suppress(BrokenPipeError):  # the process has ended, and why_not() says why
            print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline() if self.process.stdout else ""
        if not answer:
            self.process.wait()
            raise CommandError(self.why_not())
        return [Fault(*fault) for fault in json.loads(answer)]

    def why_not(self) -> str:
        """Return why the process has ended: the last line that it wrote to stderr."""
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines() or ["it ended without a word"]
        return (
            f"The models of {self.release.name} cannot be tried here, so nothing is known of that "
            f"release: {lines[-1]}\nInstall what it needs, or name another one: "
            "flask db compatible <commit or tag>"
        )


@contextmanager
def started(release: Release) -> Iterator[Process]:
    """Start the process of a release, and kill it at the end."""
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(  # noqa: S603 (it is our own file that is executed)
            release.command,
            cwd=release.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,  # a file: nobody empties a pipe, and the process would wait for it
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield Process(release, process, errors)
        finally:
            process.kill()


Column = Mapping[str, Any]  # what SQLAlchemy's inspector says of a column
Columns = dict[str, dict[str, Column]]  # by the names of the table and the column


def columns_by_table(rehearsal: Rehearsal) -> Columns:
    """Return the columns of all tables in a rehearsal's database."""
    return {
        str(name): {column["name"]: column for column in table.parts["columns"]}
        for name, table in rehearsal.tables(rehearsal.named()).items()
    }


def release_finding(release: Release, fault: Fault, before: Columns, now: Columns) -> Finding:
    """Return the finding for a fault, with the two steps that avoid it.

    `before` are the columns without the pending revisions, and `now` those after the faulty one.
    """
    table = fault.table
    text = (
        f"{release.name} cannot {fault.action} {table} any more: {fault.reason}\n"
        f"  Take two releases for it:\n  {two_steps(table, before.get(table, {}), now.get(table))}"
    )
    return Finding("release", table, f"downtime of {table}", text)


def two_steps(table: str, old: dict[str, Column], new: dict[str, Column] | None) -> str:
    """Return the two steps for what has become of a table's columns; None is a dropped table."""
    if new is None:
        return TABLE_GONE.format(what=table, info={INFO_KEY: True})
    gone = sorted(old.keys() - new.keys())
    if gone:
        return COLUMN_GONE.format(what=", ".join(gone))
    added = {name: column for name, column in new.items() if name not in old}
    required = sorted(name for name, column in added.items() if is_required(column))
    if required:
        return COLUMN_REQUIRED.format(what=", ".join(required))
    return TABLE_CHANGED.format(what=table)


def is_required(column: Column) -> bool:
    return not column["nullable"] and column["default"] is None
