"""Tell from the words of a MariaDB or MySQL statement what it changes.

The journal has to be certain, because a rerun executes some statements again and skips others. So
a statement that is not known here is refused.
"""

import re
from collections.abc import Collection, Iterator
from enum import Enum
from typing import NamedTuple


class Effect(Enum):
    """What a statement changes, which decides what a rerun does with it."""

    SESSION = "nothing, or only the session: a rerun executes it again"
    VERSION = "the version table: the revision ends here"
    DATA = "rows, which are committed together with the journal's entry"
    SCHEMA = "the schema, which commits by itself"


class RefusedStatementError(ValueError):
    """It is not certain whether a rerun has to run or skip a statement; the text says why."""

    def refusal(self, statement: str) -> str:
        """Return the message for a person."""
        return (
            f"This statement is refused:\n  {statement.strip()[:LONGEST]}\nIf it were interrupted, "
            f"a rerun could not tell what to do with it, because {self}. Or run it by hand, "
            "outside of a revision"
        )


class Word(NamedTuple):
    """A word or sign of a statement, in upper case; `depth` counts the brackets around it."""

    text: str
    depth: int


def words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


LONGEST = 500  # characters of a statement that are shown
# Words in strings, quoted names and comments do not count. /*! … */ is no comment: it is executed.
TOKEN = re.compile(
    r"""(?P<hidden>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`"""
    r"""|/\*(?!M?!).*?\*/|(?:--(?=\s|$)|\#)[^\n]*)"""
    r"""|(?P<executed>/\*M?!\d*|\*/)"""
    r"""|(?P<word>@{0,2}[A-Z_$][A-Z0-9_$.]*)|(?P<sign>[(),;=]|:=)""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
SESSION_WORDS = words_in(
    "SELECT VALUES SHOW DESC DESCRIBE EXPLAIN SET USE START BEGIN COMMIT ROLLBACK SAVEPOINT "
    "RELEASE LOCK UNLOCK PREPARE DEALLOCATE"
)
DATA_WORDS = words_in("INSERT UPDATE DELETE REPLACE LOAD")
SCHEMA_WORDS = words_in("CREATE ALTER DROP RENAME TRUNCATE GRANT REVOKE OPTIMIZE REPAIR CHECK")
OF_TABLES = words_in("TABLE TABLES LOCAL NO_WRITE_TO_BINLOG")  # ANALYZE TABLE, …
# Functions about the statement before. A rerun may skip that one, and they return something else.
RESULTS = words_in("LAST_INSERT_ID ROW_COUNT FOUND_ROWS")
OWN_TABLES = frozenset({"ALEMBIC_JOURNAL", "ALEMBIC_LOG"})
VERSION_TABLE = "ALEMBIC_VERSION"
BEFORE_TABLE = words_in("INTO FROM TABLE IF NOT EXISTS")  # between a verb and the table's name
PREPARE = re.compile(
    r"\s*PREPARE\s+(?P<name>\w+)\s+FROM\s+'(?P<text>(?:[^']|'')*)'\s*;?\s*$", re.IGNORECASE
)
EXECUTE = re.compile(r"\s*EXECUTE\s+(?P<name>\w+)", re.IGNORECASE)
WRITE_IT_OUT = "write it as plain INSERT, UPDATE, DELETE or DDL, each in a statement of its own"


def words_of(statement: str) -> Iterator[Word]:
    """Yield the words and signs of a statement, without strings, quoted names and comments."""
    depth = 0
    for token in TOKEN.finditer(statement):
        text = (token["word"] or token["sign"] or "").upper()
        if text == "(":
            depth += 1
        if text:
            yield Word(text, depth)
        if text == ")":
            depth -= 1


class Reader:
    """Reads the statements of a revision, one after the other.

    `functions` are the names of the database's stored functions, in upper case, which may write.
    """

    def __init__(self, functions: Collection[str] = ()) -> None:
        self.functions = functions
        self.prepared: dict[str, str] = {}

    def effect_of(self, statement: str) -> Effect:
        """Return what a statement changes.

        Raises RefusedStatementError where that is not certain.
        """
        if prepare := PREPARE.match(statement):
            self.prepared[prepare["name"].upper()] = prepare["text"].replace("''", "'")
        return effect_of(self.executed(statement), self.functions)

    def executed(self, statement: str) -> str:
        """Return the statement that is executed: for EXECUTE, the prepared one."""
        execute = EXECUTE.match(statement)
        return self.prepared.get(execute["name"].upper(), statement) if execute else statement


def effect_of(statement: str, functions: Collection[str]) -> Effect:
    """Return what one statement changes; `functions` and errors are as in Reader."""
    words = [word for word in words_of(statement) if word.text not in ("(", ")")]
    texts = [word.text for word in words]
    if not texts:
        return Effect.SESSION  # a comment
    table = table_changed(texts)
    if table in OWN_TABLES or (table == VERSION_TABLE and texts[0] == "CREATE"):
        return Effect.SESSION
    if table == VERSION_TABLE:
        return Effect.VERSION
    refuse_several(words)
    effect = effect_of_words(words)
    refuse_results(texts)
    if effect is Effect.SESSION:
        refuse_functions(texts, functions)
    return effect


def table_changed(texts: list[str]) -> str:
    """Return the name of the table that a statement begins to change, or "" without one."""
    for text in texts[1:]:
        if text not in BEFORE_TABLE:
            return text.rpartition(".")[2]
    return ""


def effect_of_words(words: list[Word]) -> Effect:
    first, *rest = words
    second = rest[0].text if rest else ""
    if first.text == "WITH":
        return effect_of_words(after_common_tables(words))
    if first.text == "SET":
        return effect_of_set(words)
    if first.text == "ANALYZE" and second in OF_TABLES:
        return Effect.SCHEMA
    if first.text == "BEGIN" and second == "NOT":
        raise RefusedStatementError(f"BEGIN NOT ATOMIC may do anything: {WRITE_IT_OUT}")
    if first.text == "ALTER" and "EXCHANGE" in [word.text for word in rest]:
        raise RefusedStatementError("nothing tells afterwards whether EXCHANGE PARTITION has run")
    if first.text in SESSION_WORDS:
        refuse_variables(words)
        return Effect.SESSION
    if first.text in DATA_WORDS:
        return Effect.DATA
    if first.text in SCHEMA_WORDS:
        return Effect.SCHEMA
    raise RefusedStatementError(f"what {first.text} does is not known: {WRITE_IT_OUT}")


def after_common_tables(words: list[Word]) -> list[Word]:
    """Return the statement that follows WITH and its common tables, which are in brackets."""
    verbs = ("SELECT", "UPDATE", "DELETE", "INSERT", "REPLACE", "VALUES")
    for position, word in enumerate(words):
        if word.depth == words[0].depth and word.text in verbs:
            return words[position:]
    raise RefusedStatementError(f"what this WITH does is not known: {WRITE_IT_OUT}")


def effect_of_set(words: list[Word]) -> Effect:
    """Return what SET changes: the session, or what the statement after FOR changes."""
    texts = [word.text for word in words]
    if texts[1:2] == ["STATEMENT"]:
        if "FOR" not in texts:
            raise RefusedStatementError(
                f"what this SET STATEMENT does is not known: {WRITE_IT_OUT}"
            )
        return effect_of_words(words[texts.index("FOR") + 1 :])
    computed = any(word.depth > words[0].depth for word in words)
    if computed and any(is_user_variable(word) for word in words):
        raise RefusedStatementError(
            "a user variable gets another value in a rerun if the rows it comes from have "
            "changed: use the expression itself"
        )
    return Effect.SESSION


def is_user_variable(word: Word) -> bool:
    return word.text.startswith("@") and not word.text.startswith("@@")


def refuse_variables(words: list[Word]) -> None:
    """Refuse SELECT … INTO, and SELECT @variable := …"""
    texts = [word.text for word in words]
    if words[0].text == "SELECT" and ("INTO" in texts or ":=" in texts):
        raise RefusedStatementError(
            "SELECT … INTO and := keep a value that may differ in a rerun: use the query itself, "
            "in the statement that needs the value"
        )


def refuse_results(texts: list[str]) -> None:
    """Refuse functions about the statement before, because a rerun may skip that one."""
    for name in sorted(RESULTS & {*texts}):
        raise RefusedStatementError(
            f"{name}() may be about another statement in a rerun: find the row by its values"
        )


def refuse_functions(texts: list[str], functions: Collection[str]) -> None:
    """Refuse stored functions in a statement that a rerun executes again: they may write."""
    for name in sorted({text.rpartition(".")[2] for text in texts} & {*functions}):
        raise RefusedStatementError(
            f"{name} is a stored function, which may write: call it in an INSERT or UPDATE"
        )


def refuse_several(words: list[Word]) -> None:
    """Refuse several statements in one text, because they are committed one by one."""
    texts = [word.text for word in words]
    after = {*texts[texts.index(";") :]} if ";" in texts else set()
    have_a_body = {"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"}  # with ; in it
    has_a_body = words[0].text == "CREATE" and have_a_body & {word.text for word in words[:8]}
    if after - {";"} and not has_a_body:  # a statement may end with more than one
        raise RefusedStatementError("there are several statements in one: run each by itself")
