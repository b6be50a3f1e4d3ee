"""4: what a test of the rendered project waits for before and after, on each database."""

import json
import shutil

from benchmarks.lab import Lab, tool
from benchmarks.measure import HERE, Row, execute
from benchmarks.tables import add_tables


def isolation(lab: Lab) -> list[Row]:
    """Set up and tear down one test, against create_all and drop_all for each test."""
    return [measure(lab, kind, tables) for kind in lab.databases for tables in lab.sizes(5, 100)]


def measure(lab: Lab, kind: str, tables: int) -> Row:
    project = lab.render(database=kind)
    add_tables(project, tables - 1)  # and that of notes
    shutil.copy2(HERE / "isolation_worker.py", project / "tests" / "test_isolation.py")
    with lab.database(kind) as url:
        python = tool(lab.service, "python")
        rounds = str(lab.rounds(10 if tables < 50 else 5))
        printed = execute([python, "-m", "tests.test_isolation", rounds], project, DATABASE_URL=url)
    seconds = json.loads(printed.splitlines()[-1])
    aim = "" if kind == "sqlite" else "<= 0.05"  # making its file takes as long as rolling it back
    what = f"4 isolation, {kind}, {tables} tables"
    return Row(what, seconds["ours"], "create_all, drop_all", seconds["theirs"], aim)
