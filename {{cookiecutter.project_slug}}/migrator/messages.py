"""Messages for people, on stderr, because stdout may be the SQL of `--sql`."""

import logging
import sys
import textwrap
import traceback
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

# What to do about Alembic's errors, by how their message begins.
CURES = {
    "Can't locate revision": "If you typed it: alembic history lists the revisions. "
    "If the database is at that revision: deploy the code that has it, or bring its file back "
    "(git log --diff-filter=D -- migrations), or, if another service migrates that database, name "
    "one of this service's own in {variable}.",
    "Multiple head revisions": "Join them: alembic merge heads -m Merge",
    "Target database is not up to date": "Apply the pending revisions: alembic upgrade head",
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

STATEMENT = 300  # characters of a statement that a message shows


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


def where_it_failed(error: sa.exc.DBAPIError, script: ScriptDirectory) -> str | None:
    """Return which line of a revision the database refused, and why; None if it was no revision."""
    revisions = {revision.path for revision in script.walk_revisions()}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in revisions:
            reason = " ".join(str(error.orig).split())
            statement = " ".join((error.statement or "").split())
            return (
                f"{Path(frame.filename).name}, line {frame.lineno}: {reason}\n"
                f"The database refused: {textwrap.shorten(statement, STATEMENT)}\n"
                "Correct the revision, and run this again"
            )
    return None


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
