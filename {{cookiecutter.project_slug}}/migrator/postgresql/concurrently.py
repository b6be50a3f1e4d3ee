"""Indexes that are built while others write: `postgresql_concurrently=True`.

PostgreSQL builds and drops them outside of a transaction only.
"""

from collections.abc import Iterator
from typing import Any, TypeGuard

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

OPTION = "postgresql_concurrently"


class OutsideTransaction(ops.MigrateOperation):
    """An index is created or dropped, and nothing else is done in the same transaction.

    A run that stops here may have done it, so doing it again has to be no error.
    """

    def __init__(self, op: ops.CreateIndexOp | ops.DropIndexOp) -> None:
        self.op = op
        op.kw[OPTION] = True
        if isinstance(op, ops.CreateIndexOp):
            op.if_not_exists = True
        else:
            op.if_exists = True

    def reverse(self) -> "OutsideTransaction":
        return OutsideTransaction(self.op.reverse())

    def to_diff_tuple(self) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.op.to_diff_tuple()
        return found


@renderers.dispatch_for(OutsideTransaction)
def render_outside(context: AutogenContext, outside: OutsideTransaction) -> list[str]:
    """Write an operation into a block that ends the transaction before it."""
    text = renderers.dispatch(type(outside.op))(context, outside.op)
    return ["with op.get_context().autocommit_block():", text, ""]


def move_outside(container: ops.OpContainer) -> list[OutsideTransaction]:
    """Take such operations out of their tables, and return them.

    An index that becomes another one of the same name goes and comes outside of the transaction.
    One of a table that comes or goes itself is left where it is: nobody writes into that table.
    """
    whole = {(op.schema, op.table_name) for op in container.ops if is_whole_table(op)}
    moved: list[OutsideTransaction] = []
    for op in container.ops:
        if isinstance(op, ops.ModifyTableOps):
            changes = [change for change in op.ops if is_index_change(change)]
            names = {change.index_name for change in changes if change.kw.get(OPTION)}
            concurrent = [change for change in changes if change.index_name in names]
            if (op.schema, op.table_name) in whole:
                for change in concurrent:
                    change.kw.pop(OPTION, None)
            else:
                op.ops = [change for change in op.ops if change not in concurrent]
                moved += map(OutsideTransaction, concurrent)
    return moved


def is_whole_table(op: ops.MigrateOperation) -> TypeGuard[ops.CreateTableOp | ops.DropTableOp]:
    return isinstance(op, ops.CreateTableOp | ops.DropTableOp)


def is_index_change(op: ops.MigrateOperation) -> TypeGuard[ops.CreateIndexOp | ops.DropIndexOp]:
    return isinstance(op, ops.CreateIndexOp | ops.DropIndexOp)


def question(container: ops.OpContainer) -> Iterator[str]:
    """Yield what to do about such operations that are not alone in their revision."""
    outside = [op for op in container.ops if isinstance(op, OutsideTransaction)]
    others = [op for op in container.ops if op not in outside and not is_empty(op)]
    for name in dict.fromkeys(op.op.index_name for op in outside if others):
        yield (
            f"the index {name} is built outside of the transaction, which ends before that: move "
            "it into a revision of its own, or a run that stops there cannot be repeated"
        )


def is_empty(op: ops.MigrateOperation) -> bool:
    return isinstance(op, ops.OpContainer) and op.is_empty()


def without_option(model: sa.Table) -> sa.Table:
    """Return a model whose indexes can be built in a transaction, or the model itself."""
    if not any(index.dialect_kwargs.get(OPTION) for index in model.indexes):
        return model
    copy = model.to_metadata(sa.MetaData(naming_convention=model.metadata.naming_convention))
    for index in copy.indexes:
        index.dialect_options["postgresql"]["concurrently"] = False
    return copy
