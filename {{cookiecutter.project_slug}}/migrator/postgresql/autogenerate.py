"""Autogenerate on PostgreSQL, which describes tables in its catalogue and has enums as types."""

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
from sqlalchemy.dialects.postgresql import DOMAIN, CreateDomainType, CreateEnumType
from sqlalchemy.schema import CreateSequence
from sqlalchemy.sql.elements import conv

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.compare import setup_for
from migrator.autogenerate.describe import (
    DescribingImpl,
    Description,
    Pair,
    Part,
    TableName,
    final_type,
    impl_of,
)
from migrator.autogenerate.questions import (
    Dependent,
    all_dropped_columns,
    all_retyped_columns,
    dropped_tables,
    in_the_way,
)
from migrator.autogenerate.render import alembic_argument, alembic_type
from migrator.autogenerate.sequences import sequences_of
from migrator.autogenerate.steps import SQL, AlterColumn, PrimaryKey
from migrator.postgresql.concurrently import move_outside, question, without_option
from migrator.postgresql.domains import changes_of_domains, domains_of
from migrator.postgresql.enums import changes_of_enums, enum_of, enums_of, literal

DIALECT = "postgresql"
TEMPORARY = "pg_temp"  # the schema of temporary tables
# The parts of tables. Of a sequence that numbers rows, only the type counts, because a temporary
# table has another sequence than the real one.
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
# What has to be dropped before a column. The index of a constraint is dropped with the constraint.
DEPENDENTS = """
    SELECT 'check', k.conname FROM pg_depend d JOIN pg_constraint k ON k.oid = d.objid
        WHERE d.classid = 'pg_constraint'::regclass AND k.contype = 'c' AND {}
    UNION SELECT 'index', c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
        WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('i', 'I') AND {}"""
# The condition on pg_depend that something depends on a column; each {} below stands for it.
ON_COLUMN = """d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(table)s)
    AND d.refobjsubid = (SELECT attnum FROM pg_attribute
                         WHERE attrelid = d.refobjid AND attname = %(column)s)"""
COMPUTED_FROM = """
    SELECT a.attname FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
    JOIN pg_attribute a ON (a.attrelid, a.attnum) = (f.adrelid, f.adnum)
    WHERE d.classid = 'pg_attrdef'::regclass AND a.attgenerated <> '' AND {}"""
# What else depends on a column or a table, each with the statement that creates it.
USING = """
    SELECT DISTINCT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' END,
        c.oid::regclass::text, pg_describe_object(d.classid, d.objid, 0),
        coalesce(pg_get_viewdef(c.oid), pg_get_triggerdef(g.oid), pg_get_functiondef(p.oid))
    FROM pg_depend d
    LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    LEFT JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
    LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    WHERE d.deptype = 'n' AND d.classid::regclass::text
            IN ('pg_rewrite', 'pg_trigger', 'pg_policy', 'pg_proc')
        AND r.ev_class IS DISTINCT FROM d.refobjid AND {} ORDER BY 3"""
ON_TABLE = """d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(%(table)s)
    AND d.classid::regclass::text IN ('pg_rewrite', 'pg_proc')"""
# Partitions and other children of tables, and the tables of extensions.
UNMANAGED = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND (
        EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)
        OR EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))"""
# A foreign key to a partitioned table has one to each partition, and one of such a table is one of
# each partition.
INHERITED_KEYS = """
    SELECT n.nspname, c.relname, k.conname
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.conparentid <> 0"""
# Whether ALTER TABLE converts values from one type to another without USING. It does what an
# assignment does: it converts to any type of text, and by casts.
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
SET_SEARCH_PATH = (
    "SELECT set_config('search_path', %(schemas)s || ', ' || current_setting('search_path'), true)"
)


class PostgreSQLImpl(DescribingImpl, AlembicsImpl):
    __dialect__ = DIALECT
    SCHEMAS_WITHIN = True

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the descriptions of a table, and of the tables of all models in its schema."""
        usual = self.dialect.default_schema_name
        names = {table.name}
        for model in self.memory.models:
            if (model.schema or usual) == (table.schema or usual):
                names.add(model.name)
        with self.searching(table.schema):
            found = self.parts(names, table.schema)
        return {(table.schema, name): parts for name, parts in found.items()}

    def searching(self, schema: str | None) -> AbstractContextManager[None]:
        """Have PostgreSQL write names in a schema without the schema, until the end of the block.

        Names in the default schema are always written so.
        """
        is_default = schema in (None, self.dialect.default_schema_name)
        return nullcontext() if is_default else self.searching_all({schema})

    def parts(self, names: Iterable[str], schema: str | None) -> dict[str, dict[Part, str]]:
        """Return the parts of tables in a schema, by their names; a missing table has none."""
        tables = {self.full_name(name, schema): name for name in names}
        found: dict[str, dict[Part, str]] = {name: {} for name in tables.values()}
        rows = self.connected.exec_driver_sql(PARTS, {"tables": [*tables]})
        for table, kind, item, text in rows:
            found[tables[table]][Part(kind, item)] = text
        return found

    def full_name(self, name: str, schema: str | None) -> str:
        """Return the quoted name of a table with its schema, for to_regclass()."""
        quote = self.dialect.identifier_preparer.quote
        return f"{quote(schema or self.dialect.default_schema_name or 'public')}.{quote(name)}"

    @contextmanager
    def searching_all(self, schemas: AbstractSet[str | None]) -> Iterator[None]:
        """Have PostgreSQL write names in these schemas without the schema, in this block.

        The end of the block undoes everything that was done in it.
        """
        savepoint = self.connected.begin_nested()
        try:
            quote = self.dialect.identifier_preparer.quote
            named = ", ".join(quote(schema) for schema in sorted(filter(None, schemas)))
            if named:
                self.connected.exec_driver_sql(SET_SEARCH_PATH, {"schemas": named})
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
        """Return the schemas of a model's table, and of its enums and domains."""
        enums = enums_of(model.columns, self.dialect)
        domains = domains_of(model.columns, self.dialect)
        return frozenset([model.schema, *(type_.schema for type_ in [*enums, *domains])])

    def describe_group(
        self, schemas: frozenset[str | None], models: Sequence[sa.Table]
    ) -> Mapping[sa.Table, Description]:
        """Create temporary tables with their types, describe them, and remove them.

        `schemas` are those of the models and types. PostgreSQL searches the schema of temporary
        tables first, so it writes the names of these types as those of the real ones.
        """
        moved = {"schema_translate_map": dict.fromkeys(schemas, TEMPORARY)}
        with self.searching_all(schemas):
            for statement in self.statements(models):
                self.connected.execute(statement, execution_options=moved)
            found = self.parts([model.name for model in models], TEMPORARY)
        return {model: found[model.name] for model in models}

    def statements(self, models: Sequence[sa.Table]) -> Iterator[sa.schema.ExecutableDDLElement]:
        """Yield statements that create the models' types and sequences, and then their tables."""
        columns = [column for model in models for column in model.columns]
        enums = {(enum.schema, enum.name): enum for enum in enums_of(columns, self.dialect)}
        yield from map(CreateEnumType, enums.values())
        domains = {(each.schema, each.name): each for each in domains_of(columns, self.dialect)}
        yield from map(CreateDomainType, domains.values())
        yield from map(CreateSequence, sequences_of(models))
        for model in models:
            yield from self.create_statements(without_option(model))

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        query = DEPENDENTS.format(ON_COLUMN, ON_COLUMN)
        parameters = {"table": self.full_name(table.name, table.schema), "column": column}
        rows = self.connected.exec_driver_sql(query, parameters)
        found = {Part(kind, name) for kind, name in rows}
        return found & self.description(table).keys()

    def complete_column(
        self, change: ops.AlterColumnOp, there: sa.Column[Any], wanted: sa.Column[Any]
    ) -> None:
        """Set the default again if the type of the column changes.

        PostgreSQL keeps a default as an expression of the old type: `'1'::character varying`.
        """
        change.kw.pop("autoincrement", None)  # Alembic warns that it has no effect on PostgreSQL
        defaults = (there.server_default, wanted.server_default)
        are_plain = all(isinstance(default, sa.DefaultClause) for default in defaults)
        if are_plain and change.modify_server_default is False and self.conversion(change):
            change.modify_server_default = wanted.server_default

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        """Yield statements that add, retype or remove the sequence that numbers rows by a column.

        That is what SERIAL means: a sequence, and a default that takes its values from it.
        """
        part = Part("sequence", column)
        old_type = self.description(pair.there).get(part)
        new_type = (self.model_description(pair.wanted) or {}).get(part)
        if old_type is None:
            sequence = self.usual_sequence(pair.there, column)
        else:
            sequence = self.sequence_of(pair.there, column)
        if old_type and new_type:
            alter = f"ALTER SEQUENCE {sequence} AS"
            yield SQL([f"{alter} {new_type}"], [f"{alter} {old_type}"], Phase.CHANGES)
            return
        preparer = self.dialect.identifier_preparer
        words = {
            "sequence": sequence,
            "text": literal(sequence),
            "table": preparer.format_table(pair.there),
            "column": preparer.quote(column),
            "type": new_type or old_type,
        }
        begin = [statement.format(**words) for statement in BEGIN_NUMBERING]
        end = [statement.format(**words) for statement in END_NUMBERING]
        yield SQL(begin, end, Phase.CHANGES) if new_type else SQL(end, begin, Phase.CHANGES)

    def usual_sequence(self, table: sa.Table, column: str) -> str:
        """Return the quoted name that PostgreSQL gives to the sequence of a SERIAL column."""
        quote = self.dialect.identifier_preparer.quote
        schema = f"{quote(table.schema)}." if table.schema else ""
        return f"{schema}{quote(f'{table.name}_{column}_seq')}"

    def sequence_of(self, table: sa.Table, column: str) -> str:
        """Return the quoted name of the sequence that a column of the database has."""
        parameters = {"table": self.full_name(table.name, table.schema), "column": column}
        query = "SELECT pg_get_serial_sequence(%(table)s, %(column)s)::regclass::text"
        name: str = self.connected.exec_driver_sql(query, parameters).scalar_one()
        return name

    def conversion(self, op: ops.AlterColumnOp) -> str | None:
        """Return the expression that converts a column's values to its new type, for USING.

        It is None if PostgreSQL needs none. Times without a time zone are taken to be in UTC.
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
        """Tell whether ALTER TABLE converts values from one type to another without USING."""
        types = {"old": old.compile(self.dialect), "new": new.compile(self.dialect)}
        return bool(self.connected.exec_driver_sql(CONVERTS, types).scalar())

    def drop_if_there(self, op: ops.MigrateOperation, name: str) -> list[ops.MigrateOperation]:
        if isinstance(op, ops.DropIndexOp):
            return [ops.DropIndexOp(name, op.table_name, schema=op.schema, if_exists=True)]
        if isinstance(op, ops.DropConstraintOp | PrimaryKey):
            kind = op.constraint_type if isinstance(op, ops.DropConstraintOp) else "primary"
            schema, named = op.schema, conv(name)
            return [ops.DropConstraintOp(named, op.table_name, kind, schema=schema, if_exists=True)]
        return []

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield a question for whatever prevents a change of a column, or the drop of a table."""
        columns = [(column, column.name) for column in all_dropped_columns(operations)]
        columns += [(column, "") for column in all_retyped_columns(operations)]
        for column, goes in columns:
            table = self.full_name(column.table, column.schema)
            for dependent in self.using(ON_COLUMN, table, column.name):
                yield in_the_way(dependent, f"{column.table}.{column.name}", goes)
        for drop in dropped_tables(operations):
            for dependent in self.using(ON_TABLE, self.full_name(drop.table_name, drop.schema)):
                yield in_the_way(dependent, drop.table_name, drop.table_name)
        if isinstance(operations, ops.UpgradeOps):
            yield from question(operations)

    def using(self, where: str, table: str, column: str = "") -> Iterator[Dependent]:
        """Yield what depends on a column, or on a table and does not go with it."""
        query = USING.format(where)
        rows = self.connected.exec_driver_sql(query, {"table": table, "column": column})
        for kind, name, text, definition in rows:
            if kind:
                create = f"CREATE {kind} {name} AS {definition}"
                yield Dependent(f"the {kind.lower()} {name}", f"DROP {kind} {name}", create)
            else:
                drop = f"DROP {text}".replace(" on table ", " ON ")  # of a trigger
                yield Dependent(f"the {text}", drop, definition or "")

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
        """Remove from what Alembic compares the constraints that PostgreSQL does not create.

        It creates no unique constraint on exactly the columns of the primary key.
        """
        super().correct_for_autogen_constraints(  # type: ignore[no-untyped-call]
            conn_unique_constraints, conn_indexes, metadata_unique_constraints, metadata_indexes
        )
        metadata_unique_constraints -= {
            item for item in metadata_unique_constraints if not self.is_created(item)
        }

    def is_created(self, constraint: sa.UniqueConstraint) -> bool:
        """Tell whether PostgreSQL creates a unique constraint of a model, as far as is known."""
        description = self.model_description(constraint.table)
        name = self.name_in_database(constraint)
        return description is None or not name or Part("unique", name) in description

    def unmanaged(self) -> set[TableName]:
        default = self.dialect.default_schema_name
        rows = self.connected.exec_driver_sql(UNMANAGED)
        return {(None if schema == default else schema, name) for schema, name in rows}

    def inherited_keys(self) -> set[tuple[str | None, str, str]]:
        usual = self.dialect.default_schema_name
        rows = self.connected.exec_driver_sql(INHERITED_KEYS)
        return {(None if schema == usual else schema, *names) for schema, *names in rows}

    def render_type(
        self, type_: sa.types.TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Write an enum or a domain with create_type=False, because a revision creates it by SQL.

        An Interval is written with its precision, which SQLAlchemy's repr() of it leaves out.
        """
        if isinstance(type_, sa.Interval) and type_.second_precision is not None:
            autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
            return f"postgresql.INTERVAL(precision={type_.second_precision})"
        if isinstance(type_, DOMAIN):
            autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
            arguments = [repr(type_.name), alembic_type(autogen_context, type_.data_type)]
            return f"postgresql.DOMAIN({', '.join([*arguments, *last_arguments(type_)])})"
        if not isinstance(type_, sa.Enum) or not type_.native_enum:
            return super().render_type(type_, autogen_context)
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        arguments = [*map(repr, type_.enums), f"name={type_.name!r}", *last_arguments(type_)]
        return f"postgresql.ENUM({', '.join(arguments)})"


def last_arguments(type_: sa.Enum | DOMAIN) -> list[str]:
    """Return the last arguments of a type that a revision makes by SQL."""
    schema = [f"schema={type_.schema!r}"] if type_.schema else []
    return [*schema, "create_type=False"]


def compare_types(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Add the operations that create, change and drop enums and domains."""
    upgrade.ops += changes_of_enums(context)
    upgrade.ops += changes_of_domains(context)
    return PriorityDispatchResult.CONTINUE


rewriter = Rewriter()


@rewriter.rewrites(ops.AlterColumnOp)
def write_conversion(
    context: MigrationContext, _revision: object, op: ops.AlterColumnOp
) -> list[ops.MigrateOperation]:
    """Write how a change of type converts values, and drop the default before it.

    PostgreSQL does not convert a default with USING, but refuses the change.
    """
    impl = impl_of(context)
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


@rewriter.rewrites(ops.UpgradeOps)
def end_outside(
    _context: MigrationContext, _revision: object, upgrade: ops.UpgradeOps
) -> ops.UpgradeOps:
    upgrade.ops += move_outside(upgrade)
    return upgrade


@rewriter.rewrites(ops.DowngradeOps)
def begin_outside(
    _context: MigrationContext, _revision: object, downgrade: ops.DowngradeOps
) -> ops.DowngradeOps:
    """Begin with what can be done again, so that a downgrade that stops after it can be, too."""
    downgrade.ops = [*move_outside(downgrade), *downgrade.ops]
    return downgrade


def is_identity_change(op: ops.AlterColumnOp) -> bool:
    """Tell whether an identity is altered, dropped, or put in the place of another default."""
    if op.modify_server_default is False or not op.existing_server_default:
        return False
    defaults = (op.modify_server_default, op.existing_server_default)
    return any(isinstance(default, sa.Identity) for default in defaults)


def identity_there(context: MigrationContext, op: ops.AlterColumnOp) -> str:
    """Return the Python source of the default that a column has, which Alembic does not write."""
    there = ops.AlterColumnOp(op.table_name, op.column_name)
    there.existing_server_default = op.existing_server_default
    autogenerate = AutogenContext(context, autogenerate=False)
    return alembic_argument(autogenerate, there, "existing_server_default")


def setup(plugin: Plugin) -> None:
    """Add the comparators for PostgreSQL."""
    setup_for(plugin, DIALECT)
    plugin.add_autogenerate_comparator(
        compare_types, "schema", "types", priority=DispatchPriority.LAST, qualifier=DIALECT
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.postgresql")
