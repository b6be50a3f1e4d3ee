"""A small reader of the CREATE statements that SQLite keeps in `sqlite_master`.

SQLite stores the text of a statement as it was given, and tells some of what is in it nowhere else:
names and expressions of CHECKs, COLLATE, AUTOINCREMENT, the expressions of an index. The reader
knows the grammar of https://www.sqlite.org/lang_createtable.html and lang_createindex.html, as far
as SQLite accepts it; what cannot be stored there need not be refused here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
      (?P<space> \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<string> [xX]?'(?:[^']|'')*' )
    | (?P<quoted> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\b | 0[xX][0-9a-fA-F]+ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<symbol> <= | >= | <> | != | == | << | >> | \|\| | ->> | -> | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# What a definition within the brackets of CREATE TABLE begins with, if it is not a column's.
TABLE_CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}
# What ends the type of a column.
COLUMN_CONSTRAINTS = {
    *("CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE"),
    *("REFERENCES", "GENERATED", "AS"),
}


@dataclass(frozen=True)
class Token:
    kind: str  # string, quoted, number, word or symbol
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        """The token in capitals, if it can be a keyword or a symbol, else nothing."""
        return self.text.upper() if self.kind in ("word", "symbol") else ""

    @property
    def name(self) -> str:
        """The token as a name: without its quotation marks."""
        if self.kind not in ("quoted", "string"):
            return self.text
        quote = self.text[-1]
        inner = self.text[1:-1]
        return inner if quote == "]" else inner.replace(quote * 2, quote)


@dataclass(frozen=True)
class Check:
    name: str | None
    sql: str  # the condition


@dataclass(frozen=True)
class Unique:
    name: str | None
    columns: tuple[str, ...]
    conflict: str | None  # REPLACE, IGNORE, ..., as in ON CONFLICT


@dataclass(frozen=True)
class PrimaryKey:
    name: str | None
    columns: tuple[str, ...]  # each with its COLLATE and DESC
    conflict: str | None


@dataclass(frozen=True)
class ForeignKey:
    name: str | None
    columns: tuple[str, ...]
    table: str  # the one that is referred to
    referred: tuple[str, ...]  # its columns; none where its primary key is meant
    clauses: Mapping[str, str]  # such as {"ON DELETE": "CASCADE"}


@dataclass
class Column:
    name: str
    type: str = ""
    nullable: bool = True
    conflict: str | None = None  # what is to be done with a NULL that NOT NULL forbids
    default: str | None = None
    collation: str | None = None
    computed: str | None = None  # the expression of a GENERATED column
    stored: bool = False  # whether its values are stored, or computed by each query
    autoincrement: bool = False


@dataclass
class Table:
    columns: list[Column] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    uniques: list[Unique] = field(default_factory=list)
    primary_key: PrimaryKey | None = None
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    options: set[str] = field(default_factory=set)  # STRICT, WITHOUT ROWID


@dataclass(frozen=True)
class Index:
    unique: bool
    columns: tuple[str, ...]  # each with its COLLATE and DESC
    where: str | None


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of SQL, without spaces and comments."""
    for match in TOKEN.finditer(sql):
        if match.lastgroup and match.lastgroup != "space":
            yield Token(match.lastgroup, match[0], match.start())


def normal(sql: str) -> str:
    """Return SQL in a form that is the same for what SQLite reads as the same.

    Names lose their quotation marks and capitals, spaces and outer brackets go.
    """
    found = [*tokens(sql)]
    while found and closing(found, 0) == len(found) - 1:
        found = found[1:-1]
    words = [token.text if token.kind == "string" else token.name.lower() for token in found]
    return " ".join(words)


def normal_default(sql: str) -> str:
    """Return the SQL of a default as normal() does, and a number in quotes without them.

    A copy of a table has '7' where the table had 7, and the type of the column makes it a number.
    """
    text = normal(sql)
    without_quotes = text.strip("'")
    digits = without_quotes.replace(".", "", 1).removeprefix("-")
    return without_quotes if digits.isdigit() else text


def mentions(sql: str, name: str) -> bool:
    """Tell whether SQL names a table or a column."""
    return any(
        token.kind in ("word", "quoted") and token.name.lower() == name.lower()
        for token in tokens(sql)
    )


def closing(found: list[Token], position: int) -> int:
    """Return the position of the bracket that closes the one at a position, or -1."""
    depth = 0
    for index in range(position, len(found)):
        depth += {"(": 1, ")": -1}.get(found[index].keyword, 0)
        if depth == 0:
            return index if index > position else -1
    return -1


class Reader:
    """Tokens that are read from left to right."""

    def __init__(self, sql: str, found: list[Token] | None = None) -> None:
        self.sql = sql
        self.tokens = [*tokens(sql)] if found is None else found
        self.position = 0

    @property
    def done(self) -> bool:
        return self.position >= len(self.tokens)

    @property
    def keyword(self) -> str:
        """The next token as a keyword, or nothing at the end."""
        return "" if self.done else self.tokens[self.position].keyword

    def next(self) -> Token:
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, *keywords: str) -> bool:
        """Read these keywords if they come next, and tell whether they did."""
        upcoming = self.tokens[self.position : self.position + len(keywords)]
        if [token.keyword for token in upcoming] != [*keywords]:
            return False
        self.position += len(keywords)
        return True

    def brackets(self) -> list[Token]:
        """Read what is in brackets, and return it without them."""
        start = self.position
        end = closing(self.tokens, start)
        if end < 0:
            raise ValueError(f"brackets are expected after {self.text(self.tokens[:start])}")
        self.position = end + 1
        return self.tokens[start + 1 : end]

    def text(self, found: list[Token]) -> str:
        """Return the SQL of neighbouring tokens as it was written."""
        return self.sql[found[0].start : found[-1].end] if found else ""

    def parts(self, found: list[Token]) -> list[list[Token]]:
        """Split tokens at commas that are not in brackets."""
        parts: list[list[Token]] = [[]]
        depth = 0
        for token in found:
            depth += {"(": 1, ")": -1}.get(token.keyword, 0)
            if token.keyword == "," and depth == 0:
                parts.append([])
            else:
                parts[-1].append(token)
        return [part for part in parts if part]

    def qualified_name(self) -> str:
        """Read a name that may have a schema before it, and return it without the schema."""
        name = self.next().name
        return self.next().name if self.accept(".") else name

    def conflict(self) -> str | None:
        """Read ON CONFLICT, if it comes next, and return what is to be done then."""
        return self.next().keyword if self.accept("ON", "CONFLICT") else None


def read_table(sql: str) -> Table:
    """Read a CREATE TABLE statement; a virtual table has no columns here."""
    reader = Reader(sql)
    table = Table()
    while reader.keyword in ("CREATE", "TEMP", "TEMPORARY", "TABLE", "IF", "NOT", "EXISTS"):
        reader.next()
    if reader.accept("VIRTUAL"):
        return table
    reader.qualified_name()
    for part in reader.parts(reader.brackets()):
        definition = Reader(sql, part)
        if definition.keyword in TABLE_CONSTRAINTS:
            read_constraint(definition, table)
        else:
            read_column(definition, table)
    for option in reader.parts(reader.tokens[reader.position :]):
        table.options.add(" ".join(token.keyword for token in option))
    return table


def definitions(sql: str) -> frozenset[str]:
    """Return what is in the brackets of a CREATE TABLE, without foreign keys, and what follows."""
    reader = Reader(sql)
    while not reader.done and reader.keyword != "(":
        reader.next()
    if reader.done:  # a virtual table may have no brackets
        return frozenset()
    found: set[str] = set()
    for part in reader.parts(reader.brackets()):
        if not is_foreign_key(Reader(sql, part)):
            found.add(reader.text(part))
    return frozenset({*found, f"options: {read_rest(reader)}"})


def is_foreign_key(reader: Reader) -> bool:
    """Tell whether a definition is a foreign key that stands beside the columns."""
    if reader.accept("CONSTRAINT"):
        reader.next()
    return reader.accept("FOREIGN", "KEY")


def read_constraint(reader: Reader, table: Table) -> None:
    """Read a constraint that stands beside the columns."""
    name = reader.next().name if reader.accept("CONSTRAINT") else None
    if reader.accept("CHECK"):
        table.checks.append(Check(name, reader.text(reader.brackets())))
    elif reader.accept("UNIQUE"):
        table.uniques.append(Unique(name, read_names(reader), reader.conflict()))
    elif reader.accept("PRIMARY", "KEY"):
        key = tuple(reader.text(part) for part in reader.parts(reader.brackets()))
        table.primary_key = PrimaryKey(name, key, reader.conflict())
    elif reader.accept("FOREIGN", "KEY"):
        own = read_names(reader)
        reader.next()  # REFERENCES
        table.foreign_keys.append(read_reference(reader, name, own))


def read_names(reader: Reader) -> tuple[str, ...]:
    """Read the names of columns in brackets."""
    return tuple(part[0].name for part in reader.parts(reader.brackets()))


def read_column(reader: Reader, table: Table) -> None:
    """Read the definition of a column with all of its constraints."""
    column = Column(reader.next().name)
    table.columns.append(column)
    column.type = read_type(reader)
    name: str | None = None  # of the constraint that comes next
    while not reader.done:
        if reader.accept("CONSTRAINT"):
            name = reader.next().name
            continue
        read_column_constraint(reader, table, column, name)
        name = None


def read_type(reader: Reader) -> str:
    """Read a column's type, which may be several words, or nothing."""
    start = reader.position
    while not reader.done and reader.keyword not in COLUMN_CONSTRAINTS:
        if reader.keyword == "(":
            reader.brackets()
        else:
            reader.next()
    return reader.text(reader.tokens[start : reader.position])


def read_column_constraint(reader: Reader, table: Table, column: Column, name: str | None) -> None:
    """Read one constraint of a column."""
    if reader.accept("CHECK"):
        table.checks.append(Check(name, reader.text(reader.brackets())))
    elif reader.accept("DEFAULT"):
        column.default = read_default(reader)
    elif reader.accept("COLLATE"):
        column.collation = reader.next().name
    elif reader.accept("GENERATED", "ALWAYS", "AS") or reader.accept("AS"):
        column.computed = reader.text(reader.brackets())
        column.stored = reader.accept("STORED")
    elif reader.accept("PRIMARY", "KEY"):
        order = " DESC" if reader.accept("DESC") else ""
        reader.accept("ASC")
        key = (f"{column.name}{order}",)
        table.primary_key = PrimaryKey(name, key, reader.conflict())
        column.autoincrement = reader.accept("AUTOINCREMENT")
    elif reader.accept("UNIQUE"):
        table.uniques.append(Unique(name, (column.name,), reader.conflict()))
    elif reader.accept("REFERENCES"):
        table.foreign_keys.append(read_reference(reader, name, (column.name,)))
    elif reader.accept("NOT", "NULL"):
        column.nullable = False
        column.conflict = reader.conflict()
    elif reader.accept("NULL"):
        reader.conflict()
    else:
        reader.next()  # VIRTUAL, which is the default


def read_default(reader: Reader) -> str:
    """Read what comes after DEFAULT: an expression in brackets, or a literal with its sign."""
    if reader.keyword == "(":
        return f"({reader.text(reader.brackets())})"
    start = reader.position
    if reader.keyword in ("+", "-"):
        reader.next()
    reader.next()
    return reader.text(reader.tokens[start : reader.position])


def read_reference(reader: Reader, name: str | None, columns: tuple[str, ...]) -> ForeignKey:
    """Read the rest of a foreign key, in which NULL, NOT and DEFAULT have meanings of their own."""
    table = reader.qualified_name()
    referred = read_names(reader) if reader.keyword == "(" else ()
    clauses: dict[str, str] = {}
    while True:
        if reader.accept("ON"):
            event = f"ON {reader.next().keyword}"  # DELETE or UPDATE
            two_words = reader.keyword in ("SET", "NO")  # SET NULL or SET DEFAULT, NO ACTION
            words = [reader.next().keyword for _ in range(2 if two_words else 1)]
            clauses[event] = " ".join(words)
        elif reader.accept("MATCH"):
            clauses["MATCH"] = reader.next().keyword
        elif reader.accept("NOT", "DEFERRABLE"):
            read_initially(reader)
        elif reader.accept("DEFERRABLE"):
            clauses["DEFERRABLE"] = f"INITIALLY {read_initially(reader)}"
        else:
            return ForeignKey(name, columns, table, referred, clauses)


def read_initially(reader: Reader) -> str:
    """Read when a foreign key is checked, if it is said: DEFERRED, or else IMMEDIATE."""
    return reader.next().keyword if reader.accept("INITIALLY") else "IMMEDIATE"


def read_index(sql: str) -> Index:
    """Read a CREATE INDEX statement."""
    reader = Reader(sql)
    reader.accept("CREATE")
    unique = reader.accept("UNIQUE")
    reader.accept("INDEX")
    reader.accept("IF", "NOT", "EXISTS")
    reader.qualified_name()
    reader.accept("ON")
    reader.next()  # the table
    columns = tuple(reader.text(part) for part in reader.parts(reader.brackets()))
    where = read_rest(reader) if reader.accept("WHERE") else None
    return Index(unique, columns, where)


def read_rest(reader: Reader) -> str:
    return reader.text(reader.tokens[reader.position :])
