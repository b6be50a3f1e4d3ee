"""Names in the real database, which may have been there before its first revision.

Then somebody, or the server, has named its constraints and indexes. The revisions, and so a clean
database, have the names of a convention. What a revision drops has to go from both.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from migrator.autogenerate.describe import DescribingImpl, impl_of
from migrator.autogenerate.ours import Comparing
from migrator.autogenerate.questions import changed_tables
from migrator.autogenerate.steps import EitherName, PrimaryKey

Content = tuple[object, ...]  # what a constraint or an index is made of, without its name
Drop = ops.DropConstraintOp | ops.DropIndexOp | PrimaryKey


class Item(NamedTuple):
    """What an operation drops: `kind` is a key of READERS."""

    kind: str
    name: str


def drop_by_names_there(
    context: MigrationContext, directives: Sequence[ops.MigrationScript], run: Comparing
) -> None:
    """Have an upgrade drop what has another name in the real database by that name as well.

    Where a table is copied, it may also have constraints without a name, there or in general.
    """
    impl = impl_of(context)
    for upgrade in directives[0].upgrade_ops_list:
        tables = [table for table in changed_tables(upgrade.ops) if drops_of(table)]
        others = names_in(run, impl, tables) if tables and run.compares_with_clean else {}
        upgrade.ops = [
            change
            for op in upgrade.ops
            for change in restated(impl, op, any(id(drop) in others for drop in constraints(op)))
        ]
        for table in changed_tables(upgrade.ops):
            table.ops = [with_names(impl, op, others.get(id(op), []), run) for op in table.ops]
    for downgrade in directives[0].downgrade_ops_list:
        downgrade.ops = [
            change for op in downgrade.ops for change in restated(impl, op, False, goes_back=True)
        ]


def names_in(
    run: Comparing, impl: DescribingImpl, tables: Sequence[ops.ModifyTableOps]
) -> dict[int, list[str]]:
    """Return other names in the real database, by the id() of the operation that drops it."""
    with run.real() as connection:
        if connection is None:
            return {}
        real, clean = sa.inspect(connection), sa.inspect(impl.connected)
        found = {}
        for table in tables:
            if real.has_table(table.table_name, table.schema):
                for op, item in drops_of(table):
                    if names := other_names(real, clean, op, item):
                        found[id(op)] = names
        return found


def restated(
    impl: DescribingImpl, op: ops.MigrateOperation, is_elsewhere: bool, goes_back: bool = False
) -> list[ops.MigrateOperation]:
    """Return an operation, or others for it where a table is copied and names are of no use."""
    pair = None
    if isinstance(op, ops.ModifyTableOps) and impl.COPIES_TABLES:
        pair = impl.memory.pairs.get((op.schema, op.table_name))
    if pair is None or not isinstance(op, ops.ModifyTableOps):
        return [op]
    return impl.restated(op, pair, goes_back) if is_elsewhere or has_nameless(op) else [op]


def has_nameless(op: ops.ModifyTableOps) -> bool:
    """Tell whether a constraint without a name goes or comes."""
    return any(
        isinstance(change, ops.DropConstraintOp | ops.AddConstraintOp)
        and change.to_constraint().name is None
        for change in op.ops
    )


def constraints(op: ops.MigrateOperation) -> list[ops.MigrateOperation]:
    """Return the operations of a table that drop a constraint."""
    if not isinstance(op, ops.ModifyTableOps):
        return []
    return [drop for drop, item in drops_of(op) if item.kind != "index"]


def drops_of(table: ops.ModifyTableOps) -> list[tuple[Drop, Item]]:
    """Return the operations of a table that drop something by its name."""
    found: list[tuple[Drop, Item]] = []
    for op in table.ops:
        if isinstance(op, ops.DropConstraintOp) and op.constraint_type in READERS:
            found.append((op, Item(op.constraint_type, str(op.constraint_name))))
        elif isinstance(op, ops.DropIndexOp):
            found.append((op, Item("index", str(op.index_name))))
        elif isinstance(op, PrimaryKey) and op.drops:
            found.append((op, Item("primary", str(op.name))))
    return found


def other_names(real: sa.Inspector, clean: sa.Inspector, op: Drop, item: Item) -> list[str]:
    """Return the names that the real database has for what an operation drops, if they differ."""
    read = READERS[item.kind]
    wanted = dict(read(clean, op.table_name, op.schema)).get(item.name)
    there = [*read(real, op.table_name, op.schema)]
    if wanted is None or item.name in dict(there):
        return []
    return [name for name, content in there if content == wanted]


def with_names(
    impl: DescribingImpl, op: ops.MigrateOperation, names: Sequence[str], run: Comparing
) -> ops.MigrateOperation:
    """Return an operation that drops what it drops by further names as well."""
    if not names:
        return op
    ((_, item),) = drops_of(ops.ModifyTableOps("", [op]))
    drops = [drop for name in (*names, item.name) for drop in impl.drop_if_there(op, name)]
    return EitherName(drops or [op], question(op, item, names, run, is_written=bool(drops)))


def question(
    op: ops.MigrateOperation, item: Item, names: Sequence[str], run: Comparing, is_written: bool
) -> str:
    """Return what to ask about names: there may be a third one in yet another database."""
    table = getattr(op, "table_name", "")
    others = ", ".join(names)
    what = f"{item.name} of {table} is called {others} in {run.database}"
    if is_written:
        return (
            f"{what}: both are dropped here. If another database has a third name, drop that, too"
        )
    return (
        f"{what}, and this database cannot drop what may not be there: rename it there by hand "
        "first, or drop the one that sa.inspect(op.get_bind()) finds"
    )


# ----- What is there, by name


def foreign_keys(
    inspector: sa.Inspector, table: str, schema: str | None
) -> Iterator[tuple[str, Content]]:
    for key in inspector.get_foreign_keys(table, schema):
        referred = (key["referred_schema"], key["referred_table"], *key["referred_columns"])
        yield key["name"] or "", (*key["constrained_columns"], *referred)


def uniques(
    inspector: sa.Inspector, table: str, schema: str | None
) -> Iterator[tuple[str, Content]]:
    for unique in inspector.get_unique_constraints(table, schema):
        yield unique["name"] or "", tuple(unique["column_names"])


def indexes(
    inspector: sa.Inspector, table: str, schema: str | None
) -> Iterator[tuple[str, Content]]:
    for index in inspector.get_indexes(table, schema):
        columns = index.get("expressions") or index["column_names"]
        yield index["name"] or "", (bool(index["unique"]), *columns)


def checks(
    inspector: sa.Inspector, table: str, schema: str | None
) -> Iterator[tuple[str, Content]]:
    for check in inspector.get_check_constraints(table, schema):
        yield check["name"] or "", (check["sqltext"],)


def primary_keys(
    inspector: sa.Inspector, table: str, schema: str | None
) -> Iterator[tuple[str, Content]]:
    key = inspector.get_pk_constraint(table, schema)
    yield key["name"] or "", tuple(key["constrained_columns"])


READERS: dict[str, Any] = {
    "check": checks,
    "foreignkey": foreign_keys,
    "index": indexes,
    "primary": primary_keys,
    "unique": uniques,
}
