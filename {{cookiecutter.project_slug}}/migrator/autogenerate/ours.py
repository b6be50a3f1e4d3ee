"""Which tables belong to this project, because others may share its database."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from alembic import context

from migrator.autogenerate.describe import DescribingImpl, TableName, impl_of
from migrator.database import Database, ScratchRefusedError
from migrator.log import LOG_TABLE
from migrator.messages import tell

SYSTEM = "information_schema"  # Alembic asks for it, though nobody can have a table there


class Comparing(Protocol):
    """The command that is running, as far as a comparison needs it: see migrator.run.Run."""

    database: Database
    metadata: sa.MetaData
    compares_with_clean: bool  # whether the database is a clean one, which the revisions built

    def clean(self) -> AbstractContextManager[sa.Connection]:
        """Connect to a new database that the revisions have built; drop it at the end.

        Raises ScratchRefusedError if the user may not create a database.
        """
        ...

    def real(self) -> AbstractContextManager[sa.Connection | None]:
        """Connect to the database of the command, or to None where it is not there."""
        ...


def leave_views(
    item: object, _name: str | None, _kind: str, _reflected: bool, _compare_to: object
) -> bool:
    """Tell Alembic to look at everything but views, for it would create them as tables.

    SQLAlchemy keeps views and tables in the same metadata.
    """
    return not (isinstance(item, sa.Table) and item.is_view)


class Inventory(NamedTuple):
    """The schemas of a database beside the usual one, and all of its tables."""

    schemas: frozenset[str]
    tables: frozenset[TableName]


class OwnTables:
    """The tables and schemas of this project: those of a model, and those of a revision.

    Those of the revisions are read from a database that they have built, not from their source. In
    the source, a name may be in a variable, and a table may come from `op.execute()`.
    """

    def __init__(self, run: Comparing) -> None:
        self.run = run

    def include_name(self, name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
        """Tell Alembic whether to look at something: at schemas and tables only if they are ours.

        A foreign key that comes with another one is left out.

        `kind` is what `name` is the name of, and `parents` has the name of the schema.
        """
        if kind == "schema":
            return self.has_schema(name)
        if kind == "foreign_key_constraint" and name is not None:
            table = (parents.get("schema_name"), parents.get("table_name"), name)
            return table not in self.inherited_keys
        if kind == "table" and name is not None:
            return self.has_table(parents.get("schema_name"), name)
        return True

    def has_schema(self, schema: str | None) -> bool:
        if schema is None or schema in {model_schema for model_schema, _ in self.modelled}:
            return True
        if not self.impl.SCHEMAS_WITHIN or schema == SYSTEM:
            return False
        return self.run.compares_with_clean or schema in self.built.schemas

    def has_table(self, schema: str | None, name: str) -> bool:
        if (schema, name) in self.modelled:
            return True
        if name == LOG_TABLE or (schema, name) in self.unmanaged:
            return False
        return self.run.compares_with_clean or (schema, name) in self.built.tables

    @property
    def impl(self) -> DescribingImpl:
        return impl_of(context.get_context())

    @cached_property
    def modelled(self) -> set[TableName]:
        """The tables of the models."""
        default = self.impl.dialect.default_schema_name
        tables = self.run.metadata.tables.values()
        return {(None if table.schema == default else table.schema, table.name) for table in tables}

    @cached_property
    def unmanaged(self) -> set[TableName]:
        return self.impl.unmanaged()

    @cached_property
    def inherited_keys(self) -> set[tuple[str | None, str, str]]:
        return self.impl.inherited_keys()

    @cached_property
    def built(self) -> Inventory:
        """What the revisions build; nothing if no database can be created to try that."""
        try:
            with self.run.clean() as connection:
                return inventory(connection, self.impl.SCHEMAS_WITHIN)
        except ScratchRefusedError as refusal:
            tell(f"Tables that no model names are taken for someone else's: {refusal}")
            return Inventory(frozenset(), frozenset())


def inventory(connection: sa.Connection, has_schemas: bool) -> Inventory:
    """Return the schemas and tables of a database, with None for the usual schema.

    `has_schemas` says whether a schema is part of a database, and not another database.
    """
    inspector = sa.inspect(connection)
    named = inspector.get_schema_names() if has_schemas else []
    schemas = {name for name in named if name not in (inspector.default_schema_name, SYSTEM)}
    tables: set[TableName] = {(None, name) for name in inspector.get_table_names()}
    for schema in schemas:
        tables |= {(schema, name) for name in inspector.get_table_names(schema)}
    return Inventory(frozenset(schemas), frozenset(tables))
