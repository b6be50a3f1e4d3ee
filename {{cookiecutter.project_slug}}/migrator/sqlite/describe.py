"""What SQLite says that a database has: the statements that it keeps, and its pragmas."""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

import sqlalchemy as sa

from migrator.description import OWN_TABLES, Attributes, Description, Name, described
from migrator.sqlite import sql

# All objects except those that SQLite creates by itself: its own tables, and the "shadow" tables
# that a virtual table keeps its contents in.
STATEMENTS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_' AND name NOT IN (
        SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
    ORDER BY name"""
PRAGMAS = ("application_id", "encoding", "user_version")

Items = Iterator[tuple[Name, Attributes]]


def describe(connection: sa.Connection, tables: Collection[str] | None = None) -> Description:
    """Return everything in the database, or of tables only those of these names.

    Expressions that mean the same are written the same.
    """
    return described(items(connection, tables))


def items(connection: sa.Connection, tables: Collection[str] | None) -> Items:
    """Yield the settings of the database, and each object in it."""
    values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    yield Name("database", "", "main"), {name: str(value) for name, value in values.items()}
    for kind, name, table, text in connection.exec_driver_sql(STATEMENTS):
        is_left_out = kind != "view" and tables is not None and table not in tables
        if table in OWN_TABLES or is_left_out:
            continue
        if kind == "table":
            yield from table_items(name, text)
        elif kind == "index":
            yield Name("index", table, name), index_attributes(sql.read_index(text))
        else:
            owner = table if kind == "trigger" else ""
            yield Name(kind, owner, name), {"definition": sql.normal(text)}


@lru_cache(maxsize=10_000)  # statements; most tables are the same at each look at a database
def table_items(name: str, text: str) -> Sequence[tuple[Name, Attributes]]:
    """Return a table, its columns and its constraints, from its CREATE TABLE."""
    return [*read_items(name, text)]


def read_items(name: str, text: str) -> Items:
    """Yield a table, its columns and its constraints, from its CREATE TABLE."""
    table = sql.read_table(text)
    if not table.columns:  # a virtual table, whose brackets hold the arguments of its module
        yield Name("table", "", name), {"definition": sql.normal(text)}
        return
    yield Name("table", "", name), filled(options=", ".join(sorted(table.options)))
    for column in table.columns:
        yield Name("column", name, column.name), column_attributes(column)
    if key := table.primary_key:
        columns = ", ".join(map(sql.normal, key.columns))
        yield (
            Name("primary key", name, ""),
            filled(name=key.name, columns=columns, on_conflict=key.conflict),
        )
    for unique in table.uniques:
        own = unique.name or brackets(unique.columns)
        columns = ", ".join(unique.columns)
        yield Name("unique", name, own), filled(columns=columns, on_conflict=unique.conflict)
    for check in table.checks:
        columns_in_check = [
            column.name for column in table.columns if sql.mentions(check.sql, column.name)
        ]
        own = check.name or brackets(columns_in_check)
        yield Name("check", name, own), {"expression": sql.normal(check.sql)}
    for foreign in table.foreign_keys:
        own = foreign.name or brackets(foreign.columns)
        yield Name("foreign key", name, own), foreign_attributes(foreign)


def column_attributes(column: sql.Column) -> Attributes:
    computed = column.computed and sql.normal(column.computed)
    return filled(
        type=sql.normal(column.type),
        nullable="NULL" if column.nullable else "NOT NULL",
        on_conflict=column.conflict,
        default=column.default and sql.normal_default(column.default),
        collation=column.collation and column.collation.lower(),
        computed=computed and f"{computed} {'STORED' if column.stored else 'VIRTUAL'}",
        numbering="AUTOINCREMENT" if column.autoincrement else None,
    )


def foreign_attributes(key: sql.ForeignKey) -> Attributes:
    """Return the attributes of a foreign key, without NO ACTION, which is the default."""
    clauses = {name: text for name, text in key.clauses.items() if text != "NO ACTION"}
    return {
        "columns": ", ".join(key.columns),
        "references": f"{key.table} {brackets(key.referred)}",
        **clauses,
    }


def index_attributes(index: sql.Index) -> Attributes:
    return filled(
        unique="UNIQUE" if index.unique else None,
        columns=", ".join(map(sql.normal, index.columns)),
        where=index.where and sql.normal(index.where),
    )


def brackets(names: list[str] | tuple[str, ...]) -> str:
    return f"({', '.join(names)})"


def filled(**attributes: str | None) -> Attributes:
    """Return the attributes that have a text, with spaces in their names for underscores."""
    return {name.replace("_", " "): text for name, text in attributes.items() if text}
