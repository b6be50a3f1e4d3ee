"""`flask db sql`: the SQL that the pending revisions will run."""

import logging
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_tuple

from migrator.database import Database
from migrator.log import HAS_LOG, has_log, log_table
from migrator.messages import tell
from migrator.steps import upgrade_steps


def sql(config: AlembicConfig) -> None:
    """Print the SQL that the pending revisions will run on this environment's database.

    Raises CommandError when the revisions have several heads.
    """
    script = ScriptDirectory.from_config(config)
    heads = script.get_heads()
    if len(heads) > 1:
        raise CommandError(
            f"{', '.join(heads)} are heads, and `alembic upgrade head` needs one. "
            "Join them: alembic merge heads -m Merge"
        )
    logging.getLogger("alembic").setLevel(logging.WARNING)  # or it logs "Running upgrade", untruly
    question = Question()
    with EnvironmentContext(config, script, fn=question, dont_mutate=True):
        script.run_env()
    current = question.current
    if set(current) == set(heads):
        return tell(f"Nothing is pending: the database is at {', '.join(current) or 'its start'}.")
    section = config.config_ini_section
    name = "main" if section == "alembic" else section
    print(f"-- {name}: {', '.join(current) or 'empty'} -> {heads[0]}")
    config.attributes["announce"] = False  # env.py runs again, and has named the database already
    config.attributes[HAS_LOG] = question.has_log
    if question.database.OFFLINE:
        write(config, script, current)
    else:
        record(config, question.database, current)


class Question:
    """The `fn` of an EnvironmentContext: it reads a database's revisions, and changes nothing."""

    current: tuple[str, ...]
    database: Database
    has_log: bool

    def __call__(self, current: Any, context: MigrationContext) -> list[MigrationStep]:
        self.current = to_tuple(current, ())
        self.database = context.opts["database"]
        assert context.connection is not None  # noqa: S101 (this is never run offline)
        self.has_log = has_log(context.connection, log_table(context.version_table_schema))
        return []


def write(config: AlembicConfig, script: ScriptDirectory, current: tuple[str, ...]) -> None:
    """Print the SQL of an upgrade from the current revisions to the head.

    `alembic upgrade --sql` accepts only one current revision, and a database may have several.
    """

    def steps(revision: Any, context: MigrationContext) -> list[MigrationStep]:
        return upgrade_steps(script, current)

    with EnvironmentContext(
        config, script, fn=steps, as_sql=True, starting_rev=current, destination_rev="head"
    ):
        script.run_env()


def record(config: AlembicConfig, database: Database, current: tuple[str, ...]) -> None:
    """Print the statements of an upgrade on an empty database, for kinds that are not OFFLINE."""
    print("-- Recorded on an empty database: what depends on existing rows is missing.")
    with database.scratch("sql") as scratch, scratch.engine().connect() as connection:
        config.attributes["connection"] = connection
        for revision in current:
            command.upgrade(config, revision)
        with scratch.part("review").recorded(connection) as statements:
            command.upgrade(config, "head")
    print(*statements, sep="\n")
