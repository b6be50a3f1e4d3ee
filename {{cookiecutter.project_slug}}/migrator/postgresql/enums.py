"""PostgreSQL's enums: types that are there beside the tables, and have to be made and changed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.util import CommandError
from sqlalchemy.dialects.postgresql import DOMAIN

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.describe import final_type, impl_of
from migrator.autogenerate.questions import replaced_labels
from migrator.autogenerate.steps import SQL

# Each enum with its labels in their order and the tables that have a column of it, and with what
# takes each of those columns to another enum of the same name. No enum of an extension.
ENUMS = """
    SELECT t.oid::regtype::text AS name,
           n.nspname AS schema,
           ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
               AS labels,
           coalesce(array_agg(c.relname::text) FILTER (WHERE c.oid > 0), '{}') AS tables,
           coalesce(array_agg(concat(
               'ALTER TABLE ', c.oid::regclass, ' ALTER ' || q || ' DROP DEFAULT,' || left(d, 0),
               ' ALTER ', q, ' TYPE ', a.atttypid::regtype, ' USING ', q, '::text::',
               a.atttypid::regtype, ', ALTER ' || q || ' SET DEFAULT ' || d
           ) ORDER BY c.oid::regclass::text, q) FILTER (WHERE c.oid > 0), '{}') AS conversions
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
    LEFT JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum,
    LATERAL (SELECT quote_ident(a.attname) AS q, pg_get_expr(e.adbin, e.adrelid) AS d) AS texts
    WHERE t.typtype = 'e' AND NOT EXISTS (
        SELECT FROM pg_depend p
        WHERE p.classid = 'pg_type'::regclass AND p.objid = t.oid AND p.deptype = 'e')
    GROUP BY t.oid, n.nspname ORDER BY 1"""
# CHECKs, and indexes with expressions or conditions, on columns of an enum: they stand in its way.
DEPENDENT = """
    SELECT DISTINCT t.oid::regtype::text AS name,
           coalesce('DROP INDEX ' || indexrelid::regclass, concat('ALTER TABLE ',
               conrelid::regclass, ' DROP CONSTRAINT ', quote_ident(conname))) AS drop,
           coalesce(pg_get_indexdef(indexrelid), concat('ALTER TABLE ', conrelid::regclass,
               ' ADD CONSTRAINT ', quote_ident(conname), ' ', pg_get_constraintdef(k.oid))) AS make
    FROM pg_depend d
    JOIN pg_attribute a ON (attrelid, attnum) = (refobjid, refobjsubid)
    JOIN pg_type t ON atttypid IN (t.oid, typarray) AND typtype = 'e'
    LEFT JOIN pg_constraint k ON k.oid = objid AND contype = 'c'
    LEFT JOIN pg_index i ON indexrelid = objid AND (indpred IS NOT NULL OR indexprs IS NOT NULL)
    WHERE refclassid = 'pg_class'::regclass AND coalesce(k.oid, indexrelid) IS NOT NULL"""


class TypeThere(Protocol):
    """A type of the database: its schema, and the tables that have a column of it."""

    schema: str
    tables: list[str]


@dataclass
class EnumThere:
    """An enum of the database; `conversions` take its columns to another one of its name."""

    name: str
    schema: str
    labels: list[str]
    tables: list[str] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)


def enums_there(connection: sa.Connection) -> dict[str, EnumThere]:
    """Return the enums of a database, by name: with its schema where that has to be said."""
    rows = connection.exec_driver_sql(ENUMS).mappings()
    found = {row["name"]: EnumThere(**row) for row in rows}
    for row in connection.exec_driver_sql(DEPENDENT).mappings():
        if row["name"] in found:
            conversions = found[row["name"]].conversions
            conversions.insert(0, row["drop"])
            conversions.append(row["make"])
    return found


def enum_of(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> sa.Enum | None:
    """Return the enum that a column's type is, or that it holds an array of, on PostgreSQL."""
    final = innermost_type(type_, dialect)
    return final if isinstance(final, sa.Enum) and final.native_enum else None


def innermost_type(
    type_: sa.types.TypeEngine[Any], dialect: sa.Dialect
) -> sa.types.TypeEngine[Any]:
    """Return the type that PostgreSQL is told, or for an array that of its items."""
    final = final_type(type_, dialect)
    return final_type(final.item_type, dialect) if isinstance(final, sa.ARRAY) else final


def enums_of(columns: Iterable[sa.Column[Any]], dialect: sa.Dialect) -> Iterator[sa.Enum]:
    """Yield the enums of columns. Raises CommandError for one without a name."""
    for column in columns:
        if enum := enum_of(column.type, dialect):
            if enum.name is None:
                labels = ", ".join(map(repr, enum.enums))
                raise CommandError(
                    f"{column} is an Enum without a name, which PostgreSQL needs: write "
                    f"Enum({labels}, name={column.name!r})"
                )
            yield enum


def name_of(type_: sa.Enum | DOMAIN, dialect: sa.Dialect) -> str:
    """Return a type's name as PostgreSQL says it: with its schema, if that is not the usual."""
    preparer: Any = dialect.identifier_preparer
    name: str = preparer.format_type(type_)
    return name.removeprefix(f"{preparer.quote(dialect.default_schema_name)}.")


def changes_of_enums(context: AutogenContext) -> Iterator[SQL]:
    """Yield what makes, changes and drops the enums of the models."""
    impl = impl_of(context.migration_context)
    there = enums_there(impl.connected)
    columns = [column for table in context.sorted_tables for column in table.columns]
    wanted = {name_of(enum, impl.dialect): enum.enums for enum in enums_of(columns, impl.dialect)}
    defaults = {str(getattr(column.server_default, "arg", "")) for column in columns}
    for name, labels in wanted.items():
        if name not in there:
            yield SQL([create(name, labels)], [f"DROP TYPE {name}"], Phase.TYPES)
        elif labels != there[name].labels:
            yield changed(there[name], labels, defaults)
    for name in sorted(there.keys() - wanted.keys()):
        if there[name].tables and is_ours(context, there[name]):
            make = create(name, there[name].labels)
            yield SQL([f"DROP TYPE {name}"], [make], Phase.UNUSED_TYPES)


def changed(enum: EnumThere, labels: Sequence[str], defaults: set[str]) -> SQL:
    """Return what gives an enum other labels.

    A label that was added cannot be used before the transaction has ended, so an enum with a new
    label that is a column's default is swapped for another one.
    """
    steps: list[str] = []
    if not defaults & ({*labels} - {*enum.labels}):
        steps = added(enum.name, labels, enum.labels)
    swap_back = swapped(enum.name, enum.labels, enum.conversions)
    steps = steps or swapped(enum.name, labels, enum.conversions)
    return SQL(steps, swap_back, Phase.TYPES, question_of(enum, labels))


def question_of(enum: EnumThere, labels: Sequence[str]) -> str:
    """Return what to ask where labels look as if they were renamed, or nothing."""
    pairs = replaced_labels(enum.labels, labels)
    renames = [
        f"ALTER TYPE {enum.name} RENAME VALUE {literal(old)} TO {literal(new)}"
        for old, new in pairs
    ]
    if not renames:
        return ""
    gone = ", ".join(old for old, _ in pairs)
    came = ", ".join(new for _, new in pairs)
    cure = "; ".join(f'op.execute("{rename}")' for rename in renames)
    return (
        f"labels of the enum {enum.name} are gone ({gone}), and others are new ({came}): this "
        f"fails where rows have one. If they were renamed, write instead: {cure}"
    )


def is_ours(context: AutogenContext, type_: TypeThere) -> bool:
    """Tell whether a type is in our schemas and tables, and not another service's."""
    usual = context.migration_context.dialect.default_schema_name
    schema = None if type_.schema == usual else type_.schema
    if not context.run_name_filters(schema, "schema", {}):
        return False
    return all(
        context.run_name_filters(table, "table", {"schema_name": schema}) for table in type_.tables
    )


def create(name: str, labels: Sequence[str]) -> str:
    return f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})"


def literal(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def added(name: str, new: Sequence[str], old: Sequence[str]) -> list[str]:
    """Return what adds labels to an enum, the last first; nothing where that is not enough."""
    if [label for label in new if label in old] != [*old]:
        return []
    statements = []
    for position in reversed(range(len(new))):
        if new[position] in old:
            continue
        following = new[position + 1 : position + 2]
        where = f" BEFORE {literal(following[0])}" if following else ""
        statements.append(f"ALTER TYPE {name} ADD VALUE {literal(new[position])}{where}")
    return statements


def swapped(name: str, labels: Sequence[str], conversions: Sequence[str]) -> list[str]:
    """Return what puts an enum with other labels in the place of one."""
    schema, dot, bare = name.rpartition(".")
    old = f'"{bare.strip(chr(34))}_old"'
    rename = f"ALTER TYPE {name} RENAME TO {old}"
    return [rename, create(name, labels), *conversions, f"DROP TYPE {schema}{dot}{old}"]
