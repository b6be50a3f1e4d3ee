"""Comparators that are added to Alembic's: for what it does not compare, or compares too roughly.

None of Alembic's is switched off, but for one case: see `leave_computed_columns`.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.sql.elements import conv

from migrator.autogenerate.describe import (
    KEY,
    Describing,
    KindOfColumnPart,
    Pair,
    Part,
    as_text,
    column_named,
    describing,
)

Operations = Iterator[ops.MigrateOperation]
CONTINUE = PriorityDispatchResult.CONTINUE
STOP = PriorityDispatchResult.STOP


def begin(
    context: AutogenContext, _upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Begin a comparison: what one has found says nothing about the database in another."""
    describing(context.migration_context).begin_comparison(context.sorted_tables)
    return CONTINUE


def leave_computed_columns(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Keep Alembic from warning that the expression of a computed column cannot be changed.

    `compare_parts` has the column made anew instead. Of Alembic's comparators of defaults, this
    stops that warning and three that find nothing in a computed column: those of identities, of
    AUTO_INCREMENT and of other defaults. tests/matrix: "computed expression changed, without a
    warning".
    """
    *_, there, wanted = args
    columns = (there, wanted)
    computed = any(isinstance(column.server_default, sa.Computed) for column in columns)
    return STOP if computed else CONTINUE


def complete_column(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Correct what Alembic's comparators said of a column."""
    _, _, name, there, wanted = args
    impl = describing(context.migration_context)
    changed = impl.differences(Pair(there.table, wanted.table))
    if Part("type", name) in changed:
        change.modify_type = wanted.type  # also of a type that SQLAlchemy does not know
    elif change.modify_type is None:
        change.existing_type = wanted.type  # the better name: LONGTEXT is a JSON no more
    if isinstance(wanted.server_default, sa.Identity):
        supported = getattr(impl.dialect, "supports_identity_columns", False)
        if not supported and there.server_default is None:
            change.modify_server_default = False  # there is none to be had
    if Part("computed", name) in changed:
        change.modify_server_default = False  # the column is made anew
    # What the database makes of a model may be what is there, though the model says something else:
    # a column of a primary key is NOT NULL, and MariaDB's comments have no emoji.
    if change.modify_nullable is not None and is_alike(impl, "nullable", there, wanted):
        change.modify_nullable = None
    if change.modify_comment is not False and is_alike(impl, "comment", there, wanted):
        change.modify_comment = False
    impl.complete_column(change, there, wanted)
    return CONTINUE


def is_alike(
    impl: Describing, kind: KindOfColumnPart, there: sa.Column[Any], wanted: sa.Column[Any]
) -> bool:
    """Tell whether the database says the same of a column and of that of the model."""
    part = Part(kind, wanted.name)
    old = impl.description(there.table).get(part)
    new = (impl.model_description(wanted.table) or {}).get(part)
    return old is not None and old == new


def compare_parts(
    context: AutogenContext, changes: ops.ModifyTableOps, *args: Any
) -> PriorityDispatchResult:
    """Compare what Alembic does not: CHECKs, keys, expressions of indexes, computed columns."""
    schema, name, there, wanted = args
    impl = describing(context.migration_context)
    seen = {impl.name_there(item) for item in items_seen(changes)}
    if there is None:
        changes.ops += new_indexes(impl, wanted, seen)
    elif wanted is None:
        changes.ops += old_indexes(impl, there, seen)
    else:
        pair = impl.memory.pairs[schema, name] = Pair(there, wanted)
        # A column is NOT NULL before it joins the primary key, and nullable after it has left:
        # what a database does not refuse in another order, it may ignore.
        before = [op for op in changes.ops if prepares_key(op)]
        after = [op for op in changes.ops if not prepares_key(op)]
        keys = [*ended_sequences(impl, pair), *before, *changed_key(impl, pair)]
        changes.ops = [*keys, *after, *changed_parts(impl, pair, seen)]
    return CONTINUE


def prepares_key(op: ops.MigrateOperation) -> bool:
    """Tell whether an operation adds a column, or makes one NOT NULL."""
    if isinstance(op, ops.AlterColumnOp):
        return op.modify_nullable is False
    return isinstance(op, ops.AddColumnOp)


def items_seen(changes: ops.ModifyTableOps) -> Iterator[sa.Index | sa.Constraint]:
    """Yield the indexes and constraints of which Alembic has seen that they change."""
    for op in changes.ops:
        if isinstance(op, ops.CreateIndexOp | ops.DropIndexOp):
            yield op.to_index()
        elif isinstance(op, ops.AddConstraintOp | ops.DropConstraintOp):
            yield op.to_constraint()


def new_indexes(impl: Describing, table: sa.Table, seen: set[str]) -> Operations:
    """Yield what makes the indexes of a new table that Alembic has not seen."""
    for part in sorted(impl.model_description(table) or {}):
        if is_index(impl, part, table) and part.name not in seen:
            yield create_of(impl, table, part)


def old_indexes(impl: Describing, table: sa.Table, seen: set[str]) -> Operations:
    """Yield what drops the indexes of an old table that Alembic has not seen."""
    for part in sorted(impl.description(table)):
        if is_index(impl, part, table) and part.name not in seen:
            yield drop_of(impl, table, part)


def is_index(impl: Describing, part: Part, table: sa.Table) -> bool:
    """Tell whether a part is an index that comes and goes by itself, not with a constraint."""
    return part.kind == "index" and part.name not in impl.named(table, sa.UniqueConstraint)


def changed_parts(impl: Describing, pair: Pair, seen: set[str]) -> Operations:
    """Yield what changes the parts of a table that are not as those of the model."""
    old, new = impl.description(pair.there), impl.model_description(pair.wanted) or {}
    differences = impl.differences(pair)
    for column in sorted(columns_anew(impl, pair, differences)):
        yield from computed_anew(impl, pair, column)
    for part in sorted(differences):
        if part.kind == "sequence" and part in new:
            yield from impl.change_sequence(pair, part.name)
        elif part.kind == "check" or (part.kind == "index" and part.name not in seen):
            if part in old and is_check_or_index(impl, part, pair.there):
                yield drop_of(impl, pair.there, part)
            if part in new and is_check_or_index(impl, part, pair.wanted):
                yield create_of(impl, pair.wanted, part)


def changed_key(impl: Describing, pair: Pair) -> Operations:
    """Yield what changes the primary key, if it is not that of the model."""
    if KEY in impl.differences(pair):
        yield from impl.change_key(pair)


def ended_sequences(impl: Describing, pair: Pair) -> Operations:
    """Yield what takes the numbering of its rows from a column, which may get another one."""
    new = impl.model_description(pair.wanted) or {}
    for part in sorted(impl.differences(pair)):
        if part.kind == "sequence" and part not in new:
            yield from impl.change_sequence(pair, part.name)


def columns_anew(impl: Describing, pair: Pair, differences: frozenset[Part]) -> set[str]:
    """Return the computed columns that change, or that are computed from what changes."""
    anew = {part.name for part in differences if part.kind == "computed"}
    for part in differences:
        if part.kind == "type":
            computed = impl.computed_from(pair.there, part.name)
            anew |= {name for name in computed if pair.have_column(name)}
    return anew


def is_check_or_index(impl: Describing, part: Part, table: sa.Table) -> bool:
    return part.kind == "check" or is_index(impl, part, table)


def drop_of(impl: Describing, table: sa.Table, part: Part) -> ops.MigrateOperation:
    """Return what drops a CHECK or an index of a table that is there."""
    if part.kind == "index":
        return ops.DropIndexOp.from_index(impl.index_there(table, part.name))
    text = as_text(impl.description(table)[part])
    return named_check(table, part.name, text).reverse()


def create_of(impl: Describing, model: sa.Table, part: Part) -> ops.MigrateOperation:
    """Return what makes a CHECK or an index of a model."""
    if part.kind == "index":
        return ops.CreateIndexOp.from_index(impl.named(model, sa.Index)[part.name])
    return check_of(impl, model, part.name)


def check_of(impl: Describing, table: sa.Table, name: str) -> ops.CreateCheckConstraintOp:
    """Return what makes a CHECK of a model, which may be that of a column or of a type."""
    check = impl.named(table, sa.CheckConstraint)[name]
    text = as_text(impl.sql_of(check.sqltext))
    return named_check(table, name, text)


def named_check(table: sa.Table, name: str, text: str) -> ops.CreateCheckConstraintOp:
    """Return what makes a CHECK with a name that is final: no convention is applied to it."""
    return ops.CreateCheckConstraintOp(conv(name), table.name, text, schema=table.schema)


def computed_anew(impl: Describing, pair: Pair, name: str) -> Operations:
    """Yield what drops a column and makes it anew, and all that stands in the way of it."""
    if impl.COPIES_TABLES:
        yield from made_anew(pair, name)
        return
    kept = sorted(impl.dependents(pair.there, name) - impl.differences(pair))
    drops = [drop_of(impl, pair.there, part) for part in kept]
    drops += uniques_with(pair.there, name, {part.name for part in kept})
    yield from drops
    yield from made_anew(pair, name)
    for drop in drops:
        yield drop.reverse()


def uniques_with(table: sa.Table, column: str, known: set[str]) -> Operations:
    """Yield what drops the unique constraints on a column that are not known as indexes."""
    items = [item for item in table.constraints if isinstance(item, sa.UniqueConstraint)]
    # Alembic may have added one that reflection gave to the table already.
    uniques = {str(item.name): item for item in items if column in item.columns}
    for name in sorted(uniques.keys() - known):
        yield ops.DropConstraintOp.from_constraint(uniques[name])


def made_anew(pair: Pair, name: str) -> Operations:
    """Yield what drops a column and adds that of the model."""
    schema, table = pair.there.schema, pair.there.name
    old, new = column_named(pair.there, name), column_named(pair.wanted, name)
    yield ops.DropColumnOp.from_column_and_tablename(schema, table, old)
    yield ops.AddColumnOp.from_column_and_tablename(schema, table, new)


def setup(plugin: Plugin) -> None:
    """Add the comparators that hold for every database."""
    plugin.add_autogenerate_comparator(begin, "schema", "begin", priority=DispatchPriority.FIRST)
    # Last, and after Alembic's own last ones, because Alembic's plugins are taken first.
    plugin.add_autogenerate_comparator(
        complete_column, "column", "described", priority=DispatchPriority.LAST
    )
    plugin.add_autogenerate_comparator(
        compare_parts, "table", "described", priority=DispatchPriority.LAST
    )


def setup_for(plugin: Plugin, dialect: str) -> None:
    """Add the comparators that have to run before Alembic's of the same priority.

    Alembic runs those with a qualifier first, and its own have none.
    """
    plugin.add_autogenerate_comparator(
        leave_computed_columns, "column", "server_default", qualifier=dialect
    )
