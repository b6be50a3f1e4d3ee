"""`flask db drift`: what somebody did to a database by hand, beside its revisions.

`check` compares the models with a database as far as Alembic can, which is fast. This has the
database describe itself, and a clean one that the same revisions made: it sees a changed collation,
a disabled trigger, and all else that no model says.
"""

import logging
import sys
from typing import Any

from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import to_tuple

from migrator.database import Database
from migrator.description import Description, Difference, differences
from migrator.proof.running import run_steps
from migrator.steps import upgrade_step


def drift(config: AlembicConfig) -> None:
    """Print what a database has that its revisions did not make, or lacks: exit 1 if anything.

    Raises what find_drift() raises.
    """
    current, found = find_drift(config)
    at = ", ".join(current) or "its start"
    if not found:
        return print(f"The database is what its revisions make, at {at}.")
    print(f"The database is not what its revisions make, at {at}:")
    for difference in found:
        print(f"  {difference}")
    sys.exit(1)


def find_drift(config: AlembicConfig) -> tuple[tuple[str, ...], list[Difference]]:
    """Return the revisions of a database, and how it differs from what they make.

    Raises ScratchRefusedError where the user may not create a database, and CommandError if the
    code does not have the database's revision.
    """
    script = ScriptDirectory.from_config(config)
    question = Question(script)
    with EnvironmentContext(config, script, fn=question, dont_mutate=True):
        script.run_env()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the clean one's upgrade is no news
    return question.current, drifted(config, script, question)


class Question:
    """Has a database describe itself: the `fn` of an EnvironmentContext that changes nothing.

    Raises CommandError if the code does not have the database's revision.
    """

    current: tuple[str, ...]
    database: Database
    description: Description

    def __init__(self, script: ScriptDirectory) -> None:
        self.script = script

    def __call__(self, current: Any, context: MigrationContext) -> list[MigrationStep]:
        assert context.connection is not None  # noqa: S101 (this is never run offline)
        self.current = to_tuple(current, ())
        self.script.get_revisions(self.current)  # or iterate_revisions() raises something else
        self.database = context.opts["database"]
        self.description = self.database.describe(context.connection)
        return []


def drifted(config: AlembicConfig, script: ScriptDirectory, question: Question) -> list[Difference]:
    """Return what differs from a clean database to which the same revisions were applied."""
    database = question.database
    revisions = [*script.iterate_revisions(question.current, (), implicit_base=True)]
    steps = [upgrade_step(script, revision) for revision in reversed(revisions)]
    with database.scratch("drift") as clean, clean.engine().connect() as connection:
        run_steps(config, script, connection, steps if question.current else [])
        found = differences(question.description, clean.describe(connection))
        return database.settled(connection, found)
