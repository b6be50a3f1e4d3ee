"""SQLite alters a table by making it anew; this keeps what Alembic forgets then, or says so."""

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import CreateIndex

from alembic_support.thorough.compare import index_of
from alembic_support.thorough.facts import connected

PLAIN = re.compile(r"""[^(]*\(("[^"]*"|\w+)(, ("[^"]*"|\w+))*\)( WHERE .*)?""")
LOST = {
    "AUTOINCREMENT": r"\bAUTOINCREMENT\b",
    "COLLATE": r"\bCOLLATE\b",
    "STRICT": r"\)\s*STRICT\s*$",
    "WITHOUT ROWID": r"\bWITHOUT ROWID\b",
    "a CHECK without a name": r"(?<!CONSTRAINT)\s(?!CONSTRAINT)(?:\S+|\([\d, ]+\))\s+CHECK\b",
}


def rebuilds(op: Any) -> bool:
    """Tell whether an operation makes Alembic copy a table."""
    return isinstance(op, ops.ModifyTableOps) and any(map(recreates, op.ops))


def recreates(change: Any) -> bool:
    if isinstance(change, ops.AddColumnOp):
        return isinstance(change.column.server_default, sa.Computed | sa.DefaultClause)
    return not isinstance(change, ops.CreateIndexOp | ops.DropIndexOp)


def lost(context: MigrationContext, op: ops.ModifyTableOps) -> Iterator[str]:
    """Say what a rebuild would lose without a word."""
    if not rebuilds(op):
        return
    name = op.table_name
    query = sa.text("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    for kind, other, table, text in connected(context).execute(query):
        if kind == "trigger" and table == name:
            yield f"the trigger {other} goes with the rebuild of {name}: create it again after it"
        elif kind == "view" and re.search(rf"\b{re.escape(name)}\b", text):
            yield f"the view {other} stops the rebuild of {name}: drop it before, create it after"
        elif kind == "table" and table == name:
            for what, pattern in LOST.items():
                if re.search(pattern, text, re.IGNORECASE):
                    yield (
                        f"{what} of {name} goes with the rebuild: restate it, see table_args, "
                        "table_kwargs and copy_from of op.batch_alter_table()"
                    )


def rebuilt(context: MigrationContext, op: Any, upgrade: bool) -> list[Any]:
    """Take odd indexes and computed columns out of the way of a rebuild, and put them back."""
    if not isinstance(op, ops.ModifyTableOps):
        return [op]
    table = context.opts["target_metadata"].tables.get(op.table_name)
    if upgrade and sa.inspect(connected(context)).has_table(op.table_name):
        table = sa.Table(op.table_name, sa.MetaData(), autoload_with=connected(context))
    drops: list[Any] = [c for c in op.ops if isinstance(c, ops.DropIndexOp) and odd(c)]
    creates: list[Any] = [c for c in op.ops if isinstance(c, ops.CreateIndexOp) and odd(c)]
    op.ops = [change for change in op.ops if change not in [*drops, *creates]]
    if rebuilds(op) and table is not None:
        touched = {change.index_name for change in [*drops, *creates]}
        for index in odd_indexes(context, table, upgrade):
            if index.name not in touched:
                drops.append(ops.DropIndexOp.from_index(index))
                creates.append(ops.CreateIndexOp.from_index(index))
        set_computed_aside(op, table)
    return [*drops, *([op] if op.ops else []), *creates]


def set_computed_aside(op: ops.ModifyTableOps, table: sa.Table) -> None:
    """Drop computed columns before a copy, which cannot fill them, and add them after it."""
    changed = {getattr(change, "column_name", None) for change in op.ops}
    for column in table.columns:
        if isinstance(column.server_default, sa.Computed) and column.name not in changed:
            args = (op.schema, op.table_name, column)
            op.ops.insert(0, ops.DropColumnOp.from_column_and_tablename(*args))
            op.ops.append(ops.AddColumnOp.from_column_and_tablename(*args))


def odd(change: ops.CreateIndexOp | ops.DropIndexOp) -> bool:
    return is_odd(change.to_index())


def is_odd(index: sa.Index) -> bool:
    """Tell whether an index has more than columns, which Alembic does not copy."""
    return not PLAIN.fullmatch(" ".join(str(CreateIndex(index)).split()))


def odd_indexes(context: MigrationContext, table: sa.Table, there: bool) -> Iterator[sa.Index]:
    """Yield the odd indexes of a table: those there, or those of a model."""
    if not there:
        yield from (index for index in table.indexes if is_odd(index))
        return
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :t")
    for name, text in connected(context).execute(query, {"t": table.name}):
        if text and not PLAIN.fullmatch(text := " ".join(text.split())):
            yield index_of(name, text, table)
