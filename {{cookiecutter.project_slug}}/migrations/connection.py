"""The connection that migrations run on: a revision is applied whole or not at all."""

import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.config import Config, ConfigError, load_config
from app.url import describe, is_sqlite


def settings_for(config: AlembicConfig) -> Config:
    """Return the app's configuration, and say which environment and database it names.

    Raises CommandError, which Alembic prints without a traceback, where it cannot work.
    """
    try:
        settings = load_config()
    except ConfigError as error:
        raise CommandError(error.message) from None
    if config.cmd_opts and not logging.root.handlers:  # a command line, with no logging set up
        logging.getLogger("alembic").addHandler(logging.StreamHandler())
        logging.getLogger("alembic").setLevel(logging.INFO)
    if "connection" not in config.attributes:
        say(f"{settings.NAME}: {describe(settings.SQLALCHEMY_DATABASE_URI)}")
    return settings


def say(text: str) -> None:
    """Tell the user on stderr, so that the SQL of `--sql` stays clean."""
    print(text, file=sys.stderr)


def database_options(url: sa.URL) -> dict[str, Any]:
    """Return what context.configure() needs to know of a kind of database."""
    return {"render_as_batch": True, "transactional_ddl": True} if is_sqlite(url) else {}


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
    url, options = settings.SQLALCHEMY_DATABASE_URI, settings.SQLALCHEMY_ENGINE_OPTIONS
    with ExitStack() as stack:
        try:
            if clean := getattr(config.cmd_opts, "autogenerate", False):
                try:
                    name = f"scratch_{secrets.token_hex(4)}"
                    url = stack.enter_context(scratch_database(url, name))
                except sa.exc.DBAPIError:
                    clean = False
                    say("Compared with this database itself: the user may not create a clean one.")
            engine = passed or migration_engine(url, options)
            connection = stack.enter_context(engine.connect())
        except (sa.exc.OperationalError, ModuleNotFoundError) as error:
            cause = getattr(error, "orig", error)
            raise CommandError(
                f"{describe(url)} cannot be reached: {cause}\n"
                "Start the server, install its driver, or mend DATABASE_URL."
            ) from None
        if clean:
            upgrade_to_head(connection, ScriptDirectory.from_config(config))
        yield connection


def migration_engine(url: sa.URL, options: dict[str, Any]) -> sa.Engine:
    """Return an engine without a pool; on SQLite each transaction is real, DDL included.

    The recipe is that of SQLAlchemy's documentation on SQLite's transactions. Foreign keys are
    off while tables are rebuilt, or DROP TABLE would delete the children, and checked at the end.
    """
    kept = {key: value for key, value in options.items() if "pool" not in key}
    engine = sa.create_engine(url, poolclass=sa.NullPool, **kept)
    if is_sqlite(url):

        @sa.event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        @sa.event.listens_for(engine, "commit")
        def check(connection: sa.Connection) -> None:
            if orphans := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
                table, row, parent, _ = orphans[0]
                raise CommandError(
                    f"Nothing was changed: {len(orphans)} rows would refer to what is not there, "
                    f"the first is row {row} of {table}, to {parent}"
                )

    return engine


@contextmanager
def scratch_database(url: sa.URL, name: str) -> Iterator[sa.URL]:
    """Make an empty database beside the one of `url`, yield its URL, and drop it.

    Raises ValueError when it is the database of `url`, and sqlalchemy.exc.DBAPIError when the
    user may not create one.
    """
    name = f"{Path(url.database or '').stem[:30]}_{name}"
    if name == url.database:
        raise ValueError(f"{name} is no scratch database")
    if is_sqlite(url):
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield url.set(database=str(Path(folder) / f"{name}.db"))
        return
    postgresql = url.get_backend_name() == "postgresql"
    server = sa.create_engine(
        url.set(database="postgres" if postgresql else None),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    quoted = server.dialect.identifier_preparer.quote(name)
    with server.connect() as connection:
        drop = f"DROP DATABASE IF EXISTS {quoted}{' WITH (FORCE)' if postgresql else ''}"
        connection.exec_driver_sql(drop)
        connection.exec_driver_sql(f"CREATE DATABASE {quoted}")
        try:
            yield url.set(database=name)
        finally:
            connection.exec_driver_sql(drop)


def upgrade_to_head(connection: sa.Connection, script: ScriptDirectory) -> None:
    """Apply every revision to an empty database."""
    opts = {"fn": lambda rev, _: script._upgrade_revs("heads", rev), "script": script}
    context = MigrationContext.configure(
        connection, opts=opts | database_options(connection.engine.url)
    )
    with Operations.context(context), context.begin_transaction():
        context.run_migrations()
