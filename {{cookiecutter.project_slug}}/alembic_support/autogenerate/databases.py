"""What each database needs beside Alembic's operations: enums, foreign keys' indexes, rebuilds."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _alter_column, _render_server_default
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import PriorityDispatchResult

from alembic_support.autogenerate.compare import GO_ON, MARIADB, PLAIN, native, plain

Ops = list[Any]
ENUMS = """
    SELECT t.oid::regtype::text, c.relname, c.oid::regclass::text, quote_ident(a.attname),
           CASE WHEN a.atttypid <> t.oid THEN '[]' ELSE '' END, pg_get_expr(d.adbin, d.adrelid),
           ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
    FROM pg_type t
    LEFT JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
    LEFT JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE t.typtype = 'e' ORDER BY 1, 3, 4"""
LOST = re.compile(
    r"\bAUTOINCREMENT\b|\bCOLLATE\b|\bSTRICT\s*$|\bWITHOUT ROWID\b"
    r"|(?<!CONSTRAINT)\s(?!CONSTRAINT)(?:\S+|\([\d, ]+\))\s+CHECK\b.*",  # one without a name
    re.IGNORECASE,
)


class Sql(ops.ExecuteSQLOp):
    """A statement and the one that undoes it; either may be empty."""

    def __init__(self, statement: str, undo: str, last: bool = False) -> None:
        super().__init__(statement)
        self.undo, self.last = undo, last

    def reverse(self) -> "Sql":
        return Sql(self.undo, str(self.sqltext))


@renderers.dispatch_for(ops.AlterColumnOp, replace=True)
def render_alter_column(context: AutogenContext, op: ops.AlterColumnOp) -> list[str]:
    """Write what Alembic takes but does not write: USING, and the identity that was there."""
    dialect: Any = context.dialect
    first, more, default = [], "", op.existing_server_default
    if isinstance(op.modify_server_default, sa.Identity) and default:
        more = f", existing_server_default={_render_server_default(default, context)}"
    if dialect.name == "postgresql" and (using := converted(dialect, op)):
        more = f", postgresql_using={using!r}"
        if isinstance(default, sa.DefaultClause):  # it is not converted, so it goes before
            column = ops.AlterColumnOp(op.table_name, op.column_name, schema=op.schema)
            column.modify_server_default = None
            first = [_alter_column(context, column)]
            if op.modify_server_default is False:
                op.modify_server_default = sa.DefaultClause(sa.text(plain(str(default.arg))))
    return [*first, f"{_alter_column(context, op)[:-1]}{more})"]


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


def compare_enums(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Make, change and drop PostgreSQL's enums, in SQL that works offline too."""
    connection: Any = context.connection
    rows = connection.execute(sa.text(ENUMS)).all()
    found = {name: list(users) for name, users in groupby(rows, lambda row: row[0])}
    columns = [column for table in context.sorted_tables for column in table.columns]
    enums = [enum for column in columns if (enum := native(column.type))]
    named = connection.dialect.identifier_preparer.format_type
    usual = f"{connection.dialect.default_schema_name}."
    wanted = {named(enum).removeprefix(usual): enum.enums for enum in enums}
    defaults = {str(getattr(column.server_default, "arg", "")) for column in columns}
    for name, labels in wanted.items():
        if name not in found:
            upgrade.ops.append(Sql(create(name, labels), f"DROP TYPE {name}"))
        elif labels != found[name][0][-1]:
            upgrade.ops += changed(name, labels, found[name], defaults)
    for name in sorted(found.keys() - wanted.keys()):
        users = {row[1] for row in found[name] if row[1]}
        schema = name.rpartition(".")[0].strip('"') or None  # another service's, perhaps
        ours = users and context.run_name_filters(schema, "schema", {})
        if ours and all(context.run_name_filters(user, "table", {}) for user in users):
            undo = create(name, found[name][0][-1])
            upgrade.ops.append(Sql(f"DROP TYPE {name}", undo, last=True))
    return GO_ON


def create(name: str, labels: Sequence[str]) -> str:
    return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"


def literal(label: str) -> str:
    return "'" + label.replace("'", "''").replace(":", r"\:") + "'"


def changed(name: str, new: Sequence[str], users: Sequence[Any], defaults: set[str]) -> list[Sql]:
    """Return what gives an enum other values: ADD VALUE where that will do, else a new type."""
    old, steps = users[0][-1], swapped(name, new, users)
    added = [label for label in new if label not in old]
    if [label for label in new if label in old] != old or defaults & {*added}:
        return steps
    following = dict(zip(new, [f" BEFORE {literal(label)}" for label in new[1:]], strict=False))
    add = f"ALTER TYPE {name} ADD VALUE"
    adds = [f"{add} {literal(label)}{following.get(label, '')}" for label in reversed(added)]
    return [*(Sql(text, "") for text in adds), *(Sql("", step.undo) for step in steps)]


def swapped(name: str, new: Sequence[str], users: Sequence[Any]) -> list[Sql]:
    """Return what puts another enum in the place of one, step by step."""
    schema, dot, bare = name.rpartition(".")
    spare = f'"{bare.strip(chr(34))}_old"'
    other = f"{schema}{dot}{spare}"
    rename = Sql(f"ALTER TYPE {name} RENAME TO {spare}", f"ALTER TYPE {other} RENAME TO {bare}")
    alters = [
        Sql(alter(table, column, name, *more), alter(table, column, other, *more))
        for _, relation, table, column, *more, _ in users
        if relation
    ]
    made = Sql(create(name, new), f"DROP TYPE {name}")
    return [rename, made, *alters, Sql(f"DROP TYPE {other}", create(other, users[0][-1]))]


def alter(table: str, column: str, enum: str, many: str, default: str | None) -> str:
    parts = [f"TYPE {enum}{many} USING {column}::text{many}::{enum}{many}"]
    if default is not None:
        parts = ["DROP DEFAULT", *parts, f"SET DEFAULT {plain(default)}"]
    return f"ALTER TABLE {table} {', '.join(f'ALTER COLUMN {column} {part}' for part in parts)}"


def pair(context: MigrationContext, op: ops.ModifyTableOps, *databases: str) -> Any:
    """Return a table and its model, for these databases and where both are there."""
    key = op.schema, op.table_name
    found = context.opts.get("compared", {}).get(key, (None, None))
    return found if context.dialect.name in databases and None not in found else None


def adapted(context: MigrationContext, op: ops.ModifyTableOps) -> Ops:
    """Return what a change of a table takes on this database; its reverse undoes it."""
    if rebuilds(op) and (tables := pair(context, op, "sqlite")):
        return rebuilt(op, *tables)
    if tables := pair(context, op, *MARIADB):
        op.ops = list(with_keys(op, *tables))
    return [op]


def rebuilds(op: Any) -> bool:
    """Tell whether an operation makes Alembic copy a table of SQLite."""
    return isinstance(op, ops.ModifyTableOps) and any(map(recreates, op.ops))


def recreates(change: Any) -> bool:
    if isinstance(change, ops.AddColumnOp):
        return isinstance(change.column.server_default, sa.Computed | sa.DefaultClause)
    return not isinstance(change, ops.CreateIndexOp | ops.DropIndexOp)


def rebuilt(op: ops.ModifyTableOps, there: sa.Table, wanted: sa.Table) -> Ops:
    """Take odd indexes and computed columns out of the way of a rebuild, and put them back."""
    drops: Ops = [ops.DropIndexOp.from_index(index) for index in there.indexes if odd(index)]
    creates: Ops = [ops.CreateIndexOp.from_index(index) for index in wanted.indexes if odd(index)]
    columns = [*there.columns, *wanted.columns]
    names = {c.name for c in columns if isinstance(c.server_default, sa.Computed)}
    names |= {change.index_name for change in [*drops, *creates]}
    args = op.schema, op.table_name
    drop, add = ops.DropColumnOp, ops.AddColumnOp
    op.ops = [
        *(drop.from_column_and_tablename(*args, c) for c in there.columns if c.name in names),
        *(change for change in op.ops if touched(change) not in names),
        *(add.from_column_and_tablename(*args, c) for c in wanted.columns if c.name in names),
    ]
    return [*drops, op, *creates]


def touched(change: Any) -> str | None:
    """Return the name of the index or of the column that an operation makes or drops."""
    if isinstance(change, ops.AddColumnOp):
        return change.column.name
    return getattr(change, "index_name", None) or getattr(change, "column_name", None)


def odd(index: sa.Index) -> bool:
    """Tell whether an index has more than columns, which Alembic does not copy."""
    return not PLAIN.fullmatch(" ".join(str(sa.schema.CreateIndex(index)).split()))


def lost(context: MigrationContext, operations: Ops) -> Iterator[str]:
    """Say what a rebuild by SQLite would lose without a word."""
    tables = sorted({op.table_name for op in operations if rebuilds(op)})
    connection: Any = context.connection
    if tables and context.dialect.name == "sqlite":
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        for kind, other, on, text in connection.exec_driver_sql(query):
            for table in tables:
                if kind == "view" and re.search(rf"\b{re.escape(table)}\b", text):
                    yield f"the view {other} stops the rebuild of {table}: drop it, create it again"
                if kind == "trigger" and on == table:
                    yield f"the trigger {other} goes with the rebuild of {table}: create it again"
                if kind == "table" and on == table and (what := LOST.search(text)):
                    yield (
                        f"{what[0].strip()} of {table} goes with the rebuild: restate it, see "
                        "table_args, table_kwargs and copy_from of op.batch_alter_table()"
                    )


def is_key(op: Any) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def with_keys(op: ops.ModifyTableOps, there: sa.Table, wanted: sa.Table) -> Iterator[Any]:
    """Name the indexes that MariaDB makes for foreign keys: they do not go with them."""
    kinds = (sa.ForeignKeyConstraint, sa.CheckConstraint)
    covers: Ops = [*wanted.indexes, *(c for c in wanted.constraints if not isinstance(c, kinds))]
    covered = {item.columns.keys()[0] for item in covers if len(item.columns)}
    made: dict[Any, Any] = {index.name: index for index in there.indexes}
    created = {c.constraint_name: c for c in op.ops if isinstance(c, ops.CreateForeignKeyOp)}
    for change in op.ops:
        name = getattr(change, "constraint_name", None)
        if change is created.get(name) and change.local_cols[0] not in covered and name not in made:
            yield ops.CreateIndexOp(name, op.table_name, change.local_cols)
        yield change
        kept = name in made and {*made[name].columns.keys()} <= {*wanted.columns.keys()}
        if is_key(change) and kept and name not in created:
            yield ops.DropIndexOp.from_index(made[name])


def relink(context: MigrationContext, op: ops.ModifyTableOps) -> None:
    """Let go of a foreign key while MariaDB drops an index that it uses."""
    if tables := pair(context, op, *MARIADB):
        dropped = [change.to_index() for change in op.ops if isinstance(change, ops.DropIndexOp)]
        first = {index.columns.keys()[0] for index in dropped if len(index.columns)}
        names = {key.name for key in tables[0].foreign_key_constraints}
        for key in tables[1].foreign_key_constraints:
            if key.name in names and key.column_keys[0] in first:
                drop = ops.DropConstraintOp.from_constraint(key)
                op.ops = [drop, *op.ops, drop.reverse()]
