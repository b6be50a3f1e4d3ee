"""PostgreSQL's enums: revisions make, change and drop them, in SQL that works offline too."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.dialects import postgresql

from alembic_support.thorough.facts import connected

USERS = """
    SELECT a.attrelid::regclass::text, quote_ident(a.attname), e.typelem <> 0,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_type e ON e.oid = a.atttypid
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE NOT a.attisdropped AND to_regtype(:name) IN (e.oid, e.typelem) ORDER BY 1, 2"""


class Sql(ops.MigrateOperation):
    """Statements, and those that undo them."""

    def __init__(self, statements: Sequence[str], undo: Sequence[str]) -> None:
        self.statements, self.undo = statements, undo

    def reverse(self) -> "Sql":
        return Sql(self.undo, self.statements)

    def to_diff_tuple(self) -> tuple[str, str]:
        return ("execute", "; ".join(self.statements))


@renderers.dispatch_for(Sql)
def render_sql(_context: AutogenContext, op: Sql) -> list[str]:
    return [f"op.execute({statement!r})" for statement in op.statements]


def native(type_: Any) -> Iterator[sa.Enum]:
    """Yield the native enum that a column's type is, or holds, if any."""
    if isinstance(type_, sa.types.TypeDecorator):
        type_ = type_.impl_instance
    if isinstance(type_, sa.ARRAY):
        yield from native(type_.item_type)
    elif isinstance(type_, sa.Enum) and type_.native_enum:
        yield type_


def columns(operations: Iterable[Any]) -> Iterator[Any]:
    """Yield the types of columns that operations take away."""
    for op in operations:
        if isinstance(op, ops.ModifyTableOps):
            yield from columns(op.ops)
        elif isinstance(op, ops.DropTableOp):
            yield from (column.type for column in op.to_table().columns)
        elif isinstance(op, ops.DropColumnOp):
            yield op.to_column().type
        elif isinstance(op, ops.AlterColumnOp) and op.modify_type is not None:
            yield op.existing_type


def compare_enums(
    context: AutogenContext, upgrade: ops.UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """Add what enums need before tables change; drop the enums that lost their last column."""
    connection = connected(context.migration_context)
    found, usual = there(connection, schemas), connection.dialect.default_schema_name
    models = [column for table in context.sorted_tables for column in table.columns]
    wanted = {key(enum, usual): enum for column in models for enum in native(column.type)}
    defaults = {str(getattr(column.server_default, "arg", "")) for column in models}
    first: list[ops.MigrateOperation] = []
    for name, enum in wanted.items():
        if name not in found:
            first.append(Sql([create(name, enum.enums)], [f"DROP TYPE {name}"]))
        elif enum.enums != found[name]:
            users = connection.execute(sa.text(USERS), {"name": name}).all()
            first.append(change(name, found[name], enum.enums, users, defaults))
    gone = {key(enum, usual) for type_ in columns(upgrade.ops) for enum in native(type_)}
    last = [
        Sql([f"DROP TYPE {name}"], [create(name, found[name])])
        for name in sorted(gone & found.keys() - wanted.keys())
    ]
    upgrade.ops = [*first, *upgrade.ops, *last]
    return PriorityDispatchResult.CONTINUE


def there(connection: sa.Connection, schemas: set[str | None]) -> dict[str, list[str]]:
    """Return the labels of every enum in the database, by its quoted name."""
    usual, inspector = connection.dialect.default_schema_name, sa.inspect(connection)
    return {
        key(sa.Enum(name=enum["name"], schema=schema), usual): enum["labels"]
        for schema in schemas
        # Only PostgreSQL's inspector has it, and the types know the general one.
        for enum in inspector.get_enums(schema=schema or usual)  # type: ignore[attr-defined]
    }


def key(enum: sa.Enum, usual: str | None) -> str:
    quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
    schema = None if enum.schema == usual else enum.schema
    return ".".join(quote(part) for part in (schema, enum.name) if part)


def literal(label: str) -> str:
    return "'" + label.replace("'", "''").replace(":", r"\:") + "'"


def create(name: str, labels: Sequence[str]) -> str:
    return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"


def change(
    name: str, old: Sequence[str], new: Sequence[str], users: Sequence[Any], defaults: set[str]
) -> Sql:
    """Return what gives an enum other values: ADD VALUE where that will do, else a new type."""
    added = [label for label in new if label not in old]
    undo = swap(name, old, users)
    if [label for label in new if label in old] != list(old) or defaults & set(added):
        return Sql(swap(name, new, users), undo)
    statements, following = [], None
    for label in reversed(new):
        if label in added:
            place = f" BEFORE {literal(following)}" if following else ""
            statements.append(f"ALTER TYPE {name} ADD VALUE {literal(label)}{place}")
        following = label
    return Sql(statements, undo)


def swap(name: str, labels: Sequence[str], users: Sequence[Any]) -> list[str]:
    """Return the statements that put another enum of the same name in the place of one."""
    schema, dot, bare = name.rpartition(".")
    other = f'"{bare.strip(chr(34))}_old"'
    alters = []
    for table, column, array, default in users:
        many = "[]" if array else ""
        parts = [f"TYPE {name}{many} USING {column}::text{many}::{name}{many}"]
        if default is not None:
            parts = ["DROP DEFAULT", *parts, f"SET DEFAULT {default}"]
        changes = ", ".join(f"ALTER COLUMN {column} {part}" for part in parts)
        alters.append(f"ALTER TABLE {table} {changes}")
    return [
        f"ALTER TYPE {name} RENAME TO {other}",
        create(name, labels),
        *alters,
        f"DROP TYPE {schema}{dot}{other}",
    ]


def setup(plugin: Plugin) -> None:
    plugin.add_autogenerate_comparator(
        compare_enums,
        "schema",
        "enums",
        qualifier="postgresql",
        priority=DispatchPriority.LAST,
    )
