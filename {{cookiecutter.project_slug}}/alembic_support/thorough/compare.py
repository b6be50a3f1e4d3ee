"""What Alembic compares too little, or wrongly: types, defaults, CHECKs, indexes."""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from alembic.util.sqla_compat import _get_constraint_final_name
from sqlalchemy.sql.elements import conv

from alembic_support.thorough.facts import MARIADB, as_found, as_made, checks, plain, spelled

COLLATION = re.compile(r" (?:CHARACTER SET|COLLATE) \S+")
GO_ON, STOP = PriorityDispatchResult.CONTINUE, PriorityDispatchResult.STOP


def compare_type(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Compare what both types are to the database; PostgreSQL's enums have their own module."""
    _, _, name, there, wanted = args
    made = as_made(context.migration_context, wanted.table)
    dialect = context.migration_context.dialect
    if made is None or (dialect.name == "postgresql" and isinstance(there.type, sa.Enum)):
        return GO_ON
    change.existing_type = there.type
    old, new = there.type.compile(dialect), made["type", name]
    if not getattr(wanted.type, "collation", None):
        old, new = COLLATION.sub("", old), COLLATION.sub("", new)
    if old != new:
        change.modify_type = wanted.type
    elif there.type.compile(dialect) == made["type", name]:
        change.existing_type = wanted.type  # a MariaDB column stated as LONGTEXT is JSON no more
    return STOP


def compare_default(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Compare a server default, or say that a computed column's expression changed."""
    _, _, name, there, wanted = args
    made = as_made(context.migration_context, wanted.table)
    if made is None or isinstance(wanted.server_default, sa.Identity):
        return GO_ON
    change.existing_server_default = there.server_default
    new, old = wanted.server_default, there.server_default
    if isinstance(new, sa.Computed) or isinstance(old, sa.Computed):
        text = plain(old.sqltext) if isinstance(old, sa.Computed) else None
        if made["computed", name] != text:
            change.modify_server_default = new
        return STOP
    text = plain(old.arg) if isinstance(old, sa.DefaultClause) else None
    if (made["default", name] if new is not None else None) != text:
        change.modify_server_default = new
    return STOP


def compare_checks(
    context: AutogenContext, changes: ops.ModifyTableOps, *args: Any
) -> PriorityDispatchResult:
    """Find CHECKs that were added, dropped or reworded, those of Boolean and Enum included."""
    schema, name, there, wanted = args
    if there is None or wanted is None:
        return GO_ON
    if (made := as_made(context.migration_context, wanted)) is None:
        return GO_ON
    found = as_found(context.migration_context, name, schema)
    new = {_get_constraint_final_name(c, context.dialect): c for c in checks(wanted)}
    for kind, key in sorted({*made, *found}, key=str):
        if kind != "check" or key is None or made.get((kind, key)) == found.get((kind, key)):
            continue
        final = conv(key)
        if (kind, key) in found:
            old = sa.CheckConstraint(found[kind, key], name=final, table=there)
            changes.ops.append(ops.DropConstraintOp.from_constraint(old))
        if (kind, key) in made:
            text = spelled(context.migration_context, new[key].sqltext)
            changes.ops.append(ops.CreateCheckConstraintOp(final, name, text, schema=schema))
    return GO_ON


def compare_indexes(
    context: AutogenContext, changes: ops.ModifyTableOps, *args: Any
) -> PriorityDispatchResult:
    """Compare indexes by their text: Alembic overlooks, or mistakes, expressions, DESC, WHERE."""
    schema, name, there, wanted = args
    made = as_made(context.migration_context, wanted) if wanted is not None else None
    if made is None:
        return GO_ON
    found = as_found(context.migration_context, name, schema) if there is not None else {}
    new = {_get_constraint_final_name(index, context.dialect): index for index in wanted.indexes}
    mariadb = context.migration_context.dialect.name in MARIADB
    for kind, key in sorted({*made, *found}, key=str):
        if kind != "index" or (key not in new and mariadb):
            continue  # MariaDB makes indexes for foreign keys, and constraints are indexes
        old, text = found.get((kind, key)), made.get((kind, key))
        seen = [op for op in changes.ops if index_name(op, context) == key]
        if old == text:
            changes.ops = [op for op in changes.ops if op not in seen]
        elif not seen:
            if old is not None and key is not None:
                changes.ops.append(ops.DropIndexOp.from_index(index_of(key, old, there)))
            if key in new:
                changes.ops.append(ops.CreateIndexOp.from_index(new[key]))
    return GO_ON


def index_name(op: Any, context: AutogenContext) -> str | None:
    if not isinstance(op, ops.CreateIndexOp | ops.DropIndexOp):
        return None
    return _get_constraint_final_name(op.to_index(), context.dialect)


def index_of(name: str, text: str, table: sa.Table) -> sa.Index:
    """Return the index that a CREATE INDEX makes."""
    columns, _, where = text.partition("(")[2].partition(") WHERE ")
    return sa.Index(
        name,
        sa.text(columns if where else columns.removesuffix(")")),
        unique=text.startswith("CREATE UNIQUE"),
        sqlite_where=sa.text(where) if where else None,
        postgresql_where=sa.text(where) if where else None,
        _table=table,
    )


def setup(plugin: Plugin) -> None:
    plugin.add_autogenerate_comparator(
        compare_default, "column", "server_default", priority=DispatchPriority.FIRST
    )
    plugin.add_autogenerate_comparator(
        compare_type, "column", "types", priority=DispatchPriority.FIRST
    )
    plugin.add_autogenerate_comparator(compare_checks, "table", "checks")
    plugin.add_autogenerate_comparator(
        compare_indexes, "table", "odd_indexes", priority=DispatchPriority.LAST
    )
