"""Alembic runs this for every command that looks at the models or the database."""

from alembic import context

from alembic_support import autogenerate
from alembic_support.attempts import attempts
from alembic_support.connection import connect, database_options, settings_for
from app.db import db, import_all

config = context.config
settings = settings_for(config)
import_all("models")
target_metadata = db.metadata
options = database_options(settings.SQLALCHEMY_DATABASE_URI) | autogenerate.options()


def run_migrations_offline() -> None:
    """Write the SQL to stdout; neither a connection nor a driver is needed."""
    context.configure(
        url=settings.SQLALCHEMY_DATABASE_URI,
        target_metadata=target_metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        **options,
    )

    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Migrate the database of the app's configuration, or the connection that was passed."""
    with connect(settings, config) as connection:
        context.configure(connection=connection, target_metadata=target_metadata, **options)

        for attempt in attempts(settings.NAME):
            with attempt, context.begin_transaction():
                context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
