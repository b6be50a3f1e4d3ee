"""What people mistype or forget in the first hour gets one sentence that says what to do."""

from pathlib import Path

import pytest
from histories import write_history
from support import Service

ON_SQLITE = pytest.mark.parametrize("service", ["sqlite"], indirect=True)
TODO = '# TODO: which value do the rows have?\nop.execute("SELECT 1")'


def refused(service: Service, *command: str) -> str:
    said = service.run(*command, fails=True)
    assert "Traceback" not in said
    return said


@ON_SQLITE
@pytest.mark.parametrize(
    "text", ["", "from flask import Blueprint\nbp = Blueprint('a', __name__)\n"]
)
def test_views_without_a_blueprint(service: Service, text: str) -> None:
    service.write("app/things/views.py", text)

    for command in ("flask routes", "flask db current", "pytest -q"):
        said = refused(service, *command.split())
        assert str(Path("app/things/views.py")) in said
        assert 'blueprint = Blueprint("things", __name__, url_prefix="/things")' in said
    service.run("alembic", "current")


def test_a_todo_is_decided_before_it_is_deployed(service: Service) -> None:
    write_history(service, ("pass", "pass"), (TODO, "pass"))
    assert "still has a TODO" not in service.run("alembic", "upgrade", "r1")

    said = service.run(
        "alembic", "upgrade", "head", fails=True, APP_ENV="production", SECRET_KEY="k" * 32
    )
    assert "production does not apply it" in said
    assert "still has a TODO: decide it, change the revision, and delete the comment" in said
    assert "Traceback" not in said
    assert "r1" in service.run("alembic", "current")

    said = service.run("alembic", "upgrade", "head")
    assert "still has a TODO" in said
    assert "Until then, pytest fails" in said
    assert "TODO" not in service.run("alembic", "downgrade", "r1")
    assert "TODO" not in service.run("alembic", "stamp", "r2")


@ON_SQLITE
def test_init_says_how_to_go_on(service: Service) -> None:
    said = service.run("flask", "db", "init")

    assert "Go on with: flask db migrate" in said


@ON_SQLITE
def test_a_merge_of_one_head_writes_nothing(service: Service) -> None:
    for words in ((), ("heads",), ("20261122090000_3632c1f107b5",)):
        said = service.run("flask", "db", "merge", *words, "-m", "Merge")
        assert "There is nothing to merge" in said
    assert len(service.revisions()) == 1

    for name in ("left", "right"):
        split = ("--head", "20261122090000_3632c1f107b5", "--splice")
        service.run("alembic", "revision", "-m", name, "--rev-id", name, *split)
    service.run("flask", "db", "merge", "-m", "Merge")
    assert len(service.revisions()) == 4
    service.run("alembic", "upgrade", "head")


@ON_SQLITE
def test_a_new_file_is_told(service: Service) -> None:
    """Its name may have a typo."""
    assert "is not there yet: it begins as an empty database" in service.run("alembic", "current")

    assert "is not there yet" not in service.run("alembic", "upgrade", "head")


@ON_SQLITE
@pytest.mark.parametrize("command", ["heads", "history", "merge", "prove", "revision -m x", "sql"])
def test_revisions_that_cannot_be_read(service: Service, command: str) -> None:
    service.run("alembic", "revision", "-m", "Second")
    first = next(path for path in service.revisions() if path.name.endswith("_create_note.py"))
    text = first.read_text("utf-8")

    first.write_text(f"{text}\nx = = 1\n", "utf-8")
    assert f"{first.name}, line " in refused(service, "flask", "db", *command.split())
    first.unlink()
    said = refused(service, "flask", "db", *command.split())
    assert "FAILED: The revision 20261122090000_3632c1f107b5 has no file" in said


@ON_SQLITE
def test_a_name_that_was_mistyped(service: Service) -> None:
    said = refused(service, "alembic", "upgrade", "haed")

    assert "If you typed it: alembic history lists the revisions" in said


@ON_SQLITE
def test_commands_in_another_folder(service: Service) -> None:
    """The README explains what Alembic and Flask say there."""
    readme = (service.folder / "README.md").read_text("utf-8")

    for command, said in {
        ("alembic", "current"): "No 'script_location' key found",
        ("flask", "db", "current"): "No such command 'db'",
    }.items():
        assert said in service.run(*command, fails=True, cwd=service.folder / "tests")
        assert f"`{said}`" in readme
