"""What a person has to decide, for no comparison can know: each becomes a TODO in the revision."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.operations import ops

from migrator.autogenerate.describe import is_computed
from migrator.autogenerate.steps import SQL

Operations = Sequence[ops.MigrateOperation]
# Types that hold the same kind of values. It is only for a better guess.
FAMILIES = (
    sa.String,
    sa.Integer,
    sa.Numeric,
    sa.Float,
    sa.Boolean,
    sa.DateTime,
    sa.Date,
    sa.Time,
    sa.JSON,
    sa.LargeBinary,
    sa.Uuid,
)


def questions(operations: Operations, without_value: str) -> Iterator[str]:
    """Yield the questions that hold for every kind of database.

    `without_value` says what happens to a row that has no value for a column that needs one.
    """
    yield from renamed_columns(operations)
    yield from renamed_tables(operations)
    yield from columns_without_values(operations, without_value)
    yield from columns_made_anew(operations)
    yield from renamed_labels(operations)


def changed_tables(operations: Operations) -> list[ops.ModifyTableOps]:
    return [op for op in operations if isinstance(op, ops.ModifyTableOps)]


def added_columns(operations: Operations) -> dict[str, sa.Column[Any]]:
    """Return the columns that are added, by name."""
    adds = [op for op in operations if isinstance(op, ops.AddColumnOp)]
    return {add.column.name: add.column for add in adds}


def dropped_columns(operations: Operations) -> dict[str, sa.Column[Any]]:
    """Return the columns that are dropped, by name, in the order of their table."""
    drops = [op.to_column() for op in operations if isinstance(op, ops.DropColumnOp)]
    return {column.name: column for column in sorted(drops, key=position)}


def position(column: sa.Column[Any]) -> int:
    """Return the place of a column in its table; Alembic drops columns in any order."""
    return [*column.table.columns.keys()].index(column.key) if column.table is not None else 0


def renamed_columns(operations: Operations) -> Iterator[str]:
    """Say which dropped column looks like one that is added.

    Of several, those of the same type belong together, then those that come first.
    """
    for op in changed_tables(operations):
        dropped, added = dropped_columns(op.ops), added_columns(op.ops)
        gone = {name: dropped[name] for name in dropped if name not in added}
        came = {name: added[name] for name in added if name not in dropped}
        for old, new in pairs_of_columns(gone, came):
            rename = f"alter_column({op.table_name!r}, {old!r}, new_column_name={new!r})"
            yield rename_question(f"{op.table_name}.{old}", f"{op.table_name}.{new}", rename)


def pairs_of_columns(
    gone: dict[str, sa.Column[Any]], came: dict[str, sa.Column[Any]]
) -> list[tuple[str, str]]:
    """Return names of dropped columns with those of added ones that they may have become."""
    old, new = [*gone], [*came]
    pairs: list[tuple[str, str]] = []
    for alike in (same_type, same_family, lambda _one, _other: True):
        for name in [*old]:
            partner = next((other for other in new if alike(gone[name], came[other])), None)
            if partner is not None:
                pairs.append((name, partner))
                old.remove(name)
                new.remove(partner)
    return pairs


def same_type(one: sa.Column[Any], other: sa.Column[Any]) -> bool:
    return repr(one.type).upper() == repr(other.type).upper()


def same_family(one: sa.Column[Any], other: sa.Column[Any]) -> bool:
    """Tell whether two types are of one family: VARCHAR(20) and TEXT hold strings both."""
    types = (one.type, other.type)
    return any(all(isinstance(type_, family) for type_ in types) for family in FAMILIES)


class Touched(NamedTuple):
    """A column that is dropped or gets another type."""

    schema: str | None
    table: str
    name: str


def columns_dropped(operations: ops.OpContainer) -> Iterator[Touched]:
    """Yield the columns that are dropped."""
    for table in changed_tables(operations.ops):
        for op in table.ops:
            if isinstance(op, ops.DropColumnOp):
                yield Touched(op.schema, op.table_name, op.column_name)


def columns_retyped(operations: ops.OpContainer) -> Iterator[Touched]:
    """Yield the columns that get another type."""
    for table in changed_tables(operations.ops):
        for op in table.ops:
            if isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
                yield Touched(op.schema, op.table_name, op.column_name)


def in_the_way_of(view: str, column: Touched) -> str:
    """Return what to ask about a view that uses a column."""
    used = f"{column.table}.{column.name}"
    return f"the view {view} uses {used}: drop it before, and create it again after"


def renamed_tables(operations: Operations) -> Iterator[str]:
    """Say which dropped table looks like one that is created."""
    created = [op for op in operations if isinstance(op, ops.CreateTableOp)]
    for drop in (op for op in operations if isinstance(op, ops.DropTableOp)):
        old = {column.name for column in drop.to_table().columns} - {"id"}
        for create in created:
            new = {item.name for item in create.columns if isinstance(item, sa.Column)}
            if old & new:
                rename = f"rename_table({drop.table_name!r}, {create.table_name!r})"
                yield rename_question(drop.table_name, create.table_name, rename)


def rename_question(gone: str, came: str, rename: str) -> str:
    text = f"{gone} is dropped with all that it holds, and {came} is added"
    return f"{text}; if it was renamed, write instead: op.{rename}"


def columns_without_values(operations: Operations, without_value: str) -> Iterator[str]:
    """Say where the rows that are there have no value for a column."""
    cure = "Give it one, or add it as nullable, fill it, then make it NOT NULL"
    for op in changed_tables(operations):
        for column in added_columns(op.ops).values():
            if not column.nullable and column.server_default is None:
                what = f"{op.table_name}.{column.name} is NOT NULL and has no server_default"
                yield f"{what}: where there are rows {without_value}. {cure}"


def renamed_labels(operations: Operations) -> Iterator[str]:
    """Say which label of an enum looks like one that is new."""
    for op in operations:
        if isinstance(op, SQL) and op.question:
            yield op.question
    for table in changed_tables(operations):
        for op in table.ops:
            if isinstance(op, ops.AlterColumnOp):
                yield from question_of_type(op)


def question_of_type(op: ops.AlterColumnOp) -> Iterator[str]:
    """Ask about the labels of a column that is an enum before and after."""
    old, new = op.existing_type, op.modify_type
    if isinstance(old, sa.Enum) and isinstance(new, sa.Enum):
        for label, replacement in replaced_labels(old.enums, new.enums):
            what = f"the label {label!r} of {op.table_name}.{op.column_name} is gone"
            cure = f"let the column take both, UPDATE it, then take {label!r} away"
            yield f"{what}, and {replacement!r} is new: if it was renamed, {cure}"


def replaced_labels(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Return labels with those that are in their place, where others have stayed in theirs."""
    if len(old) != len(new):
        return []
    pairs = zip(old, new, strict=True)
    return [(one, other) for one, other in pairs if one not in new and other not in old]


def columns_made_anew(operations: Operations) -> Iterator[str]:
    """Say which column is made anew though its values are not computed, or were not."""
    for op in changed_tables(operations):
        added = added_columns(op.ops)
        for name, column in dropped_columns(op.ops).items():
            if name in added and not (is_computed(column) and is_computed(added[name])):
                what = f"{op.table_name}.{name} is dropped with its values and made anew"
                yield f"{what}: keep them elsewhere, or leave it so if nobody needs them"
