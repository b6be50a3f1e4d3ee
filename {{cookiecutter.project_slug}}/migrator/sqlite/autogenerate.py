"""Autogenerate on SQLite: it keeps SQL as it was written, and changes a table by copying it."""

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

from migrator.autogenerate.compare import made_anew, setup_for
from migrator.autogenerate.describe import (
    KEY,
    Describing,
    Description,
    Pair,
    Part,
    TableName,
    column_named,
    describing,
    names,
)
from migrator.sqlite import sql
from migrator.sqlite.batch import ConvertingImpl

DIALECT = "sqlite"
TEMPORARY = "temp"  # the schema of temporary tables
Column = tuple[str, sa.types.TypeEngine[Any], bool]  # name, type, whether it is nullable
STATEMENTS = """
    SELECT type, name, tbl_name, sql FROM {schema}.sqlite_master
    WHERE sql IS NOT NULL ORDER BY name"""


class Statement(NamedTuple):
    """What SQLite keeps of something that was created: the SQL, nearly as it was given."""

    kind: str
    name: str
    table: str
    sql: str


# What has made each table of a schema, its indexes and triggers.
Statements = dict[str, list[Statement]]


class SQLiteImpl(Describing, ConvertingImpl):
    __dialect__ = DIALECT
    COPIES_TABLES = True
    FORWARD_KEYS = True  # SQLite looks for the other table when rows are written

    def begin_comparison(self, models: Sequence[sa.Table]) -> None:
        super().begin_comparison(models)
        self.memo.pop(Statement, None)

    def statements_of(self, table: sa.Table) -> list[Statement]:
        """Return what was created of a table that is there, its indexes included.

        The statements of a schema are read once in a comparison, and kept in `impl.memo`.
        """
        schema = table.schema or "main"
        kept: dict[str, Statements] = self.memo.setdefault(Statement, {})
        if schema not in kept:
            kept[schema] = by_table(self.statements(schema))
        return kept[schema].get(table.name, [])

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the parts of a table: what it is made of is in the text of its statements."""
        columns = [(item.name, item.type, bool(item.nullable)) for item in table.columns]
        key = [item.name for item in table.primary_key.columns]
        parts = self.parts(columns, key, self.statements_of(table))
        return {(table.schema, table.name): parts}

    def parts(
        self, columns: Iterable[Column], key: Sequence[str], statements: Iterable[Statement]
    ) -> Description:
        """Return the parts of a table with these columns, primary key and statements."""
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
                found |= with_collations(found, read)
            elif statement.kind == "index":
                found[Part("index", statement.name)] = index_text(sql.read_index(statement.sql))
        return found

    def type_text(self, type_: sa.types.TypeEngine[Any]) -> str:
        """Return a type as SQL, with one name for what has two."""
        text = type_.compile(self.dialect)
        for synonyms in self.type_synonyms:
            for name in synonyms:
                if text == name or text.startswith(f"{name}("):
                    return min(synonyms) + text.removeprefix(name)
        return text

    def statements(self, schema: str) -> Iterator[Statement]:
        """Yield all that was created in a schema."""
        for row in self.connected.exec_driver_sql(STATEMENTS.format(schema=schema)):
            yield Statement(*row)

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Describe models: by the table that is there where the same SQL has made it.

        The others are made.
        """
        found: dict[sa.Table, Description] = {}
        for model in models:
            there = self.memory.reflected.get((model.schema, model.name))
            if there is not None and self.is_made_of(model, self.statements_of(there)):
                found[model] = self.description(there)
        others = [model for model in models if model not in found]
        return {**found, **(self.describe_temporary(others) if others else {})}

    def is_made_of(self, model: sa.Table, statements: Sequence[Statement]) -> bool:
        """Tell whether the SQL that would make a model, foreign keys aside, is that of a table.

        Only what is the same to the letter is taken for the same; the order of columns and
        constraints is no part of a description.
        """
        tables = [statement.sql for statement in statements if statement.kind == "table"]
        indexes = {statement.sql for statement in statements if statement.kind == "index"}
        if len(tables) != 1 or indexes != {*map(self.text_of, map(CreateIndex, model.indexes))}:
            return False
        text = self.text_of(CreateTable(model))
        return text == tables[0] or sql.definitions(text) == sql.definitions(tables[0])

    def text_of(self, statement: sa.schema.ExecutableDDLElement) -> str:
        return str(statement.compile(dialect=self.dialect)).strip()

    def describe_temporary(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Make tables in the schema of temporary ones, which are in no file, and describe them."""
        moved = {"schema_translate_map": {model.schema: TEMPORARY for model in models}}
        savepoint = self.connected.begin_nested()
        try:
            for model in models:
                for statement in self.create_statements(model):
                    self.connected.execute(statement, execution_options=moved)
            made = by_table(self.statements(TEMPORARY))
            inspector = sa.inspect(self.connected)
            return {model: self.made(inspector, model.name, made[model.name]) for model in models}
        finally:
            savepoint.rollback()

    def made(
        self, inspector: sa.Inspector, name: str, statements: Iterable[Statement]
    ) -> Description:
        """Return the parts of a temporary table."""
        reflected = inspector.get_columns(name, TEMPORARY)
        columns = [(item["name"], item["type"], item["nullable"]) for item in reflected]
        key = inspector.get_pk_constraint(name, TEMPORARY)["constrained_columns"]
        return self.parts(columns, key, statements)

    def autogen_column_reflect(
        self, inspector: sa.Inspector, table: sa.Table, column_info: dict[str, Any]
    ) -> None:
        """Complete what a column is computed from: reflection loses it after a NUMERIC(10, 2)."""
        super().autogen_column_reflect(inspector, table, column_info)
        if column_info.get("computed"):
            expression = self.computed_text(table, column_info["name"])
            column_info["computed"]["sqltext"] = expression

    def computed_text(self, table: sa.Table, column: str) -> str | None:
        """Return what a column of a table that is there is computed from."""
        for statement in self.statements_of(table):
            if statement.kind == "table":
                columns = sql.read_table(statement.sql).columns
                return next(item.computed for item in columns if item.name == column)
        return None

    def normal(self, part: Part, text: str) -> str:
        if part.kind == "type":
            return text
        normal = sql.normal(text)
        is_number = normal.strip("'").replace(".", "", 1).removeprefix("-").isdigit()
        # A copy of a table has '7' where the table had 7; the column's type makes it a number.
        return normal.strip("'") if part.kind == "default" and is_number else normal

    def index_there(self, table: sa.Table, name: str) -> sa.Index:
        """Return an index from its SQL, for reflection omits expressions and conditions."""
        text = self.description(table)[Part("index", name)]
        return index_on(table, name, sql.read_index(text))

    def correct_for_autogen_constraints(
        self,
        conn_uniques: set[sa.UniqueConstraint],
        conn_indexes: set[sa.Index],
        metadata_unique_constraints: set[sa.UniqueConstraint],
        metadata_indexes: set[sa.Index],
    ) -> None:
        """Keep indexes with expressions from Alembic, which does not get them by reflection.

        Its own method here leaves them out as well, with a warning; it is not called, because
        `compare_parts` compares them. tests/matrix: "functional index added", "descending index
        added" and their neighbours.
        """
        odd = {self.name_there(index) for index in metadata_indexes if has_expressions(index)}
        odd |= {self.name_there(index) for index in conn_indexes if self.is_odd_there(index)}
        for indexes in (metadata_indexes, conn_indexes):
            indexes -= {index for index in indexes if self.name_there(index) in odd}

    def is_odd_there(self, index: sa.Index) -> bool:
        """Tell whether an index has expressions, of which reflection may have made columns."""
        return index.table is not None and has_expressions(
            self.index_there(index.table, self.name_there(index))
        )

    def unmanaged(self) -> set[tuple[str | None, str]]:
        """Return virtual tables and what they keep their contents in."""
        rows = self.connected.exec_driver_sql(
            "SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')"
        )
        return {(None, name) for name in rows.scalars()}

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield what a copy of a table would lose, or what would stop it."""
        copied = sorted(
            op.table_name
            for op in operations.ops
            if isinstance(op, ops.ModifyTableOps) and copies_table(op)
        )
        for kind, name, on, text in self.statements("main") if copied else ():
            for table in copied:
                if kind in ("trigger", "view") and sql.mentions(text, table):
                    cure = "drop it before and create it again after"
                    yield f"the {kind} {name} is in the way of a rebuild of {table}: {cure}"
                if kind == "table" and on == table:
                    yield from lost_in_copy(table, sql.read_table(text))


def by_table(statements: Iterable[Statement]) -> Statements:
    """Return statements by the table that they are of."""
    found: Statements = {}
    for statement in statements:
        found.setdefault(statement.table, []).append(statement)
    return found


def parts_of_table(table: sql.Table) -> dict[Part, str]:
    """Return what the text of a table says of it."""
    found: dict[Part, str] = {}
    for column in table.columns:
        if column.computed is not None:
            how = "STORED" if column.stored else "VIRTUAL"
            found[Part("computed", column.name)] = f"{how} ({column.computed})"
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


def with_collations(description: Description, table: sql.Table) -> Description:
    """Return the types of columns that have a collation, with it."""
    found: dict[Part, str] = {}
    for column in table.columns:
        if column.collation:
            part = Part("type", column.name)
            found[part] = f"{description[part]} COLLATE {column.collation.upper()}"
    return found


def index_text(index: sql.Index) -> str:
    """Return the statement of an index without its name and its table."""
    unique = "UNIQUE " if index.unique else ""
    where = f" WHERE {index.where}" if index.where else ""
    return f"CREATE {unique}INDEX i ON t ({', '.join(index.columns)}){where}"


def index_on(table: sa.Table, name: str, index: sql.Index) -> sa.Index:
    """Return an index of a table that is there."""
    options: dict[str, Any] = {"sqlite_where": sa.text(index.where)} if index.where else {}
    columns: list[Any] = [indexed(table, text) for text in index.columns]
    # Without _table, an index of expressions alone would belong to no table. Alembic makes the
    # indexes that it reflects in the same way.
    return sa.Index(conv(name), *columns, unique=index.unique, _table=table, **options)


def indexed(table: sa.Table, text: str) -> sa.Column[Any] | sa.TextClause:
    """Return the column that an index is on, or the expression."""
    *more, last = [*sql.tokens(text)]
    if not more and last.kind in ("word", "quoted") and last.name in names(table):
        return column_named(table, last.name)
    return sa.text(text)


def has_expressions(index: sa.Index) -> bool:
    """Tell whether an index has more than columns, which a copy of its table would lose."""
    return not all(isinstance(expression, sa.Column) for expression in index.expressions)


def copies_table(op: ops.ModifyTableOps) -> bool:
    """Tell whether Alembic copies a table to change it so.

    It does for everything but indexes and added columns without a default.
    """
    for change in op.ops:
        if isinstance(change, ops.CreateIndexOp | ops.DropIndexOp):
            continue
        if not isinstance(change, ops.AddColumnOp) or change.column.server_default is not None:
            return True
    return False


def lost_in_copy(name: str, table: sql.Table) -> Iterator[str]:
    """Yield what Alembic does not know of a table that it copies."""
    lost = sorted(table.options)
    for column in table.columns:
        if column.autoincrement:
            lost.append("AUTOINCREMENT")
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
    """Take away before a copy of a table what it would stumble over, and make it again after.

    These are indexes with expressions, which Alembic does not copy, and computed columns, into
    which it would copy values.
    """
    impl = describing(context.migration_context)
    changes: list[ops.MigrateOperation] = []
    for op in upgrade.ops:
        if isinstance(op, ops.ModifyTableOps) and copies_table(op):
            changes += around_copy(impl, op)
        else:
            changes.append(op)
    upgrade.ops = changes
    return PriorityDispatchResult.CONTINUE


def around_copy(impl: Describing, op: ops.ModifyTableOps) -> list[ops.MigrateOperation]:
    """Return a change of a table with what comes before and after it."""
    pair = impl.memory.pairs.get((op.schema, op.table_name))
    if pair is None:
        return [op]
    drops = [ops.DropIndexOp.from_index(index) for index in odd_indexes_there(impl, pair.there)]
    wanted = [index for index in pair.wanted.indexes if has_expressions(index)]
    creates = [ops.CreateIndexOp.from_index(index) for index in by_name(wanted)]
    handled = {drop.index_name for drop in drops} | {create.index_name for create in creates}
    op.ops = [change for change in op.ops if not is_index_of(change, handled)]
    op.ops += computed_columns_anew(pair, op)
    return [*drops, op, *creates]


def odd_indexes_there(impl: Describing, table: sa.Table) -> list[sa.Index]:
    """Return the indexes of a table that have expressions."""
    parts = [part for part in impl.description(table) if part.kind == "index"]
    indexes = [impl.index_there(table, part.name) for part in sorted(parts)]
    return [index for index in indexes if has_expressions(index)]


def by_name(indexes: list[sa.Index]) -> list[sa.Index]:
    return sorted(indexes, key=lambda index: str(index.name))


def is_index_of(op: ops.MigrateOperation, names: set[str | None]) -> bool:
    return isinstance(op, ops.CreateIndexOp | ops.DropIndexOp) and op.index_name in names


def computed_columns_anew(pair: Pair, op: ops.ModifyTableOps) -> list[ops.MigrateOperation]:
    """Return what makes the computed columns anew that the change itself does not."""
    dropped = {change.column_name for change in op.ops if isinstance(change, ops.DropColumnOp)}
    anew: list[ops.MigrateOperation] = []
    for column in pair.wanted.columns:
        kept = column.name in names(pair.there) and column.name not in dropped
        if kept and isinstance(column.server_default, sa.Computed):
            anew += made_anew(pair, column.name)
    return anew


rewriter = Rewriter()  # nothing: what is special here needs both tables, not the operations alone


def setup(plugin: Plugin) -> None:
    """Add what is compared on SQLite alone."""
    setup_for(plugin, DIALECT)
    plugin.add_autogenerate_comparator(
        keep_through_copy, "schema", "copies", qualifier=DIALECT, priority=DispatchPriority.LAST
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.sqlite")
