"""Compare a model's table with the one that is there, by what the database says of both.

Databases rewrite what they are told: `n > 1` comes back as `((n)::numeric > (1)::numeric)`. So
where the texts differ, the model's table is made for real, as a temporary table, and described
by the database as well. That happens where something changed, and seldom else.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from alembic.util.sqla_compat import _get_constraint_final_name
from sqlalchemy.sql.elements import conv

Key = tuple[str, str]  # "type", "default", "computed", "check" or "index", and a name
MARIADB = ("mariadb", "mysql")
GO_ON, STOP = PriorityDispatchResult.CONTINUE, PriorityDispatchResult.STOP
CAST = re.compile(
    r'::(?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?(?: varying| precision)?(?:\([\d, ]+\))?'
    r"(?: with(?:out)? time zone)?(?:\[\])*"
)
GROUP = re.compile(r"""(?<![\w"])\(("?\w+"?|-?[\d.]+|'(?:[^']|'')*'|\([^()]*\))\)""")
NOW = re.compile(r"\b(?:current_timestamp(?!\()|current_timestamp\(\))", re.IGNORECASE)
INDEXED = re.compile(r'(?<= ON )(?:"[^"]*"|`[^`]*`|[\w.])+ ')  # the table of an index
# An index of SQLite that is only columns.
PLAIN = re.compile(r"""[^(]*\(("[^"]*"|\w+)(, ("[^"]*"|\w+))*\)( WHERE .*)?""")
# What MariaDB calls a type, and what it adds to it.
ALIASES = {"BOOL": "TINYINT", "JSON": "LONGTEXT"}
EXTRAS = re.compile(r" (?:CHARACTER SET|COLLATE) \S+|(?:(?<=INT)|(?<=INTEGER))\(\d+\)")


def plain(text: str | None) -> str | None:
    """Strip what databases add to an expression: casts, needless brackets, other spaces."""
    if text is None:
        return None
    text, before = NOW.sub("now()", CAST.sub("", " ".join(text.split()))), None
    while text != before:
        text, before = GROUP.sub(r"\1", text), text
    return re.sub(r"^\((.*)\)$", r"\1", text)


def spelled(context: MigrationContext, expression: Any) -> str:
    """Return an expression as SQL, without the % that a driver would want doubled."""
    return context.impl.render_ddl_sql_expr(expression).replace("%%", "%")


def type_text(dialect: sa.Dialect, type_: Any) -> str:
    text: str = type_.compile(dialect)
    if dialect.name in MARIADB:
        text = EXTRAS.sub("", text).replace("NUMERIC", "DECIMAL")
    return ALIASES.get(text, text) if dialect.name in MARIADB else text


def native(type_: Any) -> sa.Enum | None:
    """Return the enum, a type of its own on PostgreSQL, that a column's type is or holds."""
    if isinstance(type_, sa.types.TypeDecorator):
        type_ = type_.impl_instance
    type_ = type_.item_type if isinstance(type_, sa.ARRAY) else type_
    return type_ if isinstance(type_, sa.Enum) and type_.native_enum else None


def items(context: MigrationContext, table: sa.Table) -> dict[Key, Any]:
    """Return the named CHECKs and indexes of a table, those of its columns and types included."""
    dialect = context.dialect
    compiler: Any = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]
    found: dict[Key, Any] = {}
    within = [item for column in table.columns for item in column.constraints]
    for item in [*table.constraints, *within, *table.indexes]:
        kind = "index" if isinstance(item, sa.Index) else "check"
        rule = getattr(item, "_create_rule", None)  # of the CHECK of a Boolean or an Enum
        name: Any = _get_constraint_final_name(item, dialect)  # type: ignore[arg-type]
        if (
            isinstance(item, sa.Index | sa.CheckConstraint)
            and name
            and (not rule or rule(compiler))
        ):
            found[kind, str(name)] = item
    return found


def facts(context: MigrationContext, table: sa.Table) -> dict[Key, str | None]:
    """Return types, defaults, computed columns, CHECKs and indexes of a table, as plain text."""
    dialect = context.dialect
    compiler: Any = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]
    found: dict[Key, str | None] = {}
    for column in table.columns:
        found["type", column.name] = type_text(dialect, column.type)
        if isinstance(column.server_default, sa.Computed):
            found["computed", column.name] = plain(spelled(context, column.server_default.sqltext))
        elif default := compiler.get_column_default_string(column):
            found["default", column.name] = re.sub(r"^'(-?[\d.]+)'$", r"\1", plain(default) or "")
    for key, item in items(context, table).items():
        if isinstance(item, sa.Index):
            text = str(sa.schema.CreateIndex(item).compile(dialect=dialect))
            found[key] = plain(INDEXED.sub("", " ".join(text.split())))
        else:
            found[key] = plain(spelled(context, item.sqltext))
    return found


def differences(
    context: MigrationContext, there: sa.Table | None, wanted: sa.Table | None
) -> set[Key] | None:
    """Return what differs, None where the database cannot make the model's table."""
    cache: dict[Any, set[Key] | None] = context.opts.setdefault("differences", {})
    if (there, wanted) not in cache:
        try:
            cache[there, wanted] = compared(context, there, wanted)
        except sa.exc.DBAPIError:
            cache[there, wanted] = None
    return cache[there, wanted]


def compared(context: MigrationContext, there: sa.Table | None, wanted: sa.Table | None) -> set[Key]:
    if there is not None:
        complete(context.connection, there)
    tables = [table for table in (there, wanted) if table is not None]
    old, new = facts(context, tables[0]), facts(context, tables[-1])
    # On MariaDB constraints are indexes as well.
    same = {("index", item.name) for table in tables for item in table.constraints}
    if there is None or wanted is None:  # its indexes are made, or dropped, beside it
        return {key for key in old if key[0] == "index"} - same
    if {**old, **dict.fromkeys(same)} != {**new, **dict.fromkeys(same)}:
        new = made(context, wanted, new)
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)} - same


def complete(connection: Any, table: sa.Table) -> None:
    """Add the indexes to a table of SQLite that are more than columns; reflection omits them."""
    if connection.dialect.name != "sqlite":
        return
    query = sa.text(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"
    )
    for name, text in connection.execute(query, {"table": table.name}):
        if text and not PLAIN.fullmatch(text := " ".join(text.split())):
            table.indexes -= {index for index in table.indexes if index.name == name}
            columns, _, where = text.partition("(")[2].partition(" WHERE ")
            sa.Index(
                conv(name),
                sa.text(columns.removesuffix(")")),
                unique=text.startswith("CREATE UNIQUE"),
                sqlite_where=sa.text(where) if where else None,
                _table=table,
            )


def made(
    context: MigrationContext, wanted: sa.Table, written: dict[Key, str | None]
) -> dict[Key, str | None]:
    """Make a model's table where nobody sees it, and return what the database says of it."""
    with hidden(context.connection, wanted) as connection:
        copy = free_copy(wanted, context.dialect.name)
        # Types are not made: an enum may not be there yet, or be another.
        for step in (sa.schema.CreateTable(copy), *map(sa.schema.CreateIndex, copy.indexes)):
            connection.execute(step)
        copy = sa.Table(wanted.name, sa.MetaData(), autoload_with=connection)
        complete(connection, copy)
    found = facts(context, copy)
    for column in wanted.columns:
        if column.server_default is None:  # but PostgreSQL numbers the rows
            found.pop(("default", column.name), None)
        if connection.dialect.name == "postgresql" and native(column.type):
            found["type", column.name] = written["type", column.name]
    return found


@contextmanager
def hidden(connection: Any, table: sa.Table) -> Iterator[Any]:
    """Yield a connection on which a temporary table of this name does no harm."""
    if connection.dialect.name == "sqlite":
        with sa.create_engine("sqlite://").begin() as memory:
            yield memory
    elif connection.dialect.name == "postgresql":
        with connection.begin_nested() as savepoint:
            yield connection
            savepoint.rollback()
    else:
        try:
            yield connection
        finally:
            name = connection.dialect.identifier_preparer.quote(table.name)
            connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {name}")


def free_copy(table: sa.Table, database: str) -> sa.Table:
    """Return a copy of a model's table, temporary, that needs nothing else in the database."""
    names = sa.MetaData(naming_convention=table.metadata.naming_convention)
    copy = table.to_metadata(names, schema=None)
    copy.constraints -= set(copy.foreign_key_constraints)
    copy._prefixes = [] if database == "sqlite" else ["TEMPORARY"]
    for column in copy.columns:
        for check in [c for c in column.constraints if isinstance(c, sa.CheckConstraint)]:
            copy.append_constraint(sa.CheckConstraint(check.sqltext, name=check.name))
        column.constraints.clear()  # MariaDB takes none with a name in a column
        if database == "postgresql" and native(column.type):
            column.type = sa.ARRAY(sa.Text) if isinstance(column.type, sa.ARRAY) else sa.Text()
    return copy


def compare_type(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Compare what both types are to the database."""
    _, _, name, there, wanted = args
    changed = differences(context.migration_context, there.table, wanted.table)
    if changed is None:
        return GO_ON
    # Where it is the same the model's is the better name: LONGTEXT is JSON no more.
    change.existing_type = there.type if ("type", name) in changed else wanted.type
    change.modify_type = wanted.type if ("type", name) in changed else None
    return STOP


def compare_default(
    context: AutogenContext, change: ops.AlterColumnOp, *args: Any
) -> PriorityDispatchResult:
    """Compare a server default; a computed column is compared with its table."""
    _, _, name, there, wanted = args
    changed = differences(context.migration_context, there.table, wanted.table)
    defaults = there.server_default, wanted.server_default
    if changed is None or any(isinstance(default, sa.Identity) for default in defaults):
        return GO_ON
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
    old = items(migration, there) if there is not None else {}
    new = items(migration, wanted) if wanted is not None else {}
    indexes = (ops.CreateIndexOp, ops.DropIndexOp)
    changes.ops = [op for op in changes.ops if not isinstance(op, indexes)]
    for key in sorted(changed):
        if key[0] == "computed" and key[1] in there.columns and key[1] in wanted.columns:
            for kind, table in ((ops.DropColumnOp, there), (ops.AddColumnOp, wanted)):
                column = table.columns[key[1]]
                changes.ops.append(kind.from_column_and_tablename(schema, name, column))
        if key in old:
            changes.ops.append(dropped(migration, key, old[key], there))
        if key in new:
            changes.ops.append(dropped(migration, key, new[key], wanted).reverse())
    return GO_ON


def dropped(context: MigrationContext, key: Key, item: Any, table: sa.Table) -> Any:
    """Return the operation that drops a CHECK or an index; its reverse makes it."""
    if key[0] == "index":
        return ops.DropIndexOp.from_index(item)
    text = spelled(context, item.sqltext)
    create = ops.CreateCheckConstraintOp(conv(key[1]), table.name, text, schema=table.schema)
    return create.reverse()


def setup(plugin: Plugin) -> None:
    first, last = DispatchPriority.FIRST, DispatchPriority.LAST
    plugin.add_autogenerate_comparator(compare_default, "column", "server_default", priority=first)
    plugin.add_autogenerate_comparator(compare_type, "column", "types", priority=first)
    plugin.add_autogenerate_comparator(compare_table, "table", "tables", priority=last)
