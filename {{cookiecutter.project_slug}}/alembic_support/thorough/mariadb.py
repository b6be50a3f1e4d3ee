"""MariaDB makes an index for every foreign key, and guards it."""

from typing import Any

import sqlalchemy as sa
from alembic import context as current
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from alembic_support.thorough.facts import connected


def with_keys(context: MigrationContext, op: ops.ModifyTableOps, upgrade: bool) -> list[Any]:
    """Drop the index of a foreign key with it; let go of a key while its index is dropped."""
    inspector = sa.inspect(connected(context))
    if not inspector.has_table(op.table_name):
        return list(op.ops)
    columns = {change.column_name for change in op.ops if isinstance(change, ops.DropColumnOp)}
    changes: list[Any] = []
    gone = set()
    for change in op.ops:
        changes.append(change)
        if isinstance(change, ops.DropConstraintOp) and change.constraint_type == "foreignkey":
            key: Any = change.to_constraint()
            names = [column.name for column in key.columns]
            gone.add(key.name)
            if not columns & set(names) and implicit(inspector, op.table_name, key, upgrade):
                index = ops.CreateIndexOp(key.name, op.table_name, names)
                changes.append(ops.DropIndexOp(key.name, op.table_name, _reverse=index))
    dropped = [change for change in op.ops if isinstance(change, ops.DropIndexOp)]
    first = {column.name for change in dropped for column in list(change.to_index().columns)[:1]}
    for key in inspector.get_foreign_keys(op.table_name):
        if key["constrained_columns"][0] in first and key["name"] not in gone:
            drop, create = relinked(op.table_name, key)
            changes = [drop, *changes, create]
    return changes


def relinked(table: str, key: Any) -> tuple[ops.DropConstraintOp, ops.CreateForeignKeyOp]:
    """Return what drops a foreign key, and what makes it again."""
    columns = key["constrained_columns"], key["referred_columns"]
    args = (key["name"], table, key["referred_table"], *columns)
    create = ops.CreateForeignKeyOp(*args, **key["options"])
    return ops.DropConstraintOp(key["name"], table, type_="foreignkey", _reverse=create), create


def implicit(inspector: Any, table: str, key: Any, there: bool) -> bool:
    """Tell whether a foreign key has an index that MariaDB made for it."""
    if there:
        return key.name in {index["name"] for index in inspector.get_indexes(table)}
    if (model := current.get_context().opts["target_metadata"].tables.get(table)) is None:
        return False
    kinds = sa.UniqueConstraint | sa.PrimaryKeyConstraint
    sets = [index.columns for index in model.indexes]
    sets += [item.columns for item in model.constraints if isinstance(item, kinds)]
    first = next(iter(key.columns)).name
    return not any([column.name for column in columns][:1] == [first] for columns in sets)
