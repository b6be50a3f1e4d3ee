"""5 and 6: what a project pays for its age: many revisions, many tables."""

from pathlib import Path
from statistics import median

from benchmarks.measure import Lab, Row, execute, running, side_by_side, tool
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
    context.configure(connection=connection, target_metadata=db.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""


def growth(lab: Lab) -> list[Row]:
    """Seconds for each revision: of the project's migration tests, and of `upgrade head`."""
    rows = []
    for kind in lab.databases:
        rows += each(lab, kind, "tests", lab.sizes(10, 100, 500))
        rows += each(lab, kind, "upgrade", lab.sizes(10, 100, 1000))
    return rows


def each(lab: Lab, kind: str, what: str, sizes: tuple[int, ...]) -> list[Row]:
    """Compare the seconds for one revision of many with those for one of few.

    The seconds of a project that has no revision to add are taken off: they are not the history's.
    """
    projects = {number: lab.render(database=kind) for number in (0, *sizes)}
    for number, project in projects.items():
        add_history(project, number)
    run = {"tests": run_tests, "upgrade": run_upgrade}[what]
    seconds = side_by_side(
        lab.rounds(3 if sizes[-1] > 500 or what == "tests" else 3),
        {
            f"{kind} {what} {number}": lambda project=project: run(lab, kind, project)
            for number, project in projects.items()
        },
    )
    start = median(seconds[f"{kind} {what} 0"])
    cost = {
        number: [1000 * (s - start) / number for s in seconds[f"{kind} {what} {number}"]]
        for number in sizes
    }
    few, *more = sizes
    label = "migration tests" if what == "tests" else "upgrade head"
    return [
        Row(
            f"5 {label}, {kind}, each of {many}",
            cost[many],
            f"each of {few}",
            cost[few],
            "<= 1.2" if many == sizes[-1] else "",
            "ms",
        )
        for many in more
    ]


def run_tests(lab: Lab, kind: str, project: Path) -> None:
    with lab.database(kind) as url:
        command = [tool(lab.service, "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        execute([*command, "tests/test_migrations.py"], project, DATABASE_URL=url)


def run_upgrade(lab: Lab, kind: str, project: Path) -> None:
    with lab.database(kind) as url:
        execute([tool(lab.service, "alembic"), "upgrade", "head"], project, DATABASE_URL=url)


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
    (project / "bare").mkdir()
    (project / "bare" / "env.py").write_text(BARE_ENV, "utf-8")
    (project / "bare.ini").write_text(BARE_INI, "utf-8")
    alembic = tool(lab.service, "alembic")
    commands = {"ours": [alembic, "check"], "bare": [alembic, "-c", "bare.ini", "check"]}
    with lab.database(kind) as url:
        execute([alembic, "upgrade", "head"], project, DATABASE_URL=url)
        measured = side_by_side(
            lab.rounds(3 if tables > 500 else 10),
            {
                f"{kind} {tables} {name}": running(command, project, DATABASE_URL=url)
                for name, command in commands.items()
            },
        )
    ours, bare = measured.values()
    return Row(f"6 check, {kind}, {tables} tables", ours, "bare Alembic", bare, "<= 1.1")
