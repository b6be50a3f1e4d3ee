"""Labels of an Enum that the database does not know: to it, the column is a text.

The revisions know them. While they build a clean database, this remembers the last that they said.
"""

from typing import Any

import sqlalchemy as sa
from alembic.ddl.impl import DefaultImpl

LABELS = "labels of enums"  # in `info` of a connection


class RememberingImpl(DefaultImpl):
    """Remembers the labels of the columns that revisions create and change."""

    def create_table(self, table: sa.Table, **kw: Any) -> None:
        super().create_table(table, **kw)
        for column in table.columns:
            self.remember(table.schema, table.name, column.name, column.type)

    def add_column(self, table_name: str, column: sa.Column[Any], **kw: Any) -> None:
        super().add_column(table_name, column, **kw)
        self.remember(kw.get("schema"), table_name, column.name, column.type)

    def alter_column(self, table_name: str, column_name: str, **kw: Any) -> None:
        super().alter_column(table_name, column_name, **kw)
        self.remember(kw.get("schema"), table_name, column_name, kw.get("type_"))

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        """Rename a table, which may be the copy of one."""
        super().rename_table(old_table_name, new_table_name, schema)
        for place in [*self.labels]:
            if place[:2] == (schema, old_table_name):
                self.labels[schema, str(new_table_name), place[2]] = self.labels.pop(place)

    @property
    def labels(self) -> dict[tuple[str | None, str, str], sa.Enum]:
        """The enums by schema, table and column."""
        if not isinstance(self.connection, sa.Connection):  # none, or one that only writes SQL
            return {}
        found: dict[tuple[str | None, str, str], sa.Enum] = self.connection.info.setdefault(
            LABELS, {}
        )
        return found

    def remember(self, schema: str | None, table: str, column: str, type_: object) -> None:
        if isinstance(type_, sa.Enum):
            self.labels[schema, str(table), str(column)] = type_

    def unknown_enum(self, column: sa.Column[Any]) -> sa.Enum | None:
        """Return the Enum that the revisions call the type of a column which is a text there."""
        if isinstance(column.type, sa.Enum):
            return None
        return self.labels.get((column.table.schema, column.table.name, column.name))
