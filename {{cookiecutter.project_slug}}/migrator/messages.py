"""Messages for people, on stderr, because stdout may be the SQL of `--sql`."""

import logging
import sys

from alembic.config import Config
from alembic.util import CommandError

# What to do about Alembic's errors, by how their message begins.
CURES = {
    "Can't locate revision": "If the database is at that revision: deploy the code that has it, or "
    "bring its file back (git log --diff-filter=D -- migrations), or, if another service migrates "
    "that database, name one of this service's own in {variable}.",
    "Multiple head revisions": "Join them: alembic merge heads -m Merge",
    "Ambiguous walk": "Branches meet here. Name a revision: alembic history lists them.",
}

# What to do about errors of a database. Each kind has its own codes for these: see Database.CURES.
ALREADY_THERE = (
    "{error}: no revision has made it here. If db.create_all() made it, remove that from the app, "
    "and drop the table. If it is as the revision would make it: alembic stamp <revision>"
)
MAY_NOT = (
    "{error}: the user in {variable} may not do that. Grant the right to that user, or give "
    "migrations a user of their own (MIGRATION_DATABASE_URL)"
)


def tell(text: str) -> None:
    """Print a message for the person who runs the command."""
    print(text, file=sys.stderr)


def explain(error: CommandError, variable: str) -> CommandError:
    """Return Alembic's error with what to do about it, or unchanged if that is not known.

    `variable` is the name of the variable that holds the database's address.
    """
    for beginning, cure in CURES.items():
        if str(error).startswith(beginning):
            return CommandError(f"{error}\n{cure.format(variable=variable)}")
    return error


def show_progress(config: Config) -> None:
    """Print each revision that runs and each change that Alembic detects.

    It does nothing outside the command line, or when somebody has set up logging.
    """
    log = logging.getLogger("alembic")
    if config.cmd_opts and not logging.root.handlers and log.level == logging.NOTSET:
        handler = logging.StreamHandler()
        handler.addFilter(is_progress)
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def is_progress(record: logging.LogRecord) -> bool:
    """Tell whether Alembic logs a revision that runs, or a change of the models."""
    is_change = record.name.startswith("alembic.autogenerate") and "Detected" in str(record.msg)
    return is_change or str(record.msg).startswith("Running")
