"""What MariaDB and MySQL say that a database has: what SHOW CREATE answers, object by object."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from migrator.description import OWN_TABLES, Attributes, Description, Name, described

# Their names, by the word that SHOW CREATE wants.
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
# Who made it, and how far it has counted, is not what it is.
DEFINER = re.compile(r" DEFINER=\S+@\S+")
# When an event begins, if nobody said so, is the moment at which it was made.
STARTS = re.compile(r" STARTS '[^']*'")
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
QUOTED = re.compile("`((?:[^`]|``)*)`")
# The lines of a CREATE TABLE, but for those of columns, which begin with a name.
PRIMARY = re.compile("PRIMARY KEY (?P<text>.*)")
INDEX = re.compile(
    "(?P<kind>(UNIQUE |FULLTEXT |SPATIAL |VECTOR )?KEY) `(?P<name>([^`]|``)*)` (?P<text>.*)"
)
CONSTRAINT = re.compile("CONSTRAINT `(?P<name>([^`]|``)*)` (?P<text>(?P<kind>FOREIGN KEY|CHECK).*)")
COLUMN = re.compile("`(?P<name>([^`]|``)*)` (?P<text>.*)")
# Names that the server makes up, after which {table} comes.
MADE_UP = r"CONSTRAINT_\d+|{table}_(ibfk|chk)_\d+"

Items = Iterator[tuple[Name, Attributes]]


def describe(connection: sa.Connection) -> Description:
    """Return all that the database says it has."""
    return described(items(connection))


def items(connection: sa.Connection) -> Items:
    for kind, name, table in connection.exec_driver_sql(OBJECTS).fetchall():
        if name in OWN_TABLES:
            continue
        text = DEFINER.sub("", shown(connection, kind, name))
        if kind == "TABLE":
            yield from table_items(name, COUNTER.sub("", text))
        else:
            text = STARTS.sub("", text) if kind == "EVENT" else text
            yield Name(kind.lower(), table, name), {"definition": text}


def shown(connection: sa.Connection, kind: str, name: str) -> str:
    """Return the statement that makes an object; nothing where it may not be read."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    row: Any = connection.exec_driver_sql(
        f"SHOW CREATE {kind} {quoted}", execution_options={"no_parameters": True}
    )
    answer = row.mappings().one()
    return next((str(text) for column, text in answer.items() if STATEMENT.fullmatch(column)), "")


def table_items(table: str, text: str) -> Items:
    """Yield a table and each line of its CREATE TABLE."""
    _, *lines = text.split("\n")
    end = next(place for place, line in enumerate(lines) if line.startswith(")"))
    yield Name("table", "", table), {"options": " ".join(lines[end:]).removeprefix(") ")}
    definitions = [line.strip().removesuffix(",") for line in lines[:end]]
    made = made_for_foreign_keys(definitions, table)
    for line in definitions:
        if found := COLUMN.match(line):
            yield Name("column", table, plain(found["name"])), {"definition": found["text"]}
        elif found := PRIMARY.match(line):
            yield Name("primary key", table, ""), {"columns": found["text"]}
        elif found := CONSTRAINT.match(line):
            own = own_name(found["name"], table, found["text"])
            yield Name(found["kind"].lower(), table, own), {"definition": found["text"]}
        elif (found := INDEX.match(line)) is None:
            yield Name("definition", table, line), {}  # such as PERIOD FOR SYSTEM_TIME
        elif line not in made:
            text = f"{found['kind']} {found['text']}"
            yield Name("index", table, plain(found["name"])), {"definition": text}


def own_name(name: str, table: str, text: str) -> str:
    """Return a constraint's name, or its columns where the server made the name up."""
    if not re.fullmatch(MADE_UP.format(table=re.escape(table)), name):
        return plain(name)
    own, *_ = text.split(" REFERENCES ")
    return f"({', '.join(dict.fromkeys(map(plain, QUOTED.findall(own))))})"


def made_for_foreign_keys(definitions: Sequence[str], table: str) -> set[str]:
    """Return the lines of indexes that the server made for foreign keys which had none.

    Their names are that of the foreign key, or of its first column where that has none either.
    """
    found = set()
    for line in definitions:
        if (key := CONSTRAINT.match(line)) and key["kind"] == "FOREIGN KEY":
            columns = re.findall(r"\((.*?)\) REFERENCES", key["text"])[0].replace(", ", ",")
            first = QUOTED.findall(columns)[0]
            given = own_name(key["name"], table, "") == plain(key["name"])
            found.add(f"KEY `{key['name'] if given else first}` ({columns})")
    return found


def plain(name: str) -> str:
    return name.replace("``", "`")
