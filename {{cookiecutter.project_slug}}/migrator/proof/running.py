"""Running the steps of revisions, as `alembic` runs them."""

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory


def run_steps(
    config: AlembicConfig,
    script: ScriptDirectory,
    connection: sa.Connection,
    steps: list[MigrationStep],
) -> None:
    """Do what `alembic` does with these steps, without reading all the revisions again.

    Raises whatever a revision raises.
    """
    config.attributes["connection"] = connection  # env.py migrates this one
    with EnvironmentContext(config, script, fn=lambda *_: steps):
        script.run_env()
    connection.commit()
