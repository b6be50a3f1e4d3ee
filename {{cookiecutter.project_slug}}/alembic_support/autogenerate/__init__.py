"""What `alembic revision --autogenerate` and `alembic check` look at and write.

compare.py    a table that is there and its model, as the database describes both
databases.py  what each database needs beside Alembic's own operations
"""

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
from alembic.autogenerate.render import _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import CommandError, DispatchPriority
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import conv

from alembic_support.autogenerate import databases
from alembic_support.autogenerate.compare import (
    compare_column,
    compare_table,
    items,
    native,
    spelled,
)
from alembic_support.autogenerate.databases import Ops, Sql, compare_enums
from alembic_support.connection import tell

OWN = re.compile(r"""(?:create_table\(|rename_table\([^)]*,|schema=)\s*["']([^"']+)["']""")
FIRST, LAST = DispatchPriority.FIRST, DispatchPriority.LAST
compare = Plugin(__name__).add_autogenerate_comparator
compare(compare_column, "column", "types", priority=FIRST)
compare(compare_column, "column", "server_default", priority=FIRST)
compare(compare_table, "table", "described", priority=LAST)
compare(compare_enums, "schema", "enums", qualifier="postgresql", priority=LAST)


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
    if getattr(item, "create_constraint", False) and item.name:
        item = item.copy()
        item.create_constraint = False
        return _repr_type(item, context)
    text: Any = False
    enum = native(item) if context.dialect.name == "postgresql" else None
    if isinstance(item, postgresql.JSON):
        text = f"postgresql.{type(item).__name__}(astext_type=sa.Text())"
    elif enum is not None and enum is item:
        schema = [f"schema={enum.schema!r}"] if enum.schema else []
        args = [*map(repr, enum.enums), f"name={enum.name!r}", *schema, "create_type=False"]
        text = f"postgresql.ENUM({', '.join(args)})"
    context.imports |= {"from sqlalchemy.dialects import postgresql"} if text else set()
    return text


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
    for operations in (upgrade, downgrade):
        finish(context, operations)
    for place in (downgrade, *modified(downgrade.ops)):  # each drop there undoes what is new
        place.ops = [new for op in place.ops for new in (*new_in_revision(op), op)]
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
    for table in (changes := modified(operations)):
        table.ops.sort(key=rank)
    sql = [op for op in operations if isinstance(op, Sql)]
    return [
        *schemas(context, created),
        *(op for op in sql if not op.last),
        *parents_first(created),
        *(new for op in changes for new in databases.adapted(context, op)),
        *(op.reverse() for op in reversed(parents_first(dropped))),
        *(op for op in sql if op.last),
    ]


def rank(op: Any) -> int:
    late = 5 if isinstance(op, ops.CreateForeignKeyOp) else 3
    early = {ops.DropConstraintOp: 1, ops.DropIndexOp: 1, ops.DropColumnOp: 2}
    return 0 if databases.is_key(op) else early.get(type(op), late)


def state_checks(context: MigrationContext, op: ops.CreateTableOp) -> None:
    """Write out the CHECKs that come with a column or its type, where the database makes one."""
    first: Any = op.columns[0]
    found = items(context, first.table)
    kept = [c for c in op.columns if not (isinstance(c, sa.CheckConstraint) and c.name)]
    checks = [(name, item) for (kind, name), item in found.items() if kind == "check"]
    stated = [sa.CheckConstraint(spelled(context, c.sqltext), name=conv(n)) for n, c in checks]
    op.columns = [*kept, *stated]


def schemas(context: MigrationContext, created: list[ops.CreateTableOp]) -> Iterator[Sql]:
    """Make the schemas that are not there yet."""
    connection: Any = context.connection
    wanted = {op.schema for op in created if op.schema}
    for name in sorted(wanted - {*sa.inspect(connection).get_schema_names()} if wanted else ()):
        quoted = connection.dialect.identifier_preparer.quote(name)
        yield Sql(f"CREATE SCHEMA IF NOT EXISTS {quoted}", f"DROP SCHEMA {quoted}")


def parents_first(created: list[ops.CreateTableOp]) -> Ops:
    """Order new tables by their foreign keys; those in a circle are added at the end."""
    waiting = {".".join(filter(None, (op.schema, op.table_name))): op for op in created}
    done: Ops = []
    late: Ops = []
    while waiting:
        needs = {name: {target(item) for item in op.columns} for name, op in waiting.items()}
        ready = [name for name in waiting if not needs[name] & waiting.keys() - {name}]
        op = waiting.pop(min(ready or waiting))
        for item in list(op.columns):
            if target(item) in waiting or getattr(item, "use_alter", False):
                op.columns = [other for other in op.columns if other is not item]
                add = ops.CreateForeignKeyOp.from_constraint(item)  # type: ignore[arg-type]
                late.append(ops.ModifyTableOps(op.table_name, [add], schema=op.schema))
        done.append(op)
    return done + late


def target(item: Any) -> str | None:
    """Return the table that a foreign key refers to."""
    key = isinstance(item, sa.ForeignKeyConstraint)
    return item.elements[0].target_fullname.rpartition(".")[0] if key else None


def finish(context: MigrationContext, operations: ops.OpContainer) -> None:
    """Put the open questions first; MariaDB refuses to drop the index of a foreign key alone."""
    dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}
    for op in modified(operations.ops):
        gone = op.table_name in dropped  # and its indexes with it
        op.ops = [c for c in op.ops if not (gone and isinstance(c, ops.DropIndexOp))]
        databases.relink(context, op)
    kept = [
        op for op in operations.ops if getattr(op, "sqltext", True) and getattr(op, "ops", True)
    ]
    questions = [*renamed(kept), *replaced(kept), *unfilled(kept), *databases.lost(context, kept)]
    texts = list(dict.fromkeys(questions))
    for text in texts:
        tell(f"TODO in the revision: {text}")
    operations.ops = [*(Comment(f"TODO: {text}") for text in texts), *kept]


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


def new_in_revision(op: Any) -> list[Comment]:
    """Return what says above a drop that nothing old is lost by it."""
    if not isinstance(op, ops.DropTableOp | ops.DropColumnOp):
        return []
    name = ".".join(filter(None, (op.table_name, getattr(op, "column_name", None))))
    return [Comment(f"allow loss of {name}: it is new in this revision")]


def modified(operations: Ops) -> list[ops.ModifyTableOps]:
    return [op for op in operations if isinstance(op, ops.ModifyTableOps)]


def renamed(operations: Ops) -> Iterator[str]:
    """Say which dropped column looks like one that is added."""
    for op in modified(operations):
        old = {c.column_name for c in op.ops if isinstance(c, ops.DropColumnOp)}
        new = {c.column.name for c in op.ops if isinstance(c, ops.AddColumnOp)}
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
    return (
        f"{gone} is dropped with all that it holds, and {came} is added; "
        f"if it was renamed, write instead: op.{rename}"
    )


def unfilled(operations: Ops) -> Iterator[str]:
    """Say where the rows that are there have no value for a column."""
    for op in modified(operations):
        for column in (change.column for change in op.ops if isinstance(change, ops.AddColumnOp)):
            if not column.nullable and column.server_default is None:
                yield (
                    f"{op.table_name}.{column.name} is NOT NULL and has no server_default: where "
                    "there are rows this fails, and MariaDB fills in 0 or ''. Give it one, "
                    "or add it as nullable, fill it, then make it NOT NULL"
                )
