"""`flask db log`: which revisions ran on a database, when, for how long and by which release."""

from typing import Any

from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

from migrator.log import Entry, edited, entries
from migrator.messages import tell


def log(config: AlembicConfig) -> None:
    """Print the log of a database, newest first, and which revisions were edited after they ran."""
    script = ScriptDirectory.from_config(config)
    question = Question()
    with EnvironmentContext(config, script, fn=question, dont_mutate=True):
        script.run_env()
    if not question.log:
        return tell("The log is empty: nothing has run since the log exists.")
    for entry in reversed(question.log):
        print(line(entry))
    for name in edited(question.log, script):
        tell(f"{name} was edited after it was applied")


class Question:
    """The `fn` of an EnvironmentContext: it reads the log of a database, and changes nothing."""

    log: list[Entry]

    def __call__(self, current: Any, context: MigrationContext) -> list[MigrationStep]:
        assert context.connection is not None  # noqa: S101 (this is never run offline)
        self.log = entries(context.connection, context.version_table_schema)
        return []


def line(entry: Entry) -> str:
    """Return an entry as a line: time in UTC, direction, revision, seconds, release, host."""
    moment = entry.ran_at.strftime("%Y-%m-%d %H:%M:%S")
    seconds = "offline" if entry.seconds is None else f"{entry.seconds:.1f} s"
    by = f"by release {entry.release}" if entry.release else ""
    on = f"on {entry.host}" if entry.host else ""
    parts = [moment, f"{entry.direction:9}", entry.revision, f"{seconds:>8}", by, on]
    return "  ".join(part for part in parts if part)
