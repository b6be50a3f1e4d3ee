"""What a table is to the database: there, and as the model would make it.

Databases rewrite what they are told: `n > 1` comes back as `((n)::numeric > (1)::numeric)`. So a
model's table is made for real, as a temporary table, and what the database says of that one is
compared with what it says of the table that is there.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

Facts = dict[tuple[str, str | None], Any]
MARIADB = ("mariadb", "mysql")
CAST = re.compile(
    r'::(?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?(?: varying| precision)?(?:\([\d, ]+\))?'
    r"(?: with(?:out)? time zone)?(?:\[\])*"
)
GROUP = re.compile(r"""(?<![\w"])\(("?\w+"?|-?[\d.]+|'(?:[^']|'')*'|\([^()]*\))\)""")
INDEXED = re.compile(r'(?<= ON )(?:"[^"]*"|[\w.])+ ')  # the table of an index
INDEXES = {
    "postgresql": """
        SELECT c.relname, pg_get_indexdef(c.oid)
        FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
        WHERE indrelid = to_regclass(:table)
        AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = indexrelid)""",
    "sqlite": """
        SELECT name, sql FROM sqlite_master
        WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table""",
}


def plain(text: Any) -> str | None:
    """Strip what databases add to an expression: casts, needless brackets, other spaces."""
    if text is None:
        return None
    text, before = CAST.sub("", " ".join(str(text).split())), None
    while text != before:
        text, before = GROUP.sub(r"\1", text), text
    return re.sub(r"^\((.*)\)$", r"\1", text)


def spelled(context: MigrationContext, expression: Any) -> str:
    """Return an expression as SQL, without the % that a driver would want doubled."""
    return context.impl.render_ddl_sql_expr(expression).replace("%%", "%")


def connected(context: MigrationContext) -> sa.Connection:
    if context.connection is None:
        raise RuntimeError("autogenerate needs a database: it is never run with --sql")
    return context.connection


def described(connection: sa.Connection, name: str, schema: str | None = None) -> Facts:
    """Return types and expressions of a table, as the database spells them."""
    inspector = sa.inspect(connection)
    found: Facts = {}
    for column in inspector.get_columns(name, schema=schema):
        found["type", column["name"]] = column["type"].compile(connection.dialect)
        found["default", column["name"]] = plain(column["default"])
        found["computed", column["name"]] = plain(column.get("computed", {}).get("sqltext"))
    for check in inspector.get_check_constraints(name, schema=schema):
        found["check", check["name"]] = plain(check["sqltext"])
    table = connection.dialect.identifier_preparer.format_table(sa.table(name, schema=schema))
    if connection.dialect.name in MARIADB:
        text = connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()[1]
        for unique, index, columns in re.findall(r"\n  (\w* ?)KEY `(.+?)` (.*?),?(?=\n)", text):
            found["index", index] = unique + columns
        return found
    key = name if connection.dialect.name == "sqlite" else table
    query = sa.text(INDEXES[connection.dialect.name])
    for index, text in connection.execute(query, {"table": key}):
        found["index", index] = INDEXED.sub("", " ".join(text.split()))
    return found


def as_found(context: MigrationContext, name: str, schema: str | None) -> Facts:
    """Return what described() says of a table that is there."""
    cache: dict[Any, Facts] = context.opts.setdefault("as_found", {})
    if (schema, name) not in cache:
        cache[schema, name] = described(connected(context), name, schema)
    return cache[schema, name]


def as_made(context: MigrationContext, table: sa.Table) -> Facts | None:
    """Return what described() says of a model's table, None where it could not be made."""
    cache: dict[sa.Table, Facts | None] = context.opts.setdefault("as_made", {})
    if table not in cache:
        connection, postgresql = connected(context), context.dialect.name == "postgresql"
        if table.schema:
            hidden = "pg_temp" if postgresql else None
            connection.execution_options(schema_translate_map={table.schema: hidden})
        try:
            cache[table] = made(connection, free_copy(table, postgresql))
        except sa.exc.DBAPIError:
            cache[table] = None
        finally:
            connection.execution_options(schema_translate_map=None)
    return cache[table]


def checks(table: sa.Table) -> list[sa.CheckConstraint]:
    """Return the CHECKs of a table and of its columns."""
    items = [*table.constraints, *(item for column in table.columns for item in column.constraints)]
    return [item for item in items if isinstance(item, sa.CheckConstraint)]


def free_copy(table: sa.Table, postgresql: bool) -> sa.Table:
    """Return a copy of a model's table that needs nothing else in the database."""
    names = sa.MetaData(naming_convention=table.metadata.naming_convention)
    copy = table.to_metadata(names)
    copy.constraints -= set(copy.foreign_key_constraints)
    for check in set(checks(copy)) - copy.constraints:  # MariaDB takes none with a name in a column
        copy.append_constraint(sa.CheckConstraint(check.sqltext, name=check.name))
    for column in copy.columns:
        column.constraints.clear()
        if postgresql and isinstance(column.type, sa.Enum) and column.type.native_enum:
            column.type.create_type = False
            column.type = sa.String(200)  # the enum may not be there yet, or be another
    return copy


def made(connection: sa.Connection, table: sa.Table) -> Facts:
    """Make a table where nobody sees it, describe it, and drop it."""
    if connection.dialect.name == "sqlite":
        with sa.create_engine("sqlite://").begin() as memory:
            table.create(memory)
            return described(memory, table.name)
    table._prefixes = ["TEMPORARY"]  # it hides the table of the same name
    if connection.dialect.name == "postgresql":
        with connection.begin_nested() as savepoint:
            table.create(connection, checkfirst=False)
            found = described(connection, table.name)
            savepoint.rollback()
        return found
    table.create(connection, checkfirst=False)
    found = described(connection, table.name)
    name = connection.dialect.identifier_preparer.format_table(table)
    connection.exec_driver_sql(f"DROP TEMPORARY TABLE {name}")
    return found
