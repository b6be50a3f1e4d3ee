"""What a database holds, in a form that can be compared: schemas, and rows."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

POSTGRESQL = {
    "column": """
        SELECT c.relnamespace::regnamespace || '.' || c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum),
               obj_description(c.oid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
            AND NOT c.relispartition""",
    "constraint": """
        SELECT connamespace::regnamespace || '.' || conrelid::regclass || '.' || conname,
               pg_get_constraintdef(n.oid)
        FROM pg_constraint n JOIN pg_class c ON c.oid = conrelid
        WHERE conparentid = 0 AND NOT c.relispartition""",
    "index": """
        SELECT pg_get_indexdef(indexrelid), indisvalid
        FROM pg_index i JOIN pg_class c ON c.oid = indrelid
        WHERE NOT c.relispartition""",
    "enum": """
        SELECT t.typnamespace::regnamespace || '.' || t.typname,
               array_agg(e.enumlabel ORDER BY e.enumsortorder)
        FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_class c ON c.oid = 1247
        GROUP BY 1""",
    "domain": """
        SELECT t.oid::regtype, format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
               array(SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
                     WHERE contypid = t.oid ORDER BY 1)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype = 'd' AND n.nspname <> 'information_schema'""",
    "sequence": """
        SELECT c.relnamespace::regnamespace || '.' || c.relname, s.seqtypid::regtype,
               s.seqstart, s.seqincrement
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid""",
}
# Those of Alembic and of the migrator.
OWN_TABLES = re.compile("alembic_(version|log)")
OURS = "c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"


def describe(connection: sa.Connection) -> set[tuple[str, ...]]:
    """Return everything in a database as lines; the order of columns does not count."""
    found = {"sqlite": sqlite, "postgresql": postgresql}.get(connection.dialect.name, mariadb)
    return {line for line in found(connection) if not OWN_TABLES.search(" ".join(line))}


def postgresql(connection: sa.Connection) -> set[tuple[str, ...]]:
    lines = set()
    for kind, query in POSTGRESQL.items():
        if kind not in ("domain", "enum"):
            query += (" AND " if "WHERE" in query else " WHERE ") + OURS
        for row in connection.exec_driver_sql(query):
            texts = [str(value) for value in row]
            if kind == "constraint":  # the same CHECK comes back with other casts and brackets
                texts = [re.sub(r"::[a-z ]+|[()]|\[\]", "", text) for text in texts]
            lines.add((kind, *texts))
    return lines


def mariadb(connection: sa.Connection) -> set[tuple[str, ...]]:
    lines: set[tuple[str, ...]] = set()
    for name in sa.inspect(connection).get_table_names():
        text = connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()[1]
        text = re.sub(r" AUTO_INCREMENT=\d+", "", text).replace("(now())", "CURRENT_TIMESTAMP")
        lines |= {(name, line.strip().rstrip(",")) for line in text.splitlines()}
    return lines


def sqlite(connection: sa.Connection) -> set[tuple[str, ...]]:
    """Return columns and constraints as inspected, and from the text what inspection loses."""
    lines: set[tuple[str, ...]] = set()
    inspector = sa.inspect(connection)
    for name in inspector.get_table_names():
        for column in connection.exec_driver_sql(f'PRAGMA table_xinfo("{name}")'):
            default = re.sub(r"^\((.*)\)$", r"\1", str(column[4]))
            lines.add((name, "column", column[1], *map(str, column[2:4]), default, str(column[6])))
        for kind in ("pk_constraint", "foreign_keys", "unique_constraints", "check_constraints"):
            items = getattr(inspector, f"get_{kind}")(name)
            for item in items if isinstance(items, list) else [items]:
                lines.add((name, kind, json.dumps(item, sort_keys=True, default=str)))
    query = "SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    for kind, name, text in connection.exec_driver_sql(query):
        if kind != "table":
            lines.add((name, kind, re.sub(r'["\s]+', " ", text)))
        for word in re.findall(
            r"AUTOINCREMENT|COLLATE \S+|GENERATED .*|WITHOUT ROWID|STRICT", text
        ):
            lines.add((name, "text", word.strip(', "')))
    return lines


def rows(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, with values that do not depend on a column's type."""
    inspector = sa.inspect(connection)
    names: list[tuple[str | None, str]] = [(None, name) for name in inspector.get_table_names()]
    if connection.dialect.name == "postgresql":
        names += [("sales", name) for name in inspector.get_table_names("sales")]
    found = {}
    quote = connection.dialect.identifier_preparer.quote
    for schema, name in names:
        if OWN_TABLES.match(name):
            continue
        source = f"{schema}.{quote(name)}" if schema else quote(name)
        result = connection.exec_driver_sql(f"SELECT * FROM {source}").mappings()  # noqa: S608 (its own name)
        values = [{key: plain(value) for key, value in row.items()} for row in result]
        found[name] = sorted(values, key=lambda row: str(row.get("id")))
    return found


def plain(value: Any) -> str:
    """Return a value as text: 1, '1', True and 1.00 are the same, so are JSON and its text."""
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, bool | float):
        value = Decimal(value)
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            value = json.loads(value)
    try:
        return str(Decimal(str(value)).normalize())
    except ArithmeticError:
        return str(value)
