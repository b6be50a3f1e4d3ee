"""Autogenerate, on real databases: every change of models there and back again.

tests/matrix/cases.py lists the changes, tests/matrix/worker.py says what each has to prove.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cases import CASES
from support import server

MATRIX = Path(__file__).parent / "matrix"
KINDS = {"S": "sqlite", "P": "postgresql", "M": "mariadb"}
CELLS = [(database, case.name) for database in "SPM" for case in CASES if database in case.on]
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def project(name: str) -> Path:
        """Return a copy of the service without its example and its revisions."""
        copy = tmp_path_factory.mktemp("matrix") / name
        ignored = shutil.ignore_patterns("notes", "instance", ".venv", ".env", "__pycache__")
        shutil.copytree(root / "{{cookiecutter.project_slug}}", copy, ignore=ignored)
        for path in (copy / "migrations" / "versions").glob("*.py"):
            path.unlink()
        ini = (copy / "alembic.ini").read_text("utf-8")
        (copy / "alembic.ini").write_text(ini.replace("hooks = draw, prove, ", "hooks = "), "utf-8")
        return copy

    return project


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, project: Callable[[str], Path], env: dict[str, str]
) -> dict[tuple[str, str], list[str]]:
    """Run the chosen cells, one process for each database, all at once."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    cells: Any = [i.callspec.params["cell"] for i in items if i.originalname == "test_change"]
    if any(item.originalname == "test_share" for item in items):
        cells = CELLS
    found: dict[tuple[str, str], list[str]] = {}
    running = []
    for database in filter(reachable, sorted({database for database, _ in cells})):
        url = make_databases(database)
        copy = project(database)
        url = url or f"sqlite:///{copy / 'matrix.db'}"
        names = json.dumps([name for other, name in cells if other == database])
        worker = subprocess.Popen(
            [sys.executable, MATRIX / "worker.py", copy / "results.jsonl"],
            cwd=copy,
            env=env | {"DATABASE_URL": url, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert worker.stdin is not None
        worker.stdin.write(names)
        worker.stdin.close()
        running.append((database, worker, copy))
    for database, worker, copy in running:
        assert worker.wait() == 0
        for line in (copy / "results.jsonl").read_text("utf-8").splitlines():
            name, *rest = json.loads(line)
            found[database, name] = rest
    return found


@pytest.fixture(scope="module", autouse=True)
def _drop_databases() -> Iterator[None]:
    yield
    for database in filter(reachable, "PM"):
        sql(database, *(f"DROP DATABASE IF EXISTS {name}" for name in names()))


def reachable(database: str) -> bool:
    """Tell whether a database can be had; a test of one that cannot fails or skips by itself."""
    try:
        return database == "S" or bool(server(KINDS[database]))
    except (pytest.fail.Exception, pytest.skip.Exception):
        return False


def sql(database: str, *statements: str) -> sa.URL:
    """Execute statements on a server, and return its URL."""
    engine = server(KINDS[database])
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    return engine.url


def make_databases(database: str) -> str:
    """Make the two databases of a worker; return the URL of the first, empty for SQLite."""
    if database == "S":
        return ""
    for name in names():
        url = sql(database, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    return url.set(database=names()[0]).render_as_string(hide_password=False)


def names() -> list[str]:
    return [f"{kind}_{os.getpid()}" for kind in ("matrix", "reference")]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0]}-{cell[1]}")
def test_change(cell: tuple[str, str], results: dict[tuple[str, str], list[str]]) -> None:
    if cell[0] != "S":
        server(KINDS[cell[0]])
    error, log, revisions = results[cell]
    assert not error, f"{error}\n\n{log}\n\n{revisions}"


@pytest.mark.parametrize("database", "SPM")
def test_share(database: str, results: dict[tuple[str, str], list[str]]) -> None:
    """Every change is right on each database; `pytest -rP` shows how many there are."""
    if database != "S":
        server(KINDS[database])
    errors = {name: error for (kind, name), (error, *_) in results.items() if kind == database}
    wrong = sorted(name for name, error in errors.items() if error)
    print(f"{KINDS[database]}: {len(errors) - len(wrong)} of {len(errors)} right")
    assert len(errors) == sum(database in case.on for case in CASES), "some were not run"
    assert not wrong, f"{len(wrong)} of {len(errors)} are wrong"


RULES = "B,C4,F,I,N,PT,RUF,S,SIM,UP,W"
MESSAGES = {
    "quotes": '"""quoted""" and \'single\' and a final "',
    "a backslash": r"C:\new\table \N{BULLET} \x at the end \\",
    "braces": "${1 + 1} <% raise %> {{ x }} %s",
    "not ASCII": "Größe, naïve 表 🙂 \u202e",
    "several lines": "One\n\n## Two\r\n% three",
    "long": "word " * 60,
    "nothing": "",
}


def thing(*more: str) -> str:
    """Return a module with one model."""
    columns = ["id = sa.Column(sa.Integer, primary_key=True)", *more]
    return "\n".join(
        ["import sqlalchemy as sa", "from app.db import db", "", "", "class Thing(db.Model):"]
        + [f"    {column}" for column in columns]
    )


def write_models(copy: Path, text: str) -> None:
    (copy / "app" / "things").mkdir(exist_ok=True)
    (copy / "app" / "things" / "models.py").write_text(text)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_message(message: str, project: Callable[[str], Path], run: Callable[..., str]) -> None:
    """Any message gives a file that passes the service's own linter and can be applied."""
    copy = project("message")
    write_models(copy, thing())
    url = f"sqlite:///{copy / 'message.db'}"
    alembic = ["alembic", "-c", copy / "alembic.ini"]
    run([*alembic, "revision", "--autogenerate", f"--message={message}"], copy, DATABASE_URL=url)
    (revision,) = (copy / "migrations" / "versions").glob("*.py")
    run(["ruff", "format", "--check", "--line-length=100", revision], copy)
    run(["ruff", "check", "--isolated", "--line-length=100", f"--select={RULES}", revision], copy)
    run([*alembic, "upgrade", "head"], copy, DATABASE_URL=url)
    run([*alembic, "history"], copy, DATABASE_URL=url)


@pytest.mark.parametrize("database", "SPM")
def test_command_line(
    database: str, project: Callable[[str], Path], run: Callable[..., str]
) -> None:
    """The commands as they are typed: a clean database is made to compare with, and dropped."""
    copy = project("typed")
    url = make_databases(database) or f"sqlite:///{copy / 'typed.db'}"

    def alembic(*args: str, status: int = 0) -> str:
        return run(["alembic", "-c", copy / "alembic.ini", *args], copy, status, DATABASE_URL=url)

    write_models(copy, thing('mood = sa.Column(sa.Enum("sad", "ok", name="mood"))'))
    alembic("revision", "--autogenerate", "-m", "Before")
    alembic("upgrade", "head")
    alembic("check")
    assert "No changes" in alembic("revision", "--autogenerate", "-m", "Nothing")
    more = 'n = sa.Column(sa.Integer, sa.CheckConstraint("n > 0", name="positive"), index=True)'
    write_models(copy, thing('mood = sa.Column(sa.Enum("sad", "ok", "up", name="mood"))', more))
    alembic("check", status=255)
    alembic("revision", "--autogenerate", "-m", "After")
    assert len(list((copy / "migrations" / "versions").glob("*.py"))) == 2
    for step in (["upgrade", "head"], ["check"], ["downgrade", "base"], ["upgrade", "head"]):
        alembic(*step)
    run(["ruff", "format", "--check", "--line-length=100", "migrations/versions"], copy)


def test_no_models(project: Callable[[str], Path], run: Callable[..., str]) -> None:
    """A revision that would drop every table, because no model was found, is refused."""
    copy = project("none")
    alembic = ["alembic", "-c", copy / "alembic.ini"]
    url = f"sqlite:///{copy / 'none.db'}"
    write_models(copy, thing())
    run([*alembic, "revision", "--autogenerate", "-m", "Thing"], copy, DATABASE_URL=url)
    (copy / "app" / "things" / "models.py").unlink()
    command = [*alembic, "revision", "--autogenerate", "-m", "Gone"]
    assert "No model was found" in run(command, copy, 255, DATABASE_URL=url)
    assert len(list((copy / "migrations" / "versions").glob("*.py"))) == 1


OURS = {"named_by_a_variable", "made_by_sql", "renamed"}
MAKE_OURS = """
    name = "named_by_a_variable"
    op.create_table(name, sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("CREATE TABLE made_by_sql (id INTEGER PRIMARY KEY)")
    op.execute("CREATE TABLE before_its_rename (id INTEGER PRIMARY KEY)")
    op.rename_table("before_its_rename", "renamed")


def downgrade() -> None:
    for name in ("renamed", "made_by_sql", "named_by_a_variable"):
        op.drop_table(name)
"""


def make_ours(revision: Path) -> None:
    """Have a revision make tables in ways that no reading of its source would find."""
    text = revision.read_text("utf-8")
    revision.write_text(text.replace("\n\ndef downgrade() -> None:\n", MAKE_OURS, 1), "utf-8")


@pytest.mark.parametrize("database", "SPM")
def test_own_tables(database: str, project: Callable[[str], Path], run: Callable[..., str]) -> None:
    """Tables that a revision makes are ours, however it makes them; all others are left alone."""
    copy = project("own")
    url = make_databases(database) or f"sqlite:///{copy / 'own.db'}"

    def alembic(*args: str, status: int = 0) -> str:
        return run(["alembic", "-c", copy / "alembic.ini", *args], copy, status, DATABASE_URL=url)

    write_models(copy, thing())
    alembic("revision", "--autogenerate", "-m", "Thing")
    (first,) = (copy / "migrations" / "versions").glob("*.py")
    make_ours(first)
    alembic("upgrade", "head")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE somebody_elses (id INTEGER PRIMARY KEY)")
    said = alembic("check", status=255)
    assert all(name in said for name in OURS)
    assert "somebody_elses" not in said
    alembic("revision", "--autogenerate", "-m", "Drop them")
    (second,) = {*(copy / "migrations" / "versions").glob("*.py")} - {first}
    upgrade, _, downgrade = second.read_text("utf-8").partition("def downgrade")
    assert set(re.findall(r'drop_table\("(\w+)"\)', upgrade)) == OURS
    assert set(re.findall(r'create_table\(\s*"(\w+)"', downgrade)) == OURS
    for step in (["upgrade", "head"], ["check"], ["downgrade", "-1"], ["upgrade", "head"]):
        alembic(*step)
    assert sa.inspect(engine).has_table("somebody_elses")


def test_tables_are_someone_elses_where_nothing_can_be_built(
    project: Callable[[str], Path], run: Callable[..., str]
) -> None:
    """A user who may create no database is told so, and only tables of models are compared."""
    copy = project("poor")
    url = sa.make_url(make_databases("P"))
    poor = f"poor_{os.getpid()}"

    def alembic(*args: str, status: int = 0, user: str = "postgres") -> str:
        address = url.set(username=user).render_as_string(hide_password=False)
        command = ["alembic", "-c", copy / "alembic.ini", *args]
        return run(command, copy, status, DATABASE_URL=address)

    write_models(copy, thing())
    alembic("revision", "--autogenerate", "-m", "Thing")
    (first,) = (copy / "migrations" / "versions").glob("*.py")
    make_ours(first)
    alembic("upgrade", "head")
    sql("P", f"DROP ROLE IF EXISTS {poor}", f"CREATE ROLE {poor} LOGIN")
    try:
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {poor}")
        said = alembic("check", user=poor)
    finally:
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {poor}")
        sql("P", f"DROP ROLE {poor}")
    assert "taken for someone else's" in said
    assert "No new upgrade operations" in said
