"""A first column: model, revision, upgrade, back, and again."""

from workshop.checks import (
    agrees,
    downgrade,
    has_its_notes,
    is_at_head,
    is_decided,
    is_revised,
    upgrade,
)
from workshop.notes import FIRST, add_notes
from workshop.project import Project

MINUTES = 15


def stage(project: Project) -> None:
    """Three notes, in a database at the newest revision."""
    project.database.upgrade()
    add_notes(project)


def has_model(project: Project) -> str | None:
    column = project.models()["note"].get("pinned")
    if column is None and "pinned" in project.database.columns("note"):
        return (
            "The table has a column `pinned`, but the model `Note` has not: the service cannot "
            "use it, and the next autogenerate would drop it. Write it into app/notes/models.py."
        )
    if column is None:
        return "The model `Note` in app/notes/models.py has no column `pinned` yet."
    if column["type"] != "BOOLEAN":
        return (
            f"`pinned` is {column['type']}. A note is pinned or it is not: `Mapped[bool]` makes a "
            "BOOLEAN."
        )
    return None


def has_revision(project: Project) -> str | None:
    hint = is_revised(project, "adds the column")
    if hint and not project.new_revisions() and "pinned" in project.database.columns("note"):
        return (
            "Your table has the column, but no revision adds it: somebody changed the database by "
            "hand. Your colleagues and production would never get it. Begin again with `uv run "
            "flask workshop reset`, and let Alembic write a revision."
        )
    return hint


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or downgrade(copy, FIRST):
            return hint
        if "pinned" in copy.columns("note"):
            return (
                "After `downgrade()`, the column is still there. The next `upgrade()` would fail, "
                "because it is there already. What `upgrade()` adds, `downgrade()` drops."
            )
    return None


def went_back(project: Project) -> str | None:
    """Tell whether the database has been there, back, and there again."""
    new = {script.revision for script in project.new_revisions()}
    directions = [direction for direction, revision in project.database.log if revision in new]
    if "upgrade" not in directions:
        return is_at_head(project)
    if "downgrade" not in directions:
        return (
            "Your database has never gone back. Try the way back now, while nothing depends on "
            "it:\n"
            "  uv run alembic downgrade -1\n"
            "  uv run alembic upgrade head"
        )
    return is_at_head(project)


STEPS = [
    ("the model `Note` has a column `pinned`", has_model),
    ("a new revision adds it", has_revision),
    ("nothing is left to decide", is_decided),
    ("the revisions make what the models say", agrees),
    ("downgrade() takes it away again", goes_back),
    ("your database was there, back, and there again", went_back),
    ("your notes are all still there", has_its_notes),
]
