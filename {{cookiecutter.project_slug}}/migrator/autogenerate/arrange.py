"""The order of operations: what others need comes first, and downgrades are the reverse."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from graphlib import TopologicalSorter

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult

from migrator.autogenerate.compare import check_of
from migrator.autogenerate.describe import Describing, describing, is_computed, sequence_of
from migrator.autogenerate.steps import SQL, PrimaryKey

Operations = list[ops.MigrateOperation]


class Phase(IntEnum):
    """When an operation takes place in an upgrade."""

    SCHEMAS = 0
    TYPES = 1
    NEW_TABLES = 2
    CHANGES = 3
    OLD_TABLES = 4
    UNUSED_TYPES = 5


def arrange(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Put the operations of an upgrade in an order in which each can be done."""
    impl = describing(context.migration_context)
    created: list[ops.CreateTableOp] = []
    dropped: list[ops.CreateTableOp] = []
    others: Operations = []
    for op in upgrade.ops:
        if isinstance(op, ops.CreateTableOp):
            created.append(with_checks(impl, op))
        elif isinstance(op, ops.DropTableOp):
            dropped.append(op.reverse())
        else:
            others.append(op)
    for op in others:
        if isinstance(op, ops.ModifyTableOps):
            op.ops.sort(key=step_of_change)
    new = parents_first(impl, created)
    old = [op.reverse() for op in reversed(parents_first(impl, dropped))]
    before = [op for op in others if phase(op) < Phase.NEW_TABLES]
    changes = [op for op in others if phase(op) == Phase.CHANGES]
    after = [op for op in others if phase(op) > Phase.OLD_TABLES]
    before = [*new_schemas(impl, created), *before]
    upgrade.ops = [*sorted(before, key=phase), *new, *changes, *old, *after]
    return PriorityDispatchResult.CONTINUE


def phase(op: ops.MigrateOperation) -> Phase:
    """Return when an operation other than the making or dropping of a table takes place."""
    return Phase(op.phase) if isinstance(op, SQL) else Phase.CHANGES


def new_schemas(impl: Describing, created: Iterable[ops.CreateTableOp]) -> Operations:
    """Return what makes the schemas of new tables; they stay when their last table goes."""
    preparer = impl.dialect.identifier_preparer
    names = sorted({op.schema for op in created if op.schema})
    return [
        SQL([f"CREATE SCHEMA IF NOT EXISTS {preparer.quote(name)}"], [], Phase.SCHEMAS)
        for name in names
    ]


class Step(IntEnum):
    """When an operation on a table takes place among its others; a downgrade has them reversed."""

    DROP_FOREIGN_KEYS = 0
    DROP_CONSTRAINTS = 1
    DROP_INDEXES = 2
    DROP_COMPUTED = 3  # before what they are computed from changes
    CHANGE = 4
    ADD_COMPUTED = 5
    CREATE = 6  # indexes and constraints
    CREATE_FOREIGN_KEYS = 7


def step_of_change(op: ops.MigrateOperation) -> Step:
    """Return when an operation on a table takes place among its others."""
    if isinstance(op, ops.DropConstraintOp):
        is_key = op.constraint_type == "foreignkey"
        return Step.DROP_FOREIGN_KEYS if is_key else Step.DROP_CONSTRAINTS
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


def with_checks(impl: Describing, op: ops.CreateTableOp) -> ops.CreateTableOp:
    """Write the CHECKs of a new table by name, as Alembic does not for those of columns and types.

    Which of them the database makes is asked of it: a Boolean has none where it is a type.
    """
    table = table_of(op)
    description = impl.model_description(table)
    if description is None:
        return op
    checks = sorted(part.name for part in description if part.kind == "check")
    op.columns = [item for item in op.columns if not is_named_check(item)]
    op.columns += [check_of(impl, table, name).to_constraint() for name in checks]
    if impl.dialect.supports_sequences:
        columns = [item for item in op.columns if isinstance(item, sa.Column)]
        unnumber(op, {item.name for item in columns if sequence_of(item) is not None})
    return op


def is_named_check(item: object) -> bool:
    return isinstance(item, sa.CheckConstraint) and bool(item.name)


def table_of(op: ops.CreateTableOp) -> sa.Table:
    """Return the table that an operation makes: the model's, where it comes from a model."""
    column = next(item for item in op.columns if isinstance(item, sa.Column))
    return column.table


# ----- Tables that refer to each other


def parents_first(impl: Describing, created: Sequence[ops.CreateTableOp]) -> Operations:
    """Order new tables by their foreign keys.

    Within a circle of tables, the keys to those that come later are added at the end. A table that
    only depends on a circle is no part of it.
    """
    tables = {full_name(op.schema, op.table_name): op for op in created}
    parents = {name: parents_of(op) & tables.keys() for name, op in tables.items()}
    order = ordered(parents)
    made: Operations = []
    added_later: Operations = []
    for position, name in enumerate(order):
        op = tables[name]
        later = {*order[position + 1 :]}
        keys = [] if impl.FORWARD_KEYS else [key for key in keys_of(op) if cut(key, later)]
        made.append(without(op, keys))
        for key in keys:
            add = ops.CreateForeignKeyOp.from_constraint(key)
            added_later.append(ops.ModifyTableOps(op.table_name, [add], schema=op.schema))
    return made + added_later


def cut(key: sa.ForeignKeyConstraint, later: set[str]) -> bool:
    return key.use_alter or parent_of(key) in later


def ordered(parents: dict[str, set[str]]) -> list[str]:
    """Return names with those that each depends on before it, and circles in one piece.

    A circle is a set of names each of which leads to all of the others. The graph of the circles
    has none itself.
    """
    reached = {name: reachable(name, parents) for name in sorted(parents)}
    circle_of: dict[str, tuple[str, ...]] = {}
    for name in reached:
        others = [other for other in reached[name] if name in reached[other]]
        circle_of[name] = tuple(sorted({name, *others}))
    graph: TopologicalSorter[tuple[str, ...]] = TopologicalSorter()
    for name in reached:
        circle = circle_of[name]
        needed = {circle_of[parent] for parent in parents[name]}
        graph.add(circle, *sorted(needed - {circle}))
    return [name for circle in graph.static_order() for name in circle]


def reachable(start: str, parents: dict[str, set[str]]) -> set[str]:
    """Return the names that one leads to, over others or not."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = parents[waiting.pop()] - found
        found |= new
        waiting += sorted(new)
    return found


def keys_of(op: ops.CreateTableOp) -> list[sa.ForeignKeyConstraint]:
    return [item for item in op.columns if isinstance(item, sa.ForeignKeyConstraint)]


def parents_of(op: ops.CreateTableOp) -> set[str]:
    """Return the tables that the foreign keys of a table refer to."""
    return {parent_of(key) for key in keys_of(op)}


def parent_of(key: sa.ForeignKeyConstraint) -> str:
    return key.elements[0].target_fullname.rpartition(".")[0]


def full_name(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def without(op: ops.CreateTableOp, keys: Sequence[sa.ForeignKeyConstraint]) -> ops.CreateTableOp:
    """Take foreign keys out of a new table, and change nothing else in it."""
    op.columns = [item for item in op.columns if not any(item is key for key in keys)]
    unnumber(op, {column.name for key in keys for column in key.columns})
    return op


def unnumber(op: ops.CreateTableOp, names: set[str]) -> None:
    """Keep the database from numbering rows by itself: SERIAL, AUTO_INCREMENT.

    It would, for a primary key that the revision has without its foreign key or its sequence.
    """
    columns = [*op.columns]
    for position, item in enumerate(columns):
        if isinstance(item, sa.Column) and item.primary_key and item.name in names:
            copy = item.table.to_metadata(sa.MetaData()).columns[item.key]
            copy.autoincrement = False
            columns[position] = copy
    op.columns = columns


def setup(plugin: Plugin) -> None:
    """Add the comparator that puts all that was found in order."""
    plugin.add_autogenerate_comparator(arrange, "schema", "order", priority=DispatchPriority.LAST)
