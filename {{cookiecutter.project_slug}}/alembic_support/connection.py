"""The connection that migrations run on: a revision is applied whole or not at all."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.util import CommandError

from alembic_support.scratch import ScratchRefusedError, scratch_database, upgrade_to_head
from app.config import Config, ConfigError, load_config, prefix
from app.db import db, import_models
from app.url import describe, is_sqlite

# The commands that never compare models with a database, and do not wait for what that takes.
PLAIN = {"current", "downgrade", "stamp", "upgrade"}


def bind_of(config: AlembicConfig) -> str | None:
    """Return the bind whose section of alembic.ini is in use, or None for the main database's."""
    section = config.config_ini_section
    return None if section == "alembic" else section


def settings_for(config: AlembicConfig) -> Config:
    """Return the app's configuration, with its models imported, and say which database it names.

    Raises CommandError, which Alembic prints without a traceback, where it cannot work.
    """
    bind = bind_of(config)
    try:
        settings = load_config()
        import_models()
    except ConfigError as error:
        raise CommandError(error.message) from None
    if bind not in settings.databases:
        raise CommandError(
            f"[{bind}] of alembic.ini is no database: add it to BINDS, app/config.py"
        )
    if "connection" not in config.attributes:
        where = f"{settings.NAME}, {bind}" if bind else settings.NAME
        tell(f"{where}: {describe(settings.databases[bind][0])}")
    return settings


def database_options(url: sa.URL) -> dict[str, Any]:
    """Return what context.configure() needs to know of a kind of database."""
    if is_sqlite(url):
        return {"render_as_batch": True, "transactional_ddl": True}
    # A value that one revision adds to a PostgreSQL enum can be used by the next.
    return {"transaction_per_migration": url.get_backend_name() == "postgresql"}


def options_for(config: AlembicConfig, url: sa.URL) -> dict[str, Any]:
    """Return what context.configure() needs to know for the command that is run."""
    command, *_ = getattr(config.cmd_opts, "cmd", [None])
    if getattr(command, "__name__", "") in PLAIN:
        return database_options(url)
    from alembic_support import autogenerate

    return database_options(url) | autogenerate.options()


@contextmanager
def connect(settings: Config, config: AlembicConfig) -> Iterator[sa.Connection]:
    """Yield the connection to migrate: one that was passed, or one to the app's database.

    `revision --autogenerate` gets a clean database of the same kind instead, built by the
    revisions: what somebody did to a development database by hand is no change of the models.
    Raises CommandError when the database cannot be reached.
    """
    passed = config.attributes.get("connection")
    if isinstance(passed, sa.Connection):
        yield passed
        return
    bind = bind_of(config)
    url, options = settings.databases[bind]
    with ExitStack() as stack:
        try:
            clean = clean_database(url, options, stack) if autogenerates(config) else None
            engine = passed or migration_engine(clean or url, options)
            connection = stack.enter_context(engine.connect())
        except (sa.exc.DatabaseError, sa.exc.InvalidRequestError, ModuleNotFoundError) as error:
            reason = f"{describe(url)} cannot be reached: {getattr(error, 'orig', error)}"
            variable = f"{prefix(bind)}DATABASE_URL"
            raise CommandError(f"{reason}\n{cure(error, url, variable)}") from None
        if clean:
            more = {"target_metadata": db.metadatas[bind]}  # the names of constraints
            upgrade_to_head(connection, config, database_options(url) | more)
        show_progress(config)
        yield connection


def cure(error: Exception, url: sa.URL, variable: str) -> str:
    """Return what helps where a database cannot be reached."""
    if isinstance(error, sa.exc.InvalidRequestError):  # MySQL answered, instead of MariaDB
        return f"Begin {variable} with mysql://."
    if is_sqlite(url):
        return f"Let this user write to the file and its folder, or mend {variable}."
    return f"Start the server, install its driver, or mend {variable}."


def autogenerates(config: AlembicConfig) -> bool:
    return bool(getattr(config.cmd_opts, "autogenerate", False))


def clean_database(url: sa.URL, options: dict[str, Any], stack: ExitStack) -> sa.URL | None:
    """Make an empty database for as long as the stack lasts; none where that is not allowed."""
    try:
        return stack.enter_context(scratch_database(url, options, "scratch"))
    except ScratchRefusedError as refusal:
        tell(f"Comparing with the database as it is: {refusal}")
        return None


def show_progress(config: AlembicConfig) -> None:
    """Print what Alembic does, on the command line and where no logging is set up."""
    log = logging.getLogger("alembic")
    if config.cmd_opts and not logging.root.handlers and log.level == logging.NOTSET:
        handler = logging.StreamHandler()
        handler.addFilter(lambda record: str(record.msg).startswith(("Running", "Detected")))
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def tell(text: str) -> None:
    print(text, file=sys.stderr)  # stdout may be the SQL of --sql


def migration_engine(url: sa.URL, options: dict[str, Any]) -> sa.Engine:
    """Return an engine without a pool; on SQLite each transaction is real, DDL included.

    The recipe is that of SQLAlchemy's documentation on SQLite's transactions. Foreign keys are
    off while tables are rebuilt, or DROP TABLE would delete the children, and checked at the end.
    """
    # The app may like AUTOCOMMIT; a revision needs its transaction.
    kept = {k: v for k, v in options.items() if "pool" not in k and k != "isolation_level"}
    engine = sa.create_engine(url, poolclass=sa.NullPool, **kept)
    if url.drivername == "postgresql+psycopg":  # PgBouncer loses prepared statements
        sa.event.listen(engine, "connect", lambda c, _: setattr(c, "prepare_threshold", None))
    if is_sqlite(url):
        sa.event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
        sa.event.listen(engine, "begin", begin_sqlite)
        sa.event.listen(engine, "commit", refuse_orphans)
    return engine


def begin_sqlite(connection: sa.Connection) -> None:
    """Begin for real: no pragma works within a transaction, so it comes first."""
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def refuse_orphans(connection: sa.Connection) -> None:
    """Raise CommandError before a commit that leaves rows which refer to nothing."""
    if orphans := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        table, row, parent, _ = orphans[0]
        raise CommandError(
            f"Nothing was changed: {len(orphans)} rows would refer to what is not there, "
            f"the first is row {row} of {table}, to {parent}"
        )
