"""Remove a column or a table in two releases.

During a deployment, the old release and the new one use the same database. So the code stops using
a column in one release, and the next release drops it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

Model = TypeVar("Model", bound=type[Any])
INFO_KEY = "leaving"  # in `info` of a column or a table that the next release drops


def leaving(*columns: sa.Column[Any]) -> Callable[[Model], Model]:
    """Keep columns in a model's table that the model no longer has. Return a class decorator.

    The release before still uses them, and this one does not:

        @leaving(sa.Column("name", sa.String(100)))
        class Customer(db.Model):
            ...

    The next release deletes this line, and autogenerate drops the column.

    Raises ValueError for a column that is neither nullable nor has a server_default, because this
    release inserts rows without it.
    """

    def keep(model: Model) -> Model:
        table: sa.Table = model.__table__
        for column in columns:
            refuse_required(table, column)
            column.info[INFO_KEY] = True
            table.append_column(column)  # the mapper is complete, so the model does not get it
        return model

    return keep


def refuse_required(table: sa.Table, column: sa.Column[Any]) -> None:
    """Raise ValueError for a column that every INSERT has to fill."""
    if not column.nullable and column.server_default is None:
        raise ValueError(
            f"{table.fullname}.{column.name} is leaving and NOT NULL: this release inserts rows "
            "without it. Remove nullable=False, or add a server_default"
        )


def is_leaving(item: sa.Column[Any] | sa.Table) -> bool:
    """Tell whether a column or a table stays only for the release before."""
    return INFO_KEY in item.info
