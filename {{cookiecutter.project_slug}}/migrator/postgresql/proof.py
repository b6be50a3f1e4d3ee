"""What the proof needs to know of PostgreSQL."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, ClassVar

import sqlalchemy as sa

from migrator.proof.special import Parts
from migrator.proof.special import Special as Base

# All that is in a schema of the project's, but no table, and no part of a table or an extension.
OTHERS = """
    WITH schemas AS (
        SELECT oid FROM pg_namespace
        WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema'
    ), owned AS (SELECT objid FROM pg_depend WHERE deptype IN ('a', 'e', 'i'))
    SELECT CASE relkind WHEN 'S' THEN 'sequence' ELSE 'view' END, oid::regclass::text,
        CASE WHEN relkind <> 'S' THEN pg_get_viewdef(oid) END
    FROM pg_class
    WHERE relkind IN ('S', 'm', 'v') AND relnamespace IN (SELECT oid FROM schemas)
        AND oid NOT IN (SELECT objid FROM owned)
    UNION ALL SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid)
    FROM pg_proc
    WHERE prokind IN ('f', 'p') AND pronamespace IN (SELECT oid FROM schemas)
        AND oid NOT IN (SELECT objid FROM owned)
    UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'type', oid::regtype::text, concat(
        (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
            FROM pg_enum WHERE enumtypid = pg_type.oid),
        CASE WHEN typtype = 'd' THEN format_type(typbasetype, typtypmod) END)
    FROM pg_type
    WHERE typtype IN ('d', 'e') AND typnamespace IN (SELECT oid FROM schemas)
        AND oid NOT IN (SELECT objid FROM owned)"""
CHECKS = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'pg_temp.settling'::regclass AND contype = 'c'
    ORDER BY length(conname), conname"""


class Special(Base):
    """What the proof needs to know of PostgreSQL."""

    # All but those of style, and those for what the migrator's lock sees to.
    LOCK_RULES: ClassVar[re.Pattern[str]] = re.compile(
        "(?!prefer-|require-(lock|statement|enum)|ban-(char|concurrent)|trans)"
    )

    def squawk_dialect(self, dialect: sa.Dialect) -> sa.Dialect:
        return dialect

    def schemas(self, inspector: sa.Inspector) -> list[str | None]:
        usual = {inspector.default_schema_name, "information_schema"}
        return [None, *sorted(set(inspector.get_schema_names()) - usual)]

    def others(self, connection: sa.Connection) -> list[str]:
        rows = connection.exec_driver_sql(OTHERS)
        return [", ".join(map(repr, row)) for row in rows]

    def settled(self, connection: sa.Connection, table: sa.TableClause, parts: Parts) -> Parts:
        # `mood IN ('a')` becomes `= ANY ((ARRAY[…])::text[])`, and that, read again, something
        # else, which stays. A revision that writes what it has reflected has read it again.
        parts = deepcopy(parts)
        places = [*expressions(parts)]
        if places:
            name = connection.dialect.identifier_preparer.format_table(table)
            texts = read_again(connection, name, [holder[key] for holder, key in places])
            for (holder, key), text in zip(places, texts, strict=True):
                holder[key] = text
        return parts

    def array(self, text: str) -> str:
        return "{" + text + "}"


def expressions(parts: Parts) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield where the expressions of a table are: a dictionary, and the key in it."""
    for check in parts["check_constraints"]:
        yield check, "sqltext"
    for column in parts["columns"]:
        if "computed" in column:
            yield column["computed"], "sqltext"
    for index in parts["indexes"]:
        if "postgresql_where" in index.get("dialect_options", {}):
            yield index["dialect_options"], "postgresql_where"


def read_again(connection: sa.Connection, table: str, texts: list[str]) -> list[str]:
    """Return expressions over a table as PostgreSQL has them once it has read these texts.

    It is given them as CHECKs of an empty copy of the table, which is gone afterwards.
    """
    as_it_is = {"no_parameters": True}  # a % is no parameter
    before, after = "CHECK ((", " IS NULL))"  # a CHECK is a boolean, and the texts may not be
    with connection.begin_nested() as savepoint:
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE settling (LIKE {table})")
        for number, text in enumerate(texts):
            add = f"ALTER TABLE pg_temp.settling ADD CONSTRAINT c{number} CHECK (({text}) IS NULL)"
            connection.exec_driver_sql(add, execution_options=as_it_is)
        found = connection.exec_driver_sql(CHECKS).scalars().all()
        savepoint.rollback()
    return [check.removeprefix(before).removesuffix(after) for check in found]
