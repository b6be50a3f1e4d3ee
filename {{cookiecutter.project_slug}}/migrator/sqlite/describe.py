"""What SQLite says that a database has: the statements that it keeps, and its pragmas."""

from collections.abc import Iterator

import sqlalchemy as sa

from migrator.description import OWN_TABLES, Attributes, Description, Name, described
from migrator.sqlite import sql

# SQLite makes tables of its own, and a virtual table some for its contents: it makes them again.
STATEMENTS = """
    SELECT m.type, m.name, m.tbl_name, m.sql
    FROM sqlite_master m LEFT JOIN pragma_table_list l ON l.schema = 'main' AND l.name = m.name
    WHERE m.sql IS NOT NULL AND substr(m.name, 1, 7) <> 'sqlite_' AND l.type IS NOT 'shadow'
    ORDER BY m.name"""
PRAGMAS = ("application_id", "encoding", "user_version")

Items = Iterator[tuple[Name, Attributes]]


def describe(connection: sa.Connection) -> Description:
    """Return all that the database says it has, each expression in one way of writing it."""
    return described(items(connection))


def items(connection: sa.Connection) -> Items:
    values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    yield Name("database", "", "main"), {name: str(value) for name, value in values.items()}
    for kind, name, table, text in connection.exec_driver_sql(STATEMENTS):
        if table in OWN_TABLES:
            continue
        if kind == "table":
            yield from table_items(name, text)
        elif kind == "index":
            yield Name("index", table, name), index_attributes(sql.read_index(text))
        else:
            owner = table if kind == "trigger" else ""
            yield Name(kind, owner, name), {"definition": sql.normal(text)}


def table_items(name: str, text: str) -> Items:
    """Yield a table and all that is within the brackets of its CREATE TABLE."""
    table = sql.read_table(text)
    if not table.columns:  # a virtual one has arguments of its module in its brackets
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
        named = [column.name for column in table.columns if sql.mentions(check.sql, column.name)]
        own = check.name or brackets(named)
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
        default=column.default and default_text(column.default),
        collation=column.collation and column.collation.lower(),
        computed=computed and f"{computed} {'STORED' if column.stored else 'VIRTUAL'}",
        numbering="AUTOINCREMENT" if column.autoincrement else None,
    )


def default_text(default: str) -> str:
    """Return a default; '7' is 7, which a copy of a table makes of it."""
    text = sql.normal(default)
    number = text.strip("'").replace(".", "", 1).removeprefix("-")
    return text.strip("'") if number.isdigit() else text


def foreign_attributes(key: sql.ForeignKey) -> Attributes:
    """Return a foreign key; NO ACTION is what SQLite does where nothing is said."""
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
    """Return the attributes that there are, with spaces in their names."""
    return {name.replace("_", " "): text for name, text in attributes.items() if text}
