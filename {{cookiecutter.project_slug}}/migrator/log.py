"""A log of what ran, in the table `alembic_log` beside `alembic_version`.

Each upgrade, downgrade or stamp of a revision adds a row, in the transaction that changes the
version. SQL that is written offline contains this INSERT as well.
"""

import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from sqlalchemy.schema import CreateTable

LOG_TABLE = "alembic_log"

# An attribute of Alembic's Config: True where SQL is written for a database that has the table.
HAS_LOG = "has_log"


@dataclass(frozen=True)
class Entry:
    """One row: what was done to which revision, when (in UTC), for how long and by whom."""

    ran_at: datetime
    direction: str  # upgrade, downgrade or stamp
    revision: str
    seconds: float | None  # None, like the host, for SQL that was written offline
    release: str
    host: str | None
    checksum: str


def log_table(schema: str | None = None) -> sa.Table:
    """Return the table, which is in the schema of the version table."""
    return sa.Table(
        LOG_TABLE,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ran_at", sa.DateTime, nullable=False),  # in UTC
        sa.Column("direction", sa.String(9), nullable=False),
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("release", sa.String(200), nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("checksum", sa.String(64), nullable=False),
        schema=schema,
    )


class Log:
    """Writes the log; `release` says which release of the service migrates."""

    def __init__(self, release: str, is_prepared: bool = False) -> None:
        self.release = release[:200]
        self.since = time.monotonic()
        # write() does nothing until then, so rehearsals are not logged.
        self.is_prepared = is_prepared

    def prepare(self, migration: MigrationContext) -> None:
        """Make the table if it is missing, and start the clock.

        Call it before the first revision: MariaDB commits at CREATE TABLE, so within a revision it
        would commit half of that.
        """
        self.since = time.monotonic()
        connection = migration.connection
        if connection is None:
            return
        was_begun = connection.in_transaction()  # by whoever passed the connection
        table = log_table(migration.version_table_schema)
        if not has_log(connection, table):
            connection.execute(CreateTable(table, if_not_exists=True))
        if not was_begun:
            connection.commit()
        self.is_prepared = True

    def write(
        self, ctx: MigrationContext, step: MigrationInfo, heads: set[Any], run_args: Any
    ) -> None:
        """Add the rows of a step. Alembic's on_version_apply dictates the arguments' names."""
        table = log_table(ctx.version_table_schema)
        if ctx.as_sql and not self.is_prepared:
            ctx.execute(CreateTable(table, if_not_exists=True))
            self.is_prepared = True
        if not self.is_prepared:
            return
        run = self.offline_run() if ctx.as_sql else self.this_run()
        for revision in step.up_revision_ids:
            change = {
                "direction": direction_of(step),
                "revision": revision,
                "release": self.release,
                "checksum": checksum(path_of(ctx.script, revision)),
            }
            ctx.execute(table.insert().values(change | run).inline())
        self.since = time.monotonic()

    def this_run(self) -> dict[str, Any]:
        """Return when and where a step ended, and how long it took."""
        seconds = round(time.monotonic() - self.since, 3)
        moment = datetime.now(UTC).replace(tzinfo=None)
        return {"ran_at": moment, "seconds": seconds, "host": platform.node()[:255]}

    def offline_run(self) -> dict[str, Any]:
        """Return what is known of SQL that somebody runs later and elsewhere."""
        return {"ran_at": sa.func.current_timestamp()}


def direction_of(step: MigrationInfo) -> str:
    if step.is_stamp:
        return "stamp"
    return "upgrade" if step.is_upgrade else "downgrade"


def path_of(script: ScriptDirectory | None, revision: str) -> Path | None:
    """Return the file of a revision, if it is there."""
    found = script.get_revision(revision) if script else None
    return Path(found.path) if found else None


def checksum(path: Path | None) -> str:
    """Return the SHA-256 of a file, with line endings as LF; "" without a file."""
    if path is None:
        return ""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def has_log(connection: sa.Connection, table: sa.Table) -> bool:
    return sa.inspect(connection).has_table(table.name, table.schema)


def entries(connection: sa.Connection, schema: str | None = None) -> list[Entry]:
    """Return the rows of a database's log, the oldest first; none if there is no log."""
    table = log_table(schema)
    if not has_log(connection, table):
        return []
    rows = connection.execute(sa.select(table).order_by(table.c.id)).mappings()
    return [entry_of(row) for row in rows]


def entry_of(row: Mapping[Any, Any]) -> Entry:
    values = {name: value for name, value in row.items() if name != "id"}
    return Entry(**values)


def edited(log: Sequence[Entry], script: ScriptDirectory) -> list[str]:
    """Return the names of the files that were changed after their revision was applied."""
    latest = {entry.revision: entry for entry in log}
    paths = {revision.revision: Path(revision.path) for revision in script.walk_revisions()}
    return sorted(
        paths[revision].name
        for revision, entry in latest.items()
        if entry.direction == "upgrade"
        and revision in paths
        and entry.checksum != checksum(paths[revision])
    )
