"""Alembic runs this for every command that looks at the models or the database."""

from alembic import context
from alembic.util import CommandError

from app.config import ConfigError, load_config
from app.db import db, import_models, unseen
from migrator import Run

section = context.config.config_ini_section
bind = None if section == "alembic" else section  # of `alembic -n <bind>`
try:
    settings = load_config()  # of the environment in APP_ENV
    import_models()
    # from [<BIND>_]MIGRATION_DATABASE_URL if set, or else from [<BIND>_]DATABASE_URL
    url, engine_options = settings.migration_database(bind)
except ConfigError as error:
    raise CommandError(error.message) from None

target_metadata = db.metadatas[bind]  # that of None is db.metadata
run = Run(
    url,
    engine_options,
    target_metadata,
    environment=settings.NAME,
    guarded=settings.STRICT,  # downgrade and stamp need `-x allow=<environment>`
    variable=settings.migration_variable(bind),
    release=settings.RELEASE,
    unseen=unseen,  # `check` and autogenerate refuse models in files that nobody imports
)


def run_migrations_offline() -> None:
    """Write the SQL to stdout; neither a connection nor a driver is needed."""
    context.configure(
        url=url,
        target_metadata=target_metadata,
        literal_binds=True,  # write values into the SQL instead of parameters
        dialect_opts={"paramstyle": "named"},
        **run.options,  # what this kind of database needs, and what autogenerate compares
    )

    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Migrate the database at `url`, or the connection that was passed."""
    with run.connect() as connection:  # closed at the end of this block, unless it was passed
        context.configure(connection=connection, target_metadata=target_metadata, **run.options)

        for attempt in run.attempts():  # each takes a lock; another follows if a table is in use
            with attempt, context.begin_transaction():
                context.run_migrations()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
