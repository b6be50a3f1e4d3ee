"""Which tables are this project's: a database may be shared with others."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from alembic import context

from migrator.autogenerate.describe import Describing, describing
from migrator.database import Database, ScratchRefusedError
from migrator.log import LOG_TABLE
from migrator.messages import tell

SYSTEM = "information_schema"  # Alembic asks for it, though nobody can have a table there


class Comparing(Protocol):
    """What a command that compares knows; migrator.run.Run is one."""

    database: Database
    metadata: sa.MetaData
    compares_with_clean: bool  # the connection is to a clean database, which the revisions built

    def clean(self) -> AbstractContextManager[sa.Connection]:
        """Make a clean database, built by the revisions, and connect to it."""
        ...


def leave_views(
    item: object, _name: str | None, _kind: str, _reflected: bool, _compare_to: object
) -> bool:
    """Tell Alembic to take no view for a table: SQLAlchemy keeps both in the same metadata."""
    return not (isinstance(item, sa.Table) and item.is_view)


class Inventory(NamedTuple):
    """What a clean database holds."""

    schemas: frozenset[str | None]
    tables: frozenset[tuple[str | None, str]]


class Ours:
    """The tables and schemas that a model names, or that the revisions make.

    What the revisions make is read from a database that they have built, not from their source:
    a name may be in a variable, and a table may come from `op.execute()`.
    """

    def __init__(self, run: Comparing) -> None:
        self.run = run

    def include_name(self, name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        """Tell Alembic whether to look at a schema or a table; of ours, it looks at everything."""
        if kind == "schema":
            return self.has_schema(name)
        if kind == "table" and name is not None:
            return self.has_table(parents.get("schema_name"), name)
        return True

    def has_schema(self, schema: str | None) -> bool:
        if schema is None or schema in {model_schema for model_schema, _ in self.modelled}:
            return True
        if not self.impl.SCHEMAS_WITHIN or schema == SYSTEM:
            return False
        return self.run.compares_with_clean or schema in self.clean.schemas

    def has_table(self, schema: str | None, name: str) -> bool:
        if (schema, name) in self.modelled:
            return True
        if name == LOG_TABLE or (schema, name) in self.unmanaged:
            return False
        return self.run.compares_with_clean or (schema, name) in self.clean.tables

    @property
    def impl(self) -> Describing:
        return describing(context.get_context())

    @cached_property
    def modelled(self) -> set[tuple[str | None, str]]:
        default = self.impl.dialect.default_schema_name
        tables = self.run.metadata.tables.values()
        return {(None if table.schema == default else table.schema, table.name) for table in tables}

    @cached_property
    def unmanaged(self) -> set[tuple[str | None, str]]:
        return self.impl.unmanaged()

    @cached_property
    def clean(self) -> Inventory:
        """What a database holds that the revisions have built, and nothing where there is none."""
        try:
            with self.run.clean() as connection:
                return inventory(connection, self.impl.SCHEMAS_WITHIN)
        except ScratchRefusedError as refusal:
            tell(f"Tables that no model names are taken for someone else's: {refusal}")
            return Inventory(frozenset(), frozenset())


def inventory(connection: sa.Connection, has_schemas: bool) -> Inventory:
    """Return the schemas and tables of a database, with None for the usual schema."""
    inspector = sa.inspect(connection)
    named = inspector.get_schema_names() if has_schemas else []
    schemas = {*named} - {inspector.default_schema_name, SYSTEM}
    tables: set[tuple[str | None, str]] = {(None, name) for name in inspector.get_table_names()}
    for schema in schemas:
        tables |= {(schema, name) for name in inspector.get_table_names(schema)}
    return Inventory(frozenset(schemas), frozenset(tables))
