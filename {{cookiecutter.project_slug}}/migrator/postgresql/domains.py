"""PostgreSQL's domains: types beside the tables, which have to be created and dropped."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.dialects.postgresql import DOMAIN, CreateDomainType

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.describe import impl_of
from migrator.autogenerate.steps import SQL
from migrator.postgresql.enums import innermost_type, is_ours, name_of

# Each domain, except those of extensions, with the SQL that creates it and the tables that use it.
DOMAINS = """
    SELECT t.oid::regtype::text AS name,
           n.nspname AS schema,
           concat_ws(' ', 'CREATE DOMAIN', t.oid::regtype, 'AS',
               format_type(t.typbasetype, t.typtypmod),
               CASE WHEN t.typcollation <> b.typcollation
                   THEN 'COLLATE ' || t.typcollation::regcollation END,
               'DEFAULT ' || t.typdefault,
               CASE WHEN t.typnotnull THEN 'NOT NULL' END,
               (SELECT string_agg(concat('CONSTRAINT ', quote_ident(conname), ' ',
                       pg_get_constraintdef(k.oid)), ' ' ORDER BY conname)
                FROM pg_constraint k WHERE contypid = t.oid AND contype = 'c')) AS "create",
           ARRAY(SELECT DISTINCT c.relname::text
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
                     AND c.relkind IN ('r', 'p')) AS tables
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    JOIN pg_type b ON b.oid = t.typbasetype
    WHERE t.typtype = 'd' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND NOT EXISTS (
            SELECT FROM pg_depend p
            WHERE p.classid = 'pg_type'::regclass AND p.objid = t.oid AND p.deptype = 'e')
    ORDER BY 1"""


@dataclass
class DomainThere:
    """A domain of the database; `create` is the SQL that creates it, and `tables` use it."""

    name: str
    schema: str
    create: str
    tables: list[str]


def domains_of(columns: Iterable[sa.Column[Any]], dialect: sa.Dialect) -> Iterator[DOMAIN]:
    """Yield the domains that columns are of, or hold an array of."""
    for column in columns:
        type_ = innermost_type(column.type, dialect)
        if isinstance(type_, DOMAIN):
            yield type_


def changes_of_domains(context: AutogenContext) -> Iterator[SQL]:
    """Yield operations that create and drop the domains of the models.

    A domain that has changed is left to the proof, which names it.
    """
    impl = impl_of(context.migration_context)
    rows = impl.connected.exec_driver_sql(DOMAINS).mappings()
    there = {row["name"]: DomainThere(**row) for row in rows}
    columns = [column for table in context.sorted_tables for column in table.columns]
    wanted = {name_of(domain, impl.dialect): domain for domain in domains_of(columns, impl.dialect)}
    for name, domain in wanted.items():
        if name not in there:
            create = str(CreateDomainType(domain).compile(dialect=impl.dialect))
            yield SQL([create], [f"DROP DOMAIN {name}"], Phase.TYPES)
    for name in sorted(there.keys() - wanted.keys()):
        if there[name].tables and is_ours(context, there[name]):
            yield SQL([f"DROP DOMAIN {name}"], [there[name].create], Phase.UNUSED_TYPES)
