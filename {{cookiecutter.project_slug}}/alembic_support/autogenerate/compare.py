"""Compare a model's table with the one that is there, by what the database says of both.

Databases rewrite what they are told: `n > 1` comes back as `((n)::numeric > (1)::numeric)`. So
where the texts differ, the model's table is made for real, as a temporary one, and described by
the database as well. That happens where something changed, and seldom else.
"""

import re
from contextlib import ExitStack
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import PriorityDispatchResult
from alembic.util.sqla_compat import _get_constraint_final_name
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import conv

Key = tuple[str, str]  # "type", "default", "computed", "check" or "index", and a name
MARIADB = ("mariadb", "mysql")
GO_ON, STOP = PriorityDispatchResult.CONTINUE, PriorityDispatchResult.STOP
GROUP = re.compile(r"""(?<![\w"])\(("?\w+"?|-?[\d.]+|'(?:[^']|'')*'|\([^()]*\))\)""")
NOW = re.compile(r"\bcurrent_timestamp(?:\(\)|(?!\())", re.IGNORECASE)
INDEXED = re.compile(r'(?<= ON )(?:"[^"]*"|`[^`]*`|[\w.])+ ')  # the table of an index
# An index of SQLite that is only columns, which Alembic copies.
PLAIN = re.compile(r"""[^(]*\(("[^"]*"|\w+)(, ("[^"]*"|\w+))*\)( WHERE .*)?""")
# What MariaDB calls a type, and what it adds to it.
ALIASES = {"BOOL": "TINYINT", "JSON": "LONGTEXT"}
EXTRAS = re.compile(r" (?:CHARACTER SET|COLLATE) \S+|(?:(?<=INT)|(?<=INTEGER))\(\d+\)")


def plain(text: str) -> str:
    """Strip what databases add to an expression: casts, needless brackets, other spaces."""
    text = PostgresqlImpl._cast_re.sub("", " ".join(text.replace("`", "").split()))
    text = NOW.sub("now()", text)
    while text != (shorter := GROUP.sub(r"\1", text)):
        text = shorter
    return re.sub(r"^\((.*)\)$", r"\1", text)


def spelled(context: MigrationContext, expression: Any) -> str:
    """Return an expression as SQL, without the % that a driver would want doubled."""
    return context.impl.render_ddl_sql_expr(expression).replace("%%", "%")


def type_text(dialect: sa.Dialect, type_: Any) -> str:
    text: str = type_.compile(dialect)
    if dialect.name not in MARIADB:
        return text
    text = EXTRAS.sub("", text).replace("NUMERIC", "DECIMAL")
    return ALIASES.get(text, text)


def native(type_: Any) -> sa.Enum | None:
    """Return the enum, a type of its own on PostgreSQL, that a column's type is or holds."""
    if isinstance(type_, sa.types.TypeDecorator):
        type_ = type_.impl_instance
    type_ = type_.item_type if isinstance(type_, sa.ARRAY) else type_
    return type_ if isinstance(type_, sa.Enum) and type_.native_enum else None


def items(context: MigrationContext, table: sa.Table) -> dict[Key, Any]:
    """Return the named CHECKs and indexes of a table, those of its columns and types included."""
    dialect: Any = context.dialect
    compiler = dialect.ddl_compiler(dialect, None)
    within = [item for column in table.columns for item in column.constraints]
    checks = [c for c in [*table.constraints, *within] if isinstance(c, sa.CheckConstraint)]
    # A Boolean and an Enum know where they need their CHECK.
    real = [c for c in checks if not c._create_rule or c._create_rule(compiler)]
    found = [("check", item) for item in real] + [("index", item) for item in table.indexes]
    named = [(kind, _get_constraint_final_name(item, dialect), item) for kind, item in found]
    return {(kind, str(name)): item for kind, name, item in named if name}


def facts(context: MigrationContext, table: sa.Table, same: set[Any]) -> dict[Key, str]:
    """Return types, defaults, computed columns, CHECKs and indexes of a table, as plain text."""
    dialect: Any = context.dialect
    compiler = dialect.ddl_compiler(dialect, None)
    found = {}
    for column in table.columns:
        found["type", column.name] = type_text(dialect, column.type)
        if isinstance(column.server_default, sa.Computed):
            found["computed", column.name] = plain(spelled(context, column.server_default.sqltext))
        elif default := compiler.get_column_default_string(column):
            found["default", column.name] = re.sub(r"^'(-?[\d.]+)'$", r"\1", plain(default))
    for key, item in items(context, table).items():
        if key[0] == "check":
            found[key] = plain(spelled(context, item.sqltext))
        elif key[1] not in same:
            text = " ".join(str(CreateIndex(item).compile(dialect=dialect)).split())
            found[key] = plain(INDEXED.sub("", text))
    return found


def differences(
    context: MigrationContext, there: sa.Table | None, wanted: sa.Table | None
) -> set[Key] | None:
    """Return what differs, None where the database cannot make the model's table."""
    cache: dict[Any, set[Key] | None] = context.opts.setdefault("differences", {})
    if (there, wanted) not in cache:
        tables = [table for table in (there, wanted) if table is not None]
        same = {item.name for table in tables for item in table.constraints}  # indexes on MariaDB
        if there is not None and context.connection:
            complete(context.connection, there)
        old, new = facts(context, tables[0], same), facts(context, tables[-1], same)
        if there is None or wanted is None:  # its indexes are made, or dropped, beside it
            old, new = {key: text for key, text in old.items() if key[0] == "index"}, {}
        try:
            if new and old != new:
                new = made(context, wanted, same, new)  # type: ignore[arg-type]
            keys = old.keys() | new.keys()
            cache[there, wanted] = {key for key in keys if old.get(key) != new.get(key)}
        except sa.exc.DBAPIError:
            cache[there, wanted] = None
    return cache[there, wanted]


def complete(connection: sa.Connection, table: sa.Table) -> None:
    """Add the indexes to a table of SQLite that are more than columns; reflection omits them."""
    if connection.dialect.name != "sqlite":
        return
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :t")
    for name, text in connection.execute(query, {"t": table.name}):
        if text and not PLAIN.fullmatch(text := " ".join(text.split())):
            table.indexes -= {index for index in table.indexes if index.name == name}
            columns, _, where = text.partition("(")[2].partition(" WHERE ")
            unique = text.startswith("CREATE UNIQUE")
            more: Any = {"sqlite_where": sa.text(where)} if where else {}
            columns = sa.text(columns.removesuffix(")"))
            sa.Index(conv(name), columns, unique=unique, _table=table, **more)


def made(
    context: MigrationContext, wanted: sa.Table, same: set[Any], written: dict[Key, str]
) -> dict[Key, str]:
    """Make a model's table where nobody sees it, and return what the database says of it."""
    connection: Any = context.connection
    copy = free_copy(wanted, context.dialect.name)
    name = context.dialect.identifier_preparer.quote(wanted.name)
    with ExitStack() as stack:
        if context.dialect.name == "sqlite":
            connection = stack.enter_context(sa.create_engine("sqlite://").connect())
        elif context.dialect.name == "postgresql":
            stack.callback(connection.begin_nested().rollback)
        else:
            drop = f"DROP TEMPORARY TABLE IF EXISTS {name}"
            stack.callback(connection.exec_driver_sql, drop)
        # Types are not made: an enum may not be there yet, or be another.
        for step in (CreateTable(copy), *map(CreateIndex, copy.indexes)):
            connection.execute(step)
        copy = sa.Table(wanted.name, sa.MetaData(), autoload_with=connection)
        complete(connection, copy)
    found = facts(context, copy, same)
    for column in wanted.columns:
        if column.server_default is None:  # but PostgreSQL numbers the rows
            found.pop(("default", column.name), None)
        if context.dialect.name == "postgresql" and native(column.type):
            found["type", column.name] = written["type", column.name]
    return found


def free_copy(table: sa.Table, database: str) -> sa.Table:
    """Return a copy of a model's table, temporary, that needs nothing else in the database."""
    names = sa.MetaData(naming_convention=table.metadata.naming_convention)
    copy = table.to_metadata(names, schema=None)  # type: ignore[arg-type]
    copy.constraints -= set(copy.foreign_key_constraints)
    copy._prefixes = [] if database == "sqlite" else ["TEMPORARY"]
    for column in copy.columns:
        for check in [c for c in column.constraints if isinstance(c, sa.CheckConstraint)]:
            copy.append_constraint(sa.CheckConstraint(check.sqltext, name=check.name))
        column.constraints.clear()  # MariaDB takes none with a name in a column
        if database == "postgresql" and native(column.type):
            column.type = sa.ARRAY(sa.Text) if isinstance(column.type, sa.ARRAY) else sa.Text()
    return copy


def compare_column(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Compare a type and a server default; computed columns are compared with their table."""
    _, _, name, there, wanted = args
    changed = differences(context.migration_context, there.table, wanted.table)
    defaults = there.server_default, wanted.server_default
    if changed is None or any(isinstance(default, sa.Identity) for default in defaults):
        return GO_ON
    # Where it is the same the model's is the better name: LONGTEXT is JSON no more.
    change.existing_type = there.type if ("type", name) in changed else wanted.type
    change.modify_type = wanted.type if ("type", name) in changed else None
    change.existing_server_default = there.server_default
    if ("default", name) in changed and ("computed", name) not in changed:
        change.modify_server_default = wanted.server_default
    return STOP


def compare_table(
    context: AutogenContext, changes: ops.ModifyTableOps, *args: Any
) -> PriorityDispatchResult:
    """Compare CHECKs, indexes and computed columns, in the place of Alembic's comparison."""
    schema, name, there, wanted = args
    migration = context.migration_context
    if (changed := differences(migration, there, wanted)) is None:
        return GO_ON
    migration.opts.setdefault("compared", {})[schema, name] = there, wanted
    indexes = (ops.CreateIndexOp, ops.DropIndexOp)
    changes.ops = [op for op in changes.ops if not isinstance(op, indexes)]
    old, new = (items(migration, t) if t is not None else {} for t in (there, wanted))
    for key in sorted(changed):
        if key[0] == "computed" and {key[1]} <= {*there.columns.keys()} & {*wanted.columns.keys()}:
            column = schema, name, there.columns[key[1]]
            changes.ops.append(ops.DropColumnOp.from_column_and_tablename(*column))
            column = schema, name, wanted.columns[key[1]]
            changes.ops.append(ops.AddColumnOp.from_column_and_tablename(*column))
        changes.ops += [dropped(migration, key, old[key], there)] if key in old else []
        changes.ops += [dropped(migration, key, new[key], wanted).reverse()] if key in new else []
    return GO_ON


def dropped(context: MigrationContext, key: Key, item: Any, table: sa.Table) -> Any:
    """Return the operation that drops a CHECK or an index; its reverse makes it."""
    if key[0] == "index":
        return ops.DropIndexOp.from_index(item)
    name, text = conv(key[1]), spelled(context, item.sqltext)
    return ops.CreateCheckConstraintOp(name, table.name, text, schema=table.schema).reverse()
