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
READ_ONLY = {"25006", 1047, 1290, 1792, 1836, "attempt to write a readonly database"}
LOST = "The connection to the database was lost. Run this again, it goes on where it stopped"


def attempts(environment: str) -> Iterator[AbstractContextManager[None]]:
    """Yield what to migrate within, and again while a table that is in use stops it.

    Nothing is done for a command that changes no database, nor for a connection that was passed:
    its owner sees to locks. Raises CommandError where a command is refused.
    """
    changes = "destination_rev" in context.get_context().opts
    if changes:
        refuse_to_go_back(environment)
    if not changes or "connection" in context.config.attributes:
        yield nullcontext()
        return
    for left in reversed(range(math.ceil(limit("lock_tries")))):
        done: list[bool] = []
        yield attempt(left, done)
        if done:
            return


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
        heads = migration.get_current_heads()
        needed = list(migration.opts["fn"](heads, migration)) or not heads or migration.purge
        connection.rollback()
        with alone(connection, wait, pause) if needed else nullcontext():
            yield
        done.append(True)
    except sa.exc.PendingRollbackError:  # what became of the error that is handled below
        raise CommandError(LOST) from None
    except sa.exc.DBAPIError as error:
        refuse_what_cannot_work(error)
        other = who(connection, IN_THE_WAY, statement=error.statement or "")
        busy = f"A table is in use by {other} ({str(error.orig).strip()})"
        if not left:
            raise CommandError(
                f"{busy}, at each try. End the transaction that is in the way, or choose a "
                "quieter time, or give -x lock_timeout=<seconds>, and run this again: it goes on "
                "where it stopped"
            ) from None
        tell(f"{busy}: trying again in {pause:g} s, {left} times more")
        time.sleep(pause)


def refuse_what_cannot_work(error: sa.exc.DBAPIError) -> None:
    """Raise CommandError for an error whose cure is known, or the error, unless it may pass."""
    if error.connection_invalidated:
        raise CommandError(f"{LOST}: {error.orig}") from None
    codes = {getattr(error.orig, "sqlstate", None), *getattr(error.orig, "args", ())[:1]}
    if codes & READ_ONLY:
        raise CommandError(
            "This database is read-only, as a replica is, or a node that has lost its cluster: "
            "name the primary, or another node, in DATABASE_URL"
        ) from None
    if "database is locked" in codes:
        raise CommandError(
            f"Another process has been writing for {limit('lock_wait'):g} s: let it end, or "
            "end it, and run this again; -x lock_wait=<seconds> waits longer"
        ) from None
    if not codes & BUSY:
        raise error
