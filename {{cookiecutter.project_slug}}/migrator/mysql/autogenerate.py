"""Autogenerate on MySQL: as on MariaDB, except for DROP INDEX IF EXISTS and some defaults."""

import sys

import sqlalchemy as sa
from alembic.autogenerate.rewriter import Rewriter
from alembic.ddl.mysql import MySQLImpl as AlembicsImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from sqlalchemy.schema import CreateColumn

from migrator.autogenerate.describe import Pair
from migrator.mariadb import autogenerate as mariadb

DIALECT = "mysql"


class MySQLImpl(mariadb.SharedImpl, AlembicsImpl):
    __dialect__ = DIALECT

    def after_key_drop(self, op: ops.DropConstraintOp, pair: Pair) -> list[ops.MigrateOperation]:
        """Return operations that drop the index which MySQL created for a foreign key, if it did.

        MySQL has no DROP INDEX IF EXISTS, so the tables have to tell.
        """
        name = str(op.constraint_name)
        is_there = name in mariadb.keys_by_name(pair.there)
        if is_indexed(pair.there, name) if is_there else needs_index(pair.wanted, name):
            return [ops.DropIndexOp(name, op.table_name, schema=op.schema)]
        return []


def is_indexed(table: sa.Table, name: str) -> bool:
    """Tell whether a table that is there has an index of this name."""
    return name in {str(index.name) for index in table.indexes}


def needs_index(table: sa.Table, name: str) -> bool:
    """Tell whether MySQL creates an index for a foreign key: no other begins with its columns."""
    key = mariadb.keys_by_name(table).get(name)
    if key is None:
        return False
    unique = [each for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
    columns = mariadb.column_names(key)
    others = [*table.indexes, *unique, table.primary_key]
    return all(mariadb.column_names(each)[: len(columns)] != columns for each in others)


rewriter = Rewriter().chain(mariadb.rewriter)


@rewriter.rewrites(ops.AlterColumnOp)
def write_whole_column(
    context: MigrationContext, _revision: object, op: ops.AlterColumnOp
) -> ops.AlterColumnOp:
    """Change a default by MODIFY, with the type of the column, and as CREATE TABLE writes it.

    A default that is dropped from a nullable column becomes NULL.
    """
    if op.modify_server_default is False or op.modify_type is not None:
        return op
    nullable = op.existing_nullable if op.modify_nullable is None else op.modify_nullable
    if isinstance(op.modify_server_default, sa.DefaultClause):
        op.modify_type = op.existing_type
        op.modify_server_default = in_parentheses(context, op.modify_server_default)
    elif isinstance(op.existing_type, sa.JSON | sa.Text | sa.LargeBinary):
        op.modify_type = op.existing_type  # the default of these types is an expression
    elif nullable and op.modify_server_default is None:
        # After DROP DEFAULT, MySQL would demand a value for each new row.
        op.modify_server_default = sa.DefaultClause(sa.null())
    return op


def in_parentheses(context: MigrationContext, default: sa.DefaultClause) -> sa.DefaultClause:
    """Return a default with the parentheses that CREATE TABLE writes around an expression.

    Without them, MySQL stores now() as CURRENT_TIMESTAMP, which differs from (now()).
    """
    column = sa.Column("c", sa.Integer, server_default=default)
    created = str(CreateColumn(column).compile(dialect=context.dialect)).partition(" DEFAULT ")[2]
    if isinstance(default.arg, str) or not created.startswith("("):
        return default
    return sa.DefaultClause(sa.text(created.replace(":", r"\:")))


def setup(plugin: Plugin) -> None:
    """Add what is compared on MySQL alone."""
    mariadb.setup_on(plugin, DIALECT)


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.mysql")
