"""The workshop, played as a student plays it: each line of each lab, wrong ways and right ways."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
import sqlalchemy as sa
import ways
import ways_operations
from course import Student
from support import SERVERS, server

WRONG = ways.WRONG | ways_operations.WRONG
RIGHT = ways.RIGHT | ways_operations.RIGHT


@pytest.fixture(scope="module")
def student(
    render: Callable[..., Path], env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Student]:
    """One student for all labs, who plays them one after the other, as in the workshop."""
    folder = tmp_path_factory.mktemp("workshop") / "my-service"
    given = {"WORKSHOP_POSTGRESQL_URL": SERVERS["postgresql"]}  # root can start no server
    student = Student(copytree(render(workshop=True), folder, symlinks=True), {**env, **given})
    yield student
    student.workshop("leave")


@pytest.mark.parametrize("lab", WRONG)
def test_a_lab_is_played(student: Student, lab: int) -> None:
    """The page, word for word, with the solution in the place of the task; and then wrong ways."""
    student.workshop(f"start {lab}")
    staged = student.snapshot()
    assert student.refused(lab)
    before, _, after = student.page(lab).partition("## Your task")
    student.play(before)
    assert student.refused(lab)
    student.play(student.page(lab, "solution.md"))
    assert "is passed" in student.workshop(f"check {lab}")
    student.play(after.partition("## See that it works")[2])
    student.workshop(f"reset {lab}")
    assert student.snapshot() == staged


@pytest.mark.parametrize("lab", WRONG)
def test_each_wrong_way_has_a_hint_of_its_own(student: Student, lab: int) -> None:
    student.begin(lab)
    staged = student.snapshot()
    hints = set()
    for way, words in WRONG[lab].items():
        way(student)
        hint = student.refused(lab)
        assert words in " ".join(hint.split()), f"{way.__name__}\n{hint}"
        hints.add(hint)
        student.begin(lab)
        assert student.snapshot() == staged, way.__name__
    assert len(hints) == len(WRONG[lab])


@pytest.mark.parametrize("lab", RIGHT)
def test_another_right_way_passes(student: Student, lab: int) -> None:
    student.begin(lab)
    RIGHT[lab](student)
    assert "is passed" in student.workshop(f"check {lab}")


@pytest.mark.parametrize("end", ["reset 9", "start 8", "leave"])
def test_lab_9_leaves_nothing_on_the_server(student: Student, end: str) -> None:
    student.begin(9)
    name = ways_operations.printed(student)["database"]
    assert ways_operations.printed(student)["database"] == name  # it is made once
    names = "SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles"

    def on_server() -> int:
        with server("postgresql").connect() as connection:
            return [*connection.scalars(sa.text(names))].count(name)

    assert on_server() == 2  # the database and its role
    student.workshop(end)
    assert on_server() == 0
