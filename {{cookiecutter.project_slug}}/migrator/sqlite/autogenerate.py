"""Autogenerate on SQLite, which keeps SQL as it was written and changes a table by copying it.

An index is "odd" here if it has expressions. Reflection loses them, and a copy of the table does.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import conv

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.compare import recreate, setup_for
from migrator.autogenerate.describe import (
    KEY,
    DescribingImpl,
    Description,
    Pair,
    Part,
    TableName,
    column_named,
    impl_of,
    names,
)
from migrator.autogenerate.questions import (
    Dependent,
    changed_tables,
    dropped_tables,
    in_the_way,
)
from migrator.autogenerate.steps import SQL
from migrator.sqlite import sql
from migrator.sqlite.batch import OPTIONS, BatchImpl
from migrator.sqlite.restate import Restated, restated

DIALECT = "sqlite"
TEMPORARY = "temp"  # the schema of temporary tables
Column = tuple[
    str, sa.types.TypeEngine[Any], bool
]  # the name, the type, and whether it is nullable
STATEMENTS = """
    SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master
    WHERE sql IS NOT NULL ORDER BY name"""


class Statement(NamedTuple):
    """A statement that has created something, which SQLite keeps nearly as it was given.

    `kind` is table, index, trigger or view.
    """

    kind: str
    name: str
    table: str
    sql: str


# The statements that have created each table of a schema, its indexes and its triggers.
Statements = dict[str, list[Statement]]


class SQLiteImpl(DescribingImpl, BatchImpl):
    __dialect__ = DIALECT
    COPIES_TABLES = True
    FORWARD_KEYS = True  # SQLite does not look for the other table before a row is written

    def begin_comparison(self, models: Sequence[sa.Table]) -> None:
        super().begin_comparison(models)
        self.memo.pop(Statement, None)  # see statements_of()

    def statements_of(self, table: sa.Table) -> list[Statement]:
        """Return the statements that have created a table, its indexes and its triggers.

        A comparison reads the statements of a schema once, and keeps them in `impl.memo`.
        """
        schema = table.schema or "main"
        kept: dict[str, Statements] = self.memo.setdefault(Statement, {})
        if schema not in kept:
            kept[schema] = by_table(self.statements(schema))
        return kept[schema].get(table.name, [])

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the description of a table, most of which is read from its statements."""
        columns = [(item.name, item.type, bool(item.nullable)) for item in table.columns]
        key = [item.name for item in table.primary_key.columns]
        parts = self.parts(columns, key, self.statements_of(table))
        return {(table.schema, table.name): parts}

    def parts(
        self, columns: Iterable[Column], key: Sequence[str], statements: Iterable[Statement]
    ) -> Description:
        """Return the description of a table with these columns, primary key and statements."""
        found: dict[Part, str] = {}
        for name, type_, nullable in columns:
            found[Part("type", name)] = self.type_text(type_)
            found[Part("nullable", name)] = str(nullable)
        if key:
            found[KEY] = ", ".join(key)
        for statement in statements:
            if statement.kind == "table":
                read = sql.read_table(statement.sql)
                found |= parts_of_table(read)
                found |= types_with_collations(found, read)
            elif statement.kind == "index":
                found[Part("index", statement.name)] = index_text(sql.read_index(statement.sql))
        return found

    def type_text(self, type_: sa.types.TypeEngine[Any]) -> str:
        """Return a type as SQL, with the same name for types that are synonyms."""
        text = type_.compile(self.dialect)
        for synonyms in self.type_synonyms:
            for name in synonyms:
                if text == name or text.startswith(f"{name}("):
                    return min(synonyms) + text.removeprefix(name)
        return text

    def statements(self, schema: str) -> Iterator[Statement]:
        """Yield the statements that have created everything in a schema."""
        for row in self.connected.exec_driver_sql(STATEMENTS.format(schema=schema)):
            yield Statement(*row)

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Return the descriptions of models.

        A model whose SQL has created its table has the description of that table. The tables of the
        other models are created as temporary ones.
        """
        found: dict[sa.Table, Description] = {}
        for model in models:
            there = self.memory.reflected.get((model.schema, model.name))
            if there is not None and self.is_created_by(self.statements_of(there), model):
                found[model] = self.description(there)
        others = [model for model in models if model not in found]
        return {**found, **(self.describe_temporary(others) if others else {})}

    def is_created_by(self, statements: Sequence[Statement], model: sa.Table) -> bool:
        """Tell whether statements are those that would create a model's table and its indexes.

        Each text has to be exactly the same. Only the order of columns and constraints may differ,
        because a description does not have it.
        """
        tables = [statement.sql for statement in statements if statement.kind == "table"]
        indexes = {statement.sql for statement in statements if statement.kind == "index"}
        if len(tables) != 1 or indexes != {self.text_of(CreateIndex(i)) for i in model.indexes}:
            return False
        wanted = self.text_of(CreateTable(model))
        return wanted == tables[0] or sql.definitions(wanted) == sql.definitions(tables[0])

    def text_of(self, statement: sa.schema.ExecutableDDLElement) -> str:
        return str(statement.compile(dialect=self.dialect)).strip()

    def describe_temporary(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Create the tables of models as temporary ones, describe them, and remove them."""
        moved = {"schema_translate_map": {model.schema: TEMPORARY for model in models}}
        savepoint = self.connected.begin_nested()
        try:
            for model in models:
                for statement in self.create_statements(model):
                    self.connected.execute(statement, execution_options=moved)
            created = by_table(self.statements(TEMPORARY))
            inspector = sa.inspect(self.connected)
            return {
                model: self.temporary_parts(inspector, model.name, created[model.name])
                for model in models
            }
        finally:
            savepoint.rollback()

    def temporary_parts(
        self, inspector: sa.Inspector, name: str, statements: Iterable[Statement]
    ) -> Description:
        """Return the description of the temporary table that these statements have created."""
        reflected = inspector.get_columns(name, TEMPORARY)
        columns = [(item["name"], item["type"], item["nullable"]) for item in reflected]
        key = inspector.get_pk_constraint(name, TEMPORARY)["constrained_columns"]
        return self.parts(columns, key, statements)

    def autogen_column_reflect(
        self, inspector: sa.Inspector, table: sa.Table, column_info: dict[str, Any]
    ) -> None:
        """Give a computed column its expression: reflection cuts it after a NUMERIC(10, 2)."""
        super().autogen_column_reflect(inspector, table, column_info)
        if column_info.get("computed"):
            expression = self.computed_text(table, column_info["name"])
            column_info["computed"]["sqltext"] = expression

    def computed_text(self, table: sa.Table, column: str) -> str | None:
        """Return the expression of a computed column, as its table was created with it."""
        for statement in self.statements_of(table):
            if statement.kind == "table":
                columns = sql.read_table(statement.sql).columns
                return next(item.computed for item in columns if item.name == column)
        return None

    def normal(self, part: Part, text: str) -> str:
        if part.kind == "type":
            return text
        return sql.normal_default(text) if part.kind == "default" else sql.normal(text)

    def index_there(self, table: sa.Table, name: str) -> sa.Index:
        """Return an index of a table, read from its SQL.

        Reflection loses expressions and conditions.
        """
        text = self.description(table)[Part("index", name)]
        return index_on(table, name, sql.read_index(text))

    def correct_for_autogen_constraints(
        self,
        conn_uniques: set[sa.UniqueConstraint],
        conn_indexes: set[sa.Index],
        metadata_unique_constraints: set[sa.UniqueConstraint],
        metadata_indexes: set[sa.Index],
    ) -> None:
        """Remove odd indexes from what Alembic compares.

        `compare_parts` compares them instead. Alembic's own method removes them as well, but with a
        warning, so it is not called. The tests in tests/matrix are "functional index added",
        "descending index added" and those beside them.
        """
        odd = {self.name_in_database(index) for index in metadata_indexes if has_expressions(index)}
        odd |= {self.name_in_database(index) for index in conn_indexes if self.is_odd_there(index)}
        for indexes in (metadata_indexes, conn_indexes):
            indexes -= {index for index in indexes if self.name_in_database(index) in odd}

    def is_odd_there(self, index: sa.Index) -> bool:
        """Tell whether an index of the database is odd, even if reflection shows only columns."""
        return index.table is not None and has_expressions(
            self.index_there(index.table, self.name_in_database(index))
        )

    def unmanaged(self) -> set[TableName]:
        """Return virtual tables, and the tables that those keep their contents in."""
        rows = self.connected.exec_driver_sql(
            "SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')"
        )
        return {(None, name) for name in rows.scalars()}

    def drop_if_there(self, op: ops.MigrateOperation, name: str) -> list[ops.MigrateOperation]:
        if not isinstance(op, ops.DropIndexOp):
            return []
        quoted = self.dialect.identifier_preparer.quote(name)
        return [SQL([f"DROP INDEX IF EXISTS {quoted}"], [], Phase.CHANGES)]

    def restated(
        self, op: ops.ModifyTableOps, pair: Pair, goes_back: bool
    ) -> list[ops.MigrateOperation]:
        return restated(self, op, pair, goes_back)

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield what a copy of a table would lose, and what stops it or a drop."""
        copied = sorted(copied_tables(operations))
        dropped = [op.table_name for op in dropped_tables(operations)]
        statements = [*self.statements("main")] if copied or dropped else []
        for statement in statements:
            for table in (*copied, *dropped):
                is_own = statement.kind == "trigger" and statement.table == table
                if uses_table(statement, table) and not (is_own and table in dropped):
                    goes = table if table in dropped else ""
                    yield in_the_way(as_dependent(statement), table, goes)
                if statement.kind == "table" and statement.table == table and table in copied:
                    yield from lost_in_copy(table, sql.read_table(statement.sql))


def by_table(statements: Iterable[Statement]) -> Statements:
    """Return statements by the name of the table that they belong to."""
    found: Statements = {}
    for statement in statements:
        found.setdefault(statement.table, []).append(statement)
    return found


def parts_of_table(table: sql.Table) -> dict[Part, str]:
    """Return the parts that the CREATE TABLE of a table has, except types and NOT NULL."""
    found: dict[Part, str] = {}
    for column in table.columns:
        if column.computed is not None:
            storage = "STORED" if column.stored else "VIRTUAL"
            found[Part("computed", column.name)] = f"{storage} ({column.computed})"
        if column.default is not None:
            found[Part("default", column.name)] = column.default
    for unique in table.uniques:
        if unique.name:
            conflict = f" ON CONFLICT {unique.conflict}" if unique.conflict else ""
            found[Part("unique", unique.name)] = ", ".join(unique.columns) + conflict
    for check in table.checks:
        if check.name:
            found[Part("check", check.name)] = check.sql
    return found


def types_with_collations(description: Description, table: sql.Table) -> Description:
    """Return the types of those columns that have a collation, followed by the collation."""
    found: dict[Part, str] = {}
    for column in table.columns:
        if column.collation:
            part = Part("type", column.name)
            found[part] = f"{description[part]} COLLATE {column.collation.upper()}"
    return found


def index_text(index: sql.Index) -> str:
    """Return the statement of an index with `i` and `t` for its name and its table."""
    unique = "UNIQUE " if index.unique else ""
    where = f" WHERE {index.where}" if index.where else ""
    return f"CREATE {unique}INDEX i ON t ({', '.join(index.columns)}){where}"


def index_on(table: sa.Table, name: str, index: sql.Index) -> sa.Index:
    """Return an index of a table as SQLAlchemy's class."""
    options: dict[str, Any] = {"sqlite_where": sa.text(index.where)} if index.where else {}
    columns: list[Any] = [indexed(table, text) for text in index.columns]
    # Without _table, an index that has only expressions would belong to no table. Alembic uses the
    # same argument for the indexes that it reflects.
    return sa.Index(conv(name), *columns, unique=index.unique, _table=table, **options)


def indexed(table: sa.Table, text: str) -> sa.Column[Any] | sa.TextClause:
    """Return one item of an index: a column if `text` is the name of one, or else an expression."""
    tokens = [*sql.tokens(text)]
    first = tokens[0]
    if len(tokens) == 1 and first.kind in ("word", "quoted") and first.name in names(table):
        return column_named(table, first.name)
    return sa.text(text)


def has_expressions(index: sa.Index) -> bool:
    """Tell whether an index has expressions beside columns."""
    return not all(isinstance(expression, sa.Column) for expression in index.expressions)


def copies_table(op: ops.ModifyTableOps) -> bool:
    """Tell whether Alembic copies a table to change it in this way.

    It does so for every change except those of indexes, and new columns without a default.
    """
    for change in op.ops:
        if isinstance(change, ops.CreateIndexOp | ops.DropIndexOp):
            continue
        if not isinstance(change, ops.AddColumnOp) or change.column.server_default is not None:
            return True
    return False


def copied_tables(operations: ops.OpContainer) -> set[str]:
    """Return the names of the tables that are copied to change them."""
    found = {op.table_name for op in changed_tables(operations.ops) if copies_table(op)}
    stated = {op.create.table_name for op in operations.ops if isinstance(op, Restated)}
    return found | stated


def uses_table(statement: Statement, table: str) -> bool:
    """Tell whether a statement has created a trigger or a view that uses a table."""
    return statement.kind in ("trigger", "view") and sql.mentions(statement.sql, table)


def as_dependent(statement: Statement) -> Dependent:
    """Return a trigger or a view with the statements for it."""
    kind = statement.kind
    name = statement.name.replace('"', '""')
    drop = f'DROP {kind.upper()} "{name}"'
    return Dependent(f"the {kind} {statement.name}", drop, statement.sql)


def lost_in_copy(name: str, table: sql.Table) -> Iterator[str]:
    """Yield a question for each thing that a copy of a table loses, because Alembic ignores it."""
    lost = sorted(table.options - OPTIONS.keys())
    for column in table.columns:
        if column.collation:
            lost.append(f"COLLATE {column.collation}")
    for unique in table.uniques:
        if unique.conflict:
            lost.append(f"ON CONFLICT {unique.conflict}")
    for check in table.checks:
        if not check.name:
            lost.append(f"CHECK ({check.sql})")
    cure = "restate it by table_args, table_kwargs or copy_from of batch_alter_table()"
    for what in lost:
        yield f"the rebuild of {name} loses {what}: {cure}"


def keep_through_copy(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Drop before a copy of a table what Alembic cannot copy, and create it again after.

    These are odd indexes, which the copy would lose, and computed columns, into which Alembic would
    copy values.
    """
    impl = impl_of(context.migration_context)
    changes: list[ops.MigrateOperation] = []
    for op in upgrade.ops:
        if isinstance(op, ops.ModifyTableOps) and copies_table(op):
            changes += around_copy(impl, op)
        else:
            changes.append(op)
    upgrade.ops = changes
    return PriorityDispatchResult.CONTINUE


def around_copy(impl: DescribingImpl, op: ops.ModifyTableOps) -> list[ops.MigrateOperation]:
    """Return a change of a table with the operations that have to come before and after it."""
    pair = impl.memory.pairs.get((op.schema, op.table_name))
    if pair is None:
        return [op]
    drops = [ops.DropIndexOp.from_index(index) for index in odd_indexes_there(impl, pair.there)]
    wanted = [index for index in pair.wanted.indexes if has_expressions(index)]
    creates = [ops.CreateIndexOp.from_index(index) for index in by_name(wanted)]
    handled = {drop.index_name for drop in drops} | {create.index_name for create in creates}
    op.ops = [change for change in op.ops if not is_index_of(change, handled)]
    op.ops += recreate_computed_columns(pair, op)
    return [*drops, op, *creates]


def odd_indexes_there(impl: DescribingImpl, table: sa.Table) -> list[sa.Index]:
    """Return the odd indexes of a table of the database."""
    parts = [part for part in impl.description(table) if part.kind == "index"]
    indexes = [impl.index_there(table, part.name) for part in sorted(parts)]
    return [index for index in indexes if has_expressions(index)]


def by_name(indexes: list[sa.Index]) -> list[sa.Index]:
    return sorted(indexes, key=lambda index: str(index.name))


def is_index_of(op: ops.MigrateOperation, names: set[str | None]) -> bool:
    return isinstance(op, ops.CreateIndexOp | ops.DropIndexOp) and op.index_name in names


def recreate_computed_columns(pair: Pair, op: ops.ModifyTableOps) -> list[ops.MigrateOperation]:
    """Return operations that drop and add each computed column which the change does not drop."""
    dropped = {change.column_name for change in op.ops if isinstance(change, ops.DropColumnOp)}
    recreated: list[ops.MigrateOperation] = []
    for column in pair.wanted.columns:
        kept = column.name in names(pair.there) and column.name not in dropped
        if kept and isinstance(column.server_default, sa.Computed):
            recreated += recreate(pair, column.name)
    return recreated


rewriter = Rewriter()  # it rewrites nothing: keep_through_copy() needs both tables for its changes


def setup(plugin: Plugin) -> None:
    """Add the comparators for SQLite."""
    setup_for(plugin, DIALECT)
    plugin.add_autogenerate_comparator(
        keep_through_copy, "schema", "copies", qualifier=DIALECT, priority=DispatchPriority.LAST
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.sqlite")
