"""A table whose constraints have names that nobody knows is copied into one that is stated.

Batch mode finds a constraint by its name. It may have none, or in another database another one.
"""

import ast

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

from migrator.autogenerate.arrange import complete_new_table
from migrator.autogenerate.describe import DescribingImpl, Pair
from migrator.autogenerate.render import parsed
from migrator.autogenerate.steps import Comment, PrimaryKey


class Restated(ops.MigrateOperation):
    """A table is copied into one that has these columns, constraints and indexes."""

    def __init__(self, create: ops.CreateTableOp, indexes: list[sa.Index]) -> None:
        self.create = create
        self.indexes = indexes

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("restate_table", self.create.table_name)


def restated(
    impl: DescribingImpl, op: ops.ModifyTableOps, pair: Pair, goes_back: bool
) -> list[ops.MigrateOperation]:
    """Return a change of a table in which no constraint goes or comes by its name.

    First the columns become those that the stated table has. A constraint goes with its column.
    """
    table = pair.there if goes_back else pair.wanted
    create = ops.CreateTableOp.from_table(table)
    if not goes_back:
        complete_new_table(impl, create)
    indexes = [index for index in table.indexes if all_columns(index)]
    others = [change for change in op.ops if not is_stated(change)]
    rest = [ops.ModifyTableOps(op.table_name, others, schema=op.schema)] if others else []
    return [
        *rest,
        Comment([f"The constraints of {op.table_name} are as here, whatever they were called:"]),
        Restated(create, sorted(indexes, key=lambda index: str(index.name))),
    ]


def is_stated(op: ops.MigrateOperation) -> bool:
    """Tell whether what an operation does is said by the table that is copied into.

    An index is dropped all the same, because it may be in the way of a column that goes.
    """
    if isinstance(op, ops.CreateIndexOp):
        return all_columns(op.to_index())
    return isinstance(op, ops.AddConstraintOp | ops.DropConstraintOp | PrimaryKey)


def all_columns(index: sa.Index) -> bool:
    return all(isinstance(expression, sa.Column) for expression in index.expressions)


@renderers.dispatch_for(Restated)
def render_restated(context: AutogenContext, op: Restated) -> list[str]:
    """Write the copy: what Alembic writes for a new table becomes the table to copy into."""
    text = renderers.dispatch(ops.CreateTableOp)(context, op.create)
    table = parsed(text if isinstance(text, str) else text[-1])
    table.func = ast.parse("sa.Table", mode="eval").body
    table.args.insert(1, ast.parse("sa.MetaData()", mode="eval").body)
    # Alembic adds each constraint that it reflects to a table that has it already.
    table.args = [*{ast.unparse(argument): argument for argument in table.args}.values()]
    for index in op.indexes:
        arguments = ", ".join(map(repr, [str(index.name), *(c.name for c in index.columns)]))
        source = f"sa.Index({arguments}, unique={bool(index.unique)})"
        table.args.append(ast.parse(source, mode="eval").body)
    name = op.create.table_name
    return [
        f"with op.batch_alter_table({name!r}, recreate='always', copy_from={ast.unparse(table)}):",
        "pass",
        "",
    ]
