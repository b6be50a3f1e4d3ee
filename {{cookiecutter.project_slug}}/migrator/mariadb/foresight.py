"""Before steps run, refuse statements of which a rerun could not tell whether they have run."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep, StampStep
from alembic.util import CommandError

from migrator.mariadb.statements import Reader, RefusedStatementError


def refuse_statements(url: sa.URL, steps: Sequence[MigrationStep]) -> None:
    """Raise CommandError if a rerun could not tell whether a statement of these steps has run.

    The steps are written as SQL, which changes nothing. The journal judges statements that cannot
    be written without a connection, when they are executed.
    """
    for step in steps:
        if isinstance(step, StampStep):
            continue
        reader = Reader()
        for statement in statements_of(url, step):
            try:
                reader.effect_of(statement)
            except RefusedStatementError as error:
                raise CommandError(f"{step}\n{error.refusal(statement)}") from None


class Statements(list[str]):
    """An output buffer for Alembic, which writes one statement at a time."""

    def write(self, text: str) -> None:
        self.append(text)

    def flush(self) -> None:
        """Do nothing: Alembic calls it, and a list has nothing to flush."""


def statements_of(url: sa.URL, step: MigrationStep) -> list[str]:
    """Return the statements of a step, as far as they can be written without a connection."""
    found: Any = Statements()
    options = {"as_sql": True, "literal_binds": True, "output_buffer": found}
    migration = MigrationContext.configure(url=url, opts=options)
    # A step that needs a connection can raise anything here. A real error comes again when it runs.
    with suppress(Exception), Operations.context(migration):
        step.migration_fn()
    return list(found)
