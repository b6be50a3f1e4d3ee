"""What PostgreSQL says that a database has: its catalogue, read in one query.

Names and expressions are as PostgreSQL writes them for the search path of the connection.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import sqlalchemy as sa

from migrator.description import OWN_TABLES, Attributes, Description, Difference, Name, described

AS_IT_IS = {"no_parameters": True}  # else the driver would take a % for a parameter
# Attributes that are expressions over the columns of a table: see settled().
EXPRESSIONS = ("computed", "expression", "where")
# What read_again() reads: the CHECKs of its table, in the order of their numbers.
CHECKS = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'pg_temp.settling'::regclass AND contype = 'c'
    ORDER BY length(conname), conname"""

# The schemas of the project, and its relations except those of an extension or of Alembic.
OURS = """
    WITH schemas AS (
        SELECT oid, nspname FROM pg_namespace
        WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema'
    ), of_extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), relations AS (
        SELECT c.*, c.oid::regclass::text AS name FROM pg_class c
        WHERE relnamespace IN (SELECT oid FROM schemas) AND relname NOT IN ({own})
            AND ('pg_class'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
            AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class o ON o.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype IN ('a', 'i') AND o.relname IN ({own}))
    ), tables AS (SELECT * FROM relations WHERE relkind IN ('r', 'p', 'f') {named}
    ), sequences AS (
        SELECT s.seqrelid, owner.refobjid, owner.refobjsubid, s.seqrelid::regclass::text AS name,
            concat_ws(' ', seqtypid::regtype, 'start', seqstart, 'increment', seqincrement,
                'minimum', seqmin, 'maximum', seqmax, 'cache', seqcache,
                CASE WHEN seqcycle THEN 'cycle' END) AS text
        FROM pg_sequence s JOIN relations r ON r.oid = s.seqrelid
        LEFT JOIN pg_depend owner ON owner.objid = s.seqrelid AND owner.deptype IN ('a', 'i')
            AND owner.classid = 'pg_class'::regclass AND owner.refclassid = 'pg_class'::regclass
    )"""
# A query for each kind of object. The rows of each have the kind, the table, the name, and the
# attributes. If the server has made a name up, the names of the columns in brackets take its place:
# see MADE_UP.
KINDS = {
    "schema": """
        SELECT 'schema', '', nspname, jsonb_build_object(
            'comment', obj_description(oid, 'pg_namespace'))
        FROM schemas WHERE ('pg_namespace'::regclass, oid) NOT IN (SELECT * FROM of_extensions)""",
    "extension": "SELECT 'extension', '', extname, jsonb_build_object() FROM pg_extension",
    "table": """
        SELECT CASE WHEN relispartition THEN 'partition' WHEN relkind = 'f' THEN 'foreign table'
                ELSE 'table' END, '', name, jsonb_build_object(
            'partitioned', CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END,
            'partition', CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) END,
            'parents', (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                FROM pg_inherits WHERE inhrelid = tables.oid),
            'persistence', CASE relpersistence WHEN 'u' THEN 'UNLOGGED' END,
            'options', reloptions::text,
            'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = reltablespace),
            'access method', (SELECT nullif(amname, current_setting('default_table_access_method'))
                FROM pg_am WHERE oid = relam),
            'type', CASE WHEN reloftype <> 0 THEN format_type(reloftype, NULL) END,
            'row security', CASE WHEN relrowsecurity THEN concat('on',
                CASE WHEN relforcerowsecurity THEN ', forced' END) END,
            'replica identity', nullif(relreplident, CASE WHEN relkind = 'f' THEN 'n' ELSE 'd' END),
            'comment', obj_description(oid, 'pg_class'))
        FROM tables""",
    # The name of a sequence counts only if the server has not made it up. Of a column's options,
    # only the documented ones count, because a server may keep notes of its own there.
    "column": """
        SELECT 'column', t.name, attname, jsonb_build_object(
            'type', format_type(atttypid, atttypmod),
            'nullable', CASE WHEN attnotnull THEN 'NOT NULL' ELSE 'NULL' END,
            'collation', CASE WHEN attcollation <> typcollation THEN
                (SELECT oid::regcollation::text FROM pg_collation WHERE oid = attcollation) END,
            'default', CASE WHEN attgenerated = '' THEN CASE
                WHEN s.name IS NOT NULL AND left(expression, 8) = 'nextval('
                THEN 'the next of its sequence' ELSE expression END END,
            'computed', CASE WHEN attgenerated <> '' THEN expression END,
            'stored', CASE attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
            'identity', CASE attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
            'sequence', s.text,
            'name of sequence', CASE WHEN s.name !~ '_seq[0-9]*"?$' THEN s.name END,
            'storage', nullif(attstorage, typstorage),
            'compression', nullif(attcompression, ''),
            'statistics', nullif(attstattarget, -1),
            'options', (SELECT string_agg(option, ', ' ORDER BY option)
                FROM unnest(attoptions) AS option WHERE starts_with(option, 'n_distinct')),
            'comment', col_description(t.oid, attnum))
        FROM tables t JOIN pg_attribute a ON attrelid = t.oid JOIN pg_type y ON y.oid = atttypid
        LEFT JOIN (SELECT adrelid, adnum, pg_get_expr(adbin, adrelid) AS expression
            FROM pg_attrdef) d ON (adrelid, adnum) = (t.oid, attnum)
        LEFT JOIN sequences s ON (refobjid, refobjsubid) = (t.oid, attnum)
        WHERE attnum > 0 AND NOT attisdropped""",
    "constraint": """
        SELECT CASE contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check'
                WHEN 'f' THEN 'foreign key' ELSE 'exclusion' END, t.name,
            CASE WHEN contype = 'p' THEN '' WHEN {made_up} THEN concat('(', columns, ')')
                ELSE conname END,
            jsonb_build_object(
                'name', CASE WHEN contype = 'p' AND NOT {made_up} THEN conname END,
                'expression', expression,
                'definition', replace(pg_get_constraintdef(c.oid), coalesce(expression, ' '),
                    CASE WHEN expression IS NULL THEN ' ' ELSE '…' END),
                'options', (SELECT concat_ws(' ', reloptions::text,
                        CASE WHEN indisclustered THEN 'clustered' END,
                        CASE WHEN indisreplident THEN 'replica identity' END)
                    FROM pg_index JOIN pg_class ON oid = indexrelid
                    WHERE indexrelid = conindid AND contype IN ('p', 'u', 'x')),
                'comment', obj_description(c.oid, 'pg_constraint'))
        FROM tables t JOIN pg_constraint c ON conrelid = t.oid,
        LATERAL (SELECT CASE WHEN contype = 'c' THEN pg_get_expr(conbin, conrelid) END
            AS expression) AS e,
        LATERAL (SELECT string_agg(attname, ', ' ORDER BY place) AS columns
            FROM unnest(conkey) WITH ORDINALITY AS keys (number, place)
            JOIN pg_attribute ON (attrelid, attnum) = (t.oid, number)) AS k
        WHERE contype IN ('p', 'u', 'c', 'f', 'x') AND conparentid = 0
        ORDER BY conname""",
    "index": """
        SELECT 'index', t.name,
            CASE WHEN {made_up} THEN concat('(', columns, ')') ELSE conname END,
            jsonb_build_object(
                'definition', concat(CASE WHEN indisunique THEN 'UNIQUE ' END,
                    replace(substr(def, strpos(def, ' USING ') + 1),
                        coalesce(' WHERE ' || expression, ' '),
                        CASE WHEN expression IS NULL THEN ' ' ELSE '' END)),
                'where', expression,
                'valid', CASE WHEN NOT indisvalid AND c.relkind = 'i' THEN 'INVALID' END,
                'options', CASE WHEN indisclustered THEN 'clustered' END,
                'replica identity', CASE WHEN indisreplident THEN 'yes' END,
                'comment', obj_description(c.oid, 'pg_class'))
        FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = indexrelid,
        LATERAL (SELECT c.relname AS conname, pg_get_indexdef(indexrelid) AS def,
            pg_get_expr(indpred, indrelid) AS expression,
            (SELECT string_agg(pg_get_indexdef(indexrelid, place::int, true), ', ' ORDER BY place)
                FROM generate_series(1, indnkeyatts) AS place) AS columns) AS texts
        WHERE NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint
            WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
        ORDER BY conname""",
    "sequence": """
        SELECT 'sequence', '', name, jsonb_build_object('definition', text,
            'comment', obj_description(seqrelid, 'pg_class'))
        FROM sequences WHERE refobjid IS NULL""",
    "view": """
        SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, '', name,
            jsonb_build_object('definition', pg_get_viewdef(oid), 'options', reloptions::text,
                'comment', obj_description(oid, 'pg_class'))
        FROM relations WHERE relkind IN ('v', 'm')""",
    "index of a view": """
        SELECT 'index', r.name, c.relname, jsonb_build_object(
            'definition', pg_get_indexdef(indexrelid))
        FROM relations r JOIN pg_index ON indrelid = r.oid JOIN pg_class c ON c.oid = indexrelid
        WHERE r.relkind = 'm'""",
    "type": """
        SELECT CASE typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range'
                ELSE 'type' END, '', t.oid::regtype::text, jsonb_build_object(
            'labels', (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                FROM pg_enum WHERE enumtypid = t.oid),
            'type', CASE WHEN typtype = 'd' THEN format_type(typbasetype, typtypmod) END,
            'nullable', CASE WHEN typtype = 'd' AND typnotnull THEN 'NOT NULL' END,
            'default', typdefault,
            'collation', CASE WHEN typtype = 'd' AND typcollation <>
                    (SELECT b.typcollation FROM pg_type b WHERE b.oid = t.typbasetype)
                THEN typcollation::regcollation::text END,
            'checks', (SELECT string_agg(concat(conname, ' ', pg_get_constraintdef(oid)), ', '
                    ORDER BY conname)
                FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'),
            'subtype', (SELECT rngsubtype::regtype::text FROM pg_range WHERE rngtypid = t.oid),
            'attributes', (SELECT string_agg(concat(attname, ' ', format_type(atttypid, atttypmod)),
                    ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = typrelid AND NOT attisdropped),
            'comment', obj_description(t.oid, 'pg_type'))
        FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid
        WHERE typnamespace IN (SELECT oid FROM schemas)
            AND (typtype IN ('d', 'e', 'r') OR relkind = 'c')
            AND ('pg_type'::regclass, t.oid) NOT IN (SELECT * FROM of_extensions)""",
    "function": """
        SELECT CASE prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, '',
            oid::regprocedure::text, jsonb_build_object(
                'definition', CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END,
                'comment', obj_description(oid, 'pg_proc'))
        FROM pg_proc p WHERE pronamespace IN (SELECT oid FROM schemas)
            AND NOT EXISTS (SELECT FROM pg_depend  -- made with something else, such as a range type
                WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype IN ('e', 'i'))""",
    "trigger": """
        SELECT 'trigger', name, tgname, jsonb_build_object(
            'definition', pg_get_triggerdef(g.oid), 'enabled', nullif(tgenabled, 'O'),
            'comment', obj_description(g.oid, 'pg_trigger'))
        FROM pg_trigger g JOIN relations r ON r.oid = tgrelid
        WHERE NOT tgisinternal AND tgparentid = 0""",
    "rule": """
        SELECT 'rule', name, rulename, jsonb_build_object('definition', pg_get_ruledef(u.oid))
        FROM pg_rewrite u JOIN relations r ON r.oid = ev_class WHERE rulename <> '_RETURN'""",
    "policy": """
        SELECT 'policy', name, polname, jsonb_build_object(
            'permissive', polpermissive, 'command', polcmd,
            'roles', (SELECT string_agg(role::regrole::text, ', ' ORDER BY role)
                FROM unnest(polroles) AS role),
            'using', pg_get_expr(polqual, polrelid),
            'check', pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy JOIN relations r ON r.oid = polrelid""",
    "statistics": """
        SELECT 'statistics', stxrelid::regclass::text, stxname, jsonb_build_object(
            'definition', pg_get_statisticsobjdef(oid))
        FROM pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM tables)""",
    # Everything else in a schema, such as a collation or an operator.
    "other": """
        SELECT o.type, '', o.identity, jsonb_build_object()
        FROM pg_depend d, LATERAL pg_identify_object(d.classid, d.objid, 0) AS o
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid IN (SELECT oid FROM schemas)
            AND d.deptype = 'n' AND d.classid NOT IN ('pg_class'::regclass, 'pg_type'::regclass,
                'pg_proc'::regclass, 'pg_statistic_ext'::regclass, 'pg_extension'::regclass,
                'pg_default_acl'::regclass)
            AND (d.classid, d.objid) NOT IN (SELECT * FROM of_extensions)""",
}
# Whether a name is that of the table with an ending that the server uses.
MADE_UP = """(starts_with(conname, t.relname || '_')
    AND conname ~ '_(pkey|key|fkey|check|excl|idx)[0-9]*$')"""


def query(tables: Collection[str] | None) -> str:
    """Return the SQL that describes a database, with these tables or with all."""
    named = "" if tables is None else f"AND relname IN ({literals(['', *tables])})"
    parts = [f"({part})" for part in KINDS.values()]
    text = " UNION ALL ".join(parts).replace("{made_up}", MADE_UP)
    return OURS.replace("{own}", literals(OWN_TABLES)).replace("{named}", named) + text


def literals(names: Iterable[str]) -> str:
    """Return names as a list of texts in SQL."""
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names)


def describe(connection: sa.Connection, tables: Collection[str] | None = None) -> Description:
    """Return everything in the database, or of tables only those of these names."""
    return described(items(connection, tables))


def items(
    connection: sa.Connection, tables: Collection[str] | None
) -> Iterator[tuple[Name, Attributes]]:
    """Yield each object in the database, with those of its attributes that have a value."""
    rows = connection.exec_driver_sql(query(tables), execution_options=AS_IT_IS)
    for kind, table, name, attributes in rows:
        filled = {key: str(text) for key, text in attributes.items() if text not in (None, "")}
        yield Name(kind, table, name), filled


def settled(connection: sa.Connection, found: Sequence[Difference]) -> list[Difference]:
    """Return the differences, except those between expressions that PostgreSQL reads as the same.

    PostgreSQL writes `mood IN ('a')` in other words, and writes those in other words again once it
    has read them. A revision makes it read them if autogenerate wrote it from the database.
    """
    return [difference for difference in found if not is_same(connection, difference)]


def is_same(connection: sa.Connection, difference: Difference) -> bool:
    """Tell whether a difference is one between two expressions that mean the same.

    `connection` is to a database that has the table of the expressions.
    """
    there, wanted = difference.there, difference.wanted
    if difference.attribute not in EXPRESSIONS or there is None or wanted is None:
        return False
    try:
        old, new = read_again(connection, difference.name.table, [there, wanted])
    except sa.exc.DBAPIError:  # this table lacks a column that one of them uses
        return False
    return old == new


def read_again(connection: sa.Connection, table: str, texts: list[str]) -> list[str]:
    """Return expressions over a table as PostgreSQL writes them after it has read these texts.

    They are added as CHECKs to an empty copy of the table, which is removed again.
    """
    # A CHECK has to be a boolean, and a text need not be one, so each is put before IS NULL.
    before, after = "CHECK ((", " IS NULL))"
    with connection.begin_nested() as savepoint:
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE settling (LIKE {table})")
        for number, text in enumerate(texts):
            add = f"ALTER TABLE pg_temp.settling ADD CONSTRAINT c{number} CHECK (({text}) IS NULL)"
            connection.exec_driver_sql(add, execution_options=AS_IT_IS)
        found = connection.exec_driver_sql(CHECKS).scalars().all()
        savepoint.rollback()
    return [check.removeprefix(before).removesuffix(after) for check in found]
