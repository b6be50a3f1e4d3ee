"""Autogenerate on MariaDB, which describes tables by SHOW CREATE TABLE, as SQLAlchemy reads it."""

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
    Describing,
    Description,
    Pair,
    Part,
    TableName,
    column_named,
    describing,
)
from migrator.autogenerate.questions import columns_dropped, in_the_way_of
from migrator.autogenerate.steps import SQL

DIALECT = "mariadb"
VIEWS = """
    SELECT table_name, view_definition FROM information_schema.views
    WHERE table_schema = DATABASE() ORDER BY table_name"""


class MariaDBDescribing(Describing):
    """What MariaDB and MySQL have in common."""

    WITHOUT_VALUE = "0 or '' is filled in"

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        # MariaDB makes an index for each foreign key, of its name, or of that of its first column
        # where nobody named it.
        keys = table.foreign_key_constraints
        own = {Part("index", str(key.name)) for key in keys}
        own |= {Part("index", key.column_keys[0]) for key in keys}
        found = self.parts(table)
        usual = {part: text for part, text in found.items() if part not in own}
        return {(table.schema, table.name): usual}

    def parts(self, table: sa.Table) -> Description:
        """Return what SHOW CREATE TABLE says of a table, as SQLAlchemy has reflected it."""
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
        found = {
            Part("type", column.name): column.type.compile(self.dialect),
            Part("nullable", column.name): str(column.nullable),
            Part("comment", column.name): column.comment or "",
        }
        default = column.server_default
        if isinstance(default, sa.Computed):
            how = "STORED" if default.persisted else "VIRTUAL"
            found[Part("computed", column.name)] = f"{how} {self.sql_of(default.sqltext)}"
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
        usual = {"schema_translate_map": {schema: None}}
        compiled = CreateIndex(index).compile(dialect=self.dialect, **usual)  # type: ignore[arg-type]
        return str(compiled)

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Make models' tables, describe them, and drop them.

        They are temporary ones that hide the real ones of their names. Savepoints are of no use:
        MariaDB ends the transaction when an index is made.
        """
        try:
            return {model: self.describe_model(model) for model in models}
        finally:
            names = [self.dialect.identifier_preparer.quote(model.name) for model in models]
            drop = f"DROP TEMPORARY TABLE IF EXISTS {', '.join(names)}"
            self.connected.exec_driver_sql(drop)

    def describe_model(self, model: sa.Table) -> Description:
        """Make a model's table as a temporary one, and describe it."""
        copy = with_checks_beside(model)
        create = str(CreateTable(copy, include_foreign_key_constraints=[]).compile(self.connected))
        begin = "CREATE TEMPORARY TABLE"
        create = create.strip().replace("CREATE TABLE", begin, 1)
        self.connected.exec_driver_sql(create)
        there = self.memory.reflected.get((model.schema, model.name))
        known = {} if there is None else self.description(there)
        found = {}
        for index in copy.indexes:
            part, text = Part("index", self.name_there(index)), self.index_text(index)
            found[part] = text
            if known.get(part) != text:  # else MariaDB says what the model says, to the letter
                with suppress(sa.exc.DBAPIError):  # FULLTEXT is refused there
                    self.connected.execute(CreateIndex(index))
        return {**found, **self.parts(self.reflected(copy.name))}

    def reflected(self, name: str) -> sa.Table:
        """Reflect a temporary table; Alembic's inspector may remember the one that it hides."""
        table = sa.Table(name, sa.MetaData())
        sa.inspect(self.connected).reflect_table(table, None, resolve_fks=False)
        return table

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        """Return the CHECKs that name a column, and the indexes that it is in.

        MariaDB quotes every name in what it says, so this is no guess.
        """
        description = self.description(table)
        checks = {part for part in description if part.kind == "check"}
        found = {part for part in checks if quoted(column) in description[part]}
        for index in table.indexes:
            if column in [item.name for item in index.columns]:
                found.add(Part("index", str(index.name)))
        return found & description.keys()

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield the views that a dropped column would leave broken, without a word."""
        dropped = [*columns_dropped(operations)]
        views = self.connected.exec_driver_sql(VIEWS).all() if dropped else []
        for column in dropped:
            for view, definition in views:
                if quoted(column.table) in definition and quoted(column.name) in definition:
                    yield in_the_way_of(view, column)

    def change_key(self, pair: Pair) -> Iterator[ops.MigrateOperation]:
        """Yield one statement, because AUTO_INCREMENT needs a key at any time."""
        keys = (pair.there.primary_key, pair.wanted.primary_key)
        old, new = (self.key_columns(key) for key in keys)
        table = self.dialect.identifier_preparer.format_table(pair.there)
        yield SQL([exchange_key(table, old, new)], [exchange_key(table, new, old)], Phase.CHANGES)

    def key_columns(self, key: sa.PrimaryKeyConstraint) -> str:
        return ", ".join(map(self.dialect.identifier_preparer.quote, column_names(key)))

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        there = column_named(pair.there, column)
        begins = Part("sequence", column) not in self.description(pair.there)
        yield Numbering(there, begins)

    def after_key_drop(self, op: ops.DropConstraintOp) -> list[ops.MigrateOperation]:
        """Return what drops the index that was made for a foreign key, which stays without it."""
        name = str(op.constraint_name)
        return [ops.DropIndexOp(name, op.table_name, schema=op.schema, if_exists=True)]


class Numbering(ops.AlterColumnOp):
    """A column begins to number its rows by AUTO_INCREMENT, or ceases to."""

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


class MariaDBImpl(MariaDBDescribing, AlembicsImpl):
    __dialect__ = DIALECT


def quoted(name: str) -> str:
    """Return a name as MariaDB writes it: it quotes every name."""
    return f"`{name.replace('`', '``')}`"


def exchange_key(table: str, old: str, new: str) -> str:
    """Return the statement that gives a table another primary key; each may be empty."""
    changes = []
    if old:
        changes.append("DROP PRIMARY KEY")
    if new:
        changes.append(f"ADD PRIMARY KEY ({new})")
    return f"ALTER TABLE {table} {', '.join(changes)}"


def with_checks_beside(model: sa.Table) -> sa.Table:
    """Return a table with the CHECKs of columns beside them, or the model itself if it has none.

    MariaDB takes no name for a CHECK of a column, which a revision therefore adds to the table.
    """
    if not any(column.constraints for column in model.columns):
        return model
    copy = model.to_metadata(
        sa.MetaData(naming_convention=model.metadata.naming_convention),
        schema=None,  # type: ignore[arg-type]
    )
    for column in copy.columns:
        for check in [*column.constraints]:
            if isinstance(check, sa.CheckConstraint):
                column.constraints.discard(check)
                copy.append_constraint(sa.CheckConstraint(check.sqltext, name=check.name))
    return copy


Key = tuple[str | None, str, str]  # a foreign key: the schema and the name of its table, its name


def set_keys_aside(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Take foreign keys away while the type of one of their columns changes.

    MariaDB refuses to change one end of a foreign key alone, and it cannot change two tables at
    once.
    """
    impl = describing(context.migration_context)
    changed = columns_changed(upgrade)
    dropped = keys_dropped(upgrade)
    before: list[ops.MigrateOperation] = []
    after: list[ops.MigrateOperation] = []
    for pair in impl.memory.pairs.values():
        old, new = keys_by_name(pair.there), keys_by_name(pair.wanted)
        for name in sorted(old.keys() & new.keys()):
            own = (pair.there.schema, pair.there.name, name)
            if own not in dropped and not changed.isdisjoint(ends_of(old[name])):
                keys_aside(impl).add(own)
                drop = ops.DropConstraintOp.from_constraint(old[name])
                create = ops.CreateForeignKeyOp.from_constraint(new[name])
                before.append(KeyAside(pair.there.name, [drop], schema=pair.there.schema))
                after.append(KeyAside(pair.there.name, [create], schema=pair.there.schema))
    upgrade.ops = [*before, *upgrade.ops, *after]
    return PriorityDispatchResult.CONTINUE


def keys_by_name(table: sa.Table) -> dict[str, sa.ForeignKeyConstraint]:
    """Return the foreign keys of a table; Alembic adds those that it reflects a second time."""
    return {str(key.name): key for key in table.foreign_key_constraints}


def keys_aside(impl: Describing) -> set[Key]:
    """Return the foreign keys that are set aside, for this comparison to add to."""
    aside: set[Key] = impl.memo.setdefault(KeyAside, set())
    return aside


class KeyAside(ops.ModifyTableOps):
    """A foreign key goes for a while, or comes back."""

    def reverse(self) -> "KeyAside":
        changes = [op.reverse() for op in reversed(self.ops)]
        return KeyAside(self.table_name, changes, schema=self.schema)


def columns_changed(upgrade: ops.UpgradeOps) -> set[Key]:
    """Return the columns whose type changes: schema and name of the table, name of the column."""
    found: set[Key] = set()
    for table in upgrade.ops:
        for op in table.ops if isinstance(table, ops.ModifyTableOps) else ():
            if isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
                found.add((op.schema, op.table_name, op.column_name))
    return found


def keys_dropped(upgrade: ops.UpgradeOps) -> set[Key]:
    """Return the foreign keys that the upgrade drops anyway."""
    found: set[Key] = set()
    for table in upgrade.ops:
        for op in table.ops if isinstance(table, ops.ModifyTableOps) else ():
            if is_key_drop(op):
                found.add((op.schema, op.table_name, str(op.constraint_name)))
    return found


def ends_of(key: sa.ForeignKeyConstraint) -> set[Key]:
    """Return the columns of a foreign key, and those that it refers to."""
    found: set[Key] = {(key.table.schema, key.table.name, column.name) for column in key.columns}
    for element in key.elements:
        table, _, column = element.target_fullname.rpartition(".")
        schema, _, name = table.rpartition(".")
        found.add((schema or None, name, column))
    return found


rewriter = Rewriter()


@rewriter.rewrites(ops.ModifyTableOps)
def around_foreign_keys(
    context: MigrationContext, _revision: object, op: ops.ModifyTableOps
) -> ops.ModifyTableOps:
    """Have foreign keys out of the way of their indexes.

    MariaDB drops no index that a foreign key needs, so the key goes before and comes back after.
    An index that it made itself for a key stays when the key goes, and has to be dropped.
    """
    impl = describing(context)
    pair = impl.memory.pairs.get((op.schema, op.table_name))
    if pair is None or isinstance(op, KeyAside) or not isinstance(impl, MariaDBDescribing):
        return op
    in_use = keys_in_use(pair, op, keys_aside(impl))
    drops = [ops.DropConstraintOp.from_constraint(key) for key in in_use]
    changes: list[ops.MigrateOperation] = [*drops]
    made = constraints_made(op)
    for change in op.ops:
        changes.append(change)
        if is_key_drop(change) and change.constraint_name not in made:
            changes += impl.after_key_drop(change)
    op.ops = [*changes, *(drop.reverse() for drop in drops)]
    return op


def keys_in_use(
    pair: Pair, op: ops.ModifyTableOps, aside: set[Key]
) -> list[sa.ForeignKeyConstraint]:
    """Return the foreign keys that are there and need an index that goes."""
    first = {name for columns in indexes_dropped(op) for name in columns[:1]}
    changed = {getattr(change, "constraint_name", None) for change in op.ops}
    keys = sorted(pair.wanted.foreign_key_constraints, key=lambda key: str(key.name))
    changed |= {name for *table, name in aside if table == [op.schema, op.table_name]}
    return [key for key in keys if column_names(key)[0] in first and key.name not in changed]


def indexes_dropped(op: ops.ModifyTableOps) -> Iterator[list[str]]:
    """Yield the columns of each index that goes, unique constraints included."""
    for change in op.ops:
        if isinstance(change, ops.DropIndexOp):
            yield column_names(change.to_index())
        elif isinstance(change, ops.DropConstraintOp) and change.constraint_type == "unique":
            yield column_names(change.to_constraint())


def column_names(item: Any) -> list[str]:
    return [column.name for column in item.columns]


def constraints_made(op: ops.ModifyTableOps) -> set[str]:
    """Return the names of the constraints that a change of a table adds."""
    made = [change for change in op.ops if isinstance(change, ops.AddConstraintOp)]
    return {str(change.to_constraint().name) for change in made}


def is_key_drop(op: ops.MigrateOperation) -> TypeGuard[ops.DropConstraintOp]:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def setup(plugin: Plugin) -> None:
    """Add what is compared on MariaDB alone."""
    setup_on(plugin, DIALECT)


def setup_on(plugin: Plugin, dialect: str) -> None:
    """Add what is compared on one of the dialects."""
    setup_for(plugin, dialect)
    plugin.add_autogenerate_comparator(
        set_keys_aside, "schema", "keys", qualifier=dialect, priority=DispatchPriority.LAST
    )


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.mariadb")
