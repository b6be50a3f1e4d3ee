"""Autogenerate on MariaDB, which describes tables by SHOW CREATE TABLE, as SQLAlchemy reads it."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeGuard

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.rewriter import Rewriter
from alembic.ddl.mysql import MariaDBImpl as AlembicsImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.schema import CreateIndex, CreateTable

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.compare import setup_for
from migrator.autogenerate.describe import (
    KEY,
    DescribingImpl,
    Description,
    Pair,
    Part,
    TableName,
    column_named,
    impl_of,
)
from migrator.autogenerate.questions import (
    ChangedColumn,
    Dependent,
    all_dropped_columns,
    all_retyped_columns,
    changed_tables,
    dropped_tables,
    in_the_way,
)
from migrator.autogenerate.steps import SQL

DIALECT = "mariadb"
# SQLAlchemy writes no IF EXISTS into these, by type of the constraint.
DROP_IF_EXISTS = {
    "check": "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}",
    "foreignkey": "ALTER TABLE {table} DROP FOREIGN KEY IF EXISTS {name}",
    "unique": "DROP INDEX IF EXISTS {name} ON {table}",
}
VIEWS = """
    SELECT table_name, replace(view_definition, concat('`', DATABASE(), '`.'), '')
    FROM information_schema.views
    WHERE table_schema = DATABASE() ORDER BY table_name"""
TRIGGERS = """
    SELECT trigger_name, concat(action_timing, ' ', event_manipulation), action_statement
    FROM information_schema.triggers
    WHERE event_object_schema = DATABASE() AND event_object_table = %(table)s
    ORDER BY trigger_name"""


class SharedImpl(DescribingImpl):
    """What MariaDB and MySQL have in common."""

    WITHOUT_VALUE = "0 or '' is filled in"

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        # MariaDB creates an index for each foreign key. It has the name of the key, or of the first
        # column if the key got no name. A model has no such index, so it must not count.
        keys = table.foreign_key_constraints
        of_keys = {Part("index", str(key.name)) for key in keys}
        of_keys |= {Part("index", key.column_keys[0]) for key in keys}
        found = self.parts(table)
        parts = {part: text for part, text in found.items() if part not in of_keys}
        return {(table.schema, table.name): parts}

    def parts(self, table: sa.Table) -> Description:
        """Return all parts of a table that SQLAlchemy has reflected, from SHOW CREATE TABLE."""
        found: dict[Part, str] = {}
        for column in table.columns:
            found |= self.parts_of_column(column)
        if key := column_names(table.primary_key):
            found[KEY] = ", ".join(key)
        for name, check in self.named(table, sa.CheckConstraint).items():
            found[Part("check", name)] = getattr(check.sqltext, "text", "")
        for index in table.indexes:
            found[Part("index", str(index.name))] = self.index_text(index)
        return found

    def parts_of_column(self, column: sa.Column[Any]) -> Description:
        """Return the parts of a reflected table that belong to one column."""
        found = {
            Part("type", column.name): column.type.compile(self.dialect),
            Part("nullable", column.name): str(column.nullable),
            Part("comment", column.name): column.comment or "",
        }
        default = column.server_default
        if isinstance(default, sa.Computed):
            storage = "STORED" if default.persisted else "VIRTUAL"
            found[Part("computed", column.name)] = f"{storage} {self.sql_of(default.sqltext)}"
        elif isinstance(default, sa.DefaultClause):
            found[Part("default", column.name)] = self.default_text(default)
        if column.autoincrement is True:
            found[Part("sequence", column.name)] = "AUTO_INCREMENT"
        return found

    def default_text(self, default: sa.DefaultClause) -> str:
        return default.arg if isinstance(default.arg, str) else self.sql_of(default.arg)

    def index_text(self, index: sa.Index) -> str:
        """Return the SQL of an index without the schema of its table."""
        schema = index.table.schema if index.table is not None else None
        moved = {"schema_translate_map": {schema: None}}
        compiled = CreateIndex(index).compile(dialect=self.dialect, **moved)  # type: ignore[arg-type]
        return str(compiled)

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Create the tables of models as temporary ones, describe them, and drop them.

        A temporary table hides the real one of the same name. A savepoint could not undo all this,
        because MariaDB ends the transaction when it creates an index.
        """
        try:
            return {model: self.describe_model(model) for model in models}
        finally:
            names = [self.dialect.identifier_preparer.quote(model.name) for model in models]
            drop = f"DROP TEMPORARY TABLE IF EXISTS {', '.join(names)}"
            self.connected.exec_driver_sql(drop)

    def describe_model(self, model: sa.Table) -> Description:
        """Create the table of a model as a temporary one, and describe it."""
        copy = as_temporary(model)
        create = str(CreateTable(copy, include_foreign_key_constraints=[]).compile(self.connected))
        temporary = create.strip().replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
        self.connected.exec_driver_sql(temporary)
        there = self.memory.reflected.get((model.schema, model.name))
        known = {} if there is None else self.description(there)
        indexes: dict[Part, str] = {}
        for index in copy.indexes:
            part, text = Part("index", self.name_in_database(index)), self.index_text(index)
            indexes[part] = text
            # The real table may have the same text already. Then the index need not be created.
            if known.get(part) != text:
                with suppress(sa.exc.DBAPIError):  # a temporary table takes no FULLTEXT index
                    self.connected.execute(CreateIndex(index))
        return {**indexes, **self.parts(self.reflected(copy.name))}

    def reflected(self, name: str) -> sa.Table:
        """Return a temporary table as the database has it.

        It needs a new inspector: that of Alembic may remember the table which this one hides.
        """
        table = sa.Table(name, sa.MetaData())
        sa.inspect(self.connected).reflect_table(table, None, resolve_fks=False)
        return table

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        """Return the CHECKs that name a column, and the indexes that it is in.

        MariaDB quotes every name in the text of a CHECK, so a quoted name is surely that of a
        column.
        """
        description = self.description(table)
        checks = {part for part in description if part.kind == "check"}
        found = {part for part in checks if quoted(column) in description[part]}
        for index in table.indexes:
            if column in [item.name for item in index.columns]:
                found.add(Part("index", str(index.name)))
        return found & description.keys()

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield a question for each view and trigger that a drop would break without an error."""
        columns = [*all_dropped_columns(operations)]
        tables = dropped_tables(operations)
        views = self.connected.exec_driver_sql(VIEWS).all() if columns or tables else []
        for column in columns:
            used = f"{column.table}.{column.name}"
            for view, definition in views:
                if quoted(column.table) in definition and quoted(column.name) in definition:
                    yield in_the_way(as_view(view, definition), used, column.name)
            yield from self.trigger_questions(column)
        for table in tables:
            for view, definition in views:
                if quoted(table.table_name) in definition:
                    yield in_the_way(as_view(view, definition), table.table_name, table.table_name)

    def trigger_questions(self, column: ChangedColumn) -> Iterator[str]:
        """Yield a question for each trigger of a table that has the name of a column in it."""
        triggers = self.connected.exec_driver_sql(TRIGGERS, {"table": column.table})
        for name, when, body in triggers:
            if re.search(rf"\b{re.escape(column.name)}\b", body):
                table = quoted(column.table)
                create = f"CREATE TRIGGER {quoted(name)} {when} ON {table} FOR EACH ROW {body}"
                drop = f"DROP TRIGGER {quoted(name)}"
                trigger = Dependent(f"the trigger {name}", drop, create)
                yield in_the_way(trigger, f"{column.table}.{column.name}", column.name)

    def change_key(self, pair: Pair) -> Iterator[ops.MigrateOperation]:
        """Yield one statement that changes the primary key.

        With two statements there would be no key in between, and AUTO_INCREMENT needs one.
        """
        keys = (pair.there.primary_key, pair.wanted.primary_key)
        old, new = (self.key_columns(key) for key in keys)
        table = self.dialect.identifier_preparer.format_table(pair.there)
        yield SQL([exchange_key(table, old, new)], [exchange_key(table, new, old)], Phase.CHANGES)

    def key_columns(self, key: sa.PrimaryKeyConstraint) -> str:
        """Return the quoted names of the columns of a key, or "" if it has none."""
        return ", ".join(map(self.dialect.identifier_preparer.quote, column_names(key)))

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        there = column_named(pair.there, column)
        begins = Part("sequence", column) not in self.description(pair.there)
        yield Numbering(there, begins)

    def after_key_drop(self, op: ops.DropConstraintOp, _pair: Pair) -> list[ops.MigrateOperation]:
        """Return operations that drop the index which MariaDB created for a foreign key.

        Without them, the index would stay when the foreign key is dropped.
        """
        name = str(op.constraint_name)
        return [ops.DropIndexOp(name, op.table_name, schema=op.schema, if_exists=True)]


class Numbering(ops.AlterColumnOp):
    """A column gets AUTO_INCREMENT if `begins`, or else loses it."""

    def __init__(self, column: sa.Column[Any], begins: bool) -> None:
        super().__init__(
            column.table.name,
            column.name,
            schema=column.table.schema,
            existing_type=column.type,
            existing_nullable=column.nullable,
            existing_comment=column.comment,
            autoincrement=begins,
        )
        self.column = column
        self.begins = begins

    def reverse(self) -> "Numbering":
        return Numbering(self.column, not self.begins)

    def to_diff_tuple(self) -> tuple[object, ...]:
        return ("modify_autoincrement", self.schema, self.table_name, self.column_name, self.begins)


class MariaDBImpl(SharedImpl, AlembicsImpl):
    __dialect__ = DIALECT

    def drop_if_there(self, op: ops.MigrateOperation, name: str) -> list[ops.MigrateOperation]:
        if isinstance(op, ops.DropIndexOp):
            return [ops.DropIndexOp(name, op.table_name, schema=op.schema, if_exists=True)]
        if isinstance(op, ops.DropConstraintOp) and op.constraint_type in DROP_IF_EXISTS:
            table = ".".join(quoted(part) for part in (op.schema, op.table_name) if part)
            statement = DROP_IF_EXISTS[op.constraint_type]
            drop = statement.format(table=table, name=quoted(name))
            return [SQL([drop], [], Phase.CHANGES)]
        return []


def as_view(name: str, definition: str) -> Dependent:
    """Return a view with the statements for it."""
    drop, create = f"DROP VIEW {quoted(name)}", f"CREATE VIEW {quoted(name)} AS {definition}"
    return Dependent(f"the view {name}", drop, create)


def quoted(name: str) -> str:
    """Return a name in quotes, as MariaDB writes every name."""
    return f"`{name.replace('`', '``')}`"


def exchange_key(table: str, old: str, new: str) -> str:
    """Return the statement that replaces the primary key of a table.

    `old` and `new` are the quoted columns of the keys, or "" for no key. `table` is quoted as well.
    """
    changes = []
    if old:
        changes.append("DROP PRIMARY KEY")
    if new:
        changes.append(f"ADD PRIMARY KEY ({new})")
    return f"ALTER TABLE {table} {', '.join(changes)}"


def as_temporary(model: sa.Table) -> sa.Table:
    """Return a copy of a table that MariaDB accepts as a temporary one.

    It accepts no name for the CHECK of a column, so a revision adds it to the table. A temporary
    table can have neither partitions nor a compressed row format. Return the table itself if it
    has none of these.
    """
    stored = [name for name in model.dialect_kwargs if not name.endswith(("charset", "collate"))]
    if not stored and not any(column.constraints for column in model.columns):
        return model
    copy = model.to_metadata(
        sa.MetaData(naming_convention=model.metadata.naming_convention),
        schema=None,  # type: ignore[arg-type]
    )
    for name in stored:
        del copy.dialect_kwargs[name]
    for column in copy.columns:
        for check in [*column.constraints]:
            if isinstance(check, sa.CheckConstraint):
                column.constraints.discard(check)
                copy.append_constraint(sa.CheckConstraint(check.sqltext, name=check.name))
    return copy


# A foreign key or a column: the schema and the name of its table, and its own name.
Key = tuple[str | None, str, str]
ColumnName = tuple[str | None, str, str]


def set_keys_aside(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Drop foreign keys before the type of one of their columns changes, and add them after.

    MariaDB refuses to change a column at only one end of a foreign key, and no statement changes
    two tables.
    """
    impl = impl_of(context.migration_context)
    retyped = retyped_columns(upgrade)
    dropped = dropped_keys(upgrade)
    before: list[ops.MigrateOperation] = []
    after: list[ops.MigrateOperation] = []
    for pair in impl.memory.pairs.values():
        old, new = keys_by_name(pair.there), keys_by_name(pair.wanted)
        for name in sorted(old.keys() & new.keys()):
            own: Key = (pair.there.schema, pair.there.name, name)
            if own not in dropped and not retyped.isdisjoint(ends_of(old[name])):
                keys_set_aside(impl).add(own)
                drop = ops.DropConstraintOp.from_constraint(old[name])
                create = ops.CreateForeignKeyOp.from_constraint(new[name])
                before.append(KeyAside(pair.there.name, [drop], schema=pair.there.schema))
                after.append(KeyAside(pair.there.name, [create], schema=pair.there.schema))
    upgrade.ops = [*before, *upgrade.ops, *after]
    return PriorityDispatchResult.CONTINUE


def keys_by_name(table: sa.Table) -> dict[str, sa.ForeignKeyConstraint]:
    """Return the foreign keys of a table by name, because Alembic adds a reflected one twice."""
    return {str(key.name): key for key in table.foreign_key_constraints}


def keys_set_aside(impl: DescribingImpl) -> set[Key]:
    """Return the foreign keys that this comparison has set aside: a set that is added to."""
    aside: set[Key] = impl.memo.setdefault(KeyAside, set())
    return aside


class KeyAside(ops.ModifyTableOps):
    """A foreign key is dropped for the time of another change, or added again after it."""

    def reverse(self) -> "KeyAside":
        changes = [op.reverse() for op in reversed(self.ops)]
        return KeyAside(self.table_name, changes, schema=self.schema)


def retyped_columns(upgrade: ops.UpgradeOps) -> set[ColumnName]:
    """Return the columns whose type changes."""
    return {(c.schema, c.table, c.name) for c in all_retyped_columns(upgrade)}


def dropped_keys(upgrade: ops.UpgradeOps) -> set[Key]:
    """Return the foreign keys that the upgrade drops in any case."""
    found: set[Key] = set()
    for table in changed_tables(upgrade.ops):
        for op in table.ops:
            if is_key_drop(op):
                found.add((op.schema, op.table_name, str(op.constraint_name)))
    return found


def ends_of(key: sa.ForeignKeyConstraint) -> set[ColumnName]:
    """Return the columns of a foreign key, and those that it refers to."""
    schema, name = key.table.schema, key.table.name
    found: set[ColumnName] = {(schema, name, column.name) for column in key.columns}
    for element in key.elements:
        parent, _, column = element.target_fullname.rpartition(".")
        parent_schema, _, parent_name = parent.rpartition(".")
        found.add((parent_schema or None, parent_name, column))
    return found


rewriter = Rewriter()


@rewriter.rewrites(ops.ModifyTableOps)
def around_foreign_keys(
    context: MigrationContext, _revision: object, op: ops.ModifyTableOps
) -> ops.ModifyTableOps:
    """Drop foreign keys before the indexes that they need, and add them again after.

    MariaDB refuses to drop an index that a foreign key needs. If a foreign key is dropped for good,
    the index that MariaDB created for it is dropped as well.
    """
    impl = impl_of(context)
    pair = impl.memory.pairs.get((op.schema, op.table_name))
    if pair is None or isinstance(op, KeyAside) or not isinstance(impl, SharedImpl):
        return op
    in_the_way = keys_in_the_way(pair, op, keys_set_aside(impl))
    drops = [ops.DropConstraintOp.from_constraint(key) for key in in_the_way]
    changes: list[ops.MigrateOperation] = [*drops]
    added = added_constraints(op)
    for change in op.ops:
        changes.append(change)
        if is_key_drop(change) and change.constraint_name not in added:
            changes += impl.after_key_drop(change, pair)
    op.ops = [*changes, *(drop.reverse() for drop in drops)]
    return op


def keys_in_the_way(
    pair: Pair, op: ops.ModifyTableOps, set_aside: set[Key]
) -> list[sa.ForeignKeyConstraint]:
    """Return the foreign keys that may need an index which is dropped.

    A foreign key needs an index that begins with its first column. Keys are left out that `op`
    changes itself, or that are set aside.
    """
    first_columns = {columns[0] for columns in dropped_indexes(op) if columns}
    handled = {getattr(change, "constraint_name", None) for change in op.ops}
    for schema, table, name in set_aside:
        if (schema, table) == (op.schema, op.table_name):
            handled.add(name)
    keys = sorted(pair.wanted.foreign_key_constraints, key=lambda key: str(key.name))
    needy = [key for key in keys if column_names(key)[0] in first_columns]
    return [key for key in needy if key.name not in handled]


def dropped_indexes(op: ops.ModifyTableOps) -> Iterator[list[str]]:
    """Yield the columns of each index and each unique constraint that is dropped."""
    for change in op.ops:
        if isinstance(change, ops.DropIndexOp):
            yield column_names(change.to_index())
        elif isinstance(change, ops.DropConstraintOp) and change.constraint_type == "unique":
            yield column_names(change.to_constraint())


def column_names(item: Any) -> list[str]:
    """Return the names of the columns of a key, an index, or a unique constraint."""
    return [column.name for column in item.columns]


def added_constraints(op: ops.ModifyTableOps) -> set[str]:
    """Return the names of the constraints that a change of a table adds."""
    adds = [change for change in op.ops if isinstance(change, ops.AddConstraintOp)]
    return {str(add.to_constraint().name) for add in adds}


def is_key_drop(op: ops.MigrateOperation) -> TypeGuard[ops.DropConstraintOp]:
    """Tell whether an operation drops a foreign key."""
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def setup(plugin: Plugin) -> None:
    """Add the comparators for MariaDB."""
    setup_on(plugin, DIALECT)


def setup_on(plugin: Plugin, dialect: str) -> None:
    """Add the comparators for one of the dialects, MariaDB or MySQL."""
    setup_for(plugin, dialect)
    plugin.add_autogenerate_comparator(
        set_keys_aside, "schema", "keys", qualifier=dialect, priority=DispatchPriority.LAST
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.mariadb")
