"""Fill columns of existing rows, in batches, while the service runs."""

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from migrator.database import Database
from migrator.messages import tell

# The name of an execution option. The journal of MariaDB ignores statements that have it, because
# a rerun may execute them again, with other parameters.
REPEATABLE = "migrator_repeatable"
TRIES = 10  # for a batch whose rows are in use
PAUSE = 0.5  # seconds between two tries
TELL_EVERY = 5.0  # seconds between two messages


def backfill(
    table: str, values: Mapping[str, Any], key: str = "id", batch: int = 1000, schema: str = ""
) -> None:
    """Set columns of all rows to values, in batches that are committed one by one.

    Call it in upgrade() of a revision that does nothing else, because its first commit includes
    what the revision did before. Rows that have the values already are not written, so a rerun
    continues where a run stopped. On SQLite, one transaction holds all batches.

    - `values` has a value or an expression by column: `{"full_name": sa.column("name")}`. To fill
      only what is NULL: `{"stars": sa.func.coalesce(sa.column("stars"), 0)}`
    - `key` is an indexed column without NULL, such as the primary key; a batch is a range of it
    - `batch` is how many rows are in one batch
    - `schema` is the schema of the table, or "" for the default one

    Raises CommandError for a key that is NULL in some rows, and sa.exc.DBAPIError for a batch whose
    rows are in use at each of 10 tries.
    """
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in {key, *values}]
    filling = Filling(sa.table(table, *columns, schema=schema or None), key, batch, values)
    migration = op.get_context()
    if migration.as_sql:
        op.execute(filling.update)
        return
    with migration.autocommit_block():
        filling.run(op.get_bind(), migration.opts["database"])


class Filling:
    """The statements that fill a table's columns."""

    def __init__(
        self, table: sa.TableClause, key: str, batch: int, values: Mapping[str, Any]
    ) -> None:
        self.table, self.key, self.batch = table, table.columns[key], batch
        differs = [table.columns[name].is_distinct_from(new) for name, new in values.items()]
        self.update = table.update().values(dict(values)).where(sa.or_(*differs))

    def run(self, connection: sa.Connection, database: Database) -> None:
        """Fill all batches, and print the progress every few seconds."""
        if connection.scalar(sa.select(sa.exists().where(self.key.is_(None)))):
            raise CommandError(
                f"{self.key} is NULL in some rows, which are in no batch then: name another key"
            )
        total = connection.scalar(sa.select(sa.func.count()).select_from(self.table))
        seen = written = 0
        last, told = None, time.monotonic()
        while True:
            rows, first, last = self.next_batch(connection, last)
            if not rows:
                break
            update = self.update.where(self.key.between(first, last))
            written += execute_patiently(connection, database, update)
            seen += rows
            if time.monotonic() > told + TELL_EVERY:
                told = time.monotonic()
                tell(f"{self.table.fullname}: {seen} of {total} rows")
        tell(f"{self.table.fullname}: {seen} rows, of which {written} were written")

    def next_batch(self, connection: sa.Connection, last: Any) -> tuple[int, Any, Any]:
        """Return the number of rows in the batch after the key `last`, its first and last key."""
        query = sa.select(self.key).select_from(self.table).order_by(self.key).limit(self.batch)
        if last is not None:
            query = query.where(self.key > last)
        keys = query.subquery()
        bounds = sa.func.count(), sa.func.min(keys.c[0]), sa.func.max(keys.c[0])
        rows, first, last = connection.execute(sa.select(*bounds)).one()
        return rows, first, last


def execute_patiently(connection: sa.Connection, database: Database, update: sa.Update) -> int:
    """Execute an update, repeat it while its rows are in use; return how many were written."""
    for tries_left in reversed(range(TRIES)):
        try:
            done = connection.execute(update, execution_options={REPEATABLE: True})
        except sa.exc.DBAPIError as error:
            if not tries_left or database.code(error.orig) not in database.BUSY:
                raise
            time.sleep(PAUSE)
        else:
            return done.rowcount
    return 0  # never reached, because the last try raises; mypy does not see that
