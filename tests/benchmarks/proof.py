"""8: what the proof of a new revision costs, against the least that it is made of."""

import re
from functools import partial
from pathlib import Path

from benchmarks.growth import add_bare
from benchmarks.lab import Lab, tool
from benchmarks.measure import Row, execute, side_by_side
from benchmarks.tables import add_history, add_tables

REVISE = ("revision", "--autogenerate", "-m", "Add weight")
# The models' tables, twice, in databases of their own; the addresses are arguments.
CREATE_ALL = """\
import sys

import sqlalchemy as sa

from app.db import db, import_models

import_models()
for url in sys.argv[1:]:
    db.metadata.create_all(sa.create_engine(url))
"""


def proof(lab: Lab) -> list[Row]:
    """`revision --autogenerate` with its proof, against its parts done by bare Alembic.

    These are commands as well: stock autogenerate, an upgrade of an empty database, one step down,
    and create_all() in two databases.
    """
    rows = []
    for kind in lab.databases:
        for tables in lab.sizes(10, 80, 1000):
            project = lab.render(database=kind)
            add_tables(project, tables - 1)  # and that of notes
            rows.append(measure(lab, kind, project, f"{tables} tables"))
        for revisions in lab.sizes(10, 1000):
            project = lab.render(database=kind)
            add_history(project, revisions)
            rows.append(measure(lab, kind, project, f"{revisions} revisions"))
    return rows


def measure(lab: Lab, kind: str, project: Path, what: str) -> Row:
    """Return what a revision that adds a column costs in a project."""
    add_bare(project)
    (project / "make_all.py").write_text(CREATE_ALL, "utf-8")
    with lab.database(kind) as url:
        execute([tool(lab.service, "alembic"), "upgrade", "head"], project, DATABASE_URL=url)
        add_column(project)
        measured = side_by_side(
            lab.rounds(2 if "1000" in what else 5),
            {
                f"8 {kind}, {what}": partial(revise, lab, project, url, bare=False),
                "its parts": partial(parts, lab, kind, project, url),
            },
            warm_up=int("1000" not in what),
        )
    ours, theirs = measured.values()
    return Row(f"8 revision with proof, {kind}, {what}", ours, "its parts", theirs, "<= 1.5")


def add_column(project: Path) -> None:
    """Give the last model of a project one more column."""
    models = project / "app" / "things" / "models.py"
    text = models.read_text("utf-8").rstrip()
    models.write_text(f"{text}\n    weight: Mapped[int | None]\n", "utf-8")


def alembic(lab: Lab, project: Path, url: str, *words: str, bare: bool = True) -> None:
    options = ("-c", "bare.ini") if bare else ()
    execute([tool(lab.service, "alembic"), *options, *words], project, DATABASE_URL=url)


def revise(lab: Lab, project: Path, url: str, bare: bool) -> None:
    """Have a revision written, and take it away again."""
    versions = project / "migrations" / "versions"
    before = {*versions.glob("*.py")}
    alembic(lab, project, url, *REVISE, bare=bare)
    (new,) = {*versions.glob("*.py")} - before
    text = new.read_text("utf-8")
    new.unlink()
    assert re.search(r"add_column\(.*weight", text, re.DOTALL), text
    assert "TODO" not in text, text


def parts(lab: Lab, kind: str, project: Path, url: str) -> None:
    """Do what the proof is made of, by bare Alembic and SQLAlchemy."""
    revise(lab, project, url, bare=True)
    with lab.database(kind) as empty:
        alembic(lab, project, empty, "upgrade", "head")
        alembic(lab, project, empty, "downgrade", "-1")
    with lab.database(kind) as one, lab.database(kind) as other:
        python = tool(lab.service, "python")
        execute([python, "-m", "make_all", one, other], project, DATABASE_URL=url)
