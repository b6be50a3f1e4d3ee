"""What `alembic revision --autogenerate` and `alembic check` look at and write.

compare.py    a table that is there and its model, as the database describes both
databases.py  what each database needs beside Alembic's own operations
"""

import copy
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context as environment
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _alter_column, _render_server_default, _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import conv

from alembic_support.autogenerate import compare, databases
from alembic_support.autogenerate.compare import items, native, plain, spelled
from alembic_support.autogenerate.databases import Ops, Sql
from alembic_support.connection import tell

OWN = re.compile(r"""(?:create_table\(|rename_table\([^)]*,|schema=)\s*["']([^"']+)["']""")

for module in (compare, databases):
    Plugin.setup_plugin_from_module(module, module.__name__)


def options() -> dict[str, Any]:
    """Return what context.configure() needs to know."""

    @cache
    def modelled() -> set[str | None]:
        tables = environment.get_context().opts["target_metadata"].tables.values()
        return {table.name for table in tables} | {table.schema for table in tables}

    @cache
    def revised() -> set[str]:
        paths = Path(environment.script.versions).rglob("*.py")
        return {name for path in paths for name in OWN.findall(path.read_text("utf-8"))}

    def include_name(name: str | None, kind: str, _parents: Any) -> bool:
        """Leave alone the tables of others: ours are those that a model or a revision names."""
        if kind not in ("schema", "table") or name is None:
            return True
        return name in modelled() or name in revised()

    return {
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic_support.*"],
        "compare_type": True,
        "compare_server_default": True,
        "include_name": include_name,
        "include_schemas": True,
        "process_revision_directives": process_revision_directives,
        "render_item": render_item,
    }


def render_item(kind: str, item: Any, context: AutogenContext) -> Any:
    """Write what will mean the same in years: no types of the app, nothing that a type implies."""
    if kind != "type":
        return False
    if isinstance(item, sa.types.TypeDecorator) and type(item).__module__.startswith("app."):
        return _repr_type(item.impl_instance, context)
    if isinstance(item, postgresql.JSON):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return f"postgresql.{type(item).__name__}(astext_type=sa.Text())"
    if getattr(item, "create_constraint", False) and item.name:
        item = copy.copy(item)
        item.create_constraint = False
        return _repr_type(item, context)
    if context.dialect.name == "postgresql" and isinstance(item, sa.Enum) and native(item):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        names = [f"name={item.name!r}", *([f"schema={item.schema!r}"] if item.schema else [])]
        parts = [*map(repr, item.enums), *names, "create_type=False"]
        return f"postgresql.ENUM({', '.join(parts)})"
    return False


@renderers.dispatch_for(ops.AlterColumnOp, replace=True)
def render_alter_column(context: AutogenContext, op: ops.AlterColumnOp) -> list[str]:
    """Write what Alembic takes but does not write: USING, and the identity that was there."""
    more, first = "", []
    old, new, default = op.existing_type, op.modify_type, op.existing_server_default
    if isinstance(op.modify_server_default, sa.Identity) and default:
        more = f", existing_server_default={_render_server_default(default, context)}"
    if context.dialect.name == "postgresql" and new is not None and (using := converted(op)):
        more = f", postgresql_using={using!r}"
        if isinstance(default, sa.DefaultClause):
            kept = sa.DefaultClause(sa.text(plain(str(default.arg)) or ""))
            if op.modify_server_default is False:
                op.modify_server_default = kept
            args = op.table_name, op.column_name
            none = ops.AlterColumnOp(*args, schema=op.schema, modify_server_default=None)
            first = [_alter_column(context, none)]
    return [*first, f"{_alter_column(context, op)[:-1]}{more})"]


def converted(op: ops.AlterColumnOp) -> str | None:
    """Return how PostgreSQL converts values, where it does not by itself: moments are in UTC."""
    old: Any = op.existing_type
    new: Any = op.modify_type
    dialect = postgresql.dialect()
    name = dialect.identifier_preparer.quote(op.column_name)
    if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime):
        return f"{name} AT TIME ZONE 'UTC'" if bool(old.timezone) != bool(new.timezone) else None
    if old._type_affinity is new._type_affinity and not (native(old) or native(new)):
        return None
    return f"{name}{'::text' if native(old) or native(new) else ''}::{new.compile(dialect)}"


def process_revision_directives(
    context: MigrationContext, _revision: Any, directives: list[ops.MigrationScript]
) -> None:
    """Write no empty revision, refuse one that drops every table, say what a person decides."""
    upgrade, downgrade = directives[0].upgrade_ops_list[0], directives[0].downgrade_ops_list[0]
    if not context.opts["target_metadata"].tables and not upgrade.is_empty():
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")
    render = context.impl.render_ddl_sql_expr  # it doubles % for a driver that is not there yet
    context.impl.render_ddl_sql_expr = (  # type: ignore[method-assign]
        lambda *args, **options: render(*args, **options).replace("%%", "%")
    )
    upgrade.ops = in_order(context, upgrade.ops)
    upgrade.reverse_into(downgrade)
    say_what_is_new(upgrade.ops, downgrade)
    for operations in (upgrade, downgrade):
        finish(context, operations)
    written = getattr(context.config and context.config.cmd_opts, "autogenerate", False)
    if written and upgrade.is_empty():
        directives.clear()
        print("No changes: no revision was written.")


def in_order(context: MigrationContext, operations: Ops) -> Ops:
    """Schemas, enums, new tables, changes, dropped tables, enums; downgrades are the reverse."""
    created = [op for op in operations if isinstance(op, ops.CreateTableOp)]
    dropped = [op.reverse() for op in operations if isinstance(op, ops.DropTableOp)]
    for op in created:
        state_checks(context, op)
    sql = [op for op in operations if isinstance(op, Sql)]
    changes = modified(operations)
    for table in changes:
        table.ops.sort(key=rank)
    return [
        *schemas(context, created),
        *(op for op in sql if not op.last),
        *parents_first(created),
        *(new for op in changes for new in databases.adapted(context, op)),
        *(op.reverse() for op in reversed(parents_first(dropped))),
        *(op for op in sql if op.last),
    ]


def rank(op: Any) -> int:
    ranks = {ops.DropConstraintOp: 1, ops.DropIndexOp: 1, ops.DropColumnOp: 2}
    late = 5 if isinstance(op, ops.CreateForeignKeyOp) else 3
    return 0 if databases.is_key(op) else ranks.get(type(op), late)


def state_checks(context: MigrationContext, op: ops.CreateTableOp) -> None:
    """Write out the CHECKs that come with a column or its type, where the database makes one."""
    table: Any = next(item.table for item in op.columns if isinstance(item, sa.Column))
    found = {key: item for key, item in items(context, table).items() if key[0] == "check"}
    within = {check for column in table.columns for check in column.constraints}
    bound = [c for c in op.columns if getattr(c, "_create_rule", None) and c.name]
    gone = {*found.values(), *within, *bound}
    op.columns = [item for item in op.columns if item not in gone]
    op.columns += [
        sa.CheckConstraint(compare.spelled(context, item.sqltext), name=conv(name))
        for (_, name), item in found.items()
    ]


def schemas(context: MigrationContext, created: list[ops.CreateTableOp]) -> Iterator[Sql]:
    """Make the schemas that are not there yet."""
    if wanted := {op.schema for op in created if op.schema}:
        there: Any = context.connection
        for name in sorted(wanted - {*sa.inspect(there).get_schema_names()}):
            quoted = context.dialect.identifier_preparer.quote(name)
            yield Sql(f"CREATE SCHEMA IF NOT EXISTS {quoted}", f"DROP SCHEMA {quoted}")


def parents_first(created: list[ops.CreateTableOp]) -> Ops:
    """Order new tables by their foreign keys; those in a circle are added at the end."""
    waiting = {(op.schema or "", op.table_name): op for op in created}
    done: Ops = []
    late: Ops = []
    while waiting:
        ready = [
            key
            for key, op in waiting.items()
            if not {target(k) for k in keys(op) if not k.use_alter} & waiting.keys() - {key}
        ]
        op = waiting.pop(min(ready or waiting))
        for key in keys(op):
            if key.use_alter or target(key) in waiting:
                op.columns = [item for item in op.columns if item is not key]
                add = ops.CreateForeignKeyOp.from_constraint(key)
                late.append(ops.ModifyTableOps(op.table_name, [add], schema=op.schema))
        done.append(op)
    return done + late


def keys(op: ops.CreateTableOp) -> list[sa.ForeignKeyConstraint]:
    return [item for item in op.columns if isinstance(item, sa.ForeignKeyConstraint)]


def target(key: sa.ForeignKeyConstraint) -> tuple[str, str]:
    *schema, table, _ = key.elements[0].target_fullname.rsplit(".", 2)
    return (schema[0] if schema else "", table)


def say_what_is_new(upgrade: Ops, downgrade: ops.DowngradeOps) -> None:
    """Say above a drop in downgrade() that nothing old is lost: this revision made it."""
    new = {(op.table_name, None) for op in upgrade if isinstance(op, ops.CreateTableOp)}
    new |= {
        (op.table_name, add.column.name)
        for op in modified(upgrade)
        for add in op.ops
        if isinstance(add, ops.AddColumnOp)
    }
    for place in (downgrade, *modified(downgrade.ops)):
        place.ops = [item for op in place.ops for item in (*noted(op, new), op)]


def noted(op: Any, new: set[Any]) -> list["Comment"]:
    drops = isinstance(op, ops.DropTableOp | ops.DropColumnOp)
    what = (op.table_name, getattr(op, "column_name", None)) if drops else None
    if what not in new:
        return []
    name = ".".join(filter(None, what))
    return [Comment(f"allow loss of {name}: it is new in this revision")]


def finish(context: MigrationContext, operations: ops.OpContainer) -> None:
    """Put the open questions first; MariaDB refuses to drop the index of a foreign key alone."""
    dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}
    index = (ops.ModifyTableOps, ops.DropIndexOp)
    kept = [
        op
        for op in operations.ops
        if not (isinstance(op, index) and op.table_name in dropped and only_indexes(op))
    ]
    for op in modified(kept):
        databases.relinked(context, op)
    texts = [*renamed(kept), *replaced(kept), *unfilled(kept)]
    if context.dialect.name == "sqlite":
        texts += databases.lost(context, kept)
    for text in dict.fromkeys(texts):
        tell(f"TODO in the revision: {text}")
    operations.ops = [*(Comment(f"TODO: {text}") for text in dict.fromkeys(texts)), *kept]


def only_indexes(op: Any) -> bool:
    return all(isinstance(change, ops.DropIndexOp) for change in getattr(op, "ops", [op]))


class Comment(ops.MigrateOperation):
    """A comment; `TODO` fails the project's tests until somebody has decided and removed it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("comment", self.text)


@renderers.dispatch_for(Comment)
def render_comment(_context: AutogenContext, op: Comment) -> list[str]:
    lines = textwrap.wrap(op.text, 90) if op.text.startswith("TODO") else [op.text]
    return [f"# {line}" for line in lines]


def modified(operations: Ops) -> list[ops.ModifyTableOps]:
    return [op for op in operations if isinstance(op, ops.ModifyTableOps)]


def renamed(operations: Ops) -> Iterator[str]:
    """Say which dropped column looks like one that is added."""
    for op in modified(operations):
        old = {c.column_name for c in op.ops if isinstance(c, ops.DropColumnOp)}
        new = {c.column.name for c in op.ops if isinstance(c, ops.AddColumnOp)}
        if (gone := sorted(old - new)) and (came := sorted(new - old)):
            yield (
                f"{op.table_name}.{gone[0]} is dropped with all that it holds, and "
                f"{op.table_name}.{came[0]} is added; if it was renamed, write instead: "
                f"op.alter_column({op.table_name!r}, {gone[0]!r}, new_column_name={came[0]!r})"
            )


def replaced(operations: Ops) -> Iterator[str]:
    """Say which dropped table looks like one that is created."""
    for drop in (op for op in operations if isinstance(op, ops.DropTableOp)):
        columns = {column.name for column in drop.to_table().columns} - {"id"}
        for new in (op for op in operations if isinstance(op, ops.CreateTableOp)):
            if columns & {c.name for c in new.columns if isinstance(c, sa.Column)}:
                yield (
                    f"{drop.table_name} is dropped with all that it holds, and {new.table_name} "
                    "is created; if it was renamed, write instead: "
                    f"op.rename_table({drop.table_name!r}, {new.table_name!r})"
                )


def unfilled(operations: Ops) -> Iterator[str]:
    """Say where the rows that are there have no value for a column."""
    for op in modified(operations):
        for column in (change.column for change in op.ops if isinstance(change, ops.AddColumnOp)):
            if not column.nullable and column.server_default is None:
                yield (
                    f"{op.table_name}.{column.name} is NOT NULL and has no server_default: where "
                    f"{op.table_name} has rows this fails, and MariaDB fills in 0 or ''. Give a "
                    "server_default, or add it as nullable, fill it, then make it NOT NULL"
                )
