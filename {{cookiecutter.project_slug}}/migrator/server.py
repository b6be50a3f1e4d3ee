"""For databases on a server: wait for a lock, and make a database, for good or for a while."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa
from alembic.util import CommandError

from migrator.database import ScratchRefusedError, scratch_age

POLL = 0.2  # seconds
DAY = 24 * 60 * 60.0  # seconds


def wait_for_lock(claim: Callable[[], str | None], wait: float) -> None:
    """Call `claim` until it takes the lock, for `wait` seconds at most.

    `claim` takes the lock and returns None, or returns who has it. It must not block: on
    PostgreSQL, the holder's CREATE INDEX CONCURRENTLY would wait for our transaction for ever.
    Raises CommandError, which says who has the lock, after that time.
    """
    end = time.monotonic() + wait
    while (owner := claim()) is not None:
        if time.monotonic() > end:
            raise CommandError(
                f"Another migration of this database did not end within {wait:g} s: {owner}. Let "
                "it end, or stop it, and run this again; -x lock_wait=<seconds> waits longer"
            )
        time.sleep(POLL)


def create_database(
    server: sa.Engine,
    name: str,
    exists: Callable[[BaseException | None], bool],
    grant: str,
    options: str = "",
) -> bool:
    """Make a database of this name on a server; return False if another process was faster.

    - `server` is an engine that connects to another database, or to none
    - `exists` tells whether a driver's error means that the name is taken
    - `grant` is the SQL that gives the user the right to make databases, for messages
    - `options` ends the CREATE DATABASE

    Raises CommandError if the user may not make it.
    """
    quoted = server.dialect.identifier_preparer.quote(name)
    with server.connect() as connection:
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {quoted}{options}")
        except sa.exc.DBAPIError as error:
            if exists(error.orig):
                return False
            raise CommandError(
                f"This user may not create the database: {str(error.orig).strip()}\n"
                f"Grant the right ({grant}), or let an administrator type: CREATE DATABASE "
                f"{quoted}{options}"
            ) from None
    return True


@contextmanager
def temporary_database(
    server: sa.Engine, name: str, grant: str, like: str = "", drop: str = ""
) -> Iterator[None]:
    """Make a database of this name on a server, and drop it at the end of the block.

    `grant` is the SQL that gives the user the right to do so. `like` ends the CREATE DATABASE, and
    `drop` the DROP DATABASE.
    Raises ScratchRefusedError if the user may not create it.
    """
    quoted = server.dialect.identifier_preparer.quote(name)
    with server.connect() as connection:
        try:
            connection.exec_driver_sql(f"CREATE DATABASE {quoted}{like}")
        except sa.exc.DBAPIError as error:
            shown = server.url.set(query={}).render_as_string(hide_password=True)
            raise ScratchRefusedError(
                f"The user of {shown} may not create a database for a moment: {error.orig}\n"
                f"Grant the right ({grant}), or use a server of your own."
            ) from None
        try:
            yield
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {quoted}{drop}")


def drop_leftovers(connection: sa.Connection, stem: str, unused: Iterable[str]) -> None:
    """Drop what runs that were killed have left: temporary databases that are older than a day.

    `stem` is the `scratch_stem` of the database beside which they were made, and `unused` are the
    names of databases to which nobody is connected.
    """
    quote = connection.dialect.identifier_preparer.quote
    for name in unused:
        age = scratch_age(name, stem)
        if age is not None and age > DAY:
            with suppress(sa.exc.DBAPIError):  # it is another user's, or gone by now
                connection.exec_driver_sql(f"DROP DATABASE {quote(name)}")
