"""What `alembic revision --autogenerate` and `alembic check` look at and write.

compare.py    a table that is there and its model, as the database describes both
databases.py  what each database needs beside Alembic's own operations
"""

import re
import textwrap
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context as environment
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError, DispatchPriority
from alembic.util import PriorityDispatchResult as Result
from sqlalchemy.dialects import postgresql

from alembic_support.autogenerate import compare, databases
from alembic_support.autogenerate.databases import Ops, Written
from alembic_support.connection import tell

OWN = re.compile(r"""(?:create_table\(|rename_table\([^)]*,|schema=)\s*["']([^"']+)["']""")


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
        other = kind in ("schema", "table") and name is not None and name not in modelled()
        return not other or name in revised()

    return {
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic_support.*"],
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
    if getattr(item, "create_constraint", False) and item.name:
        item = item.copy()
        item.create_constraint = False
        return _repr_type(item, context)
    text: Any = False
    if isinstance(item, postgresql.JSON):
        text = f"postgresql.{type(item).__name__}()"
    elif context.dialect.name == "postgresql" and isinstance(item, sa.Enum) and item.native_enum:
        schema = [f"schema={item.schema!r}"] if item.schema else []
        args = [*map(repr, item.enums), f"name={item.name!r}", *schema, "create_type=False"]
        text = f"postgresql.ENUM({', '.join(args)})"
    context.imports |= {"from sqlalchemy.dialects import postgresql"} if text else set()
    return text


def arrange(context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: Any) -> Result:
    """Schemas, enums, new tables, changes, dropped tables, enums; downgrades are the reverse."""
    migration = context.migration_context
    created = [op for op in upgrade.ops if isinstance(op, ops.CreateTableOp)]
    dropped = [op.reverse() for op in upgrade.ops if isinstance(op, ops.DropTableOp)]
    for op in created:
        first: Any = op.columns[0]
        op.columns = [c for c in op.columns if not (isinstance(c, sa.CheckConstraint) and c.name)]
        op.columns += compare.checks(migration, first.table)
    changes: Ops = []
    for table in modified(upgrade.ops):
        table.ops.sort(key=rank)
        changes += databases.rebuilt(migration, table)
    enums, unused = databases.enums(context)
    quote = migration.dialect.identifier_preparer.quote
    schemas = sorted({op.schema for op in created if op.schema})
    upgrade.ops = [
        *(databases.sql([f"CREATE SCHEMA IF NOT EXISTS {quote(name)}"], []) for name in schemas),
        *enums,
        *parents_first(created),
        *changes,
        *(op.reverse() for op in reversed(parents_first(dropped))),
        *unused,
    ]
    return Result.CONTINUE


def rank(op: Any) -> int:
    if isinstance(op, ops.DropConstraintOp):
        return int(op.constraint_type != "foreignkey")
    return {ops.DropIndexOp: 2, ops.CreateForeignKeyOp: 4}.get(type(op), 3)


def parents_first(created: list[ops.CreateTableOp]) -> Ops:
    """Order new tables by their foreign keys; those in a circle are added at the end."""
    waiting = {".".join(filter(None, (op.schema, op.table_name))): op for op in created}
    done: Ops = []
    late: Ops = []
    while waiting:
        keys = {name: dict(parents(op)) for name, op in waiting.items()}
        ready = [n for n in waiting if not {*keys[n].values()} & waiting.keys() - {n}]
        op = waiting.pop(name := min(ready or waiting))
        cut = [key for key, parent in keys[name].items() if key.use_alter or parent in waiting]
        op.columns = [item for item in op.columns if not any(item is key for key in cut)]
        adds = [ops.CreateForeignKeyOp.from_constraint(key) for key in cut]
        late += [ops.ModifyTableOps(op.table_name, [add], schema=op.schema) for add in adds]
        done.append(op)
    return done + late


def parents(op: ops.CreateTableOp) -> Iterator[tuple[sa.ForeignKeyConstraint, str]]:
    """Yield the foreign keys of a table with the tables that they refer to."""
    for item in op.columns:
        if isinstance(item, sa.ForeignKeyConstraint):
            yield item, item.elements[0].target_fullname.rpartition(".")[0]


def process_revision_directives(context: MigrationContext, _: Any, directives: Any) -> None:
    """Write no empty revision, refuse one that drops every table, say what a person decides."""
    upgrade, downgrade = directives[0].upgrade_ops_list[0], directives[0].downgrade_ops_list[0]
    if not context.opts["target_metadata"].tables and not upgrade.is_empty():
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")
    context.impl.render_ddl_sql_expr = partial(in_text, context)  # type: ignore[method-assign]
    for operations in (upgrade, downgrade):
        finish(context, operations)
    for place in (downgrade, *modified(downgrade.ops)):  # each drop there undoes what is new
        place.ops = [new for op in place.ops for new in (*new_in_revision(op, place.ops), op)]
    written = getattr(context.config and context.config.cmd_opts, "autogenerate", False)
    if written and upgrade.is_empty():
        directives.clear()
        print("No changes: no revision was written.")


def finish(context: MigrationContext, operations: ops.OpContainer) -> None:
    """Put the open questions first."""
    found = operations.ops
    dropped = {op.table_name for op in found if isinstance(op, ops.DropTableOp)}
    for op in modified(found):
        if op.table_name in dropped:  # its indexes go with it
            op.ops = [change for change in op.ops if not isinstance(change, ops.DropIndexOp)]
        op.ops = databases.linked(context, op)
    said = [*renamed(found), *replaced(found), *unfilled(found), *remade(found)]
    texts = dict.fromkeys([*said, *databases.lost(context, found)])
    for text in texts:
        tell(f"TODO in the revision: {text}")
    lines = [f"# {line}" for text in texts for line in textwrap.wrap(f"TODO: {text}", 90)]
    operations.ops = [Written(lines), *found] if lines else found


def in_text(context: MigrationContext, expression: Any, **options: Any) -> str:
    """Return an expression as a revision has it: within text(), but for that of an index."""
    text = compare.spelled(context, expression, **options)
    return text if options.get("is_index") else compare.escaped(text)


def new_in_revision(op: Any, beside: Ops) -> list[Written]:
    """Return what says above a drop that nothing old is lost by it, where that is so."""
    if not isinstance(op, ops.DropTableOp | ops.DropColumnOp):
        return []
    if getattr(op, "column_name", None) in added(beside):  # made anew: see remade()
        return []
    name = ".".join(filter(None, (op.schema, op.table_name, getattr(op, "column_name", None))))
    return [Written([f"# allow loss of {name}: it is new in this revision"])]


def modified(operations: Ops) -> list[ops.ModifyTableOps]:
    return [op for op in operations if isinstance(op, ops.ModifyTableOps)]


def added(operations: Ops) -> dict[str, sa.Column[Any]]:
    """Return the columns that are added, by name."""
    changes = (op for op in operations if isinstance(op, ops.AddColumnOp))
    return {change.column.name: change.column for change in changes}


def renamed(operations: Ops) -> Iterator[str]:
    """Say which dropped column looks like one that is added."""
    for op in modified(operations):
        old = {c.column_name for c in op.ops if isinstance(c, ops.DropColumnOp)}
        new = added(op.ops).keys()
        if (gone := sorted(old - new)) and (came := sorted(new - old)):
            rename = f"alter_column({op.table_name!r}, {gone[0]!r}, new_column_name={came[0]!r})"
            yield question(f"{op.table_name}.{gone[0]}", f"{op.table_name}.{came[0]}", rename)


def replaced(operations: Ops) -> Iterator[str]:
    """Say which dropped table looks like one that is created."""
    for drop in (op for op in operations if isinstance(op, ops.DropTableOp)):
        columns = {column.name for column in drop.to_table().columns} - {"id"}
        for new in (op for op in operations if isinstance(op, ops.CreateTableOp)):
            if columns & {c.name for c in new.columns if isinstance(c, sa.Column)}:
                rename = f"rename_table({drop.table_name!r}, {new.table_name!r})"
                yield question(drop.table_name, new.table_name, rename)


def question(gone: str, came: str, rename: str) -> str:
    text = f"{gone} is dropped with all that it holds, and {came} is added"
    return f"{text}; if it was renamed, write instead: op.{rename}"


def unfilled(operations: Ops) -> Iterator[str]:
    """Say where the rows that are there have no value for a column."""
    cure = "Give it one, or add it as nullable, fill it, then make it NOT NULL"
    for op in modified(operations):
        for column in added(op.ops).values():
            if not column.nullable and column.server_default is None:
                what = f"{op.table_name}.{column.name} is NOT NULL and has no server_default: where"
                yield f"{what} there are rows this fails, and MariaDB fills in 0 or ''. {cure}"


def remade(operations: Ops) -> Iterator[str]:
    """Say which column is made anew, though its values are not computed, or were not."""
    for op in modified(operations):
        new = added(op.ops)
        for drop in (c for c in op.ops if isinstance(c, ops.DropColumnOp) and c.column_name in new):
            defaults = drop.to_column().server_default, new[drop.column_name].server_default
            if not all(isinstance(default, sa.Computed) for default in defaults):
                name = f"{op.table_name}.{drop.column_name}"
                what = f"{name} is dropped with its values and made anew"
                yield f"{what}: keep them elsewhere, or leave it so if nobody needs them"


add_comparator = Plugin(__name__).add_autogenerate_comparator
add_comparator(compare.compare_column, "column", "types", priority=DispatchPriority.FIRST)
add_comparator(compare.compare_column, "column", "server_default", priority=DispatchPriority.FIRST)
add_comparator(compare.compare_table, "table", "described", priority=DispatchPriority.LAST)
add_comparator(arrange, "schema", "order", priority=DispatchPriority.LAST)
