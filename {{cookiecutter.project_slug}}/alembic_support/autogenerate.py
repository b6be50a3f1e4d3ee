"""What `alembic revision --autogenerate` and `alembic check` look at and write."""

import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from alembic_support.connection import tell

Ops = list[Any]
OWN = re.compile(r"""(?:create_table\(|rename_table\([^)]*,|schema=)\s*["']([^"']+)["']""")


def options() -> dict[str, Any]:
    """Return what context.configure() needs to know; alembic_support/thorough/ adds to it."""
    plain = {
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        "compare_type": True,
        "compare_server_default": compare_server_default,
        "include_name": include_name,
        "process_revision_directives": process_revision_directives,
        "render_item": render_item,
    }
    more = "alembic_support.thorough"
    return plain | (import_module(more).OPTIONS if find_spec(more) else {})


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave alone the tables of others: ours are those that a model or a revision names."""
    if kind not in ("schema", "table") or name is None:
        return True
    tables = context.get_context().opts["target_metadata"].tables.values()
    ours = {table.schema if kind == "schema" else table.name for table in tables}
    return name in ours or name in named_by_revisions(context.script)


@lru_cache(maxsize=1)
def named_by_revisions(script: ScriptDirectory) -> set[str]:
    texts = (path.read_text("utf-8") for path in Path(script.versions).rglob("*.py"))
    return {name for text in texts for name in OWN.findall(text)}


def compare_server_default(
    _context: Any, there: Any, wanted: Any, old: str | None, _default: Any, new: str | None
) -> bool | None:
    """Return whether a default's text changed: PostgreSQL cannot compare JSON with JSON."""
    if any(isinstance(c.server_default, sa.Computed | sa.Identity) for c in (there, wanted)):
        return None
    return without_extras(old) != without_extras(new)


def without_extras(default: str | None) -> str | None:
    """Strip what databases add to a default: casts, brackets, quotes, and current_timestamp()."""
    text = re.sub(r"::[\w \"\[\]().]+$", "", (default or "").strip())
    text = re.sub(r"^\((.*)\)$", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"^'(.*)'$", r"\1", text.strip(), flags=re.DOTALL)
    text = re.sub(r"^(now|current_timestamp)(\(\d*\))?$", "current_timestamp", text, flags=re.I)
    return None if default is None else text


def render_item(kind: str, item: Any, context: AutogenContext) -> Any:
    """Write the app's own column types as SQLAlchemy's, which will not change under a revision."""
    own = isinstance(item, sa.types.TypeDecorator) and type(item).__module__.startswith("app.")
    return _repr_type(item.impl_instance, context) if own else False


def process_revision_directives(
    context: MigrationContext, _revision: Any, directives: list[ops.MigrationScript]
) -> None:
    """Write no empty revision, refuse one that drops every table, say what a person decides."""
    upgrade, downgrade = directives[0].upgrade_ops_list[0], directives[0].downgrade_ops_list[0]
    if not context.opts["target_metadata"].tables and not upgrade.is_empty():
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")
    for operations in (upgrade, downgrade):
        arrange(operations)
    written = getattr(context.config and context.config.cmd_opts, "autogenerate", False)
    if written and upgrade.is_empty():
        directives.clear()
        print("No changes: no revision was written.")


def arrange(operations: ops.OpContainer) -> None:
    """Put the open questions first; MariaDB refuses to drop the index of a foreign key alone."""
    dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}
    index = (ops.ModifyTableOps, ops.DropIndexOp)
    kept = [op for op in operations.ops if not (isinstance(op, index) and op.table_name in dropped)]
    operations.ops = [*open_questions(kept), *kept]


class Todo(ops.MigrateOperation):
    """A comment that fails the project's tests until somebody has decided and removed it."""

    def __init__(self, text: str) -> None:
        self.text = text
        tell(f"TODO in the revision: {text}")

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("todo", self.text)


@renderers.dispatch_for(Todo)
def render_todo(_context: AutogenContext, op: Todo) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(f"TODO: {op.text}", 90)]


def open_questions(operations: Ops) -> list[Todo]:
    """Return what no comparison can know: was it renamed, and what do rows get that are there?"""
    texts = [*renamed(operations), *replaced(operations), *unfilled(operations)]
    return [Todo(text) for text in dict.fromkeys(texts)]


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
