"""docs/cheat-sheet.md: each command of its first two columns is run, from top to bottom."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project, flask_migrate
from support import Service, database

THING = """

class Thing({base}):
    __tablename__ = "thing"
    id = sa.Column(sa.Integer, primary_key=True)
"""


def column(root: Path, number: int) -> Iterator[tuple[str, str]]:
    """Yield what each row of the table is for, and the command in one of its columns."""
    page = (root / "docs/cheat-sheet.md").read_text("utf-8")
    table = page.partition("## Commands")[2].partition("\n\n`flask db`")[0]
    rows = [re.split(r" *\| *", line.strip())[1:-1] for line in table.strip().splitlines()]
    assert len(rows) > 20
    for row in rows[2:]:
        for command in re.findall("`([^`]+)`", row[number]):
            yield row[0], command


def branches(heads: str, revise: Callable[..., object]) -> None:
    """Write a second revision beside the newest one."""
    (head,) = re.findall(r"(\w+) \(head\)", heads)
    for name in ("left", "right"):
        revise("-m", name, "--head", head, "--splice")


def newest(heads: str) -> str:
    return heads.split()[0]


@pytest.mark.parametrize("number", [1, 2], ids=["here", "as with Flask-Migrate"])
@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_each_command_is_run_here(service: Service, root: Path, number: int) -> None:
    """`flask db` takes those of Flask-Migrate as well."""
    for purpose, command in column(root, number):
        if purpose.startswith("write a migration from"):
            service.run("alembic", "upgrade", "head")
            service.write(
                "app/things/models.py", "import sqlalchemy as sa\n\nfrom app.db import db\n"
            )
            with (service.folder / "app/things/models.py").open("a", encoding="utf-8") as models:
                models.write(THING.format(base="db.Model"))
        if purpose.startswith("join"):
            branches(
                service.run("alembic", "heads"),
                lambda *words: service.run("alembic", "revision", *words),
            )
        if purpose.startswith("try a migration") or purpose.startswith("see what somebody"):
            service.run("alembic", "upgrade", "head")
        command = command.replace("<revision>", newest(service.run("alembic", "heads")))
        said = service.run(*shlex.split(command))
        if purpose.startswith("write a migration from"):
            assert "thing" in service.newest().read_text("utf-8")
        assert said


def test_each_command_of_flask_migrate_is_its_own(
    root: Path, env: dict[str, str], tmp_path: Path
) -> None:
    with database("sqlite", tmp_path) as url:
        project = flask_migrate("sqlite", tmp_path / "old", url, env)
        for purpose, command in column(root, 2):
            words = shlex.split(command)[2:]
            run_there(project, purpose, words)


def run_there(project: Project, purpose: str, words: list[str]) -> None:
    if words[0] == "init":
        return  # flask_migrate() has begun with it
    if purpose.startswith("write a migration from"):
        project.add(THING.format(base="Base"))
    if purpose.startswith("join"):
        branches(project.run("heads"), lambda *words: project.run("revision", *words))
    project.run(*[newest(project.run("heads")) if word == "<revision>" else word for word in words])
