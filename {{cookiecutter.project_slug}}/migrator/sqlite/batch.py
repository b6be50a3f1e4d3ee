"""What Alembic's batch mode, which copies a table of SQLite to change it, would get wrong.

SQLite has no types for moments: SQLAlchemy writes them as text, `2026-01-02 12:34:56.000000`.
Alembic would CAST them to the new type, and `CAST(... AS DATETIME)` makes a number of such a text:
2026. https://www.sqlite.org/datatype3.html#determination_of_column_affinity says why.

And the copy would not have what SQLAlchemy's reflection does not return: AUTOINCREMENT, STRICT and
WITHOUT ROWID.
"""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl

if TYPE_CHECKING:
    from migrator.sqlite.sql import Table

MIDNIGHT = " 00:00:00.000000"
MOMENTS = (sa.DateTime, sa.Date, sa.Time)
# What follows the brackets of a CREATE TABLE, as SQLAlchemy's options of a table.
OPTIONS = {"STRICT": ("strict", True), "WITHOUT ROWID": ("with_rowid", False)}
CREATED_BY = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
# The last number that a table with AUTOINCREMENT has given to a row, which may be deleted by now.
KEEP_NUMBER = sa.text(
    "INSERT INTO sqlite_sequence (name, seq) "
    "SELECT :copy, seq FROM sqlite_sequence WHERE name = :original"
)


class BatchImpl(SQLiteImpl):
    """Alembic's class for SQLite; importing this module registers it."""

    __dialect__ = "sqlite"

    def cast_for_batch_migrate(
        self,
        existing: sa.Column[Any],
        existing_transfer: dict[str, Any],
        new_type: sa.types.TypeEngine[Any],
    ) -> None:
        """Say how a column's values come into the copy: `existing_transfer["expr"]` is SQL."""
        value: sa.ColumnElement[Any] = existing_transfer["expr"]
        if isinstance(new_type, MOMENTS):
            existing_transfer["expr"] = as_moment(value, existing.type, new_type)
        else:
            super().cast_for_batch_migrate(existing, existing_transfer, new_type)

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: sa.Table) -> None:
        """Give the copy of a table the options of it; `batch_impl` has both.

        Arguments of batch_alter_table() come first: `table_kwargs`, and a table in `copy_from`.
        """
        super().prep_table_for_batch(batch_impl, table)
        copy = batch_impl.new_table
        if not batch_impl.reflected or table.schema or self.connection is None or copy is None:
            return
        from migrator.sqlite.sql import read_table  # here, because most commands copy no table

        text = self.connection.exec_driver_sql(CREATED_BY, (table.name,)).scalar_one()
        for name, value in options_of(read_table(text), copy).items():
            if f"sqlite_{name}" not in batch_impl.table_kwargs:
                copy.dialect_options["sqlite"][name] = value
        if copy.dialect_options["sqlite"]["autoincrement"]:
            names = {"copy": copy.name, "original": table.name}
            self.connection.execute(KEEP_NUMBER, names)


def options_of(there: "Table", copy: sa.Table) -> dict[str, bool]:
    """Return the options of a table that its copy can have.

    AUTOINCREMENT needs a primary key of one column, which the copy may not have any more.
    """
    found = dict(OPTIONS[option] for option in there.options & OPTIONS.keys())
    if any(column.autoincrement for column in there.columns) and len(copy.primary_key.columns) == 1:
        found["autoincrement"] = True
    return found


def as_moment(
    value: sa.ColumnElement[Any], old: sa.types.TypeEngine[Any], new: sa.types.TypeEngine[Any]
) -> sa.ColumnElement[Any]:
    """Return a value as SQLAlchemy writes a moment, and what is none as it is."""
    if isinstance(new, sa.Date):
        return sa.func.coalesce(sa.func.date(value), value)
    if isinstance(new, sa.Time) and isinstance(old, sa.DateTime):
        # From the 12th character on it is the time; strftime() would round it to milliseconds.
        return sa.func.substr(value, 12)
    if isinstance(new, sa.DateTime) and isinstance(old, sa.Date):
        return sa.type_coerce(value, sa.String()) + sa.literal(MIDNIGHT, literal_execute=True)
    return value
