"""What MariaDB and MySQL say that a database has: the answer of SHOW CREATE for each object."""

import re
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from migrator.description import OWN_TABLES, Attributes, Description, Name, described

# The objects of the database: the word for SHOW CREATE, the name, and the table of a trigger.
OBJECTS = """
    SELECT CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END,
        table_name, ''
    FROM information_schema.tables WHERE table_schema = DATABASE()
    UNION ALL SELECT 'TRIGGER', trigger_name, event_object_table
    FROM information_schema.triggers WHERE trigger_schema = DATABASE()
    UNION ALL SELECT routine_type, routine_name, ''
    FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL SELECT 'EVENT', event_name, ''
    FROM information_schema.events WHERE event_schema = DATABASE()
    ORDER BY 1, 2"""
# The column of the answer that has the statement: "Create View", "SQL Original Statement".
STATEMENT = re.compile("Create .*|SQL Original Statement", re.IGNORECASE)
# What may differ between two objects that are the same: who has created them, the last number of a
# table, and the start of an event, which is the moment of its creation unless somebody has set it.
DEFINER = re.compile(r" DEFINER=\S+@\S+")
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
STARTS = re.compile(r" STARTS '[^']*'")
QUOTED = re.compile("`((?:[^`]|``)*)`")
# The lines of a CREATE TABLE. That of a column begins with its name.
PRIMARY = re.compile("PRIMARY KEY (?P<text>.*)")
INDEX = re.compile(
    "(?P<kind>(UNIQUE |FULLTEXT |SPATIAL |VECTOR )?KEY) `(?P<name>([^`]|``)*)` (?P<text>.*)"
)
CONSTRAINT = re.compile("CONSTRAINT `(?P<name>([^`]|``)*)` (?P<text>(?P<kind>FOREIGN KEY|CHECK).*)")
COLUMN = re.compile("`(?P<name>([^`]|``)*)` (?P<text>.*)")
# The names of constraints that the server makes up; {table} stands for the name of the table.
MADE_UP = r"CONSTRAINT_\d+|{table}_(ibfk|chk)_\d+"

Items = Iterator[tuple[Name, Attributes]]


def describe(connection: sa.Connection, tables: Collection[str] | None = None) -> Description:
    """Return everything in the database, or of tables only those of these names."""
    return described(items(connection, tables))


def items(connection: sa.Connection, tables: Collection[str] | None) -> Items:
    """Yield each object in the database, except those that Alembic keeps there."""
    for kind, name, table in connection.exec_driver_sql(OBJECTS).fetchall():
        is_left_out = kind == "TABLE" and tables is not None and name not in tables
        if name in OWN_TABLES or is_left_out:
            continue
        text = DEFINER.sub("", create_statement(connection, kind, name))
        if kind == "TABLE":
            yield from table_items(name, COUNTER.sub("", text))
        else:
            text = STARTS.sub("", text) if kind == "EVENT" else text
            yield Name(kind.lower(), table, name), {"definition": text}


def create_statement(connection: sa.Connection, kind: str, name: str) -> str:
    """Return the statement that creates an object, or "" if the user may not read it."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    result = connection.exec_driver_sql(
        f"SHOW CREATE {kind} {quoted}",
        execution_options={"no_parameters": True},  # else the driver would take a % for one
    )
    for column, text in result.mappings().one().items():
        if STATEMENT.fullmatch(column):
            return str(text)
    return ""


def table_items(table: str, text: str) -> Items:
    """Yield a table, and what each line of its CREATE TABLE defines."""
    _, *lines = text.split("\n")
    end = next(place for place, line in enumerate(lines) if line.startswith(")"))
    yield Name("table", "", table), {"options": " ".join(lines[end:]).removeprefix(") ")}
    definitions = [line.strip().removesuffix(",") for line in lines[:end]]
    of_foreign_keys = indexes_of_foreign_keys(definitions, table)
    for line in definitions:
        if found := COLUMN.match(line):
            yield Name("column", table, plain(found["name"])), {"definition": found["text"]}
        elif found := PRIMARY.match(line):
            yield Name("primary key", table, ""), {"columns": found["text"]}
        elif found := CONSTRAINT.match(line):
            own = own_name(found["name"], table, found["text"])
            yield Name(found["kind"].lower(), table, own), {"definition": found["text"]}
        elif found := INDEX.match(line):
            if line not in of_foreign_keys:
                text = f"{found['kind']} {found['text']}"
                yield Name("index", table, plain(found["name"])), {"definition": text}
        else:
            yield Name("definition", table, line), {}  # such as PERIOD FOR SYSTEM_TIME


def own_name(name: str, table: str, text: str) -> str:
    """Return the name of a constraint, or its columns in brackets if the server made the name up.

    `text` is the definition of the constraint.
    """
    if not re.fullmatch(MADE_UP.format(table=re.escape(table)), name):
        return plain(name)
    before_references, *_ = text.split(" REFERENCES ")
    columns = [plain(quoted) for quoted in QUOTED.findall(before_references)]
    return f"({', '.join(dict.fromkeys(columns))})"


def indexes_of_foreign_keys(definitions: Sequence[str], table: str) -> set[str]:
    """Return the lines that the indexes of foreign keys have if the server has created them.

    Such an index has the name of the foreign key, or of its first column if the key got no name.
    """
    found = set()
    for line in definitions:
        if (key := CONSTRAINT.match(line)) and key["kind"] == "FOREIGN KEY":
            columns = re.findall(r"\((.*?)\) REFERENCES", key["text"])[0].replace(", ", ",")
            first = QUOTED.findall(columns)[0]
            has_own_name = own_name(key["name"], table, "") == plain(key["name"])
            found.add(f"KEY `{key['name'] if has_own_name else first}` ({columns})")
    return found


def plain(name: str) -> str:
    """Return a name from between its quotes, where a quote within it is doubled."""
    return name.replace("``", "`")
