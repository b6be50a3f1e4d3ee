"""A downgrade that nobody wrote, and that the tests found."""

from pathlib import Path

from workshop.checks import has_its_notes, is_at_head, reason
from workshop.notes import FIRST, add_column, add_notes, draw
from workshop.project import Project, functions

MINUTES = 20
FILES = Path(__file__).parent / "files"
REVISION = "20261123090000_c3d4e5f6a7b8"
NAME = f"migrations/versions/{REVISION}_add_color.py"


def stage(project: Project) -> None:
    """The revision is applied, and its downgrade() is `pass`."""
    add_column(project, "color: Mapped[str | None] = mapped_column(sa.String(20), index=True)")
    project.copy(FILES)
    draw(project)
    project.database.upgrade()
    add_notes(project, color=("red", "green", "blue"))


def is_there(project: Project) -> str | None:
    ids = {script.revision for script in project.revisions()}
    if REVISION not in ids:
        return (
            f"The revision {REVISION} is gone. Your colleague's database has it, and could not be "
            f"migrated any more. Bring it back: git checkout -- {NAME}"
        )
    if project.models()["note"].get("color") is None:
        return "The model `Note` has lost its column `color`. It is the way back that is missing."
    return None


def upgrades(project: Project) -> str | None:
    text = project.source(next(each for each in project.revisions() if each.revision == REVISION))
    if "if_not_exists" in functions(text).get("upgrade", ""):
        return (
            "`if_not_exists` in `upgrade()` hides what is left over instead of taking it away: "
            "after a downgrade, the column would still be there. Leave `upgrade()` as it was."
        )
    if "allow one-way" in text:
        return (
            "`# allow one-way` is for a change that cannot be undone, such as rows that are gone. "
            "A column can be dropped. Write the way back."
        )
    return None


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        done = copy.alembic("downgrade", FIRST)
        if done.status:
            failure = reason(done.output)
            if "ix_note_color" in failure:
                return (
                    f"`downgrade()` fails: {failure}\n"
                    "The index is on the column, so it goes first: undo the last thing first."
                )
            return f"`downgrade()` fails: {failure}"
        has_column = "color" in copy.columns("note")
        has_index = "ix_note_color" in copy.indexes("note")
        count = len(copy.rows("SELECT id FROM note"))
        again = copy.alembic("upgrade", "head")
    if has_column and has_index:
        return (
            "After `downgrade()`, the column color and its index are still there. `upgrade()` "
            "does two things: undo both."
        )
    if has_column:
        return "After `downgrade()`, the index is gone, but the column color is still there."
    if has_index:
        return (
            "After `downgrade()`, the column is gone, but its index ix_note_color is still there."
        )
    if count != 3:
        return f"After `downgrade()`, there are {count} notes, and there were three."
    if again.status:
        return f"After `downgrade()`, `upgrade()` fails: {reason(again.output)}"
    return None


def is_proven(project: Project) -> str | None:
    done = project.run("flask", "db", "prove", REVISION)
    if done.status:
        return f"`uv run flask db prove` says:\n{done.output.strip()}"
    return None


def went_back(project: Project) -> str | None:
    ran = [direction for direction, revision in project.database.log if revision == REVISION]
    if "downgrade" not in ran:
        return (
            "Your own database has not gone back yet. Try it there, where it costs nothing:\n"
            "  uv run alembic downgrade -1\n"
            "  uv run alembic upgrade head"
        )
    here = project.database.current
    has_column = "color" in project.database.columns("note")
    if REVISION not in here and has_column:
        return (
            "Your database says that it is before this revision, but has its column: the old "
            "`downgrade()` wrote down the number and did nothing. Say where it really is, and go "
            "back with the new one:\n"
            f"  uv run alembic stamp {REVISION}\n"
            "  uv run alembic downgrade -1\n"
            "  uv run alembic upgrade head"
        )
    return is_at_head(project)


STEPS = [
    ("your colleague's revision and column are there", is_there),
    ("upgrade() does what it did", upgrades),
    ("downgrade() undoes it", goes_back),
    ("the proof finds nothing", is_proven),
    ("your database went back, and there again", went_back),
    ("your notes are all still there", has_its_notes),
]
