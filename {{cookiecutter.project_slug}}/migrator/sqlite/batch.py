"""How values are converted while a table of SQLite is copied to change a column's type.

SQLite has no types for moments: SQLAlchemy writes them as text, `2026-01-02 12:34:56.000000`.
Alembic would CAST them to the new type, and `CAST(... AS DATETIME)` makes a number of such a text:
2026. https://www.sqlite.org/datatype3.html#determination_of_column_affinity says why.
"""

from typing import Any

import sqlalchemy as sa
from alembic.ddl.sqlite import SQLiteImpl

MIDNIGHT = " 00:00:00.000000"
MOMENTS = (sa.DateTime, sa.Date, sa.Time)


class ConvertingImpl(SQLiteImpl):
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
