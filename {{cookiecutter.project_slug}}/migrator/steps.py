"""The steps that Alembic takes from one revision to another."""

import re
from collections.abc import Sequence
from pathlib import Path

from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import Script, ScriptDirectory

TODO = re.compile("# TODO")  # what autogenerate leaves where a person has to decide


def current_heads(migration: MigrationContext) -> tuple[str, ...]:
    """Return the revisions of the database; none for `stamp --purge`, which ignores them."""
    return () if migration.purge else migration.get_current_heads()


def steps_from(heads: tuple[str, ...], migration: MigrationContext) -> list[MigrationStep]:
    """Return the steps that the running command takes from these revisions.

    Raises CommandError if it cannot start there.
    """
    return [*migration.opts["fn"](heads, migration)]


def upgrade_steps(script: ScriptDirectory, current: Sequence[str]) -> list[MigrationStep]:
    """Return the steps from a database's current revisions to every head, in order.

    This is what `alembic upgrade heads` does. That command cannot run within another one, because
    it replaces `alembic.context`; and with --sql, it accepts only one current revision.

    Raises CommandError when a current revision is not among the scripts.
    """
    script.get_revisions(tuple(current))  # or iterate_revisions() raises something else
    pending = [*script.iterate_revisions("heads", tuple(current), implicit_base=True)]
    return [upgrade_step(script, revision) for revision in reversed(pending)]


def upgrade_step(script: ScriptDirectory, revision: Script) -> MigrationStep:
    """Return the step that applies one revision."""
    return MigrationStep.upgrade_from_script(script.revision_map, revision)


def downgrade_step(script: ScriptDirectory, revision: Script) -> MigrationStep:
    """Return the step that takes one revision back."""
    return MigrationStep.downgrade_from_script(script.revision_map, revision)


def undecided(steps: Sequence[MigrationStep]) -> list[str]:
    """Return the names of the files that steps apply and that hold a TODO comment."""
    found = []
    for step in steps:
        if isinstance(step, RevisionStep) and step.is_upgrade:
            path = Path(step.revision.path)
            if TODO.search(path.read_text("utf-8")):
                found.append(path.name)
    return found
