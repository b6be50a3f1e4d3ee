"""Migrate within these: alone, giving way to a busy site, and never back by mistake."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import sqlalchemy as sa
from alembic import context
from alembic.util import CommandError

from alembic_support.connection import tell

# alembic.ini says what they are; each may be given as `-x name=value`, too.
LIMITS = {"lock_wait": 60, "lock_timeout": 3, "lock_tries": 10}
BUSY = {"55P03", "40P01", 1205, 1213}  # a lock was not had in time, or a deadlock was broken
LOST = "The connection to the database was lost. Run this again, it goes on where it stopped"
# What helps against errors of PostgreSQL (SQLSTATE), MariaDB (a number) and SQLite (a text).
REFUSED = {
    "25006|1047|1290|1792|1836|.*readonly.*": "This database is read-only, as a replica is, or a "
    "node that has lost its cluster: name the primary, or another node, in DATABASE_URL",
    "database is locked": "Another process has been writing for {wait:g} s: let it end, or end it, "
    "and run this again; -x lock_wait=<seconds> waits longer",
    "53100|1021|1114|.*disk is full": "{error}: make room, and run this again",
    "42P07|1050|table .* already exists": "{error}: no revision has made it here. If it was "
    "db.create_all(), take that out of the app, and drop the table; if it is as the revision "
    "would make it: alembic stamp <revision>",
    "1005|3780": "{error}: columns of a foreign key need the type of those they refer to",
}
# What helps where Alembic gives up.
CURES = {
    "Can't locate revision": "If the database says so: deploy the code that has it, bring its file "
    "back (git log --diff-filter=D -- migrations), or, where another service migrates that "
    "database, name one of this service's own in DATABASE_URL.",
    "Multiple head revisions": "Join them: alembic merge heads -m Merge",
    "Ambiguous walk": "Branches meet here. Name a revision: alembic history lists them.",
}


def attempts(environment: str) -> Iterator[AbstractContextManager[None]]:
    """Yield what to migrate within, and again while a table that is in use stops it.

    Nothing is done for a command that changes no database, nor for a connection that was passed:
    its owner sees to locks. Raises CommandError where a command is refused.
    """
    options = context.get_context().opts
    changes = "destination_rev" in options
    if changes:
        refuse_to_go_back(environment)
        if options["target_metadata"].tables and not context.script.get_heads():
            raise CommandError(
                f"There is no revision in {context.script.versions}: is it complete? The first "
                "one is written by: alembic revision --autogenerate -m 'Create tables'"
            )
    if not changes or "connection" in context.config.attributes:
        yield explained()
        return
    for left in reversed(range(math.ceil(limit("lock_tries")))):
        done: list[bool] = []
        yield attempt(left, done)
        if done:
            return


@contextmanager
def explained() -> Iterator[None]:
    """Add the cure to what Alembic refuses."""
    try:
        yield
    except CommandError as error:
        for text, cure in CURES.items():
            if str(error).startswith(text):
                raise CommandError(f"{error}\n{cure}") from None
        raise


def refuse_to_go_back(environment: str) -> None:
    """Raise CommandError for what may lose data, where that needs a second thought."""
    command = context.get_context().opts["fn"].__name__.removeprefix("do_")
    allowed = context.get_x_argument(as_dictionary=True).get("allow")
    if command != "upgrade" and environment in ("staging", "production") and allowed != environment:
        allow = f"alembic -x allow={environment} {command} …"
        raise CommandError(f"{command} is refused in {environment}: if it is meant, {allow}")


def limit(name: str) -> float:
    """Return a limit: that of -x, else of alembic.ini, else the default."""
    given = context.get_x_argument(as_dictionary=True).get(name)
    text = given or context.config.get_main_option(name, str(LIMITS[name]))
    if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0:
        return float(text)
    raise CommandError(f"{name} is {text!r}: give a number above 0, such as {LIMITS[name]}")


@contextmanager
def attempt(left: int, done: list[bool]) -> Iterator[None]:
    """Migrate alone, and say that it is done; a database that is there already needs no lock."""
    from alembic_support.lock import IN_THE_WAY, alone, who  # not for `current`

    migration, connection = context.get_context(), context.get_bind()
    wait, pause = limit("lock_wait"), limit("lock_timeout")
    try:
        with explained():
            heads = () if migration.purge else migration.get_current_heads()
            steps = list(migration.opts["fn"](heads, migration))
            connection.rollback()
            with alone(connection, wait, pause) if steps or not heads else nullcontext():
                yield
        done.append(True)
    except sa.exc.PendingRollbackError:  # what became of the error that is handled below
        raise CommandError(LOST) from None
    except sa.exc.DBAPIError as error:
        refuse_what_cannot_work(error)
        give_way(error, left, pause, who(connection, IN_THE_WAY, statement=error.statement or ""))


def give_way(error: sa.exc.DBAPIError, left: int, pause: float, other: str) -> None:
    """Wait before a table that another uses is tried again; raise CommandError after the last."""
    busy = f"A table is in use by {other} ({str(error.orig).strip()})"
    if not left:
        raise CommandError(
            f"{busy}, at each try. End the transaction that is in the way, or choose a quieter "
            "time, or give -x lock_timeout=<seconds>, and run this again: it goes on where it "
            "stopped"
        ) from None
    tell(f"{busy}: trying again in {pause:g} s, {left} times more")
    time.sleep(pause)


def refuse_what_cannot_work(error: sa.exc.DBAPIError) -> None:
    """Raise CommandError for an error whose cure is known, or the error, unless it may pass."""
    if error.connection_invalidated:
        raise CommandError(f"{LOST}: {error.orig}") from None
    found = {getattr(error.orig, "sqlstate", None), *getattr(error.orig, "args", ())[:1]}
    for codes, cure in REFUSED.items():
        if any(re.fullmatch(codes, str(code)) for code in found):
            text = cure.format(error=str(error.orig).strip(), wait=limit("lock_wait"))
            raise CommandError(text) from None
    if not found & BUSY:
        raise error
