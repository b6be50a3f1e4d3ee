"""`flask doctor`: it says what is wrong in one line each, however much is broken."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import sqlalchemy as sa
from histories import execute
from support import Service, free_port
from test_unreachable import user

FIRST = "migrations/versions/20261122090000_3632c1f107b5_create_note.py"
THING = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
"""
REVISION = """\
revision = "{0}"
down_revision = "{1}"


def upgrade() -> None:
    {2}


def downgrade() -> None:
    pass
"""
LINE = re.compile(r"line \d+")
ON_SERVERS = pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("service", ["sqlite"], indirect=True)


def doctor(service: Service, *, fails: bool = True, **variables: str) -> list[str]:
    """Return the lines of the report; the exit status and the last line agree."""
    said = replace(service, env=service.env | variables).run("flask", "doctor", fails=fails)
    assert "Traceback" not in said
    assert ("Nothing is wrong. Next: flask run" in said) != fails
    return said.splitlines()


def wrong(lines: list[str]) -> list[str]:
    return [line.removeprefix("WRONG").strip() for line in lines if line.startswith("WRONG")]


def test_nothing_is_wrong(service: Service) -> None:
    """On each kind of database; its password and the secret are not shown."""
    service.run("alembic", "upgrade", "head")
    before = service.snapshot(), service.databases()
    secret = re.findall("SECRET_KEY=(.*)", (service.folder / ".env").read_text("utf-8"))

    lines = doctor(service, fails=False)

    (address,) = re.findall("DATABASE_URL is (.*?) .the environment", "\n".join(lines))
    assert sa.make_url(address).database == sa.make_url(service.url).database
    for line in (
        "ok     APP_ENV is development [.env]",
        "ok     SECRET_KEY is set [.env]",
        "ok     MIGRATION_DATABASE_URL is empty [.env]",
        "ok     main: the newest revision in the code is 20261122090000_3632c1f107b5",
        "ok     main: the database is at 20261122090000_3632c1f107b5",
        "ok     main: the database is what its revisions make",
        f"ok     {address} answers [DATABASE_URL]",
    ):
        assert line in lines
    assert secret[0] not in "\n".join(lines)
    assert (service.snapshot(), service.databases()) == before


@pytest.fixture(scope="module")
def migrated(
    render: Callable[..., Path], env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Service:
    """A service on SQLite that is ready, to be copied."""
    folder = copytree(render(database="sqlite"), tmp_path_factory.mktemp("migrated") / "service")
    service = Service("sqlite", folder, "sqlite:///instance/development.db", env)
    service.run("alembic", "upgrade", "head")
    return service


@pytest.fixture
def ready(migrated: Service, tmp_path: Path) -> Service:
    return replace(migrated, folder=copytree(migrated.folder, tmp_path / "my-service"))


def append(path: str, text: str) -> Callable[[Service], None]:
    def do(service: Service) -> None:
        with (service.folder / path).open("a", encoding="utf-8") as file:
            file.write(text)

    return do


def write(path: str, text: str) -> Callable[[Service], None]:
    return lambda service: service.write(path, text)


def two_heads(service: Service) -> None:
    for name in ("left", "right"):
        text = REVISION.format(name, "20261122090000_3632c1f107b5", "pass")
        service.write(f"migrations/versions/{name}.py", text)


def change(statement: str) -> Callable[[Service], None]:
    return lambda service: execute(absolute(service), statement)


def absolute(service: Service) -> Service:
    """Return the service with the path of its file as a program elsewhere needs it."""
    return replace(service, url=f"sqlite:///{service.folder}/instance/development.db")


def several_things(service: Service) -> None:
    for name in ("the syntax of a model", "the syntax of a view", "no .env", "two heads"):
        BROKEN[name][0](service)


# What is broken, and what each line of the report begins with that says WRONG.
BROKEN: dict[str, tuple[Callable[[Service], None], list[str]]] = {
    "a name in a model": (
        append("app/notes/models.py", "\n\nnumber = ten\n"),
        ["app/notes/models.py, line 0: NameError: name 'ten' is not defined"],
    ),
    "a model that ends the process": (
        append("app/notes/models.py", "\n\nraise SystemExit(0)\n"),
        ["app/notes/models.py, line 0: SystemExit: 0"],
    ),
    "a relationship": (
        write(
            "app/things/models.py",
            THING + '    owner = sa.orm.relationship("Person")\n',
        ),
        ["app/things/models.py:7 (Thing): When initializing mapper"],
    ),
    "the syntax of a model": (
        append("app/notes/models.py", "\nclass Thing(db.Model)\n"),
        ["app/notes/models.py, line 0: SyntaxError: expected ':'"],
    ),
    "the syntax of a view": (
        append("app/notes/views.py", "\ndef broken(:\n"),
        ["app/notes/views.py, line 0: SyntaxError: invalid syntax"],
    ),
    "the import of a view": (
        write("app/things/views.py", "import nothing\n"),
        ["app/things/views.py, line 1: ModuleNotFoundError: No module named 'nothing'"],
    ),
    "a view without a blueprint": (
        write("app/things/views.py", "from flask import Blueprint\n"),
        ["{folder}/app/things/views.py has no blueprint to register. Write into it"],
    ),
    "the factory": (
        append("app/__init__.py", "\ndef broken(:\n"),
        ["app/__init__.py, line 0: SyntaxError: invalid syntax"],
    ),
    "the configuration": (
        append("app/config.py", "\nBINDS = analytics\n"),
        ["app/config.py, line 261: NameError: name 'analytics' is not defined"],
    ),
    "the syntax of the configuration": (
        append("app/config.py", "\nBINDS = (\n"),
        ["app/config.py, line 261: SyntaxError: '(' was never closed"],
    ),
    "env.py": (
        append("migrations/env.py", "\nrun = (\n"),
        ["migrations/env.py, line 0: SyntaxError: '(' was never closed"],
    ),
    "alembic.ini": (
        append("alembic.ini", "\nno value\n"),
        ["ParsingError: Source contains parsing errors: PosixPath('{folder}/alembic.ini') ["],
    ),
    "the syntax of a revision": (
        append(FIRST, "\ndef broken(:\n"),
        ["20261122090000_3632c1f107b5_create_note.py, line 0, is no Python: invalid syntax"],
    ),
    "a revision that is gone": (
        write("migrations/versions/next.py", REVISION.format("next", "gone", "pass")),
        ["The revision gone has no file, and others follow it: bring the file back"],
    ),
    "two heads": (
        two_heads,
        ["main has several heads, left, right: alembic merge heads -m Merge"],
    ),
    "a TODO": (
        append(FIRST, "\n# TODO: think\n"),
        ["20261122090000_3632c1f107b5_create_note.py has a TODO: decide it"],
    ),
    "a pending revision": (
        write(
            "migrations/versions/next.py",
            REVISION.format("next", "20261122090000_3632c1f107b5", "pass"),
        ),
        ["main: the database is at 20261122090000_3632c1f107b5: revisions are pending"],
    ),
    "a model that nobody imports": (
        write("app/things/tables.py", THING),
        ["app/things/tables.py defines Thing, and is not imported"],
    ),
    "no .env": (
        lambda service: (service.folder / ".env").unlink(),
        ["DATABASE_URL is not set: set it, or copy .env.example to .env"],
    ),
    "several settings": (
        append(".env", "LOG_LEVEL=LOUD\nDATABASE_URL=postgres//db\n"),
        ["DATABASE_URL cannot be read", "LOG_LEVEL is unknown: set DEBUG"],
    ),
    "the environment": (
        append(".env", "APP_ENV=prodution\n"),
        ["APP_ENV is 'prodution' [set in .env]: set it to one of"],
    ),
    "a line of .env": (
        append(".env", "'\n"),
        ["{folder}/.env, line 0, cannot be read: write NAME=value"],
    ),
    "no driver": (
        append(".env", "DATABASE_URL=postgresql+psycopg2://me:Tr0ub4dor@db/shop\n"),
        ["DATABASE_URL wants a driver that cannot be imported"],
    ),
    "no file of the database": (
        append(".env", "DATABASE_URL=sqlite:///instance/new.db\n"),
        ["sqlite:///{folder}/instance/new.db is not there yet: alembic upgrade head"],
    ),
    "another service's database": (
        change("UPDATE alembic_version SET version_num = 'of_others'"),
        ["main: the database is at of_others: its revision is not in this code"],
    ),
    "a change by hand": (
        change("CREATE INDEX by_hand ON note (body)"),
        ["main: 1 difference from what the revisions make: index note.by_hand is there"],
    ),
    "everything": (
        several_things,
        [
            "app/notes/models.py, line 0: SyntaxError: expected ':'",
            "app/notes/views.py, line 0: SyntaxError: invalid syntax",
            "DATABASE_URL is not set: set it, or copy .env.example to .env",
            "main has several heads, left, right: alembic merge heads -m Merge",
        ],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_one_line_each(ready: Service, name: str) -> None:
    do, wanted = BROKEN[name]
    do(ready)

    asked = start(ready, "-m", "flask", "doctor")

    assert asked.returncode == 1, asked.stdout
    assert "Traceback" not in asked.stdout
    assert "Tr0ub4dor" not in asked.stdout
    found = wrong(asked.stdout.splitlines())
    assert len(found) == len(wanted), asked.stdout
    for line, beginning in zip(found, wanted, strict=True):
        place, wanted_place = (LINE.sub("line …", text, 1) for text in (line, beginning))
        assert place.startswith(wanted_place.format(folder=ready.folder)), asked.stdout
    *_, last = asked.stdout.splitlines()
    things = "1 thing is" if len(wanted) == 1 else f"{len(wanted)} things are"
    assert last.startswith(f"{things} wrong. Next: ")
    assert not (ready.folder / "instance/new.db").exists()


def start(service: Service, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python without DATABASE_URL, so that it comes from .env."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=service.folder,
        env=service.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.mark.parametrize("name", ["a pending revision", "a line of .env", "everything"])
def test_the_file_says_the_same(ready: Service, name: str) -> None:
    """Also where `flask` stops before it loads anything of the service."""
    BROKEN[name][0](ready)
    if name == "a line of .env":
        (ready.folder / ".env").write_text("# süß\n", "utf-16")
    by_flask, by_file = start(ready, "-m", "flask", "doctor"), start(ready, "doctor.py")

    assert by_file.returncode == 1
    if name == "a line of .env":
        assert ".env is not in UTF-8, but perhaps in utf-16" in by_file.stdout
        assert "Traceback" in by_flask.stdout  # when it does not any more, take this test back
    else:
        assert by_file.stdout == by_flask.stdout


@ON_SQLITE
def test_drift_of_a_revision_that_this_code_has_not(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    execute(service, "UPDATE alembic_version SET version_num = 'of_others'")

    said = service.run("flask", "db", "drift", fails=True)

    assert "Traceback" not in said
    assert "bring its file back" in said


def test_without_packages(ready: Service) -> None:
    """As in a fresh clone; `flask` itself would not start."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "doctor.py"],
        cwd=ready.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 1
    (line,) = wrong(done.stdout.splitlines())
    assert "lacks alembic, flask, flask-sqlalchemy, python-dotenv, sqlalchemy: uv sync" in line


def test_options_of_flask_come_before(ready: Service) -> None:
    ready.write("app/__init__.py", "(\n")
    for options in ([], ["--debug"], ["--app", "wsgi"], ["--env-file", ".env"]):
        said = ready.run("flask", *options, "doctor", fails=True)
        assert "app/__init__.py, line 1: SyntaxError" in said
        assert "Traceback" not in said


def test_it_says_where_a_setting_comes_from(ready: Service) -> None:
    with (ready.folder / ".env").open("a", encoding="utf-8") as file:
        file.write("LOG_LEVL=DEBUG\nPASSWORD_OF_ANOTHER_PROGRAM=x\n")
    variables = {"LOG_LEVEL": "ERROR", "APP_ENV": "testing"}

    lines = doctor(ready, fails=False, **variables)

    hides = "[the environment of this process, which comes before .env]"
    assert f"ok     LOG_LEVEL is ERROR {hides}" in lines
    assert f"ok     APP_ENV is testing {hides}" in lines
    assert "note   LOG_LEVL, set in .env, is not read. Is it LOG_LEVEL?" in lines
    assert "PASSWORD_OF_ANOTHER_PROGRAM" not in "\n".join(lines)
    (ready.folder / ".env").unlink()
    lines = doctor(ready, fails=False)
    assert "ok     APP_ENV is development [the default]" in lines
    assert "ok     RELEASE is not set [the default]" in lines


def test_production_gets_no_database_for_a_moment(ready: Service) -> None:
    service = absolute(ready)
    execute(service, "CREATE INDEX by_hand ON note (body)")
    strict = {"APP_ENV": "production", "SECRET_KEY": "k" * 32}

    lines = doctor(service, fails=False, **strict)

    assert not [line for line in lines if "revisions make" in line]
    execute(service, "UPDATE alembic_version SET version_num = '29990101000000_new'")
    doctor(service, fails=False, **strict)
    (line,) = wrong(doctor(ready))
    assert "its revision is newer than this code" in line


@ON_SERVERS
def test_each_cause_has_its_cure(service: Service) -> None:
    cures = {
        "Nothing listens there: start the server": {"port": free_port()},
        "No host has this name: correct it in DATABASE_URL": {"host": "no-such-host.invalid"},
        "Make it: flask db create": {"database": "no_such_database"},
        "An administrator makes": {"username": "nobody", "password": None},
    }
    for cure, parts in cures.items():
        url = sa.make_url(service.url).set(**parts)  # type: ignore[arg-type]
        elsewhere = replace(service, url=url.render_as_string(hide_password=False))
        lines = doctor(elsewhere)
        (line,) = wrong(lines)
        assert "cannot be reached" in line
        assert cure in line
        assert cure in lines[-1]


@ON_SERVERS
def test_the_login_of_migrations_is_tried_as_well(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    url = sa.make_url(service.url).set(port=free_port())
    login = url.render_as_string(hide_password=False)

    (line,) = wrong(doctor(service, MIGRATION_DATABASE_URL=login))

    assert "correct host and port in MIGRATION_DATABASE_URL" in line


@ON_SERVERS
def test_a_user_who_may_not_create_databases(service: Service) -> None:
    """What was changed by hand stays unknown, which is no fault."""
    service.run("alembic", "upgrade", "head")
    with user(service, "", "") as modest:
        if service.kind == "postgresql":
            execute(service, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name_of(modest)}")
        lines = doctor(modest, fails=False)
        if service.kind == "postgresql":
            execute(service, f"DROP OWNED BY {name_of(modest)}")

    assert [line for line in lines if "changes by hand were not looked for: The user of" in line]


def name_of(service: Service) -> str | None:
    return sa.make_url(service.url).username


@ON_SQLITE
def test_each_database_has_its_lines(service: Service) -> None:
    config = service.folder / "app/config.py"
    text = config.read_text("utf-8")
    config.write_text(text.replace("...] = ()", '...] = ("analytics",)'), "utf-8")
    with (service.folder / "alembic.ini").open("a", encoding="utf-8") as file:
        file.write("\n[analytics]\nversion_locations = %(here)s/migrations/analytics\n")
    service.write(
        "app/visits/models.py",
        THING.replace("Thing", "Visit").replace("    id", '    __bind_key__ = "analytics"\n    id'),
    )
    address = "sqlite:///instance/analytics.db"
    both = replace(service, env=service.env | {"ANALYTICS_DATABASE_URL": address})
    both.run("alembic", "-n", "analytics", "revision", "--autogenerate", "-m", "Visit")
    both.run("flask", "db", "upgrade")

    lines = doctor(both, fails=False)
    for name in ("main", "analytics"):
        assert f"ok     {name}: the database is what its revisions make" in lines

    (line,) = wrong(doctor(service, ANALYTICS_DATABASE_URL="sqlite:///instance/analytic.db"))
    assert line.endswith("analytic.db is not there yet: alembic -n analytics upgrade head")
