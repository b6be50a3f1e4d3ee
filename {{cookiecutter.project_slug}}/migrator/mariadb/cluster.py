"""The lock of a Galera cluster: a row of the journal, because GET_LOCK locks a single node only.

The row outlives a killed process. So its owner renews it each second, and another process deletes
it after STALE seconds without a change. If the owner was only suspended, the primary key of the
journal prevents it from repeating a statement of its successor.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from migrator.mariadb.journal import CREATE_TABLE
from migrator.server import wait_for_lock

STALE = 10  # seconds without renewal after which the owner of the lock counts as dead
RENEW = 1  # seconds between two renewals
INSERT = "INSERT INTO alembic_journal (position, digest, statement) VALUES (0, UUID(), %s)"


def is_clustered(connection: sa.Connection) -> bool:
    """Tell whether this is a node of Galera."""
    found = connection.exec_driver_sql("SHOW VARIABLES LIKE 'wsrep_on'").first()
    return bool(found and found[1] == "ON")


def read_what_others_wrote(connection: sa.Connection) -> None:
    """Make a session's statements wait for what other nodes have committed."""
    connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 15")  # a bit mask: all kinds


@contextmanager
def hold_cluster_lock(connection: sa.Connection, me: str, wait: float) -> Iterator[None]:
    """Hold the cluster's lock until the block ends; `me` names this process to others.

    Raises CommandError when another migration does not end within `wait` seconds.
    """
    read_what_others_wrote(connection)
    with connection.engine.connect() as guard:
        row = LockRow(guard, me)
        wait_for_lock(row.claim, wait)
        with row.renewed():
            yield


class LockRow:
    """Row 0 of the journal. Because it exists once in a cluster, its owner has the lock."""

    def __init__(self, guard: sa.Connection, me: str) -> None:
        self.guard = guard.execution_options(isolation_level="AUTOCOMMIT")
        self.me = me
        self.seen_digest, self.seen_since = "", 0.0
        read_what_others_wrote(guard)

    def sql(self, statement: str, *values: str) -> Any:
        """Execute a statement; return None if it fails, such as when another node was faster."""
        with suppress(sa.exc.SQLAlchemyError):
            return self.guard.exec_driver_sql(statement, values)

    def claim(self) -> str | None:
        """Insert the row and return None, or return who owns it. Delete a stale row."""
        # Only if it is missing, because DDL would end the transaction of the lock's owner.
        if not self.guard.dialect.has_table(self.guard, "alembic_journal"):
            self.guard.exec_driver_sql(CREATE_TABLE)
        if self.sql(INSERT, self.me):
            return None
        result = self.sql("SELECT digest, statement FROM alembic_journal WHERE position = 0")
        digest, owner = (result and result.first()) or ("", "a process on another node")
        if digest != self.seen_digest:
            self.seen_digest, self.seen_since = digest, time.monotonic()
        elif time.monotonic() > self.seen_since + STALE:
            self.sql("DELETE FROM alembic_journal WHERE position = 0 AND digest = %s", digest)
        return str(owner)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the row each second until the block ends, then delete it."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEW):
                self.sql("UPDATE alembic_journal SET digest = UUID() WHERE statement = %s", self.me)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.sql("DELETE FROM alembic_journal WHERE statement = %s", self.me)
