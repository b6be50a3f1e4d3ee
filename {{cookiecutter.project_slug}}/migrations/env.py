"""Alembic runs this for every command that looks at the models or the database."""

from alembic import context

from alembic_support.attempts import attempts
from alembic_support.connection import bind_of, connect, options_for, settings_for
from app.db import db

config = context.config
bind = bind_of(config)  # None, or that of `alembic -n <bind>`
settings = settings_for(config)
url, _ = settings.databases[bind]
target_metadata = db.metadatas[bind]  # db.metadata, when it is not a bind's
options = options_for(config, url)


def run_migrations_offline() -> None:
    """Write the SQL to stdout; neither a connection nor a driver is needed."""
    context.configure(
        url=url,
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
