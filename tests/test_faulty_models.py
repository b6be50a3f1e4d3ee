"""What SQLAlchemy does not take of a model is one sentence: its place, the fault, the cure."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from support import Service

HEAD = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db import db


class Parent(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


"""
THING = "class Thing(db.Model):\n    id: Mapped[int] = mapped_column(primary_key=True)\n"
MODELS = "app/things/models.py"
NAMED = "sa.CheckConstraint('cents > 0', name='cents')"
PARENT_ID = "{}: Mapped[int] = mapped_column(sa.ForeignKey('parent.id'))"
# What is added to a model, and what is said: the line in MODELS, and words.
FAULTS = {
    "a CHECK without a name": (
        "__table_args__ = (sa.CheckConstraint('cents > 0'),)",
        (f"{MODELS}:13 (Thing): ", "has no name", f"Write {NAMED}"),
    ),
    "a CHECK of a column without a name": (
        "cents: Mapped[int] = mapped_column(sa.CheckConstraint('cents > 0'))",
        (f"{MODELS}:13 (Thing): ", "has no name", f"Write {NAMED}"),
    ),
    "a table that is not there": (
        "other_id: Mapped[int] = mapped_column(sa.ForeignKey('other.id'))",
        (f"{MODELS}:11 (Thing): ", "thing.other_id", "Correct the name of the table"),
    ),
    "a column that is not there": (
        "parent_id: Mapped[int] = mapped_column(sa.ForeignKey('parent.ident'))",
        (f"{MODELS}:11 (Thing): ", "'parent.ident'", "Correct the name of the column"),
    ),
    "a foreign key without a column": (
        "parent_id: Mapped[int] = mapped_column(sa.ForeignKey('parent'))",
        (f"{MODELS}:11 (Thing): ", "'table.column'"),
    ),
    "a table twice": (
        "__tablename__ = 'parent'",
        (f"{MODELS}:11 (Thing): ", "'parent' is already defined", "another __tablename__"),
    ),
    "a relationship to nothing": (
        "other: Mapped['Other'] = relationship()",
        (f"{MODELS}:11 (Thing): ", "'Other'", "Correct the name of the class"),
    ),
    "a relationship without a foreign key": (
        "parents: Mapped[list[Parent]] = relationship()",
        (f"{MODELS}:11 (Thing): ", "Thing.parents", "no foreign keys"),
    ),
    "a relationship with two": (
        f"{PARENT_ID.format('one')}\n    {PARENT_ID.format('two')}\n"
        "    parent: Mapped[Parent] = relationship()",
        (f"{MODELS}:11 (Thing): ", "Thing.parent", "Specify the 'foreign_keys' argument"),
    ),
    "a relationship with one end": (
        f"{PARENT_ID.format('one')}\n"
        "    parent: Mapped[Parent] = relationship(back_populates='things')",
        (f"{MODELS}:7 (Parent): ", "no property 'things'", "Write the other end"),
    ),
    "a type that is none": (
        "data: Mapped[object]",
        (f"{MODELS}:11 (Thing): ", "'x' attribute".replace("x", "data")),
    ),
    "an argument that is none": (
        "size: Mapped[int] = mapped_column(primary=True)",
        (f"{MODELS}:13 (Thing): ", "'primary'", "Correct the name of the argument"),
    ),
    "a constraint of no column": (
        "__table_args__ = (sa.UniqueConstraint('nmae', name='u'),)",
        (f"{MODELS}:11 (Thing): ", "'nmae'", "Correct the name of the column"),
    ),
}


@pytest.fixture
def service(render: Callable[..., Path], env: dict[str, str], tmp_path: Path) -> Service:
    folder = copytree(render(database="sqlite"), tmp_path / "my-service")
    return Service("sqlite", folder, f"sqlite:///{tmp_path / 'service.db'}", env)


def check_said(said: str, words: tuple[str, ...]) -> None:
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if words[0] in line]
    assert len(lines) == 1, said
    for word in words:
        assert word in lines[0], said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence(service: Service, fault: str) -> None:
    added, words = FAULTS[fault]
    service.write(MODELS, f"{HEAD}{THING}    {added}\n")

    check_said(service.run("alembic", "check", fails=True), words)


def test_a_model_without_a_key(service: Service) -> None:
    service.write(MODELS, f"{HEAD}class Thing(db.Model):\n    name: Mapped[str]\n")
    words = (f"{MODELS}:11 (Thing): ", "any primary key", "mapped_column(primary_key=True)")

    check_said(service.run("alembic", "upgrade", "head", fails=True), words)


def test_a_table_without_a_model(service: Service) -> None:
    table = "thing = sa.Table('thing', db.metadata, sa.Column('cents'), sa.CheckConstraint({}))\n"
    service.write(MODELS, HEAD + table.format("'cents > 0'"))

    check_said(service.run("alembic", "check", fails=True), (f"{MODELS}:11: ", f"Write {NAMED}"))


@pytest.mark.parametrize("command", ["alembic current", "flask db check", "flask run", "pytest"])
def test_each_command_says_it(service: Service, command: str) -> None:
    added, words = FAULTS["a CHECK without a name"]
    service.write(MODELS, f"{HEAD}{THING}    {added}\n")

    check_said(service.run(*command.split(), fails=True), words)


def test_a_warning_is_no_fault(service: Service) -> None:
    """Two relationships write to one column: SQLAlchemy warns, of which pytest makes an error."""
    added = f"""    {PARENT_ID.format("parent_id")}
    parent: Mapped[Parent] = relationship()
    owner: Mapped[Parent] = relationship()
"""
    service.write(MODELS, f"{HEAD}{THING}{added}")
    service.run("alembic", "upgrade", "head")
    words = (f"{MODELS}:11 (Thing): ", "'Thing.parent'", "ignore::sqlalchemy.exc.SAWarning")

    check_said(service.run("pytest", fails=True), words)

    settings = service.folder / "pyproject.toml"
    text = settings.read_text("utf-8")
    allowed = '    "error",\n    "ignore::sqlalchemy.exc.SAWarning",\n'
    settings.write_text(text.replace('    "error",\n', allowed, 1), "utf-8")
    assert " passed" in service.run("pytest", "tests/test_health.py")


def test_a_file_that_nobody_imports_is_named(service: Service) -> None:
    """The table that is not there may be in it."""
    key = "other_id: Mapped[int] = mapped_column(sa.ForeignKey('other.id'))"
    service.write(MODELS, f"{HEAD}{THING}    {key}\n")
    service.write("app/others/entities.py", HEAD + THING.replace("Thing", "Other"))

    said = service.run("alembic", "check", fails=True)

    assert "app/others/entities.py defines" in said
    assert "Other" in said


def test_a_mistake_of_python_is_shown_where_it_is(service: Service) -> None:
    service.write(MODELS, f"{HEAD}1 / 0\n")

    assert "ZeroDivisionError" in service.run("alembic", "check", fails=True)


def test_what_is_right_is_complete(service: Service) -> None:
    """Two tables that refer to each other are no fault."""
    first = f"{THING}    {PARENT_ID.format('parent_id')}\n"
    parent = "thing_id: Mapped[int | None] = mapped_column(sa.ForeignKey('thing.id'))\n\n\n"
    service.write(MODELS, f"{HEAD.rstrip()}\n    {parent}{first}")

    service.run("alembic", "current")
