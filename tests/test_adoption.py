"""migrator/ can be left, and taken into a project that has a history: its pages, word for word."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pages import follow, section, shell
from projects import SHELF, Project, flask_migrate, plain_alembic
from support import DATABASES, Service, database

pytestmark = pytest.mark.long
# What another migrator of this database does, and what it is to type less patience.
LOCK = {
    "postgresql": "SELECT pg_advisory_lock(1634493805, 6449507)",
    "mariadb": "SELECT GET_LOCK(CONCAT('alembic.', DATABASE()), 0)",
    "sqlite": "BEGIN IMMEDIATE",
}
IMPATIENT = {
    flask_migrate: ("upgrade", "-x", "lock_wait=0.5"),
    plain_alembic: ("-x", "lock_wait=0.5", "upgrade", "head"),
}
BACK = {flask_migrate: (), plain_alembic: ("-1",)}
TITLES = {flask_migrate: "Flask-Migrate", plain_alembic: "Plain Alembic"}
THING = """

class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    note_id: Mapped[int | None] = mapped_column(sa.ForeignKey("note.id", ondelete="CASCADE"))
"""


@pytest.fixture
def test_database(service: Service, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "test").mkdir()
    with database(service.kind, tmp_path / "test") as url:
        yield url


def test_it_is_left(service: Service, test_database: str) -> None:
    service.run("alembic", "upgrade", "head")
    with service.serve() as get:
        assert get("/notes", {"title": "kept"})[0] == 201
    text = (service.folder / "migrator/leave.md").read_text("utf-8")

    follow(text, service.folder, shell(service.folder, service.environ()))

    assert not (service.folder / "migrator").exists()
    for path in service.folder.rglob("*.py"):
        assert not re.search(r"(from|import) migrator", path.read_text("utf-8")), path
    for name in ("pyproject.toml", "Dockerfile", ".dockerignore", "alembic.ini"):
        assert not re.search("migrator|draw|prove", (service.folder / name).read_text("utf-8")), (
            name
        )
    ci = (service.folder / ".github/workflows/ci.yml").read_text("utf-8")
    said = " ".join(text.split())
    for command in ("flask db upgrade", "flask db check"):
        assert f"uv run {command}" in ci
        assert f"uv run {command}" in said
    for command in ("ruff check .", "ruff format --check .", "mypy", "alembic check"):
        service.run(*command.split())
    service.run("pytest", "-q", TEST_DATABASE_URL=test_database)
    with service.serve() as get:
        assert get("/readyz")[0] == 200
        assert get("/notes")[1]["notes"][0]["title"] == "kept"

    with (service.folder / "app/notes/models.py").open("a", encoding="utf-8") as models:
        models.write(THING)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    assert "create_table" in service.newest().read_text("utf-8")
    for command in ("upgrade head", "check", "downgrade base", "upgrade head", "check"):
        service.run("alembic", *command.split())
    assert "thing" in service.snapshot()
    if service.kind != "sqlite":
        assert "CREATE TABLE thing" in service.run("alembic", "upgrade", "head", "--sql")


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Have somebody else migrate for as long as the block lasts."""
    engine = project.engine()
    if project.kind == "sqlite":
        sa.event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
    with engine.connect() as connection:
        connection.exec_driver_sql(LOCK[project.kind])
        yield


def upgrade_at_once(project: Project, number: int) -> str:
    """Have many processes upgrade at once; return what they printed, together."""
    command = [sys.executable, "-m", *project.command, "upgrade", "head"]
    processes = [
        subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(number)
    ]
    said = "".join(process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * number, said
    return said


@pytest.mark.parametrize("make", TITLES)
@pytest.mark.parametrize("kind", DATABASES)
def test_it_is_taken_along(
    kind: str, make: Callable[..., Project], template: Path, env: dict[str, str], tmp_path: Path
) -> None:
    """The history, the revision and the rows stay; a new revision, the lock and a race work."""
    migrator = template / "{{cookiecutter.project_slug}}/migrator"
    text = section((migrator / "take-along.md").read_text("utf-8"), TITLES[make])
    with database(kind, tmp_path) as url:
        project = make(kind, tmp_path / "project", url, env)
        history, rows = project.run("history"), project.rows()

        run = shell(project.folder, project.environ())
        *_, checked = follow(text, project.folder, run, {"<service>": f"'{migrator.parent}'"})

        assert "No new upgrade operations" in checked
        assert (project.run("history"), project.rows()) == (history, rows)
        project.add(SHELF)
        revision = project.revise("Add shelf").read_text("utf-8")
        assert re.findall(r"create_table\(\s*[\"'](\w+)", revision) == ["shelf"]
        assert "alter" not in revision
        with locked(project):
            said = project.run(*IMPATIENT[make], fails=True)
        assert re.search("(did not end within|has been writing for) 0.5 s", said), said
        assert upgrade_at_once(project, 4).count("Running upgrade") == 1
        for words in (["check"], ["downgrade", *BACK[make]], ["upgrade", "head"], ["check"]):
            project.run(*words)
        after = project.rows()
        assert len(after.pop("alembic_log")) == 3
        assert after.pop("shelf") == []
        assert after.pop("alembic_version") != rows.pop("alembic_version")
        assert after == rows


ALONE = """
import sys

absent = ("app", "click", "flask", "flask_sqlalchemy", "werkzeug")
sys.modules.update(dict.fromkeys(absent))  # to import one of them is an ImportError

from alembic.config import main

main(sys.argv[1:])
"""
MODULES = """
import pkgutil
import sys

import migrator

for module in pkgutil.walk_packages(migrator.__path__, "migrator."):
    if module.name != "migrator.flask_cli":
        __import__(module.name)
print(*sorted(sys.modules.keys() & {"app", "click", "flask", "migrations", "werkzeug"}))
"""


def test_it_needs_neither_flask_nor_an_app(
    template: Path, env: dict[str, str], tmp_path: Path
) -> None:
    """The env.py of its page is all that it needs, without Flask and without flask_cli.py."""
    migrator = template / "{{cookiecutter.project_slug}}/migrator"
    text = section((migrator / "take-along.md").read_text("utf-8"), "Plain Alembic")
    with database("sqlite", tmp_path) as url:
        project = plain_alembic("sqlite", tmp_path / "project", url, env)
        run = shell(project.folder, project.environ())
        follow(text, project.folder, run, {"<service>": f"'{migrator.parent}'"})
        (project.folder / "migrator/flask_cli.py").unlink()
        (project.folder / "alone.py").write_text(ALONE, "utf-8")
        alone = replace(project, command=("alone",))

        alone.add(SHELF)
        alone.revise("Add shelf")
        for words in (["upgrade", "head"], ["check"], ["downgrade", "-1"], ["current"]):
            alone.run(*words)


OLD_DRIVER = """
import sqlalchemy as sa

from migrator import database
from migrator.postgresql import prepare_connection


class Psycopg2Error(Exception):
    pgcode = "55P03"


class Connection:
    __slots__ = ("autocommit",)


server = database(sa.make_url("postgresql+psycopg2://db/shop"))
prepare_connection(Connection(), None)
print(server.code(Psycopg2Error()) in server.BUSY)
"""


def printed(template: Path, env: dict[str, str], code: str) -> str:
    """Return what a piece of Python prints that can import migrator."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=template / "{{cookiecutter.project_slug}}",
        env=env,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout.strip()


def test_importing_it_imports_no_flask(template: Path, env: dict[str, str]) -> None:
    assert printed(template, env, MODULES) == ""


def test_psycopg2_is_understood(template: Path, env: dict[str, str]) -> None:
    """Projects that were there before often use it; it calls the code of an error otherwise."""
    assert printed(template, env, OLD_DRIVER) == "True"
