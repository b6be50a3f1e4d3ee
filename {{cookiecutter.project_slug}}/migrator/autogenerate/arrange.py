"""The order of operations: an operation comes after those that it needs.

Alembic writes a downgrade as the reverse of its upgrade, so the order holds for both.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult

from migrator.autogenerate.compare import check_of
from migrator.autogenerate.describe import (
    DescribingImpl,
    Description,
    impl_of,
    is_computed,
    sequence_of,
)
from migrator.autogenerate.steps import SQL, PrimaryKey
from migrator.order import ordered

Operations = list[ops.MigrateOperation]


class Phase(IntEnum):
    """The phases of an upgrade, in their order."""

    SCHEMAS = 0
    TYPES = 1
    NEW_TABLES = 2
    CHANGES = 3
    OLD_TABLES = 4
    UNUSED_TYPES = 5


def arrange(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Put the operations of an upgrade in an order in which each of them can be executed."""
    impl = impl_of(context.migration_context)
    created: list[ops.CreateTableOp] = []
    dropped: list[ops.CreateTableOp] = []
    others: Operations = []
    for op in upgrade.ops:
        if isinstance(op, ops.CreateTableOp):
            complete_new_table(impl, op)
            created.append(op)
        elif isinstance(op, ops.DropTableOp):
            dropped.append(without_inherited_keys(impl, op.reverse()))
        else:
            others.append(op)
    for op in others:
        if isinstance(op, ops.ModifyTableOps):
            op.ops.sort(key=step_of_change)
    others = [*new_schemas(impl, created), *others]
    before_tables = [op for op in others if phase(op) < Phase.NEW_TABLES]
    new_tables = parents_first(impl, created)
    changes = [op for op in others if phase(op) == Phase.CHANGES]
    old_tables = [op.reverse() for op in reversed(parents_first(impl, dropped))]
    after_tables = [op for op in others if phase(op) > Phase.OLD_TABLES]
    before_tables.sort(key=phase)
    upgrade.ops = [*before_tables, *new_tables, *changes, *old_tables, *after_tables]
    return PriorityDispatchResult.CONTINUE


def phase(op: ops.MigrateOperation) -> Phase:
    """Return the phase of an operation that neither creates nor drops a table."""
    return Phase(op.phase) if isinstance(op, SQL) else Phase.CHANGES


def new_schemas(impl: DescribingImpl, created: Iterable[ops.CreateTableOp]) -> Operations:
    """Return the operations that create the schemas of new tables.

    A downgrade leaves the schemas, because somebody else may have tables there.
    """
    preparer = impl.dialect.identifier_preparer
    names = sorted({op.schema for op in created if op.schema})
    return [
        SQL([f"CREATE SCHEMA IF NOT EXISTS {preparer.quote(name)}"], [], Phase.SCHEMAS)
        for name in names
    ]


class Step(IntEnum):
    """The order of the operations on one table in an upgrade; a downgrade reverses it."""

    DROP_FOREIGN_KEYS = 0
    DROP_CONSTRAINTS = 1
    DROP_INDEXES = 2
    DROP_COMPUTED = 3  # before the columns change that they are computed from
    CHANGE = 4
    ADD_COMPUTED = 5
    CREATE = 6  # indexes and constraints
    CREATE_FOREIGN_KEYS = 7


def step_of_change(op: ops.MigrateOperation) -> Step:
    """Return the step of an operation on a table."""
    if isinstance(op, ops.DropConstraintOp):
        is_foreign_key = op.constraint_type == "foreignkey"
        return Step.DROP_FOREIGN_KEYS if is_foreign_key else Step.DROP_CONSTRAINTS
    if isinstance(op, PrimaryKey) and op.drops:
        return Step.DROP_CONSTRAINTS
    if isinstance(op, ops.DropIndexOp):
        return Step.DROP_INDEXES
    if isinstance(op, ops.DropColumnOp) and is_computed(op.to_column()):
        return Step.DROP_COMPUTED
    if isinstance(op, ops.AddColumnOp) and is_computed(op.column):
        return Step.ADD_COMPUTED
    if isinstance(op, ops.CreateForeignKeyOp):
        return Step.CREATE_FOREIGN_KEYS
    if isinstance(op, ops.CreateIndexOp | ops.AddConstraintOp):
        return Step.CREATE
    return Step.CHANGE


def complete_new_table(impl: DescribingImpl, op: ops.CreateTableOp) -> None:
    """Say in a new table what Alembic leaves to the types and the sequences of its columns.

    A table that the database cannot describe is left as Alembic has it.
    """
    description = impl.model_description(table_of(op))
    if description is not None:
        name_checks(impl, op, description)
        if impl.dialect.supports_sequences:
            columns = [item for item in op.columns if isinstance(item, sa.Column)]
            stop_numbering(op, {item.name for item in columns if sequence_of(item) is not None})


def name_checks(impl: DescribingImpl, op: ops.CreateTableOp, description: Description) -> None:
    """Write the CHECKs of a new table by name, those of its columns and types included.

    The description tells which of them the database makes. A Boolean, for example, has a CHECK only
    where the database has no type for it.
    """
    table = table_of(op)
    checks = sorted(part.name for part in description if part.kind == "check")
    op.columns = [item for item in op.columns if not is_named_check(item)]
    op.columns += [check_of(impl, table, name).to_constraint() for name in checks]


def is_named_check(item: object) -> bool:
    return isinstance(item, sa.CheckConstraint) and bool(item.name)


def table_of(op: ops.CreateTableOp) -> sa.Table:
    """Return the table that an operation creates: that of the model, if it comes from a model."""
    column = next(item for item in op.columns if isinstance(item, sa.Column))
    return column.table


# ----- Tables that refer to each other


def parents_first(impl: DescribingImpl, created: Sequence[ops.CreateTableOp]) -> Operations:
    """Return new tables with each after those that its foreign keys refer to.

    Tables may refer to each other in a circle. There, a foreign key to a table that comes later is
    taken out of its own table, and is added after all tables are created.
    """
    tables = {full_name(op.schema, op.table_name): op for op in created}
    parents = {name: parents_of(op) & tables.keys() for name, op in tables.items()}
    order = ordered(parents)
    creations: Operations = []
    additions: Operations = []
    for position, name in enumerate(order):
        op = tables[name]
        later = {*order[position + 1 :]}
        keys = [] if impl.FORWARD_KEYS else [key for key in keys_of(op) if has_to_wait(key, later)]
        take_out(op, keys)
        creations.append(op)
        for key in keys:
            add = ops.CreateForeignKeyOp.from_constraint(key)
            additions.append(ops.ModifyTableOps(op.table_name, [add], schema=op.schema))
    return creations + additions


def has_to_wait(key: sa.ForeignKeyConstraint, later: set[str]) -> bool:
    """Tell whether a foreign key can only be added once all tables are there.

    `later` are the tables that are created after that of the key.
    """
    return key.use_alter or parent_of(key) in later


def keys_of(op: ops.CreateTableOp) -> list[sa.ForeignKeyConstraint]:
    return [item for item in op.columns if isinstance(item, sa.ForeignKeyConstraint)]


def parents_of(op: ops.CreateTableOp) -> set[str]:
    """Return the tables that the foreign keys of a table refer to."""
    return {parent_of(key) for key in keys_of(op)}


def parent_of(key: sa.ForeignKeyConstraint) -> str:
    return key.elements[0].target_fullname.rpartition(".")[0]


def full_name(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def take_out(op: ops.CreateTableOp, keys: Sequence[sa.ForeignKeyConstraint]) -> None:
    """Take foreign keys out of a new table, whose columns stay as they were with them."""
    op.columns = [item for item in op.columns if not any(item is key for key in keys)]
    stop_numbering(op, {column.name for key in keys for column in key.columns})


def without_inherited_keys(impl: DescribingImpl, op: ops.CreateTableOp) -> ops.CreateTableOp:
    """Take out the foreign keys that the database makes itself, for each partition of a parent."""
    inherited = impl.inherited_keys()
    op.columns = [
        item
        for item in op.columns
        if not isinstance(item, sa.ForeignKeyConstraint)
        or (op.schema, op.table_name, str(item.name)) not in inherited
    ]
    return op


def stop_numbering(op: ops.CreateTableOp, names: set[str]) -> None:
    """Keep the database from numbering the rows of a new table by columns of these names.

    SQLAlchemy makes an integer primary key SERIAL or AUTO_INCREMENT, unless it sees a foreign key
    or a sequence there. A revision may have the column without them.
    """
    columns = [*op.columns]
    for position, item in enumerate(columns):
        if isinstance(item, sa.Column) and item.primary_key and item.name in names:
            copy = item.table.to_metadata(sa.MetaData()).columns[item.key]
            copy.autoincrement = False
            columns[position] = copy
    op.columns = columns


def setup(plugin: Plugin) -> None:
    """Add the comparator that orders what all the others have found."""
    plugin.add_autogenerate_comparator(arrange, "schema", "order", priority=DispatchPriority.LAST)
