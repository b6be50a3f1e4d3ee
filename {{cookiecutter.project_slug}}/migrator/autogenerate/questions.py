"""Questions that no comparison can answer: each becomes a TODO in the revision.

"Gone" is a name that the models do not have any more, and "came" is one that is new.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.operations import ops

from migrator.autogenerate.describe import is_computed
from migrator.autogenerate.steps import SQL, EitherName

Operations = Sequence[ops.MigrateOperation]
# Each has subclasses that hold the same kind of values. They only help to guess what was renamed.
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
    """Yield the questions that are the same for every kind of database.

    `without_value` says what the database does with a row that has no value for a new column.
    """
    yield from renamed_columns(operations)
    yield from renamed_tables(operations)
    yield from columns_without_values(operations, without_value)
    yield from columns_that_lose_values(operations)
    yield from renamed_labels(operations)
    yield from other_names(operations)


def other_names(operations: Operations) -> Iterator[str]:
    """Say what has another name in the real database than in a clean one."""
    for table in changed_tables(operations):
        for op in table.ops:
            if isinstance(op, EitherName):
                yield op.question


def changed_tables(operations: Operations) -> list[ops.ModifyTableOps]:
    return [op for op in operations if isinstance(op, ops.ModifyTableOps)]


def added_columns(operations: Operations) -> dict[str, sa.Column[Any]]:
    """Return the columns that operations on one table add, by name."""
    adds = [op for op in operations if isinstance(op, ops.AddColumnOp)]
    return {add.column.name: add.column for add in adds}


def dropped_columns(operations: Operations) -> dict[str, sa.Column[Any]]:
    """Return the columns that operations on one table drop, by name, in the order of the table."""
    drops = [op.to_column() for op in operations if isinstance(op, ops.DropColumnOp)]
    return {column.name: column for column in sorted(drops, key=position)}


def position(column: sa.Column[Any]) -> int:
    """Return the place of a column in its table, from 0; also 0 for a column without a table."""
    return [*column.table.columns.keys()].index(column.key) if column.table is not None else 0


def renamed_columns(operations: Operations) -> Iterator[str]:
    """Yield a question for each dropped column that may have become an added one."""
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
    """Return names of dropped columns with those of added ones that they may have become.

    Columns of the same type are paired first, then those of one family of types, then the others.
    Of several, the first ones are paired.
    """
    old_names, new_names = [*gone], [*came]
    pairs: list[tuple[str, str]] = []
    for are_alike in (same_type, same_family, any_types):
        for old in [*old_names]:
            partners = [new for new in new_names if are_alike(gone[old], came[new])]
            if partners:
                pairs.append((old, partners[0]))
                old_names.remove(old)
                new_names.remove(partners[0])
    return pairs


def same_type(one: sa.Column[Any], other: sa.Column[Any]) -> bool:
    return repr(one.type).upper() == repr(other.type).upper()


def same_family(one: sa.Column[Any], other: sa.Column[Any]) -> bool:
    """Tell whether two types are of one family: both VARCHAR(20) and TEXT hold strings."""
    for family in FAMILIES:
        if isinstance(one.type, family) and isinstance(other.type, family):
            return True
    return False


def any_types(_one: sa.Column[Any], _other: sa.Column[Any]) -> bool:
    return True


class ChangedColumn(NamedTuple):
    """A column that is dropped or gets another type; `name` is its own."""

    schema: str | None
    table: str
    name: str


def all_dropped_columns(operations: ops.OpContainer) -> Iterator[ChangedColumn]:
    """Yield the columns of all tables that are dropped."""
    for table in changed_tables(operations.ops):
        for op in table.ops:
            if isinstance(op, ops.DropColumnOp):
                yield ChangedColumn(op.schema, op.table_name, op.column_name)


def all_retyped_columns(operations: ops.OpContainer) -> Iterator[ChangedColumn]:
    """Yield the columns of all tables that get another type."""
    for table in changed_tables(operations.ops):
        for op in table.ops:
            if isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
                yield ChangedColumn(op.schema, op.table_name, op.column_name)


def dropped_tables(operations: ops.OpContainer) -> list[ops.DropTableOp]:
    return [op for op in operations.ops if isinstance(op, ops.DropTableOp)]


class Dependent(NamedTuple):
    """What uses a table or a column, such as a view.

    `text` is what it is, with its name; `drop` and `create` are the statements for it, or empty.
    """

    text: str
    drop: str = ""
    create: str = ""


def in_the_way(dependent: Dependent, used: str, goes: str = "") -> str:
    """Return the question about what uses a column or a table that changes.

    `goes` is what it may use no more, if that is dropped.
    """
    what = f"{dependent.text} uses {used}"
    if not dependent.create:
        return f"{what}: drop it before, and create it again after, in upgrade() and downgrade()"
    create = " ".join(dependent.create.split()).rstrip(";")
    without = f", in upgrade() as it is to be without {goes}" if goes else ""
    return (
        f"{what}: begin upgrade() and downgrade() with op.execute({dependent.drop!r}), and end "
        f"them with op.execute({create!r}){without}"
    )


def renamed_tables(operations: Operations) -> Iterator[str]:
    """Yield a question for each dropped table that has a column in common with a new one.

    A column `id` does not count, because most tables have one.
    """
    created = [op for op in operations if isinstance(op, ops.CreateTableOp)]
    dropped = [op for op in operations if isinstance(op, ops.DropTableOp)]
    for drop in dropped:
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
    """Yield a question for each new column that existing rows have no value for."""
    cure = "Give it one, or add it as nullable, fill it, then make it NOT NULL"
    for op in changed_tables(operations):
        for column in added_columns(op.ops).values():
            if not column.nullable and column.server_default is None:
                what = f"{op.table_name}.{column.name} is NOT NULL and has no server_default"
                yield f"{what}: where there are rows {without_value}. {cure}"


def renamed_labels(operations: Operations) -> Iterator[str]:
    """Yield a question for each label of an enum that may have been renamed."""
    for op in operations:
        if isinstance(op, SQL) and op.question:
            yield op.question
    for table in changed_tables(operations):
        for op in table.ops:
            if isinstance(op, ops.AlterColumnOp):
                yield from renamed_labels_of(op)


def renamed_labels_of(op: ops.AlterColumnOp) -> Iterator[str]:
    """Yield a question for each label of a column that may have been renamed.

    There is none unless the column is an enum before and after the change.
    """
    old, new = op.existing_type, op.modify_type
    if isinstance(old, sa.Enum) and isinstance(new, sa.Enum):
        for label, replacement in replaced_labels(old.enums, new.enums):
            what = f"the label {label!r} of {op.table_name}.{op.column_name} is gone"
            cure = f"let the column take both, UPDATE it, then take {label!r} away"
            yield f"{what}, and {replacement!r} is new: if it was renamed, {cure}"


def replaced_labels(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Return each label that is gone with the new label that stands in its place.

    There is none if the numbers of labels differ.
    """
    if len(old) != len(new):
        return []
    pairs = zip(old, new, strict=True)
    return [(gone, came) for gone, came in pairs if gone not in new and came not in old]


def columns_that_lose_values(operations: Operations) -> Iterator[str]:
    """Yield a question for each column that is dropped and added again under the same name.

    A column that is computed before and after does not count: the database computes its values.
    """
    for op in changed_tables(operations):
        added = added_columns(op.ops)
        for name, column in dropped_columns(op.ops).items():
            if name in added and not (is_computed(column) and is_computed(added[name])):
                what = f"{op.table_name}.{name} is dropped with its values and added again"
                yield f"{what}: keep them elsewhere, or leave it so if nobody needs them"
