"""The reason why a column that is leaving becomes nullable, as a comment in the revision.

A column is leaving while its table has it and the models do not use it any more: see
migrator/leaving.py.
"""

from collections.abc import Sequence

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from migrator.autogenerate.questions import changed_tables
from migrator.autogenerate.steps import Comment
from migrator.leaving import is_leaving


def say_what_leaves(context: MigrationContext, operations: Sequence[ops.MigrateOperation]) -> None:
    """Write the comment above each change that makes a leaving column nullable.

    Without it, squawk's rule `ban-drop-not-null` would stop the revision.
    """
    for table in changed_tables(operations):
        written: list[ops.MigrateOperation] = []
        for op in table.ops:
            if isinstance(op, ops.AlterColumnOp) and op.modify_nullable and leaves(context, op):
                reason = f"{op.table_name}.{op.column_name} is leaving, and not read any more"
                written.append(Comment([f"allow ban-drop-not-null: {reason}"]))
            written.append(op)
        table.ops = written


def leaves(context: MigrationContext, op: ops.AlterColumnOp) -> bool:
    """Tell whether the column that changes is leaving."""
    for table in context.opts["target_metadata"].tables.values():
        if (table.schema, table.name) == (op.schema, op.table_name):
            return any(c.name == op.column_name and is_leaving(c) for c in table.columns)
    return False
