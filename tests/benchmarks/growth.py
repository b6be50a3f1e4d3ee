"""5 and 6: what a project pays for its age: many revisions, many tables."""

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

from benchmarks.lab import Lab, tool
from benchmarks.measure import Contestant, Row, execute, running, side_by_side
from benchmarks.tables import add_history, add_tables

BARE_INI = """\
[alembic]
script_location = %(here)s/bare
version_locations = %(here)s/migrations/versions
prepend_sys_path = %(here)s
path_separator = os
"""
BARE_ENV = """\
import os

import sqlalchemy as sa
from alembic import context

from app.db import db, import_all

import_all("models")
with sa.create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        include_name=lambda name, *_: name != "alembic_log",  # no model has it
    )
    with context.begin_transaction():
        context.run_migrations()
"""


def growth(lab: Lab) -> list[Row]:
    """Seconds for each revision: of the project's migration tests, and of `upgrade head`.

    The last shows how much of the growth is due to Alembic and the database: SQLite reads its whole
    schema after each change of it, so a table costs more if there are many.
    """
    rows = []
    for kind in lab.databases:
        few, some, many = lab.sizes(10, 100, 500)
        cost = each(lab, kind, run_tests, (few, some, many))
        rows += compare(f"5 migration tests, {kind}", cost, {some: "", many: "<= 1.2"}, few)
        few, some, many = lab.sizes(10, 100, 1000)
        cost = each(lab, kind, run_upgrade, (few, some, many))
        # Ten are too fast to be measured, so a hundred are compared with a thousand.
        rows += compare(f"5 upgrade head, {kind}", cost, {few: "", many: "<= 1.2"}, some)
        bare = each(lab, kind, run_bare_upgrade, (some, many))
        rows += compare(f"5 the same, bare Alembic, {kind}", bare, {many: ""}, some)
    return rows


def each(
    lab: Lab, kind: str, run: Callable[[Lab, str, Path], None], sizes: tuple[int, ...]
) -> dict[int, list[float]]:
    """Return the milliseconds for one revision of so many.

    The time of a project without this history is subtracted: imports, the start of pytest.
    """
    projects = {number: lab.render(database=kind) for number in (0, *sizes)}
    for number, project in projects.items():
        add_history(project, number)
        add_bare(project)
        draw = [tool(lab.service, "python"), "-m", "migrations.draw"]
        execute(draw, project, DATABASE_URL="sqlite:///unused.db")
    contestants: dict[str, Contestant] = {
        f"{kind}, {number}": partial(run, lab, kind, project)
        for number, project in projects.items()
    }
    start, *seconds = side_by_side(lab.rounds(2), contestants, warm_up=0).values()
    return {
        number: [1000 * (value - min(start)) / number for value in values]
        for number, values in zip(sizes, seconds, strict=True)
    }


def compare(what: str, cost: dict[int, list[float]], aims: dict[int, str], base: int) -> list[Row]:
    return [
        Row(f"{what}, each of {number}", cost[number], f"each of {base}", cost[base], aim, "ms")
        for number, aim in aims.items()
    ]


def run_tests(lab: Lab, kind: str, project: Path) -> None:
    with lab.database(kind) as url:
        command = [tool(lab.service, "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        execute([*command, "tests/test_migrations.py"], project, DATABASE_URL=url)


def run_upgrade(lab: Lab, kind: str, project: Path) -> None:
    with lab.database(kind) as url:
        execute([tool(lab.service, "alembic"), "upgrade", "head"], project, DATABASE_URL=url)


def run_bare_upgrade(lab: Lab, kind: str, project: Path) -> None:
    with lab.database(kind) as url:
        command = [tool(lab.service, "alembic"), "-c", "bare.ini", "upgrade", "head"]
        execute(command, project, DATABASE_URL=url)


def add_bare(project: Path) -> None:
    """Give a project Alembic's own env.py beside ours, for the same revisions."""
    (project / "bare").mkdir()
    (project / "bare" / "env.py").write_text(BARE_ENV, "utf-8")
    (project / "bare.ini").write_text(BARE_INI, "utf-8")
    template = files("alembic").joinpath("templates", "generic", "script.py.mako")
    (project / "bare" / "script.py.mako").write_text(template.read_text("utf-8"), "utf-8")


def check(lab: Lab) -> list[Row]:
    """`alembic check` against bare Alembic on the same metadata and database."""
    return [
        measure_check(lab, kind, tables)
        for kind in lab.databases
        for tables in lab.sizes(10, 100, 1000)
    ]


def measure_check(lab: Lab, kind: str, tables: int) -> Row:
    project = lab.render(database=kind)
    add_tables(project, tables - 1)  # and that of notes
    add_bare(project)
    alembic = tool(lab.service, "alembic")
    commands = {"ours": [alembic, "check"], "bare": [alembic, "-c", "bare.ini", "check"]}
    with lab.database(kind) as url:
        execute([alembic, "upgrade", "head"], project, DATABASE_URL=url)
        measured = side_by_side(
            lab.rounds(2 if tables > 500 else 5),
            {
                f"{kind} {tables} {name}": running(command, project, DATABASE_URL=url)
                for name, command in commands.items()
            },
            warm_up=int(tables < 500),
        )
    ours, bare = measured.values()
    return Row(f"6 check, {kind}, {tables} tables", ours, "bare Alembic", bare, "<= 1.1")
