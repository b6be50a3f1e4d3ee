"""Run cells of the matrix on one database, in a copy of the project; started by test_matrix.py.

The names of the cases come on stdin, one result per line goes to the file named, as JSON. Commands
run in this process, through Alembic's own command line: starting one process for each would take
longer than everything that they do.
"""

import io
import json
import os
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.dont_write_bytecode = True  # models and revisions change more often than file times tell
sys.path[:0] = [os.getcwd(), str(Path(__file__).parent)]
# ruff: noqa: E402

import sqlalchemy as sa
from alembic.config import CommandLine, Config
from app.db import db
from cases import CASES, Case
from migrator import autogenerate, database
from schema import describe, rows

STOCK = os.environ.get("MATRIX") == "stock"  # to compare: Alembic's own options alone
HEADER = """
from app.db import *
from sqlalchemy import *
from sqlalchemy import types
from sqlalchemy.schema import CreateView
from sqlalchemy.dialects import mysql, postgresql
from app.db import UTCDateTime, db


class Slug(types.TypeDecorator):
    impl = String
    cache_ok = True


class Mood(types.TypeDecorator):
    impl = Enum("sad", "ok", name="mood")
    cache_ok = True


class GUID(types.TypeDecorator):
    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect):
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID())
        return dialect.type_descriptor(CHAR(32))


class Json(types.TypeDecorator):
    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect):
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB())
        return dialect.type_descriptor(Text())


class Word(String):
    pass


class Words(Text):
    pass


class Cents(Numeric):
    def __init__(self):
        super().__init__(10, 2)



def table(name, *items, **options):
    return Table(name, db.metadata, Column("id", Integer, primary_key=True), *items, **options)


"""
PROJECT = Path.cwd()
MODELS = PROJECT / "app" / "things" / "models.py"
VERSIONS = PROJECT / "migrations" / "versions"
URL = sa.make_url(os.environ["DATABASE_URL"])
MARIADB = URL.get_backend_name() in ("mariadb", "mysql")
OPTIONS = {"connect_args": {"ssl_disabled": True}} if MARIADB else {}  # or each takes 20 ms more
ENGINE = database(URL, OPTIONS).engine()
OTHER = "reference".join(str(URL.database).rsplit("matrix", 1))
REFERENCE_DATABASE = database(URL.set(database=OTHER), OPTIONS)
REFERENCE = REFERENCE_DATABASE.engine()


class FailedError(Exception):
    """A cell failed; the message says at which step."""


def main() -> None:
    VERSIONS.mkdir(exist_ok=True)
    MODELS.parent.mkdir(exist_ok=True)
    if STOCK:
        autogenerate.options = lambda *_: {"compare_type": True, "include_name": is_no_log}
    wanted = set(json.load(sys.stdin))
    for case in CASES:
        if case.name in wanted:
            log = io.StringIO()
            error = ""
            try:
                with redirect_stdout(log), redirect_stderr(log):
                    run(case)
            except (Exception, SystemExit) as problem:
                error = str(problem) if isinstance(problem, FailedError) else traceback.format_exc()
            revisions = "\n".join(path.read_text("utf-8") for path in sorted_revisions())
            with open(sys.argv[1], "a", encoding="utf-8") as results:
                print(json.dumps([case.name, error, log.getvalue(), revisions]), file=results)


def is_no_log(name: str | None, _kind: str, _parents: object) -> bool:
    """Have stock Alembic leave the log alone, which it would drop."""
    return name != "alembic_log"


def sorted_revisions() -> list[Path]:
    return sorted(VERSIONS.glob("*.py"), key=lambda path: path.stat().st_mtime_ns)


def run(case: Case) -> None:
    """Take one change there and back again."""
    for path in VERSIONS.glob("*.py"):
        path.unlink()
    for engine in (ENGINE, REFERENCE):
        empty(engine, case.foreign)
    write_models(case.before)
    command("revision", "--autogenerate", "-m", "Before")
    if case.by_hand:
        add_by_hand(case.by_hand)
    command("upgrade", "head")
    command("check")
    with ENGINE.begin() as connection:
        for statement in case.rows:
            connection.exec_driver_sql(statement)
    before = look()
    if not case.by_hand:
        compare("create_all of the models before", before[0], created(case))
    write_models(case.after)
    command("revision", "--autogenerate", "-m", "After", connected=not case.told)
    if case.told:
        check_told(case.told)
        return
    if case.said and URL.get_backend_name()[0].upper() in case.said_on:
        check_said(case)
        return
    if "TODO" in sorted_revisions()[-1].read_text("utf-8"):
        raise FailedError("a TODO where none was expected")
    command("upgrade", "head")
    command("check")
    after = look()
    compare("create_all of the models after", after[0], created(case))
    kept = {} if case.derived else common_columns(before[1], after[1])
    compare_rows("upgrade", before[1], after[1], kept)
    first = sorted_revisions()[0].read_text("utf-8").partition('revision = "')[2].partition('"')[0]
    command("downgrade", first)
    again = look()
    compare("the schema before, after a downgrade", again[0], before[0])
    compare_rows("downgrade", before[1], again[1], kept)
    command("upgrade", "head")
    compare("the schema after, upgraded again", look()[0], after[0])


def write_models(code: str) -> None:
    """Replace the models, and forget those that were imported."""
    MODELS.write_text(HEADER + code + "\n", "utf-8")
    sys.modules.pop("app.things.models", None)
    db.metadatas[None] = sa.MetaData(naming_convention=db.metadata.naming_convention)


def command(*args: str, connected: bool = True) -> None:
    """Run an Alembic command on a connection of ours: one engine remembers what it compiled.

    Where it is not `connected`, it makes a clean database, as on the command line.
    """
    line = CommandLine()
    options = line.parser.parse_args(args)
    config = Config(PROJECT / "alembic.ini", cmd_opts=options)
    try:
        with ENGINE.connect() as connection, warnings.catch_warnings():
            # Of SQLAlchemy's, some are about types that reflection does not know; of Alembic's,
            # each would be noise to whoever reads the terminal, and so would one about circles.
            warnings.filterwarnings("error", category=UserWarning, append=False)
            if not STOCK:
                warnings.filterwarnings("error", "Cannot correctly sort", sa.exc.SAWarning)
            if connected:
                config.attributes["connection"] = connection
            line.run_cmd(config, options)
    except SystemExit as end:
        if end.code:
            raise FailedError(f"alembic {' '.join(args)} exited {end.code}") from None
    except Exception as problem:
        raise FailedError(
            f"alembic {' '.join(args)}: {type(problem).__name__}: {problem}"
        ) from problem


def add_by_hand(statements: tuple[str, ...]) -> None:
    """Write SQL into the upgrade of the first revision."""
    path = sorted_revisions()[0]
    text = path.read_text("utf-8")
    lines = "".join(f"    op.execute({statement!r})\n" for statement in statements)
    path.write_text(text.replace("\n\ndef downgrade()", f"{lines}\n\ndef downgrade()"), "utf-8")


def empty(engine: sa.Engine, foreign: tuple[str, ...]) -> None:
    """Empty a database, then run the SQL of others."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        for path in Path(str(url.database)).parent.glob(Path(str(url.database)).name + "*"):
            path.unlink()
    with engine.begin() as connection:
        if url.get_backend_name() == "postgresql":
            for name in ("public", "sales", "Big Shop"):
                connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
            connection.exec_driver_sql("CREATE SCHEMA public")
        elif url.get_backend_name() != "sqlite":
            connection.exec_driver_sql(f"DROP DATABASE {url.database}")
            connection.exec_driver_sql(f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4")
            connection.exec_driver_sql(f"USE {url.database}")
        for statement in foreign:
            connection.exec_driver_sql(statement)


def look() -> tuple[set[tuple[str, ...]], dict[str, list[dict[str, str]]]]:
    """Return the schema and the rows."""
    with ENGINE.connect() as connection:
        return describe(connection), rows(connection)


def created(case: Case) -> set[tuple[str, ...]]:
    """Return the schema that create_all() makes of the current models."""
    empty(REFERENCE, case.foreign)
    with REFERENCE.connect() as connection:
        REFERENCE_DATABASE.ready_for_models(connection)
        for schema in {table.schema for table in db.metadata.tables.values()} - {None}:
            connection.execute(sa.schema.CreateSchema(schema))
        db.metadata.create_all(connection)
        connection.commit()
        found: set[tuple[str, ...]] = describe(connection)
        return found


def common_columns(
    before: dict[str, list[dict[str, str]]], after: dict[str, list[dict[str, str]]]
) -> dict[str, set[str]]:
    """Return, for each table with rows, the columns that it has before and after."""
    return {
        name: set(before[name][0]) & set(after[name][0] if after.get(name) else before[name][0])
        for name in before
        if before[name] and name in after
    }


def compare(what: str, found: set[tuple[str, ...]], wanted: set[tuple[str, ...]]) -> None:
    if found != wanted:
        lines = [f"+ {line}" for line in sorted(found - wanted)]
        lines += [f"- {line}" for line in sorted(wanted - found)]
        raise FailedError("\n".join([f"differs from {what}:", *lines]))


def compare_rows(
    step: str,
    before: dict[str, list[dict[str, str]]],
    after: dict[str, list[dict[str, str]]],
    kept: dict[str, set[str]],
) -> None:
    for name, columns in kept.items():
        wanted = [{column: row[column] for column in columns} for row in before[name]]
        found = [{column: row.get(column, "") for column in columns} for row in after[name]]
        if found != wanted:
            raise FailedError(f"{step} lost rows of {name}: {wanted} became {found}")


def told() -> str:
    """Return what the terminal was told: run() is called with stderr in memory."""
    return sys.stderr.getvalue() if isinstance(sys.stderr, io.StringIO) else ""


def check_said(case: Case) -> None:
    """Check that the user is told, in the revision and in the terminal."""
    todo = [
        line for line in sorted_revisions()[-1].read_text("utf-8").splitlines() if "TODO" in line
    ]
    if not any(case.said in line for line in todo):
        raise FailedError(f"no TODO about {case.said}: {todo}")
    warnings = [line for line in told().splitlines() if case.said in line]
    if not warnings:
        raise FailedError(f"no warning about {case.said}")


def check_told(name: str) -> None:
    """Check that no revision was written, and that the terminal names what differs."""
    if len(sorted_revisions()) != 1:
        raise FailedError("a revision was written where nothing can be")
    if not any(line.strip().startswith(name) for line in told().splitlines()):
        raise FailedError(f"nothing was told about {name}")


if __name__ == "__main__":
    main()
