"""Autogenerate on PostgreSQL, which describes tables by its catalogue and has types of its own."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.rewriter import Rewriter
from alembic.ddl.postgresql import PostgresqlImpl as AlembicsImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.dialects.postgresql import CreateEnumType
from sqlalchemy.schema import CreateSequence

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.compare import setup_for
from migrator.autogenerate.describe import (
    Describing,
    Description,
    Pair,
    Part,
    TableName,
    describing,
    final_type,
)
from migrator.autogenerate.questions import columns_dropped, columns_retyped, in_the_way_of
from migrator.autogenerate.render import alembic_argument
from migrator.autogenerate.sequences import sequences_of
from migrator.autogenerate.steps import SQL, AlterColumn
from migrator.postgresql.enums import changes_of_enums, enum_of, enums_of, literal

DIALECT = "postgresql"
TEMPORARY = "pg_temp"  # the schema of temporary tables
# A column that numbers rows has a sequence, which is another one for a temporary table: it is told
# by its type alone.
PARTS = """
    WITH t AS MATERIALIZED (
        SELECT name, to_regclass(name) AS oid FROM unnest(%(tables)s::text[]) AS name),
    columns AS MATERIALIZED (
        SELECT t.name, a.attname, a.attgenerated, a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid) AS expression,
               format_type(a.atttypid, a.atttypmod) AS type,
               (SELECT q.seqtypid::regtype
                FROM pg_depend p JOIN pg_sequence q ON q.seqrelid = p.objid
                WHERE (p.refobjid, p.refobjsubid) = (a.attrelid, a.attnum) AND p.deptype = 'a'
                  AND p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
                LIMIT 1) AS serial
        FROM t JOIN pg_attribute a ON a.attrelid = t.oid
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attnum > 0 AND NOT a.attisdropped),
    constraints AS MATERIALIZED (
        SELECT t.name, k.* FROM t JOIN pg_constraint k ON k.conrelid = t.oid)
    SELECT name, 'type', attname::text, type FROM columns
    UNION ALL SELECT name, 'nullable', attname, (NOT attnotnull)::text FROM columns
    UNION ALL SELECT name, 'default', attname, expression FROM columns
        WHERE expression IS NOT NULL AND attgenerated = '' AND serial IS NULL
    UNION ALL SELECT name, 'sequence', attname, serial::text FROM columns WHERE serial IS NOT NULL
    UNION ALL SELECT name, 'computed', attname, expression FROM columns WHERE attgenerated <> ''
    UNION ALL SELECT name, 'key', '', pg_get_constraintdef(oid) FROM constraints
        WHERE contype = 'p'
    UNION ALL SELECT name, 'unique', conname, pg_get_constraintdef(oid) FROM constraints
        WHERE contype = 'u'
    UNION ALL SELECT name, 'check', conname, pg_get_expr(conbin, conrelid) FROM constraints
        WHERE contype = 'c'
    UNION ALL SELECT t.name, 'index', c.relname, concat(CASE WHEN i.indisunique THEN 'UNIQUE ' END,
               substr(def, strpos(def, ' USING ') + 1))
        FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid,
        LATERAL (SELECT pg_get_indexdef(i.indexrelid) AS def) AS definitions
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x'))
    """
# What has to go before a column does; an index of a constraint goes with the constraint.
DEPENDENTS = """
    SELECT 'check', k.conname FROM pg_depend d JOIN pg_constraint k ON k.oid = d.objid
        WHERE d.classid = 'pg_constraint'::regclass AND k.contype = 'c' AND {}
    UNION SELECT 'index', c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('i', 'I') AND {}"""
ON_COLUMN = """d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(table)s)
    AND d.refobjsubid = (SELECT attnum FROM pg_attribute
                         WHERE attrelid = d.refobjid AND attname = %(column)s)"""
COMPUTED_FROM = """
    SELECT a.attname FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
    JOIN pg_attribute a ON (a.attrelid, a.attnum) = (f.adrelid, f.adnum)
    WHERE d.classid = 'pg_attrdef'::regclass AND a.attgenerated <> '' AND {}"""
VIEWS = """
    SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class <> d.refobjid AND {} ORDER BY 1"""
# Partitions and other children, and tables that an extension has made.
UNMANAGED = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND (
        EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
        OR EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))"""
# An assignment does it, and so does ALTER TABLE: to text of any kind, or by a cast.
CONVERTS = """
    SELECT o.oid = n.oid OR n.typcategory = 'S' OR EXISTS (
        SELECT FROM pg_cast
        WHERE castsource = o.oid AND casttarget = n.oid AND castcontext IN ('a', 'i'))
    FROM pg_type o, pg_type n
    WHERE o.oid = to_regtype(%(old)s) AND n.oid = to_regtype(%(new)s)"""
BEGIN_NUMBERING = (
    "CREATE SEQUENCE {sequence} AS {type} OWNED BY {table}.{column}",
    "SELECT setval({text}, coalesce(max({column}), 0) + 1, false) FROM {table}",
    "ALTER TABLE {table} ALTER {column} SET DEFAULT nextval({text})",
)
END_NUMBERING = ("ALTER TABLE {table} ALTER {column} DROP DEFAULT", "DROP SEQUENCE {sequence}")
SEARCH = (
    "SELECT set_config('search_path', %(schemas)s || ', ' || current_setting('search_path'), true)"
)


class PostgreSQLImpl(Describing, AlembicsImpl):
    __dialect__ = DIALECT
    SCHEMAS_WITHIN = True

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the parts of a table, and of those in its schema that have a model."""
        usual = self.dialect.default_schema_name
        names = {table.name}
        for model in self.memory.models:
            if (model.schema or usual) == (table.schema or usual):
                names.add(model.name)
        with self.searching(table.schema):
            found = self.parts(names, table.schema)
        return {(table.schema, name): parts for name, parts in found.items()}

    def searching(self, schema: str | None) -> AbstractContextManager[None]:
        """Have names of a schema said without it; of the usual one they are anyway."""
        usual = schema in (None, self.dialect.default_schema_name)
        return nullcontext() if usual else self.looking_in({schema})

    def parts(self, names: Iterable[str], schema: str | None) -> dict[str, dict[Part, str]]:
        """Return what the catalogue says of tables of a schema: nothing, if one is not there."""
        tables = {self.full_name(name, schema): name for name in names}
        found: dict[str, dict[Part, str]] = {name: {} for name in tables.values()}
        rows = self.connected.exec_driver_sql(PARTS, {"tables": [*tables]})
        for table, kind, item, text in rows:
            found[tables[table]][Part(kind, item)] = text
        return found

    def full_name(self, name: str, schema: str | None) -> str:
        quote = self.dialect.identifier_preparer.quote
        return f"{quote(schema or self.dialect.default_schema_name or 'public')}.{quote(name)}"

    @contextmanager
    def looking_in(self, schemas: AbstractSet[str | None]) -> Iterator[None]:
        """Have names of these schemas said without the schema, until the end of the block.

        Names in the schema of temporary tables are. All else that is done in the block is undone.
        """
        savepoint = self.connected.begin_nested()
        try:
            quote = self.dialect.identifier_preparer.quote
            named = ", ".join(quote(schema) for schema in sorted(filter(None, schemas)))
            if named:
                self.connected.exec_driver_sql(SEARCH, {"schemas": named})
            yield
        finally:
            savepoint.rollback()

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        groups: dict[frozenset[str | None], list[sa.Table]] = {}
        for model in models:
            groups.setdefault(self.schemas_of(model), []).append(model)
        found: dict[sa.Table, Description] = {}
        for schemas, group in groups.items():
            found |= self.describe_group(schemas, group)
        return found

    def schemas_of(self, model: sa.Table) -> frozenset[str | None]:
        """Return the schemas of a model and of its enums."""
        enums = enums_of(model.columns, self.dialect)
        return frozenset([model.schema, *(enum.schema for enum in enums)])

    def describe_group(
        self, schemas: frozenset[str | None], models: Sequence[sa.Table]
    ) -> Mapping[sa.Table, Description]:
        """Make tables and their enums in the schema of temporary ones, and describe them.

        That schema is searched first, so the names of enums read as those of the model do.
        """
        moved = {"schema_translate_map": dict.fromkeys(schemas, TEMPORARY)}
        with self.looking_in(schemas):
            for statement in self.statements(models):
                self.connected.execute(statement, execution_options=moved)
            found = self.parts([model.name for model in models], TEMPORARY)
        return {model: found[model.name] for model in models}

    def statements(self, models: Sequence[sa.Table]) -> Iterator[sa.schema.ExecutableDDLElement]:
        """Yield what makes the models' enums and sequences, and then their tables."""
        columns = [column for model in models for column in model.columns]
        enums = {(enum.schema, enum.name): enum for enum in enums_of(columns, self.dialect)}
        yield from map(CreateEnumType, enums.values())
        yield from map(CreateSequence, sequences_of(models))
        for model in models:
            yield from self.create_statements(model)

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        query = DEPENDENTS.format(ON_COLUMN, ON_COLUMN)
        parameters = {"table": self.full_name(table.name, table.schema), "column": column}
        rows = self.connected.exec_driver_sql(query, parameters)
        found = {Part(kind, name) for kind, name in rows}
        return found & self.description(table).keys()

    def complete_column(
        self, change: ops.AlterColumnOp, there: sa.Column[Any], wanted: sa.Column[Any]
    ) -> None:
        """Set the default of a column again whose type changes.

        The one that is there is of the old type, and so is the text of it:
        `'1'::character varying`.
        """
        change.kw.pop("autoincrement", None)  # Alembic warns that this is for other databases
        defaults = (there.server_default, wanted.server_default)
        plain = all(isinstance(default, sa.DefaultClause) for default in defaults)
        if plain and change.modify_server_default is False and self.conversion(change):
            change.modify_server_default = wanted.server_default

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        """Have a column number its rows by a sequence of another type, or begin or cease to.

        SERIAL stands for a column, a sequence and a default; a change of type changes the column.
        """
        part = Part("sequence", column)
        old = self.description(pair.there).get(part)
        new = (self.model_description(pair.wanted) or {}).get(part)
        quote = self.dialect.identifier_preparer.quote
        table, name = self.dialect.identifier_preparer.format_table(pair.there), quote(column)
        if old and new:
            sequence = self.sequence_of(pair.there, column)
            types = [f"ALTER SEQUENCE {sequence} AS {type_}" for type_ in (new, old)]
            yield SQL(types[:1], types[1:], Phase.CHANGES)
            return
        known = old and self.sequence_of(pair.there, column)
        schema = f"{quote(pair.there.schema)}." if pair.there.schema else ""
        sequence = known or f"{schema}{quote(f'{pair.there.name}_{column}_seq')}"
        names = {"sequence": sequence, "table": table, "column": name, "type": new or old}
        names["text"] = literal(sequence)
        begin = [statement.format(**names) for statement in BEGIN_NUMBERING]
        end = [statement.format(**names) for statement in END_NUMBERING]
        yield SQL(begin, end, Phase.CHANGES) if new else SQL(end, begin, Phase.CHANGES)

    def sequence_of(self, table: sa.Table, column: str) -> str:
        """Return the quoted name of the sequence that belongs to a column."""
        parameters = {"table": self.full_name(table.name, table.schema), "column": column}
        query = "SELECT pg_get_serial_sequence(%(table)s, %(column)s)::regclass::text"
        name: str = self.connected.exec_driver_sql(query, parameters).scalar_one()
        return name

    def conversion(self, op: ops.AlterColumnOp) -> str | None:
        """Return how to convert the values of a column, where PostgreSQL does not by itself.

        Moments without a time zone are in UTC.
        """
        if op.modify_type is None or op.existing_type is None:
            return None
        old = final_type(op.existing_type, self.dialect)
        new = final_type(op.modify_type, self.dialect)
        name = self.dialect.identifier_preparer.quote(op.column_name)
        if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime):
            zones_differ = bool(old.timezone) != bool(new.timezone)
            return f"{name} AT TIME ZONE 'UTC'" if zones_differ else None
        if enum_of(old, self.dialect) or enum_of(new, self.dialect):
            return f"{name}::text::{new.compile(self.dialect)}"
        return None if self.converts(old, new) else f"{name}::{new.compile(self.dialect)}"

    def converts(self, old: sa.types.TypeEngine[Any], new: sa.types.TypeEngine[Any]) -> bool:
        """Tell whether PostgreSQL takes values of one type for another without being told how."""
        types = {"old": old.compile(self.dialect), "new": new.compile(self.dialect)}
        return bool(self.connected.exec_driver_sql(CONVERTS, types).scalar())

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield the views that keep a column from being dropped or getting another type."""
        query = VIEWS.format(ON_COLUMN)
        for column in (*columns_dropped(operations), *columns_retyped(operations)):
            table = self.full_name(column.table, column.schema)
            parameters = {"table": table, "column": column.name}
            for view in self.connected.exec_driver_sql(query, parameters).scalars():
                yield in_the_way_of(view, column)

    def computed_from(self, table: sa.Table, column: str) -> set[str]:
        parameters = {"table": self.full_name(table.name, table.schema), "column": column}
        query = COMPUTED_FROM.format(ON_COLUMN)
        return {*self.connected.exec_driver_sql(query, parameters).scalars()}

    def correct_for_autogen_constraints(
        self,
        conn_unique_constraints: set[sa.UniqueConstraint],
        conn_indexes: set[sa.Index],
        metadata_unique_constraints: set[sa.UniqueConstraint],
        metadata_indexes: set[sa.Index],
    ) -> None:
        """Leave out constraints of a model that PostgreSQL does not make.

        It makes none on the columns of the primary key.
        """
        super().correct_for_autogen_constraints(  # type: ignore[no-untyped-call]
            conn_unique_constraints, conn_indexes, metadata_unique_constraints, metadata_indexes
        )
        metadata_unique_constraints -= {
            item for item in metadata_unique_constraints if not self.is_made(item)
        }

    def is_made(self, constraint: sa.UniqueConstraint) -> bool:
        """Tell whether a unique constraint of a model is there once its table is made."""
        description = self.model_description(constraint.table)
        name = self.name_there(constraint)
        return description is None or not name or Part("unique", name) in description

    def unmanaged(self) -> set[tuple[str | None, str]]:
        usual = self.dialect.default_schema_name
        rows = self.connected.exec_driver_sql(UNMANAGED)
        return {(None if schema == usual else schema, name) for schema, name in rows}

    def render_type(
        self, type_: sa.types.TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Write an enum without its making, for a revision makes and changes enums by SQL.

        Of an Interval, SQLAlchemy's own text leaves the precision out.
        """
        if isinstance(type_, sa.Interval) and type_.second_precision is not None:
            autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
            return f"postgresql.INTERVAL(precision={type_.second_precision})"
        if not isinstance(type_, sa.Enum) or not type_.native_enum:
            return super().render_type(type_, autogen_context)
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        arguments = [*map(repr, type_.enums), f"name={type_.name!r}"]
        if type_.schema:
            arguments.append(f"schema={type_.schema!r}")
        return f"postgresql.ENUM({', '.join(arguments)}, create_type=False)"


def compare_enums(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Add what makes, changes and drops enums."""
    upgrade.ops += changes_of_enums(context)
    return PriorityDispatchResult.CONTINUE


rewriter = Rewriter()


@rewriter.rewrites(ops.AlterColumnOp)
def write_conversion(
    context: MigrationContext, _revision: object, op: ops.AlterColumnOp
) -> list[ops.MigrateOperation]:
    """Write how values are converted, and take a default away before: it is not converted."""
    impl = describing(context)
    using = impl.conversion(op) if isinstance(impl, PostgreSQLImpl) else None
    written: dict[str, str] = {}
    before: list[ops.MigrateOperation] = []
    if using:
        written["postgresql_using"] = repr(using)
        if isinstance(op.existing_server_default, sa.DefaultClause):
            drop = ops.AlterColumnOp(op.table_name, op.column_name, schema=op.schema)
            drop.modify_server_default = None
            before.append(drop)
    if is_identity_change(op):
        written["existing_server_default"] = identity_there(context, op)
    return [*before, AlterColumn(op, written)]


def is_identity_change(op: ops.AlterColumnOp) -> bool:
    """Tell whether an identity is changed that is there: PostgreSQL alters or drops it."""
    if op.modify_server_default is False or not op.existing_server_default:
        return False
    defaults = (op.modify_server_default, op.existing_server_default)
    return any(isinstance(default, sa.Identity) for default in defaults)


def identity_there(context: MigrationContext, op: ops.AlterColumnOp) -> str:
    """Return the source of the default that a column had, which Alembic does not write."""
    there = ops.AlterColumnOp(op.table_name, op.column_name)
    there.existing_server_default = op.existing_server_default
    autogenerate = AutogenContext(context, autogenerate=False)
    return alembic_argument(autogenerate, there, "existing_server_default")


def setup(plugin: Plugin) -> None:
    """Add what is compared on PostgreSQL alone."""
    setup_for(plugin, DIALECT)
    plugin.add_autogenerate_comparator(
        compare_enums, "schema", "enums", priority=DispatchPriority.LAST, qualifier=DIALECT
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.postgresql")
