"""What each database needs beside Alembic's operations: enums, foreign keys' indexes, rebuilds."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult

from alembic_support.autogenerate.compare import MARIADB, PLAIN, native, plain

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
LOST = {
    "AUTOINCREMENT": r"\bAUTOINCREMENT\b",
    "COLLATE": r"\bCOLLATE\b",
    "STRICT": r"\)\s*STRICT\s*$",
    "WITHOUT ROWID": r"\bWITHOUT ROWID\b",
    "a CHECK without a name": r"(?<!CONSTRAINT)\s(?!CONSTRAINT)(?:\S+|\([\d, ]+\))\s+CHECK\b",
}


class Sql(ops.ExecuteSQLOp):
    """A statement and the one that undoes it; either may be empty."""

    def __init__(self, statement: str, undo: str, last: bool = False) -> None:
        super().__init__(statement)
        self.statement, self.undo, self.last = statement, undo, last

    def reverse(self) -> "Sql":
        return Sql(self.undo, self.statement)


@renderers.dispatch_for(Sql)
def render_sql(_context: AutogenContext, op: Sql) -> list[str]:
    return [f"op.execute({op.statement!r})"] if op.statement else []


def compare_enums(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Make, change and drop PostgreSQL's enums, in SQL that works offline too."""
    connection: Any = context.connection
    preparer = connection.dialect.identifier_preparer
    rows = connection.execute(sa.text(ENUMS)).all()
    found = {name: list(group) for name, group in groupby(rows, lambda row: row[0])}
    columns = [column for table in context.sorted_tables for column in table.columns]
    enums = [enum for column in columns if (enum := native(column.type))]
    wanted = {
        preparer.format_type(enum).removeprefix(f"{connection.dialect.default_schema_name}."): enum
        for enum in enums
    }
    defaults = {str(getattr(column.server_default, "arg", "")) for column in columns}
    for name, enum in wanted.items():
        if name not in found:
            upgrade.ops.append(Sql(create(name, enum.enums), f"DROP TYPE {name}"))
        elif enum.enums != found[name][0][-1]:
            upgrade.ops += changed(name, enum.enums, found[name], defaults)
    for name in found.keys() - wanted.keys():
        users = {row[1] for row in found[name]} - {None}
        if users and all(
            context.run_name_filters(u, "table", {"schema_name": None}) for u in users
        ):
            upgrade.ops.append(
                Sql(f"DROP TYPE {name}", create(name, found[name][0][-1]), last=True)
            )
    return PriorityDispatchResult.CONTINUE


def literal(label: str) -> str:
    return "'" + label.replace("'", "''").replace(":", r"\:") + "'"


def create(name: str, labels: Sequence[str]) -> str:
    return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"


def changed(name: str, new: Sequence[str], users: Sequence[Any], defaults: set[str]) -> list[Sql]:
    """Return what gives an enum other values: ADD VALUE where that will do, else a new type."""
    old = users[0][-1]
    added = [label for label in new if label not in old]
    steps = swapped(name, old, new, users)
    if [label for label in new if label in old] != old or defaults & {*added}:
        return steps
    following = [f" BEFORE {literal(label)}" for label in new[1:]] + [""]
    places = dict(zip(new, following, strict=True))
    adds = [f"ALTER TYPE {name} ADD VALUE {literal(label)}{places[label]}" for label in added]
    return [*(Sql(add, "") for add in reversed(adds)), *(Sql("", step.undo) for step in steps)]


def swapped(name: str, old: Sequence[str], new: Sequence[str], users: Sequence[Any]) -> list[Sql]:
    """Return the statements that put another enum in the place of one, each with its undo."""
    schema, dot, bare = name.rpartition(".")
    spare = f'"{bare.strip(chr(34))}_old"'
    other = f"{schema}{dot}{spare}"
    rename = Sql(f"ALTER TYPE {name} RENAME TO {spare}", f"ALTER TYPE {other} RENAME TO {bare}")
    steps = [rename, Sql(create(name, new), f"DROP TYPE {name}")]
    for _, relation, table, column, many, default, _ in users:
        if relation:
            both = [alter(table, column, enum + many, default) for enum in (name, other)]
            steps.append(Sql(both[0], both[1]))
    return [*steps, Sql(f"DROP TYPE {other}", create(other, old))]


def alter(table: str, column: str, kind: str, default: str | None) -> str:
    many = "[]" if kind.endswith("[]") else ""
    parts = [f"TYPE {kind} USING {column}::text{many}::{kind}"]
    if default is not None:
        parts = ["DROP DEFAULT", *parts, f"SET DEFAULT {plain(default)}"]
    return f"ALTER TABLE {table} {', '.join(f'ALTER COLUMN {column} {part}' for part in parts)}"


def adapted(context: MigrationContext, op: ops.ModifyTableOps) -> Ops:
    """Return what a change of a table takes on this database; its reverse undoes it."""
    there, wanted = context.opts.get("compared", {}).get((op.schema, op.table_name), (None, None))
    if there is None or wanted is None:
        return [op]
    if context.dialect.name == "sqlite" and rebuilds(op):
        return rebuilt(op, there, wanted)
    if context.dialect.name in MARIADB:
        op.ops = list(with_keys(op, there, wanted))
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
    drops = [ops.DropIndexOp.from_index(index) for index in there.indexes if odd(index)]
    creates = [ops.CreateIndexOp.from_index(index) for index in wanted.indexes if odd(index)]
    names = {change.index_name for change in [*drops, *creates]}
    args = op.schema, op.table_name
    op.ops = [
        *(ops.DropColumnOp.from_column_and_tablename(*args, column) for column in computed(there)),
        *(c for c in op.ops if not (aside(c) or getattr(c, "index_name", None) in names)),
        *(ops.AddColumnOp.from_column_and_tablename(*args, column) for column in computed(wanted)),
    ]
    return [*drops, op, *creates]


def odd(index: sa.Index) -> bool:
    """Tell whether an index has more than columns, which Alembic does not copy."""
    return not PLAIN.fullmatch(" ".join(str(sa.schema.CreateIndex(index)).split()))


def computed(table: sa.Table) -> list[sa.Column[Any]]:
    return [c for c in table.columns if isinstance(c.server_default, sa.Computed)]


def aside(change: Any) -> bool:
    if not isinstance(change, ops.AddColumnOp | ops.DropColumnOp):
        return False
    column = change.column if isinstance(change, ops.AddColumnOp) else change.to_column()
    return isinstance(column.server_default, sa.Computed)


def lost(context: MigrationContext, operations: Ops) -> Iterator[str]:
    """Say what a rebuild by SQLite would lose without a word."""
    tables = {op.table_name for op in operations if rebuilds(op)}
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    rows: Any = context.connection.exec_driver_sql(query) if tables else ()  # type: ignore[union-attr]
    for kind, other, table, text in rows:
        if kind == "trigger" and table in tables:
            yield f"the trigger {other} goes with the rebuild of {table}: create it again after it"
        for name in sorted(tables if kind == "view" else ()):
            if re.search(rf"\b{re.escape(name)}\b", text):
                yield f"the view {other} stops the rebuild of {name}: drop it before, create it after"
        for what, pattern in LOST.items():
            if kind == "table" and table in tables and re.search(pattern, text, re.IGNORECASE):
                yield (
                    f"{what} of {table} goes with the rebuild: restate it, see table_args, "
                    "table_kwargs and copy_from of op.batch_alter_table()"
                )


def with_keys(op: ops.ModifyTableOps, there: sa.Table, wanted: sa.Table) -> Iterator[Any]:
    """Name the indexes that MariaDB makes for foreign keys: they do not go with them."""
    covers = [*wanted.indexes, *(c for c in wanted.constraints if not isinstance(c, KEY))]
    covered = {next(iter(item.columns)).name for item in covers if len(item.columns)}
    made = {index.name: index for index in there.indexes}
    again = {c.constraint_name for c in op.ops if isinstance(c, ops.CreateForeignKeyOp)}
    for change in op.ops:
        if isinstance(change, ops.CreateForeignKeyOp) and change.local_cols[0] not in covered:
            if change.constraint_name not in made:
                yield ops.CreateIndexOp(change.constraint_name, op.table_name, change.local_cols)
        yield change
        if is_key(change) and (index := made.get(change.constraint_name)) is not None:
            if change.constraint_name not in again and {*index.columns.keys()} <= {
                *wanted.columns.keys()
            }:
                yield ops.DropIndexOp.from_index(index)


KEY = (sa.ForeignKeyConstraint, sa.CheckConstraint)


def is_key(op: Any) -> bool:
    return isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey"


def relinked(context: MigrationContext, op: ops.ModifyTableOps) -> None:
    """Let go of a foreign key while MariaDB drops an index that it uses."""
    there, wanted = context.opts.get("compared", {}).get((op.schema, op.table_name), (None, None))
    if there is None or wanted is None or context.dialect.name not in MARIADB:
        return
    dropped = [change.to_index() for change in op.ops if isinstance(change, ops.DropIndexOp)]
    first = {next(iter(index.columns)).name for index in dropped if len(index.columns)}
    names = {key.name for key in there.foreign_key_constraints}
    for key in wanted.foreign_key_constraints:
        if key.name in names and next(iter(key.columns)).name in first:
            drop = ops.DropConstraintOp.from_constraint(key)
            op.ops = [drop, *op.ops, drop.reverse()]


def setup(plugin: Plugin) -> None:
    plugin.add_autogenerate_comparator(
        compare_enums,
        "schema",
        "enums",
        qualifier="postgresql",
        priority=DispatchPriority.LAST,
    )
