"""`flask db create`: make the database, if it does not exist yet."""

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from migrator.database import Database
from migrator.messages import tell

CREATES = "creates"  # a key of Config.attributes: Run.connect() then makes the database first


def create(config: Config) -> None:
    """Make the database of this environment, empty, if it does not exist."""
    config.attributes[CREATES] = True
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, script, fn=lambda *_: [], dont_mutate=True):
        script.run_env()


def make(database: Database) -> None:
    """Make a database if it does not exist, and say what was done."""
    if database.create():
        tell(f"{database} is made, and empty. Go on with: alembic upgrade head")
    else:
        tell(f"{database} exists already: nothing was done.")
