"""What `alembic revision --autogenerate` and `alembic check` look at and write."""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from app.config import ROOT
from app.db import db

VERSIONS = ROOT / "migrations" / "versions"


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave alone the tables of others: ours are those that a model or a revision names."""
    if kind != "table" or name in db.metadata.tables:
        return True
    named = re.compile(rf"""["']{re.escape(name or "")}["']""")
    return any(named.search(path.read_text("utf-8")) for path in VERSIONS.rglob("*.py"))


def compare_server_default(
    _context: MigrationContext,
    _inspected: sa.Column[Any],
    _column: sa.Column[Any],
    found: str | None,
    _default: sa.FetchedValue | None,
    wanted: str | None,
) -> bool:
    """Return whether a server default changed, as text: PostgreSQL cannot compare all by itself."""
    return plain(found) != plain(wanted)


def plain(default: str | None) -> str | None:
    """Strip what databases add to a default: casts, quotes, brackets, and current_timestamp()."""
    if default is None:
        return None
    text = re.sub(r"::[\w \"\[\]().]+$", "", default.strip())
    text = re.sub(r"^\((.*)\)$", r"\1", text)
    text = re.sub(r"^'(.*)'$", r"\1", text.strip(), flags=re.DOTALL)
    return re.sub(r"^(now|current_timestamp)(\(\d*\))?$", "current_timestamp", text, flags=re.I)


def render_item(kind: str, item: Any, context: AutogenContext) -> str | bool:
    """Write the app's own column types as SQLAlchemy's, which will not change under a revision."""
    own = isinstance(item, sa.types.TypeDecorator) and type(item).__module__.startswith("app.")
    return _repr_type(item.impl_instance, context) if own else False


def process_revision_directives(
    context: MigrationContext, _revision: Any, directives: list[ops.MigrationScript]
) -> None:
    """Write no empty revision, refuse one that drops every table, order what MariaDB cannot."""
    upgrade, downgrade = directives[0].upgrade_ops_list[0], directives[0].downgrade_ops_list[0]
    if not db.metadata.tables and not upgrade.is_empty():
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")
    for operations in (upgrade, downgrade):
        # A table takes its indexes along; MariaDB refuses to drop a foreign key's by itself.
        dropped = {op.table_name for op in operations.ops if isinstance(op, ops.DropTableOp)}
        index = (ops.ModifyTableOps, ops.DropIndexOp)
        operations.ops = [
            op for op in operations.ops if not (isinstance(op, index) and op.table_name in dropped)
        ]
    written = getattr(context.config and context.config.cmd_opts, "autogenerate", False)
    if written and upgrade.is_empty():
        directives.clear()
        print("No changes: no revision was written.")


OPTIONS = {
    "compare_type": True,
    "compare_server_default": compare_server_default,
    "include_name": include_name,
    "process_revision_directives": process_revision_directives,
    "render_item": render_item,
}
