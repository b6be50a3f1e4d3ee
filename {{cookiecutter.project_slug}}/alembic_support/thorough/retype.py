"""Tell PostgreSQL how to convert a column's values where it does not by itself."""

from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import postgresql

from alembic_support.autogenerate import Ops
from alembic_support.thorough.enums import native
from alembic_support.thorough.facts import plain


def recomputed(change: Any) -> Ops:
    """Replace a computed column whose expression changed: its values are computed again."""
    old = getattr(change, "existing_server_default", None)
    new = getattr(change, "modify_server_default", None)
    if not isinstance(old, sa.Computed) or not isinstance(new, sa.Computed):
        return [change]
    replace = []
    for kind, default in ((ops.DropColumnOp, old), (ops.AddColumnOp, new)):
        column = sa.Column(
            change.column_name,
            change.modify_type or change.existing_type,
            sa.Computed(default.sqltext, default.persisted),
            nullable=change.existing_nullable,
        )
        args = (change.schema, change.table_name, column)
        replace.append(kind.from_column_and_tablename(*args))
    return replace


def retyped(change: Any) -> list[Any]:
    """Tell PostgreSQL how to convert a column, and take its default away meanwhile."""
    if not isinstance(change, ops.AlterColumnOp) or change.modify_type is None:
        return [change]
    if not converts(change.existing_type, change.modify_type):
        return [change]
    change.kw["postgresql_using"] = converted(change)
    default, wanted = change.existing_server_default, change.modify_server_default
    if not isinstance(default, sa.DefaultClause):
        return [change]
    wanted = default if wanted is False else wanted
    args = (change.table_name, change.column_name)
    change.existing_server_default, change.modify_server_default = None, False
    return [
        ops.AlterColumnOp(*args, schema=change.schema, modify_server_default=None),
        change,
        ops.AlterColumnOp(*args, schema=change.schema, modify_server_default=uncast(wanted)),
    ]


def converted(change: ops.AlterColumnOp) -> str:
    """Return the expression of the new value; a naive moment is one in UTC."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    name = dialect.identifier_preparer.quote(change.column_name)
    old, new = change.existing_type, change.modify_type
    if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime):
        return f"{name} AT TIME ZONE 'UTC'"
    text = "::text" if [*native(old), *native(new)] else ""
    return f"{name}{text}::{new.compile(dialect)}"  # type: ignore[union-attr]


def converts(old: Any, new: Any) -> bool:
    if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime):
        return bool(old.timezone) != bool(new.timezone)
    return old._type_affinity is not new._type_affinity or bool([*native(old), *native(new)])


def uncast(default: Any) -> Any:
    return sa.DefaultClause(sa.text(plain(default.arg) or "")) if default is not None else None
