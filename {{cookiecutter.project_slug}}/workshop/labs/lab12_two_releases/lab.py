"""A column leaves in two releases, and at each moment the release before goes on."""

from pathlib import Path

from workshop.checks import (
    agrees,
    has_its_notes,
    is_at_head,
    is_decided,
    is_revised,
    serves_the_release_before,
    upgrade,
)
from workshop.notes import MODELS, add_column, add_notes, draw
from workshop.project import STAGED, BrokenError, Database, Project, explain_failure, run_python
from workshop.stage import commit

MINUTES = 30
FOLDER = Path(__file__).parent
ONE, EARLY = "lab12-one", "lab12-early"
COLOR = "color: Mapped[str | None] = mapped_column(sa.String(20))"
IS_MAPPED = """
from app.notes.models import Note

print("color" in Note.__mapper__.columns)
"""


def stage(project: Project) -> None:
    """Notes have a color; a branch drops it at once, and breaks what is running."""
    add_column(project, COLOR)
    project.copy(FOLDER / "color")
    draw(project)
    commit(project, "Notes have a color")
    project.database.upgrade()
    add_notes(project, color=("red", "green", "blue"))
    base = project.git("rev-parse", "HEAD")
    project.edit(MODELS, f"    {COLOR}\n", "")
    project.copy(FOLDER / "early")
    draw(project)
    commit(project, "The color is gone, at once")
    project.git("branch", EARLY)
    project.git("reset", "--quiet", "--hard", base)


def is_marked(project: Project) -> str | None:
    if project.try_git("rev-parse", "--verify", "--quiet", ONE).status:
        return f"Release one is not there yet. When it is committed, mark it: git branch {ONE}"
    if project.git("rev-parse", ONE) == project.git("rev-parse", STAGED):
        return (
            f"The branch {ONE} is the stage itself, so release one changes nothing. Commit the "
            f"change first, and mark it again: git branch --force {ONE}"
        )
    if project.try_git("merge-base", "--is-ancestor", ONE, "HEAD").status:
        return f"Release two has to follow release one: the commit of {ONE} is not in your branch."
    return None


def lets_go(project: Project) -> str | None:
    with project.release(ONE) as folder:
        done = run_python(folder, "-c", IS_MAPPED, **project.database.variables)
        if done.status:
            raise BrokenError(f"In {ONE}: {explain_failure(done.output, folder)}")
    if done.last_line == "True":
        return (
            "Release one still maps `color`, so its requests ask for the column, and fail as soon "
            f"as release two drops it. Let the model do without, and mark the commit again: git "
            f"branch --force {ONE}"
        )
    return None


def leaves_the_column(project: Project) -> str | None:
    with project.release(ONE) as folder, project.copy_of_stage() as copy:
        done = Database(copy.path, folder).alembic("upgrade", "head")
        if done.status:
            return f"The revisions of release one cannot be applied: {done.last_line}"
        problem = serves_the_release_before(project, copy)
        if problem:
            return (
                "Release one takes the column away while the stage's code is still running, and "
                f"that code answers:\n  {problem}\n"
                "Leave the column in the database in release one."
            )
        checked = Database(copy.path, folder).alembic("check")
    if checked.status:
        return (
            "Release one has neither `color` in its model nor a word about it, so the next "
            "`revision --autogenerate`, of whoever comes first, drops the column. `@leaving(…)` "
            "says that it stays for now."
        )
    return None


def takes_it_away(project: Project) -> str | None:
    if hint := is_revised(project, "takes the column away"):
        return f"Release one is complete. Now release two: {hint}"
    if hint := is_decided(project):
        return hint
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        if "color" in copy.columns("note"):
            return (
                "After `upgrade()`, the column is still in the database. Does the model still say "
                "`@leaving`? Then autogenerate leaves it alone."
            )
    return None


def lets_release_one_serve(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        if problem := serves_the_release_before(project, copy, ONE):
            return f"When release two has migrated, release one answers:\n  {problem}"
    return None


def is_committed(project: Project) -> str | None:
    if left := project.git("status", "--porcelain"):
        return f"Release two is not committed yet:\n{left}\n  git add --all\n  git commit -m Two"
    return None


STEPS = [
    (f"release one is committed, and marked by the branch {ONE}", is_marked),
    ("the code of release one does without the column", lets_go),
    ("release one leaves it in the database for the code that is running", leaves_the_column),
    ("release two takes it away", takes_it_away),
    ("release one goes on while release two migrates", lets_release_one_serve),
    ("the revisions make what the models say", agrees),
    ("your database is at the newest revision", is_at_head),
    ("your notes are all still there", has_its_notes),
    ("release two is committed", is_committed),
]
