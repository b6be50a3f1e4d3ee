"""Autogenerate, thoroughly: what Alembic alone does not see of a change, or gets wrong.

facts.py    a model's table is made for real and out of sight, and described by the database
compare.py  types, defaults, CHECKs, computed columns and indexes, compared as described
enums.py    PostgreSQL's enums: made, changed, dropped
order.py    operations in an order that works, circles of foreign keys and schemas included
retype.py   how PostgreSQL converts a column's values
mariadb.py  the indexes that MariaDB makes for foreign keys
sqlite.py   what SQLite loses when it makes a table anew
"""

import copy
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _alter_column, _render_server_default, _repr_type
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from sqlalchemy.dialects import postgresql

from alembic_support import autogenerate
from alembic_support.thorough import compare, enums, order

for module in (compare, enums):
    Plugin.setup_plugin_from_module(module, module.__name__)


def render_item(kind: str, item: Any, context: AutogenContext) -> Any:
    """Write what will mean the same in years: no types of the app, nothing that a type implies."""
    if kind != "type":
        return False
    if isinstance(item, sa.types.TypeDecorator) and type(item).__module__.startswith("app."):
        return _repr_type(item.impl_instance, context)
    if isinstance(item, postgresql.JSON):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return f"postgresql.{type(item).__name__}(astext_type=sa.Text())"
    if getattr(item, "create_constraint", False):
        item = copy.copy(item)
        item.create_constraint = False
        return _repr_type(item, context)
    if (
        context.dialect.name == "postgresql"
        and list(enums.native(item)) == [item]
        and item.create_type
    ):
        item = copy.copy(item)
        item.create_type = False
        text = _repr_type(item, context)
        return text if "create_type" in text else f"{text[:-1]}, create_type=False)"
    return False


@renderers.dispatch_for(ops.AlterColumnOp, replace=True)
def render_alter_column(context: AutogenContext, op: ops.AlterColumnOp) -> str:
    """Write what Alembic takes but does not write: USING, and the identity that was there."""
    more = ""
    if using := op.kw.get("postgresql_using"):
        more = f", postgresql_using={using!r}"
    if isinstance(op.modify_server_default, sa.Identity) and op.existing_server_default:
        old = _render_server_default(op.existing_server_default, context)
        more += f", existing_server_default={old}"
    return f"{_alter_column(context, op)[:-1]}{more})"


def process_revision_directives(
    context: MigrationContext, revision: Any, directives: list[ops.MigrationScript]
) -> None:
    """Order both directions, before what autogenerate.py does in any case."""
    upgrade, downgrade = directives[0].upgrade_ops_list[0], directives[0].downgrade_ops_list[0]
    render = context.impl.render_ddl_sql_expr  # it doubles % for a driver that is not there yet
    context.impl.render_ddl_sql_expr = (  # type: ignore[method-assign]
        lambda *args, **options: render(*args, **options).replace("%%", "%")
    )
    order.arrange(context, upgrade, downgrade)
    autogenerate.process_revision_directives(context, revision, directives)


OPTIONS = {
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic_support.*"],
    "compare_server_default": True,
    "include_schemas": True,
    "process_revision_directives": process_revision_directives,
    "render_item": render_item,
}
