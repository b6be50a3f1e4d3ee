"""Comparators beside Alembic's, for what it does not compare or compares too roughly.

All of Alembic's own comparators stay on, except in one case: see `leave_computed_columns`.

`there` is always a table or column of the database, and `wanted` is that of the model.
"""

import warnings
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
    DescribingImpl,
    KindOfColumnPart,
    Pair,
    Part,
    as_text,
    column_named,
    final_type,
    impl_of,
)
from migrator.autogenerate.questions import replaced_labels

Operations = Iterator[ops.MigrateOperation]
CONTINUE = PriorityDispatchResult.CONTINUE
STOP = PriorityDispatchResult.STOP
CIRCLE = "Cannot correctly sort tables"  # SQLAlchemy's warning of foreign keys in a circle


def begin(
    context: AutogenContext, _upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Forget the last comparison: the database may have changed since then."""
    with warnings.catch_warnings():
        # Alembic keeps this order, so nothing else warns of a circle, which `arrange` cuts.
        warnings.filterwarnings("ignore", CIRCLE, sa.exc.SAWarning)
        models = context.sorted_tables
    impl_of(context.migration_context).begin_comparison(models)
    return CONTINUE


def leave_computed_columns(
    _context: AutogenContext,
    _change: ops.AlterColumnOp,
    _schema: str | None,
    _table: str,
    _name: str,
    there: sa.Column[Any],
    wanted: sa.Column[Any],
) -> PriorityDispatchResult:
    """Keep Alembic from warning that it cannot change the expression of a computed column.

    `compare_parts` drops and adds the column instead. This stops Alembic's comparators of server
    defaults for such a column: the one that warns, and three that find nothing in it, namely those
    of identities, of AUTO_INCREMENT and of other defaults. The test in tests/matrix is "computed
    expression changed, without a warning".
    """
    columns = (there, wanted)
    computed = any(isinstance(column.server_default, sa.Computed) for column in columns)
    return STOP if computed else CONTINUE


def complete_column(
    context: AutogenContext,
    change: ops.AlterColumnOp,
    _schema: str | None,
    _table: str,
    name: str,
    there: sa.Column[Any],
    wanted: sa.Column[Any],
) -> PriorityDispatchResult:
    """Correct what Alembic's comparators have found about a column."""
    impl = impl_of(context.migration_context)
    changed = impl.differences(Pair(there.table, wanted.table))
    if Part("type", name) in changed:
        change.modify_type = wanted.type  # Alembic ignores it if reflection did not know the type
    elif change.modify_type is None:
        # Both mean the same to the database, and the model has the better name: JSON, not LONGTEXT.
        change.existing_type = wanted.type
    rename_labels(impl, change, there, wanted)
    if isinstance(wanted.server_default, sa.Identity):
        supported = getattr(impl.dialect, "supports_identity_columns", False)
        if not supported and there.server_default is None:
            change.modify_server_default = False  # else each comparison would find it again
    if Part("computed", name) in changed:
        change.modify_server_default = False  # compare_parts drops and adds the column
    # The database may make of the model just what is there, though the model says something else:
    # a column of a primary key is NOT NULL, and a comment may lose its emoji.
    if change.modify_nullable is not None and is_alike(impl, "nullable", there, wanted):
        change.modify_nullable = None
    if change.modify_comment is not False and is_alike(impl, "comment", there, wanted):
        change.modify_comment = False
    impl.complete_column(change, there, wanted)
    return CONTINUE


def rename_labels(
    impl: DescribingImpl,
    change: ops.AlterColumnOp,
    there: sa.Column[Any],
    wanted: sa.Column[Any],
) -> None:
    """Change the type of a column, if only to itself, where labels change that are a text there.

    The rows keep the old labels, so a person has to decide: questions.py asks. The next comparison
    finds the new ones in the revision.
    """
    old, new = impl.unknown_enum(there), final_type(wanted.type, impl.dialect)
    if old is not None and isinstance(new, sa.Enum) and replaced_labels(old.enums, new.enums):
        change.existing_type = old
        change.modify_type = wanted.type


def is_alike(
    impl: DescribingImpl, kind: KindOfColumnPart, there: sa.Column[Any], wanted: sa.Column[Any]
) -> bool:
    """Tell whether the database describes one part of two columns in the same words."""
    part = Part(kind, wanted.name)
    old = impl.description(there.table).get(part)
    new = (impl.model_description(wanted.table) or {}).get(part)
    return old is not None and old == new


def compare_parts(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    schema: str | None,
    name: str,
    there: sa.Table | None,
    wanted: sa.Table | None,
) -> PriorityDispatchResult:
    """Compare what Alembic does not: CHECKs, keys, expressions of indexes, computed columns.

    `there` is None for a new table, and `wanted` is None for one that is dropped.
    """
    impl = impl_of(context.migration_context)
    seen = {impl.name_in_database(item) for item in items_seen(changes)}
    if there is not None and wanted is not None:
        pair = impl.memory.pairs[schema, name] = Pair(there, wanted)
        # A column becomes NOT NULL before it joins the primary key, and nullable after it has left.
        # In another order the database refuses the change, or ignores it.
        before_key = [op for op in changes.ops if prepares_key(op)]
        after_key = [op for op in changes.ops if not prepares_key(op)]
        changes.ops = [
            *removed_sequences(impl, pair),
            *before_key,
            *changed_key(impl, pair),
            *after_key,
            *changed_parts(impl, pair, seen),
        ]
    elif wanted is not None:
        changes.ops += indexes_of_new_table(impl, wanted, seen)
    elif there is not None:
        changes.ops += indexes_of_dropped_table(impl, there, seen)
    return CONTINUE


def prepares_key(op: ops.MigrateOperation) -> bool:
    """Tell whether an operation adds a column, or makes one NOT NULL."""
    if isinstance(op, ops.AlterColumnOp):
        return op.modify_nullable is False
    return isinstance(op, ops.AddColumnOp)


def items_seen(changes: ops.ModifyTableOps) -> Iterator[sa.Index | sa.Constraint]:
    """Yield the indexes and constraints that Alembic itself has found to change."""
    for op in changes.ops:
        if isinstance(op, ops.CreateIndexOp | ops.DropIndexOp):
            yield op.to_index()
        elif isinstance(op, ops.AddConstraintOp | ops.DropConstraintOp):
            yield op.to_constraint()


def indexes_of_new_table(impl: DescribingImpl, table: sa.Table, seen: set[str]) -> Operations:
    """Yield operations that create the indexes of a new table, except those in `seen`."""
    for part in sorted(impl.model_description(table) or {}):
        if is_index(impl, part, table) and part.name not in seen:
            yield create_of(impl, table, part)


def indexes_of_dropped_table(impl: DescribingImpl, table: sa.Table, seen: set[str]) -> Operations:
    """Yield operations that drop the indexes of a dropped table, except those in `seen`."""
    for part in sorted(impl.description(table)):
        if is_index(impl, part, table) and part.name not in seen:
            yield drop_of(impl, table, part)


def is_index(impl: DescribingImpl, part: Part, table: sa.Table) -> bool:
    """Tell whether a part is an index of its own, and not that of a unique constraint."""
    return part.kind == "index" and part.name not in impl.named(table, sa.UniqueConstraint)


def changed_parts(impl: DescribingImpl, pair: Pair, seen: set[str]) -> Operations:
    """Yield operations that make the parts of a table those of the model.

    Indexes in `seen` are left out, because Alembic has found them already.
    """
    old, new = impl.description(pair.there), impl.model_description(pair.wanted) or {}
    differences = impl.differences(pair)
    for name in sorted(columns_to_recreate(impl, pair, differences)):
        yield from recreate_computed(impl, pair, name)
    for part in sorted(differences):
        if part.kind == "sequence" and part in new:
            yield from impl.change_sequence(pair, part.name)
        elif part.kind == "check" or (part.kind == "index" and part.name not in seen):
            if part in old and is_check_or_index(impl, part, pair.there):
                yield drop_of(impl, pair.there, part)
            if part in new and is_check_or_index(impl, part, pair.wanted):
                yield create_of(impl, pair.wanted, part)


def changed_key(impl: DescribingImpl, pair: Pair) -> Operations:
    """Yield operations that change the primary key, if it is not that of the model."""
    if KEY in impl.differences(pair):
        yield from impl.change_key(pair)


def removed_sequences(impl: DescribingImpl, pair: Pair) -> Operations:
    """Yield operations that take the sequences from columns which number no rows any more.

    They come first: another column may get a sequence, and some databases allow only one.
    """
    new = impl.model_description(pair.wanted) or {}
    for part in sorted(impl.differences(pair)):
        if part.kind == "sequence" and part not in new:
            yield from impl.change_sequence(pair, part.name)


def columns_to_recreate(impl: DescribingImpl, pair: Pair, differences: frozenset[Part]) -> set[str]:
    """Return the names of computed columns that change, or whose source gets another type."""
    found = {part.name for part in differences if part.kind == "computed"}
    for part in differences:
        if part.kind == "type":
            computed = impl.computed_from(pair.there, part.name)
            found |= {name for name in computed if pair.have_column(name)}
    return found


def is_check_or_index(impl: DescribingImpl, part: Part, table: sa.Table) -> bool:
    return part.kind == "check" or is_index(impl, part, table)


def drop_of(impl: DescribingImpl, table: sa.Table, part: Part) -> ops.MigrateOperation:
    """Return the operation that drops a CHECK or an index of a table in the database."""
    if part.kind == "index":
        return ops.DropIndexOp.from_index(impl.index_there(table, part.name))
    text = as_text(impl.description(table)[part])
    return named_check(table, part.name, text).reverse()


def create_of(impl: DescribingImpl, model: sa.Table, part: Part) -> ops.MigrateOperation:
    """Return the operation that creates a CHECK or an index of a model."""
    if part.kind == "index":
        return ops.CreateIndexOp.from_index(impl.named(model, sa.Index)[part.name])
    return check_of(impl, model, part.name)


def check_of(impl: DescribingImpl, table: sa.Table, name: str) -> ops.CreateCheckConstraintOp:
    """Return the operation that creates a CHECK of a model, of a column, or of a type."""
    check = impl.named(table, sa.CheckConstraint)[name]
    text = as_text(impl.sql_of(check.sqltext))
    return named_check(table, name, text)


def named_check(table: sa.Table, name: str, text: str) -> ops.CreateCheckConstraintOp:
    """Return the operation that creates a CHECK; no naming convention changes its name."""
    return ops.CreateCheckConstraintOp(conv(name), table.name, text, schema=table.schema)


def recreate_computed(impl: DescribingImpl, pair: Pair, name: str) -> Operations:
    """Yield operations that drop a computed column and add that of the model.

    CHECKs, indexes and unique constraints on the column are dropped before and created after.
    """
    if impl.COPIES_TABLES:
        yield from recreate(pair, name)
        return
    unchanged = sorted(impl.dependents(pair.there, name) - impl.differences(pair))
    drops = [drop_of(impl, pair.there, part) for part in unchanged]
    drops += drops_of_uniques(pair.there, name, {part.name for part in unchanged})
    yield from drops
    yield from recreate(pair, name)
    for drop in drops:
        yield drop.reverse()


def drops_of_uniques(table: sa.Table, column: str, known: set[str]) -> Operations:
    """Yield operations that drop the unique constraints on a column.

    Those in `known` are left out: they are dropped as indexes.
    """
    items = [item for item in table.constraints if isinstance(item, sa.UniqueConstraint)]
    # By name, because Alembic may have added a constraint that reflection had added before.
    uniques = {str(item.name): item for item in items if column in item.columns}
    for name in sorted(uniques.keys() - known):
        yield ops.DropConstraintOp.from_constraint(uniques[name])


def recreate(pair: Pair, name: str) -> Operations:
    """Yield operations that drop a column and add that of the model."""
    schema, table = pair.there.schema, pair.there.name
    old, new = column_named(pair.there, name), column_named(pair.wanted, name)
    yield ops.DropColumnOp.from_column_and_tablename(schema, table, old)
    yield ops.AddColumnOp.from_column_and_tablename(schema, table, new)


def setup(plugin: Plugin) -> None:
    """Add the comparators that are the same for every kind of database."""
    plugin.add_autogenerate_comparator(begin, "schema", "begin", priority=DispatchPriority.FIRST)
    # They correct what Alembic's comparators have found, so they run after them. Of one priority,
    # Alembic's run first, because its plugins were added first.
    plugin.add_autogenerate_comparator(
        complete_column, "column", "described", priority=DispatchPriority.LAST
    )
    plugin.add_autogenerate_comparator(
        compare_parts, "table", "described", priority=DispatchPriority.LAST
    )


def setup_for(plugin: Plugin, dialect: str) -> None:
    """Add, for one dialect, the comparators that run before Alembic's of the same priority.

    Alembic runs comparators for a dialect before those for all, and its own are for all.
    """
    plugin.add_autogenerate_comparator(
        leave_computed_columns, "column", "server_default", qualifier=dialect
    )
