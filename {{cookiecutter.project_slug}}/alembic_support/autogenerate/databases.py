"""What each database needs beside Alembic's operations: enums, foreign keys' indexes, rebuilds."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from alembic_support.autogenerate.compare import MARIADB, again, escaped, native, plain

Ops = list[Any]
ENUMS = """
    SELECT t.oid::regtype::text,
           ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder),
           coalesce(array_agg(c.relname::text) FILTER (WHERE c.oid > 0), '{}'),
           coalesce(array_agg(concat(
               'ALTER TABLE ', c.oid::regclass, ' ALTER ' || q || ' DROP DEFAULT,' || left(d, 0),
               ' ALTER ', q, ' TYPE ', a.atttypid::regtype, ' USING ', q, '::text::',
               a.atttypid::regtype, ', ALTER ' || q || ' SET DEFAULT ' || d
           ) ORDER BY c.oid::regclass::text, q) FILTER (WHERE c.oid > 0), '{}')
    FROM pg_type t
    LEFT JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
    LEFT JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum,
    LATERAL (SELECT quote_ident(a.attname) AS q, pg_get_expr(e.adbin, e.adrelid) AS d) AS texts
    WHERE t.typtype = 'e' GROUP BY t.oid ORDER BY 1"""
# CHECKs and partial or functional indexes on columns of an enum, which stand in its way.
DEPENDENT = """
    SELECT DISTINCT t.oid::regtype::text,
           coalesce('DROP INDEX ' || indexrelid::regclass, concat('ALTER TABLE ',
               conrelid::regclass, ' DROP CONSTRAINT ', quote_ident(conname))),
           coalesce(pg_get_indexdef(indexrelid), concat('ALTER TABLE ', conrelid::regclass,
               ' ADD CONSTRAINT ', quote_ident(conname), ' ', pg_get_constraintdef(k.oid)))
    FROM pg_depend d
    JOIN pg_attribute a ON (attrelid, attnum) = (refobjid, refobjsubid)
    JOIN pg_type t ON atttypid IN (t.oid, typarray) AND typtype = 'e'
    LEFT JOIN pg_constraint k ON k.oid = objid AND contype = 'c'
    LEFT JOIN pg_index i ON indexrelid = objid AND (indpred IS NOT NULL OR indexprs IS NOT NULL)
    WHERE refclassid = 'pg_class'::regclass AND coalesce(k.oid, indexrelid) IS NOT NULL"""
LOST = re.compile(
    r"\bAUTOINCREMENT\b|\bCOLLATE\b|\bSTRICT\s*$|\bWITHOUT ROWID\b"
    r"|(?<!CONSTRAINT)\s(?!CONSTRAINT)(?:\S+|\([\d, ]+\))\s+CHECK\b.*",  # one without a name
    re.IGNORECASE,
)
alter_column = renderers.dispatch(ops.AlterColumnOp)


class Written(ops.MigrateOperation):
    """Lines of a revision as they stand there, and those that undo them."""

    def __init__(self, lines: Sequence[str], undo: Sequence[str] = ()) -> None:
        self.lines, self.undo = list(lines), list(undo)

    def reverse(self) -> "Written":
        return Written(self.undo, self.lines)

    def to_diff_tuple(self) -> tuple[str, ...]:
        return ("written", *self.lines)


@renderers.dispatch_for(Written)
def render_written(_context: AutogenContext, op: Written) -> list[str]:
    return op.lines


def sql(statements: Sequence[str], undo: Sequence[str]) -> Written:
    """Return SQL and what undoes it."""
    both = ([f"op.execute({escaped(text)!r})" for text in steps] for steps in (statements, undo))
    return Written(*both)


@renderers.dispatch_for(ops.AlterColumnOp, replace=True)
def render_alter_column(context: AutogenContext, op: ops.AlterColumnOp) -> list[str]:
    """Write what Alembic takes but does not write: USING, and the identity that was there."""
    dialect: Any = context.dialect
    if dialect.name == "mysql" and op.modify_server_default is not False and not op.modify_type:
        restate(op)
    first, more, default = [], "", op.existing_server_default
    column = ops.AlterColumnOp(op.table_name, op.column_name, schema=op.schema)
    identity = any(isinstance(x, sa.Identity) for x in (op.modify_server_default, default))
    if identity and default and op.modify_server_default is not False:
        column.existing_server_default = default
        more = f", {alter_column(context, column).splitlines()[1].strip(' ),')})"
    if dialect.name == "postgresql" and (using := converted(dialect, op)):
        more = f", postgresql_using={using!r}"
        if isinstance(default, sa.DefaultClause):  # it is not converted, so it goes before
            column.modify_server_default = None
            first = [alter_column(context, column)]
            if op.modify_server_default is False:
                op.modify_server_default = sa.DefaultClause(sa.text(plain(str(default.arg))))
    return [*first, f"{alter_column(context, op)[:-1]}{more})"]


def restate(op: ops.AlterColumnOp) -> None:
    """Have MySQL give a column another default, where ALTER COLUMN … DEFAULT would not do."""
    nullable = op.existing_nullable if op.modify_nullable is None else op.modify_nullable
    if isinstance(op.existing_type, sa.JSON | sa.Text | sa.LargeBinary):
        op.modify_type = op.existing_type  # MODIFY alone takes theirs
    elif nullable and op.modify_server_default is None:  # DROP DEFAULT would demand a value
        op.modify_server_default = sa.DefaultClause(sa.null())


def converted(dialect: sa.Dialect, op: ops.AlterColumnOp) -> str | None:
    """Return how PostgreSQL converts values, where it does not by itself: moments are in UTC."""
    old: Any = op.existing_type
    new: Any = op.modify_type
    name = dialect.identifier_preparer.quote(op.column_name)
    if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime):
        return f"{name} AT TIME ZONE 'UTC'" if bool(old.timezone) != bool(new.timezone) else None
    enum = new is not None and (native(old) or native(new))
    if new is None or (old._type_affinity is new._type_affinity and not enum):
        return None
    return f"{name}{'::text' if enum else ''}::{new.compile(dialect)}"


def enums(context: AutogenContext) -> tuple[Ops, Ops]:
    """Return what makes and changes PostgreSQL's enums, and what drops them at the end."""
    connection: Any = context.connection
    if connection.dialect.name != "postgresql":
        return [], []
    found = enums_there(connection)
    named = connection.dialect.identifier_preparer.format_type
    usual = f"{connection.dialect.default_schema_name}."
    columns = [column for table in context.sorted_tables for column in table.columns]
    types = [enum for column in columns if (enum := native(column.type))]
    wanted = {named(enum).removeprefix(usual): enum.enums for enum in types}
    defaults = {str(getattr(column.server_default, "arg", "")) for column in columns}
    first: Ops = []
    last: Ops = []
    for name, labels in wanted.items():
        old, _, alters = found.get(name, (labels, [], []))
        if name not in found:
            first.append(sql([create(name, labels)], [f"DROP TYPE {name}"]))
        elif labels != old:
            steps = [] if defaults & {*labels} - {*old} else added(name, labels, old)
            first.append(sql(steps or swapped(name, labels, alters), swapped(name, old, alters)))
    for name in sorted(found.keys() - wanted.keys()):
        labels, tables, _ = found[name]
        if tables and is_ours(context, name, tables):
            last.append(sql([f"DROP TYPE {name}"], [create(name, labels)]))
    return first, last


def enums_there(connection: sa.Connection) -> dict[str, list[Any]]:
    """Return enums by name: their labels, tables, and what takes their columns to another."""
    found = {name: rest for name, *rest in connection.execute(sa.text(ENUMS))}
    for name, drop, make in connection.execute(sa.text(DEPENDENT)):
        found[name][2] = [drop, *found[name][2], make]
    return found


def is_ours(context: AutogenContext, enum: str, tables: Sequence[str]) -> bool:
    """Tell whether an enum is in our schemas and tables, and not another service's."""
    schema = enum.rpartition(".")[0].strip('"') or None
    names = [("schema", schema), *(("table", table) for table in tables)]
    return all(context.run_name_filters(name, kind, {}) for kind, name in names)  # type: ignore[arg-type]


def create(name: str, labels: Sequence[str]) -> str:
    return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"


def literal(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def added(name: str, new: Sequence[str], old: Sequence[str]) -> list[str]:
    """Return what adds values to an enum, the last first; nothing where that is not enough."""
    if [label for label in new if label in old] != old:
        return []
    before = dict(zip(new, [f" BEFORE {literal(label)}" for label in new[1:]], strict=False))
    labels = [label for label in reversed(new) if label not in old]
    return [f"ALTER TYPE {name} ADD VALUE {literal(x)}{before.get(x, '')}" for x in labels]


def swapped(name: str, labels: Sequence[str], alters: Sequence[str]) -> list[str]:
    """Return what puts another enum in the place of one."""
    schema, dot, bare = name.rpartition(".")
    old = f'"{bare.strip(chr(34))}_old"'
    rename = f"ALTER TYPE {name} RENAME TO {old}"
    return [rename, create(name, labels), *alters, f"DROP TYPE {schema}{dot}{old}"]


def rebuilds(op: Any) -> bool:
    """Tell whether an operation makes Alembic copy a table of SQLite."""
    beside = ops.CreateIndexOp | ops.DropIndexOp
    changes = [change for change in getattr(op, "ops", []) if not isinstance(change, beside)]
    columns = [change.column for change in changes if isinstance(change, ops.AddColumnOp)]
    return len(changes) > len(columns) or any(column.server_default for column in columns)


def rebuilt(context: MigrationContext, op: ops.ModifyTableOps) -> Ops:
    """SQLite: odd indexes and computed columns go before a rebuild and come back after it."""
    there, wanted = context.opts["compared"][op.schema, op.table_name]
    if context.dialect.name != "sqlite" or not rebuilds(op):
        return [op]
    drops: Ops = [ops.DropIndexOp.from_index(index) for index in there.indexes if odd(index)]
    creates: Ops = [ops.CreateIndexOp.from_index(index) for index in wanted.indexes if odd(index)]
    names = {change.index_name for change in [*drops, *creates]}
    op.ops = [change for change in op.ops if getattr(change, "index_name", None) not in names]
    gone = {change.column_name for change in op.ops if isinstance(change, ops.DropColumnOp)}
    for column in wanted.columns:
        kept = column.name in there.columns and column.name not in gone
        if kept and isinstance(column.server_default, sa.Computed):
            op.ops += again(there.columns[column.name], column)
    return [*drops, op, *creates]


def odd(index: sa.Index) -> bool:
    """Tell whether an index has more than columns, which Alembic does not copy."""
    return not all(isinstance(expression, sa.Column) for expression in index.expressions)


def lost(context: MigrationContext, operations: Ops) -> Iterator[str]:
    """Say what a rebuild by SQLite would lose without a word."""
    connection: Any = context.connection
    tables = {op.table_name for op in operations if rebuilds(op)}
    if context.dialect.name != "sqlite" or not tables:
        return
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    for kind, name, on, text in connection.exec_driver_sql(query):
        for table in sorted(tables):
            if kind in ("trigger", "view") and re.search(rf"\b{re.escape(table)}\b", text):
                cure = "drop it before and create it again after"
                yield f"the {kind} {name} is in the way of a rebuild of {table}: {cure}"
            if kind == "table" and on == table and (what := LOST.search(text)):
                cure = "restate it by table_args, table_kwargs or copy_from of batch_alter_table()"
                yield f"the rebuild of {table} loses {what[0].strip()}: {cure}"


def linked(context: MigrationContext, op: ops.ModifyTableOps) -> Ops:
    """MariaDB: an index that a foreign key made goes after it, no other goes while it is in use."""
    there, wanted = context.opts["compared"][op.schema, op.table_name]
    if context.dialect.name not in MARIADB or there is None or wanted is None:
        return op.ops
    names: list[Any] = [getattr(change, "constraint_name", None) for change in op.ops]
    dropped: list[Any] = [c.to_index() for c in op.ops if isinstance(c, ops.DropIndexOp)]
    gone = [c for c in op.ops if isinstance(c, ops.DropConstraintOp)]
    dropped += [c.to_constraint() for c in gone if c.constraint_type == "unique"]
    first = {name for index in dropped for name in index.columns.keys()[:1]}
    used = [k for k in wanted.foreign_key_constraints if k.column_keys[0] in first]
    drops = [ops.DropConstraintOp.from_constraint(key) for key in used if key.name not in names]
    changes: Ops = [*drops]
    for change, name in zip(op.ops, names, strict=True):
        changes.append(change)
        key = isinstance(change, ops.DropConstraintOp) and change.constraint_type == "foreignkey"
        if key and names.count(name) == 1 and context.dialect.name == "mariadb":
            # It is not made anew. MySQL has no IF EXISTS: there the next revision drops it.
            changes.append(ops.DropIndexOp(name, op.table_name, if_exists=True))
    return [*changes, *(drop.reverse() for drop in drops)]
