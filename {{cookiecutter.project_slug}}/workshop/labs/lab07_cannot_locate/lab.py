"""A database that was migrated on another branch: "Can't locate revision"."""

from pathlib import Path

from workshop.checks import has_its_notes, is_at_head
from workshop.notes import add_column, add_notes, draw
from workshop.project import Project
from workshop.stage import commit

MINUTES = 20
FOLDER = Path(__file__).parent
BRANCH, FEATURE = "lab7", "lab7-feature"
PINNED, COLOR = "20261124090000_a7b8c9d0e1f2", "20261125090000_b8c9d0e1f2a3"
FILE = f"migrations/versions/{PINNED}_add_pinned.py"


def stage(project: Project) -> None:
    """The database is at the revision of one branch, and another one is checked out."""
    base = project.git("rev-parse", "HEAD")
    add_column(project, "pinned: Mapped[bool] = mapped_column(server_default=sa.false())")
    project.copy(FOLDER / "feature")
    draw(project)
    commit(project, "Notes can be pinned")
    project.git("branch", FEATURE)
    project.database.upgrade()
    add_notes(project)
    project.git("reset", "--quiet", "--hard", base)
    add_column(project, "color: Mapped[str | None] = mapped_column(sa.String(20))")
    project.copy(FOLDER / "release")
    draw(project)


def keeps_the_feature(project: Project) -> str | None:
    if project.try_git("cat-file", "-e", f"{FEATURE}:{FILE}").status:
        return (
            f"The branch {FEATURE} has lost its revision {PINNED}, and the work of yesterday with "
            f"it. Bring it back: git branch --force {FEATURE} {FEATURE}"
            "@{1}"  # git's name for where the branch was before
        )
    return None


def is_on_its_branch(project: Project) -> str | None:
    here = project.try_git("symbolic-ref", "--quiet", "--short", "HEAD").output.strip()
    if here != BRANCH:
        return (
            f"You are on {here or 'no branch'}. The release is made on {BRANCH}: "
            f"git switch {BRANCH}"
        )
    return None


def is_without_the_feature(project: Project) -> str | None:
    ids = {script.revision for script in project.revisions()}
    if COLOR not in ids:
        return (
            f"The release has lost its revision {COLOR}, which adds the color. Bring it back: "
            "git checkout -- migrations"
        )
    if PINNED in ids:
        return (
            f"The revision {PINNED} is in {BRANCH} now. With its file here, the error is gone, but "
            "the feature would be released half done. The file may be here for a moment, to take "
            "the revision back; then it goes again."
        )
    if "pinned" in project.models()["note"]:
        return f"`Note` has the column `pinned` in {BRANCH}: the feature is not ready."
    return None


def can_be_located(project: Project) -> str | None:
    if PINNED in project.database.current:
        return (
            f"Your database is at {PINNED}, whose file only {FEATURE} has. Alembic needs that file "
            "to take the revision back."
        )
    return None


def has_no_pinned(project: Project) -> str | None:
    columns = project.database.columns("note")
    if "pinned" in columns:
        at = ", ".join(sorted(project.database.current)) or "no revision"
        return (
            f"Your database says that it is at {at}, and still has the column `pinned`. `stamp` "
            "writes down a number and runs nothing, so somebody has to take the column away. Say "
            f"where the database really is, with the file there: git switch {FEATURE}, `uv run "
            f"alembic stamp --purge {PINNED}`, and then go back."
        )
    return None


def has_the_color(project: Project) -> str | None:
    if hint := is_at_head(project):
        return hint
    if "color" not in project.database.columns("note"):
        return (
            f"Your database says that it is at {COLOR}, but no `upgrade()` has run there: it has "
            "no column `color`. Go back to the revision before by `uv run alembic stamp --purge "
            "20261122090000_3632c1f107b5`, and upgrade."
        )
    return None


STEPS = [
    ("the feature's branch is as it was", keeps_the_feature),
    ("you are on lab7", is_on_its_branch),
    ("lab7 has the color, and nothing of the feature", is_without_the_feature),
    ("your database is at a revision that lab7 has", can_be_located),
    ("the feature's column is gone from your database", has_no_pinned),
    ("your database has the color", has_the_color),
    ("your notes are all still there", has_its_notes),
]
