"""A Galera cluster has no lock of its own, as a server has: a row stands for it."""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from alembic_support.journal import TABLE

ME = f"alembic, process {os.getpid()} on {platform.node()}"
STALE = 10  # seconds after which a lock that nobody renews is that of a dead process


def clustered(connection: sa.Connection) -> bool:
    """Tell whether this is a node of Galera; if so, reads now wait for what other nodes wrote."""
    found = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
    if on := bool(found and found[1] == "ON"):
        connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 15")
    return on


class LockRow:
    """The journal's row 0, which a Galera cluster has but once: GET_LOCK is of a single node.

    It outlives a killed process. So its owner renews it each second, and who sees it unchanged
    for STALE seconds deletes it. Should the owner only have slept, then the primary key of the
    journal keeps it from doing a statement that its successor has done.
    """

    def __init__(self, guard: sa.Connection) -> None:
        self.guard = guard.execution_options(isolation_level="AUTOCOMMIT")
        self.seen, self.since = "", 0.0
        clustered(guard)

    def sql(self, statement: str, *values: str) -> Any:
        """Execute a statement; return nothing where another node was faster."""
        with suppress(sa.exc.SQLAlchemyError):
            return self.guard.exec_driver_sql(statement, values)

    def claim(self) -> str:
        """Insert the row and return nothing, or return who owns it."""
        if not self.guard.dialect.has_table(self.guard, "alembic_journal"):
            self.guard.exec_driver_sql(TABLE)  # where it is, DDL would end its owner's transaction
        if self.sql("INSERT INTO alembic_journal VALUES (0, UUID(), %s)", ME):
            return ""
        result = self.sql("SELECT digest, statement FROM alembic_journal WHERE position = 0")
        digest, owner = (result and result.first()) or ("", "a process on another node")
        if digest != self.seen:
            self.seen, self.since = digest, time.monotonic()
        elif time.monotonic() > self.since + STALE:
            self.sql("DELETE FROM alembic_journal WHERE position = 0 AND digest = %s", digest)
        return str(owner)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the row for as long as this lasts, and delete it then."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(1):
                self.sql("UPDATE alembic_journal SET digest = UUID() WHERE statement = %s", ME)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.sql("DELETE FROM alembic_journal WHERE statement = %s", ME)
