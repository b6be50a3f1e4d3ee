"""What goes wrong around a migration: nothing is lost, and what is said names the cure."""

import re
import secrets
import signal
import string
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from histories import MIXED, execute, rows, start, write_history
from support import Service, server

FIRST = "20261122090000_3632c1f107b5"
SERVERS = ("postgresql", "mariadb")
ODD = """an "odd" name's 100% `x`: @/?#"""
ON_SERVERS = pytest.mark.parametrize("service", SERVERS, indirect=True)
ON_SQLITE = pytest.mark.parametrize("service", ["sqlite"], indirect=True)
MODEL = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Enum("a", "b", name="Kind"), index=True)
"""


def refused(service: Service, *words: str) -> str:
    """Return what is said by a command that fails, which is no traceback."""
    said = service.run(*words, fails=True)
    assert "Traceback" not in said
    return said


def test_a_revision_that_this_code_has_not(service: Service) -> None:
    """The revision was deleted, or another service migrates the database; --purge is a way out."""
    service.run("alembic", "upgrade", "head")
    execute(service, "UPDATE alembic_version SET version_num = 'of_others'")

    for command in ("upgrade head", "downgrade -1", "stamp head", "current", "check"):
        said = refused(service, "alembic", *command.split())
        assert "Can't locate revision identified by 'of_others'" in said
        assert "bring its file back" in said
        assert "name one of this service's own in DATABASE_URL" in said

    service.run("alembic", "stamp", "--purge", "head")
    service.run("alembic", "current", "--check-heads")


def test_branches(service: Service) -> None:
    """What is ambiguous is said with what to type instead."""
    for name in ("left", "right"):
        words = ("-m", name, "--rev-id", name, "--head", FIRST, "--splice")
        service.run("alembic", "revision", *words)
    assert "alembic merge heads" in refused(service, "alembic", "upgrade", "head")
    service.run("alembic", "merge", "heads", "-m", "Both", "--rev-id", "both")
    service.run("alembic", "upgrade", "+1")
    service.run("alembic", "upgrade", "head")

    assert "Name a revision" in refused(service, "alembic", "downgrade", "-1")

    service.run("alembic", "downgrade", "left")
    both = rows(service, "SELECT version_num FROM alembic_version ORDER BY version_num")
    assert both == [("left",), ("right",)]
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT version_num FROM alembic_version") == [("both",)]


def test_no_revision_at_all(service: Service) -> None:
    """As in an image that lacks a folder. This must not look like a success."""
    service.revisions()[0].unlink()

    said = refused(service, "alembic", "upgrade", "head")

    assert "There is no revision in" in said
    assert str(service.folder / "migrations" / "versions") in said
    assert "alembic revision --autogenerate" in said


def test_an_app_that_creates_its_tables(service: Service) -> None:
    """Autogenerate does not see them, and the migration that meets them says what to do."""
    package = service.folder / "app" / "__init__.py"
    text = package.read_text("utf-8")
    create = "    with app.app_context():\n        db.create_all()\n    return app"
    package.write_text(text.replace("    return app", create, 1), "utf-8")
    service.write("app/things/models.py", MODEL)

    service.run("flask", "db", "migrate", "-m", "Thing")
    assert "create_table" in service.newest().read_text("utf-8")
    said = refused(service, "flask", "db", "upgrade")
    assert "already exists" in said
    assert "db.create_all()" in said
    assert "alembic stamp <revision>" in said

    package.write_text(text, "utf-8")
    service.run("alembic", "stamp", "head")
    service.run("alembic", "check")


FULL = {
    "sqlite": ("PRAGMA max_page_count = 8", "INSERT INTO note VALUES (2, hex(zeroblob(99999)))"),
    "postgresql": ("DO $$ BEGIN RAISE 'No space left' USING ERRCODE = 'disk_full'; END $$",),
    "mariadb": (
        "SET SESSION max_heap_table_size = 16384",
        "CREATE TABLE small ENGINE=MEMORY AS SELECT * FROM seq_1_to_100000",
    ),
}


def test_a_full_disk(service: Service) -> None:
    note = """op.execute("CREATE TABLE note (id INTEGER, body TEXT)")"""
    insert = 'op.execute("INSERT INTO note VALUES (1, NULL)")'
    more = [f"op.execute({statement!r})" for statement in FULL[service.kind]]
    write_history(service, (note, ""), ("\n".join([insert, *more]), ""))
    service.run("alembic", "upgrade", "r1")

    said = refused(service, "alembic", "upgrade", "head")

    assert "make room, and run this again" in said
    write_history(service, (note, ""), (insert, ""))
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT id FROM note") == [(1,)]


def test_a_statement_that_the_database_refuses(service: Service) -> None:
    """It is named with the line of the revision, whatever is wrong with it."""
    table = 'op.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")'
    row = "op.execute(\"INSERT INTO note VALUES (1, 'a')\")"
    write_history(service, (table, ""), (f"{row}\n{row}", ""))
    service.run("alembic", "upgrade", "r1")

    for wrong in (
        row,
        'op.execute("INSERT INTO nowhere VALUES (1)")',
        'op.execute("UPDATE note SET nothing = 1")',
    ):
        write_history(service, (table, ""), (f"{row}\n{wrong}", ""))
        said = refused(service, "alembic", "upgrade", "head")
        (statement,) = re.findall('"(.*)"', wrong)
        assert f"The database refused: {statement}" in said
        (line,) = re.findall(r"r2\S*\.py, line (\d+): ", said)
        text = next(path for path in service.revisions() if "r2" in path.name).read_text("utf-8")
        assert text.splitlines()[int(line) - 1].strip() == wrong
    write_history(service, (table, ""), (row, ""))
    service.run("alembic", "upgrade", "head")


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_a_foreign_key_of_another_type(service: Service) -> None:
    key = 'sa.Column("id", sa.Integer, primary_key=True)'
    refers = 'sa.Column("up", sa.BigInteger, sa.ForeignKey("parent.id", name="fk"))'
    steps = (f'op.create_table("parent", {key})', f'op.create_table("child", {key}, {refers})')
    write_history(service, ("\n".join(steps), ""))

    assert "the types of the columns they refer to" in refused(
        service, "alembic", "upgrade", "head"
    )


@contextmanager
def odd(service: Service) -> Iterator[Service]:
    """The service on a database with an odd name, and a user with an odd password."""
    password, user = f"{string.punctuation} %(x)s %s", f"odd_{secrets.token_hex(4)}"
    name = f"{ODD} {user}"
    with server(service.kind).connect() as connection:
        quoted = connection.dialect.identifier_preparer.quote_identifier(name)
        literal = password.replace("'", "''").replace("%", "%%")
        steps = {
            "postgresql": (
                f"CREATE ROLE {user} LOGIN CREATEDB PASSWORD '{literal}'",
                f"CREATE DATABASE {quoted} OWNER {user}",
            ),
            "mariadb": (
                f"CREATE USER {user} IDENTIFIED BY '{literal.replace(chr(92), chr(92) * 2)}'",
                f"GRANT ALL ON *.* TO {user}",
                f"CREATE DATABASE {quoted}",
            ),
        }
        for statement in steps[service.kind]:
            connection.exec_driver_sql(statement)
        login = f"{user}:{quote(password, safe='')}"
        host = sa.make_url(service.url)
        address = f"{login}@{host.host}:{host.port or ''}".rstrip(":")
        yield replace(service, url=f"{service.kind}://{address}/{quote(name, safe='')}")
        connection.exec_driver_sql(f"DROP DATABASE {quoted}")
        connection.exec_driver_sql(f"DROP USER {user}")


@ON_SERVERS
def test_odd_names_and_any_password(service: Service) -> None:
    with odd(service) as strange:
        strange.run("alembic", "upgrade", "head")
        strange.write("app/things/models.py", MODEL)
        strange.run("alembic", "revision", "--autogenerate", "-m", "Thing")
        assert "CREATE TABLE thing" in strange.run("flask", "db", "sql")
        strange.run("alembic", "upgrade", "head")
        strange.run("alembic", "check")
        strange.run("pytest", "-q", "-p", "no:cacheprovider", "-k", "agree or one_chain")
        assert {"note", "thing"} <= strange.snapshot().keys()


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_two_services_with_a_schema_each(service: Service) -> None:
    """A search path in the URL keeps them apart, in the clean database as well."""
    service.write("app/things/models.py", MODEL)
    for schema in ("My Schema", "other"):
        execute(service, f'CREATE SCHEMA "{schema}"')
        path = quote(f'-csearch_path="{schema}"'.replace(" ", r"\ "))
        each = replace(service, url=f"{service.url}?options={path}")
        each.run("alembic", "upgrade", "head")
        each.run("alembic", "revision", "--autogenerate", "-m", "Thing")
        each.run("alembic", "upgrade", "head")
        each.run("alembic", "check")
        each.run("pytest", "-q", "-p", "no:cacheprovider", "-k", "agree or one_chain")
    found = sa.inspect(service.engine())
    assert found.get_table_names() == []
    tables = {"alembic_log", "alembic_version", "note", "thing"}
    for schema in ("My Schema", "other"):
        assert set(found.get_table_names(schema)) == tables


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_moment_without_a_zone_becomes_one_in_utc(service: Service) -> None:
    """Whatever the zone of the session is: PostgreSQL itself would take it for New York's time."""
    name = sa.make_url(service.url).database
    execute(service, f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
    kind = 'mapped_column(sa.Enum("a", "b", name="Kind"), index=True)'
    for number, zone in enumerate(("", "(timezone=True)")):
        column = f"mapped_column(sa.DateTime{zone})"
        service.write("app/things/models.py", MODEL.replace(kind, column))
        service.run("alembic", "revision", "--autogenerate", "-m", f"Thing {number}")
        service.run("alembic", "upgrade", "head")
        if not zone:
            execute(service, "INSERT INTO thing VALUES (1, '2026-01-02 12:00:00')")

    found = rows(service, "SELECT kind AT TIME ZONE 'UTC' = '2026-01-02 12:00:00' FROM thing")
    assert found == [(True,)]


def test_any_folder_and_any_place_to_start(
    render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> None:
    """A relative path is one file for every entry, and the project's folder may be called so."""
    folder = copytree(render(database="sqlite"), tmp_path / "it's my: b; [c]" / "my-service")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    service = Service("sqlite", folder, "sqlite:///data/one.db", env)
    service.run("flask", "db", "create")
    service.write("app/things/models.py", MODEL)
    ini = str(folder / "alembic.ini")

    service.run("alembic", "-c", ini, "revision", "--autogenerate", "-m", "Thing", cwd=elsewhere)
    service.run("alembic", "-c", ini, "upgrade", "head", cwd=elsewhere)
    for tool in (["alembic"], ["flask", "db"]):
        assert "(head)" in service.run(*tool, "current")
    with service.serve() as get:
        assert get("/readyz")[0] == 200
    assert list(elsewhere.rglob("*.db")) == []
    assert (folder / "data" / "one.db").is_file()


@ON_SERVERS
def test_an_app_that_keeps_a_session_open(service: Service) -> None:
    """`alembic` never meets it; `flask db`, which makes the app, gives up soon and names it."""
    service.run("alembic", "upgrade", "head")
    package = service.folder / "app" / "__init__.py"
    text = package.read_text("utf-8")
    ask = "    with app.app_context():\n        held.append(db.engine.connect())\n"
    ask += '        held[0].exec_driver_sql("SELECT * FROM note")\n    return app'
    text = text.replace("    return app", ask, 1)
    text = text.replace("\n\n\ndef", "\n\nheld = []\n\n\ndef", 1)
    package.write_text(text, "utf-8")
    service.run("alembic", "revision", "-m", "Add", "--rev-id", "add")
    path = service.newest()
    add = 'op.add_column("note", sa.Column("size", sa.Integer))'
    path.write_text(path.read_text("utf-8").replace("pass", add, 1), "utf-8")

    limits = ("-x", "lock_timeout=0.5", "-x", "lock_tries=1")
    said = refused(service, "flask", "db", *limits, "upgrade")
    assert "A table is in use by" in said
    service.run("alembic", "upgrade", "head")


PAUSE = {
    "sqlite": "import time\ntime.sleep(60)",
    "postgresql": 'op.execute("SELECT pg_sleep(60)")',
    "mariadb": 'op.execute("SELECT SLEEP(60)")',
}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda by: by.name)
def test_somebody_stops_it(service: Service, by: signal.Signals) -> None:
    """On Ctrl+C, or by an orchestrator, both the waiting and the migrating process end."""
    pause = "import os\nif os.environ.get('PAUSE'):\n"
    pause += textwrap.indent(PAUSE[service.kind], "    ")
    upgrade, downgrade = MIXED[1]
    first, *others = textwrap.dedent(upgrade).strip().splitlines()
    slow = "\n".join([first, others[0], pause, *others[1:]])
    write_history(service, MIXED[0], (slow, downgrade), *MIXED[2:])
    process = start(service, "upgrade", "head", PAUSE="1")
    assert process.stdout
    while "-> r2" not in process.stdout.readline():
        assert process.poll() is None
    waiting = start(service, "upgrade", "head")
    for each in (waiting, process):
        with pytest.raises(subprocess.TimeoutExpired):
            each.wait(timeout=1)
        each.send_signal(by)
    for each in (waiting, process):
        each.communicate(timeout=60)
        assert each.returncode == -by

    service.run("alembic", "upgrade", "head")

    balances = [((100 * n * 2 + 1) * 3 * 2,) for n in range(1, 6)]
    assert rows(service, "SELECT balance FROM account ORDER BY id") == balances
    assert rows(service, "SELECT count(*) FROM applied") == [(4,)]
