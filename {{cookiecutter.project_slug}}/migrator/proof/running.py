"""Run the steps of revisions, as `alembic` does."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory

from migrator.database import listening

# The types of columns that revisions have named, by the table and the column.
Declared = dict[tuple[str, str], sa.types.TypeEngine[object]]


def run_steps(
    config: AlembicConfig,
    script: ScriptDirectory,
    connection: sa.Connection,
    steps: list[MigrationStep],
) -> None:
    """Run steps on a connection through env.py, and commit.

    It does what `alembic upgrade` or `downgrade` does, but it does not read all revisions again.
    Raises whatever a revision raises.
    """
    config.attributes["connection"] = connection  # env.py migrates this one
    with EnvironmentContext(config, script, fn=lambda *_: steps):
        script.run_env()
    connection.commit()


@contextmanager
def declarations(found: Declared) -> Iterator[None]:
    """Until the block ends, remember the types of which a database may not know all.

    SQLite keeps an enum as a text, MariaDB JSON as well, and neither says so.
    """

    def remember(column: sa.Column[object], owner: object) -> None:
        if isinstance(owner, sa.Table) and isinstance(column.type, sa.Enum | sa.JSON):
            found[owner.name, column.name] = column.type

    with listening((sa.Column, "after_parent_attach", remember)):
        yield
