"""Compare a model's table with the one that is there, by what the database says of both.

Databases rewrite what they are told: `n > 1` comes back as `((n)::numeric > (1)::numeric)`. So
where the texts differ, the model's table is made for real, as a temporary one, and described by
the database as well. That happens where something changed, and seldom else.
SQLite rewrites nothing.
"""

import re
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import PriorityDispatchResult as Result
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import conv

Table = sa.Table | None
Key = tuple[str, str]  # "type", "default", "computed", "check" or "index", and a name
Facts = dict[Key, str]
MARIADB = ("mariadb", "mysql")
LITERAL = re.compile(r"('(?:[^']|'')*')")
# What databases add: MariaDB its quotes, PostgreSQL casts.
ADDED = re.compile(
    r'`|::(?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?(?: varying| precision| with(?:out)? time zone)?'
    r"(?:\([\d, ]+\))?(?:\[\])*"
)
NOW = re.compile(r"\bcurrent_timestamp(?:\(\)|(?!\())", re.IGNORECASE)
# What MariaDB calls a type, what it adds to it, and what SQLite does not tell.
ALIASES = {"BOOL": "TINYINT", "JSON": "LONGTEXT"}
EXTRAS = re.compile(r" (?:CHARACTER SET|COLLATE) \S+|(?:(?<=INT)|(?<=INTEGER))\(\d+\)")
# An index of SQLite that is only columns, which Alembic copies.
PLAIN = re.compile(r"""[^(]*\(("[^"]*"|\w+)(, ("[^"]*"|\w+))*\)( WHERE .*)?""")
# What a column is computed from, in the text of its table.
COMPUTED = r'(?m)^\s*"?{}"? .*GENERATED ALWAYS AS \((.*?)\)(?: STORED| VIRTUAL| NOT NULL|,?\s*$)'


def plain(text: str) -> str:
    """Strip what databases add to an expression: casts, outer brackets, other spaces."""
    parts = LITERAL.split(text)
    parts[::2] = [NOW.sub("now()", ADDED.sub("", " ".join(part.split()))) for part in parts[::2]]
    return re.sub(r"^\((.*)\)$", r"\1", "".join(parts))


def spelled(context: MigrationContext, expression: Any, **options: Any) -> str:
    """Return an expression as SQL, without the % that a driver would want doubled."""
    if isinstance(expression, sa.TextClause):  # DDL has no parameters
        return expression.text.replace("\\:", ":")
    render = type(context.impl).render_ddl_sql_expr
    return render(context.impl, expression, **options).replace("%%", "%")


def escaped(text: str) -> str:
    """Return SQL as text() wants it, which takes `:word` for a parameter."""
    return re.sub(r"(?<![:\w]):(?=\w)", r"\\:", text)


def type_text(dialect: sa.Dialect, type_: Any) -> str:
    text: str = type_.compile(dialect)
    if dialect.name == "postgresql":
        return text
    text = EXTRAS.sub("", text).replace("NUMERIC", "DECIMAL")
    return ALIASES.get(text, text)


def native(type_: Any) -> sa.Enum | None:
    """Return the enum, a type of its own on PostgreSQL, that a column's type is or holds."""
    if isinstance(type_, sa.types.TypeDecorator):
        type_ = type_.impl_instance
    type_ = type_.item_type if isinstance(type_, sa.ARRAY) else type_
    return type_ if isinstance(type_, sa.Enum) and type_.native_enum else None


def final(context: MigrationContext, item: Any) -> conv:
    """Return a name as the database has it, which cuts long ones."""
    preparer: Any = context.dialect.identifier_preparer
    return conv(preparer.format_constraint(item).strip('"`'))


def items(context: MigrationContext, table: sa.Table) -> dict[Key, Any]:
    """Return the named CHECKs and indexes of a table, those of its columns and types included."""
    dialect: Any = context.dialect
    compiler = dialect.ddl_compiler(dialect, None)
    within = [item for column in table.columns for item in column.constraints]
    found: dict[Key, Any] = {}
    for item in (*table.constraints, *within, *table.indexes):
        rule = getattr(item, "_create_rule", None)  # of a Boolean or an Enum: not everywhere
        if isinstance(item, sa.CheckConstraint | sa.Index) and item.name:
            name = final(context, item)
            if isinstance(item, sa.Index):
                found["index", name] = item
            elif not rule or rule(compiler):
                text = escaped(spelled(context, item.sqltext))
                found["check", name] = sa.CheckConstraint(text, name)
    return found


def item_text(context: MigrationContext, item: Any) -> str:
    """Return the SQL of a CHECK or an index."""
    if isinstance(item, sa.Index):
        return str(CreateIndex(item).compile(dialect=context.dialect))
    return spelled(context, item.sqltext)


def checks(context: MigrationContext, table: sa.Table) -> list[sa.CheckConstraint]:
    return [item for (kind, _), item in items(context, table).items() if kind == "check"]


def facts(context: MigrationContext, table: sa.Table, same: set[Any]) -> Facts:
    """Return types, defaults, computed columns, CHECKs and indexes of a table, as plain text."""
    dialect: Any = context.dialect
    compiler = dialect.ddl_compiler(dialect, None)
    types = {("type", column.name): type_text(dialect, column.type) for column in table.columns}
    found: Facts = {}
    for column in table.columns:
        if isinstance(column.server_default, sa.Computed):
            found["computed", column.name] = spelled(context, column.server_default.sqltext)
        elif isinstance(text := getattr(column.server_default, "arg", None), sa.TextClause):
            found["default", column.name] = spelled(context, text)
        elif default := compiler.get_column_default_string(column):
            found["default", column.name] = default
    for (kind, name), item in items(context, table).items():
        if kind == "check":
            found[kind, name] = item_text(context, item)
        elif name not in same:
            text, _, columns = item_text(context, item).partition(" ON ")
            found[kind, name] = text + columns.partition(" ")[2]  # without its table and schema
    # A default that is a number may be quoted or not.
    texts = {key: re.sub(r"^'(-?[\d.]+)'$", r"\1", plain(text)) for key, text in found.items()}
    return types | texts


def differences(context: MigrationContext, there: Table, wanted: Table) -> set[Key]:
    """Return what differs; of a table that comes or goes only its indexes, which are beside it."""
    cache: dict[Any, set[Key]] = context.opts.setdefault("differences", {})
    if (there, wanted) not in cache:
        tables = [table for table in (there, wanted) if table is not None]
        # The index of a constraint comes and goes with it.
        same = {final(context, c) for table in tables for c in table.constraints if c.name}
        same -= {index.name for index in wanted.indexes} if wanted is not None else set()
        if there is not None and context.dialect.name == "sqlite":
            complete(context, there)
        old, new = (facts(context, table, same) for table in (tables[0], tables[-1]))
        if len(tables) == 1:
            old, new = {key: text for key, text in old.items() if key[0] == "index"}, {}
        elif old != new and context.dialect.name != "sqlite":
            with suppress(sa.exc.DBAPIError):  # or it is taken as it is written
                new = made(context, tables[1], same, new)
        cache[there, wanted] = {key for key, _ in old.items() ^ new.items()}
    return cache[there, wanted]


def complete(context: MigrationContext, table: sa.Table) -> None:
    """Add to a table of SQLite what reflection omits: indexes that are more than columns, and
    what a column is computed from whose type has a comma.
    """
    connection: Any = context.connection
    if "odd" not in context.opts:  # one query for all tables
        query = "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''"
        rows = [(*row[:2], " ".join(row[2].split())) for row in connection.exec_driver_sql(query)]
        context.opts["odd"] = [row for row in rows if not PLAIN.fullmatch(row[2])]
    for name, text in (rest for on, *rest in context.opts["odd"] if on == table.name):
        table.indexes -= {index for index in table.indexes if index.name == name}
        columns, _, where = text.partition("(")[2].partition(" WHERE ")
        more: Any = {"sqlite_where": sa.text(where)} if where else {}
        more["unique"] = text.startswith("CREATE UNIQUE")
        sa.Index(conv(name), sa.text(columns.removesuffix(")")), _table=table, **more)
    defaults: Any = {column.name: column.server_default for column in table.columns}
    for name, default in defaults.items():
        if isinstance(default, sa.Computed) and not default.sqltext.text:
            query = "SELECT sql FROM sqlite_master WHERE name = ?"
            text = connection.exec_driver_sql(query, (table.name,)).scalar_one()
            default.sqltext = sa.text("".join(re.findall(COMPUTED.format(re.escape(name)), text)))


def made(context: MigrationContext, wanted: sa.Table, same: set[Any], written: Facts) -> Facts:
    """Make a model's table where nobody sees it, and return what the database says of it."""
    connection: Any = context.connection
    postgresql = context.dialect.name == "postgresql"
    enums = {("type", c.name) for c in wanted.columns if postgresql and native(c.type)}
    copy = alone(context, wanted, enums)
    create = str(CreateTable(copy).compile(dialect=context.dialect))
    name = context.dialect.identifier_preparer.quote(wanted.name)
    drop = partial(connection.exec_driver_sql, f"DROP TEMPORARY TABLE IF EXISTS {name}")
    undo = connection.begin_nested().rollback if postgresql else drop
    try:
        connection.exec_driver_sql(create.replace("TABLE", "TEMPORARY TABLE", 1))
        for index in copy.indexes:
            with suppress(sa.exc.DBAPIError):  # MariaDB refuses FULLTEXT there
                index.create(connection)
        found = facts(context, sa.Table(wanted.name, sa.MetaData(), autoload_with=connection), same)
    finally:
        undo()
    told = {key: found[key] for key in written if key in found}  # and no numbering of rows
    unmade = {key for key in written if key[0] == "index" and key not in found}
    return told | {key: written[key] for key in enums | unmade}


def alone(context: MigrationContext, wanted: sa.Table, enums: set[Key]) -> sa.Table:
    """Return a copy of a model's table that needs no other table, nor these enums."""
    copy = wanted.to_metadata(sa.MetaData(), schema=None)  # type: ignore[arg-type]
    copy.constraints = {copy.primary_key}
    for column in copy.columns:
        column.constraints.clear()
        if ("type", column.name) in enums:  # which may not be there, or be another
            column.type = sa.ARRAY(sa.Text) if isinstance(column.type, sa.ARRAY) else sa.Text()
    for check in checks(context, wanted):
        copy.append_constraint(check)
    return copy


def compare_column(context: AutogenContext, change: ops.AlterColumnOp, *args: Any) -> Result:
    """Compare a type and a server default; computed columns are compared with their table."""
    _, _, name, there, wanted = args
    identity = sa.Identity if context.dialect.supports_identity_columns else ()
    if any(isinstance(column.server_default, identity) for column in (there, wanted)):
        return Result.CONTINUE
    changed = differences(context.migration_context, there.table, wanted.table)
    # Where it is the same the model's is the better name: LONGTEXT is JSON no more.
    change.existing_type = there.type if ("type", name) in changed else wanted.type
    change.modify_type = wanted.type if ("type", name) in changed else None
    change.existing_server_default = there.server_default
    if ("default", name) in changed and ("computed", name) not in changed:
        change.modify_server_default = wanted.server_default
    return Result.STOP


def compare_table(context: AutogenContext, changes: ops.ModifyTableOps, *args: Any) -> Result:
    """Compare CHECKs, indexes and computed columns, in the place of Alembic's comparison."""
    schema, name, there, wanted = args
    migration = context.migration_context
    migration.opts.setdefault("compared", {})[schema, name] = there, wanted
    indexes = (ops.CreateIndexOp, ops.DropIndexOp)
    changes.ops = [op for op in changes.ops if not isinstance(op, indexes)]
    if changed := differences(migration, there, wanted):
        old, new = ({} if t is None else items(migration, t) for t in (there, wanted))
        for key in sorted(changed):
            if key[0] == "computed" and key[1] in there.columns and key[1] in wanted.columns:
                kept = [old[other] for other in sorted(old.keys() & new.keys() - changed)]
                copied = migration.dialect.name == "sqlite"  # the table, and they with it
                users = [] if copied else dependents(migration, key[1], there, kept)
                anew = again(there.columns[key[1]], wanted.columns[key[1]])
                changes.ops += [*users, *anew, *(op.reverse() for op in users)]
            changes.ops += [dropped(old[key], there)] if key in old else []
            changes.ops += [dropped(new[key], wanted).reverse()] if key in new else []
    return Result.CONTINUE


def dependents(context: MigrationContext, column: str, table: sa.Table, kept: Any) -> list[Any]:
    """Return what drops these CHECKs and indexes, and unique constraints, that name a column."""
    named = re.compile(rf"\b{re.escape(column)}\b")
    drops = [dropped(item, table) for item in kept if named.search(item_text(context, item))]
    uniques = (item for item in table.constraints if isinstance(item, sa.UniqueConstraint))
    others: Any = {unique.name: unique for unique in uniques if column in unique.columns}
    names = sorted(others.keys() - {item.name for item in kept})
    return drops + [ops.DropConstraintOp.from_constraint(others[name]) for name in names]


def again(old: sa.Column[Any], new: sa.Column[Any]) -> list[Any]:
    """Return what drops a column and adds it anew."""
    drop = ops.DropColumnOp.from_column_and_tablename(old.table.schema, old.table.name, old)
    add = ops.AddColumnOp.from_column_and_tablename(old.table.schema, old.table.name, new)
    return [drop, add]


def dropped(item: Any, table: sa.Table) -> Any:
    """Return the operation that drops a CHECK or an index; its reverse makes it."""
    if isinstance(item, sa.Index):
        return ops.DropIndexOp.from_index(item)
    check = ops.CreateCheckConstraintOp
    return check(item.name, table.name, item.sqltext, schema=table.schema).reverse()
