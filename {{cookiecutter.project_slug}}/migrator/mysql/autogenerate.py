"""Autogenerate on MySQL: as on MariaDB, but for DROP INDEX IF EXISTS and some defaults."""

import sys

import sqlalchemy as sa
from alembic.autogenerate.rewriter import Rewriter
from alembic.ddl.mysql import MySQLImpl as AlembicsImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin

from migrator.mariadb import autogenerate as mariadb

DIALECT = "mysql"


class MySQLImpl(mariadb.MariaDBDescribing, AlembicsImpl):
    __dialect__ = DIALECT

    def after_key_drop(self, op: ops.DropConstraintOp) -> list[ops.MigrateOperation]:
        """Return nothing: MySQL has no IF EXISTS here, so the next revision drops the index."""
        return []


rewriter = Rewriter().chain(mariadb.rewriter)


@rewriter.rewrites(ops.AlterColumnOp)
def restate(
    _context: MigrationContext, _revision: object, op: ops.AlterColumnOp
) -> ops.AlterColumnOp:
    """Have a column MODIFYed whose default changes, where SET or DROP DEFAULT would not do."""
    if op.modify_server_default is False or op.modify_type is not None:
        return op
    nullable = op.existing_nullable if op.modify_nullable is None else op.modify_nullable
    if isinstance(op.existing_type, sa.JSON | sa.Text | sa.LargeBinary):
        op.modify_type = op.existing_type  # a default of theirs is an expression
    elif nullable and op.modify_server_default is None:
        op.modify_server_default = sa.DefaultClause(sa.null())  # without one, a value is demanded
    return op


def setup(plugin: Plugin) -> None:
    """Add what is compared on MySQL alone."""
    mariadb.setup_on(plugin, DIALECT)


Plugin.setup_plugin_from_module(sys.modules[__name__], "migrator.mysql")
