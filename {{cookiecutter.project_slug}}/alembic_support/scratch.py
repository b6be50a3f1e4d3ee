"""A clean database for a moment: autogenerate compares with it, and the tests run on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.url import describe, is_sqlite

# The URL, or the role, may name another schema than public: a new database has no other.
SCHEMA = """
    DO $$ BEGIN IF current_schema() IS NULL THEN
        EXECUTE 'CREATE SCHEMA ' || split_part(current_setting('search_path'), ',', 1);
    END IF; END $$"""


class ScratchRefusedError(CommandError):
    """The user may not create a database on this server."""


@contextmanager
def scratch_database(url: sa.URL, options: dict[str, Any], purpose: str) -> Iterator[sa.URL]:
    """Make an empty database beside the one of `url`, yield its URL, and drop it.

    The options are those of the engine. The name is a new one, so that no other database is ever
    touched. Raises ScratchRefusedError where the user may not create it, and OperationalError where
    the server does not answer.
    """
    name = f"{Path(url.database or '').stem[:30]}_{purpose}_{token_hex(4)}"
    if is_sqlite(url):
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield url.set(database=str(Path(folder) / f"{name}.db"))
        return
    force = " WITH (FORCE)" if url.get_backend_name() == "postgresql" else ""
    engine = partial(sa.create_engine, connect_args=options["connect_args"], poolclass=sa.NullPool)
    # PostgreSQL wants a database to connect to, and keeps this one for the purpose.
    server = engine(url.set(database="postgres" if force else None), isolation_level="AUTOCOMMIT")
    quoted = server.dialect.identifier_preparer.quote(name)
    with server.connect() as connection:
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {quoted}")
        except sa.exc.DBAPIError as error:
            raise ScratchRefusedError(
                f"{describe(url)} may not create a database for a moment: {error.orig}\n"
                "Grant it that (PostgreSQL: ALTER ROLE … CREATEDB; MariaDB: GRANT ALL ON "
                f"`{name.rpartition(f'_{purpose}')[0]}\\_%`.*), or use a server of your own."
            ) from None
        try:
            if force:
                make_schema(engine(url.set(database=name)))
            yield url.set(database=name)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {quoted}{force}")


def make_schema(engine: sa.Engine) -> None:
    """Make the schema that new tables go to, in a new database of PostgreSQL."""
    with engine.begin() as connection:
        connection.exec_driver_sql(SCHEMA)


def upgrade_to_head(
    connection: sa.Connection, config: AlembicConfig, options: dict[str, Any]
) -> None:
    """Apply every revision, while Alembic is at another command already."""
    script = ScriptDirectory.from_config(config)
    options |= {"fn": lambda revision, _: script._upgrade_revs("heads", revision), "script": script}
    context = MigrationContext.configure(connection, opts=options)
    with Operations.context(context), context.begin_transaction():
        context.run_migrations()
