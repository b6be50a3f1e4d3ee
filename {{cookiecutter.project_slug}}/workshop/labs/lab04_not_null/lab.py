"""NOT NULL on a table with rows, while the release before goes on writing."""

from workshop.checks import (
    agrees,
    downgrade,
    has_its_notes,
    is_at_head,
    is_decided,
    is_revised,
    serves_the_release_before,
    upgrade,
)
from workshop.notes import FIRST, TITLES, add_notes
from workshop.project import Project

MINUTES = 20


def stage(project: Project) -> None:
    """Three notes without an author."""
    project.database.upgrade()
    add_notes(project)


def has_model(project: Project) -> str | None:
    column = project.models()["note"].get("author")
    if column is None:
        return "The model `Note` has no column `author` yet."
    if column["nullable"]:
        return (
            "`author` may be NULL in the model: `Mapped[str | None]` or `nullable=True`. Each "
            "note has to have an author: `Mapped[str]`."
        )
    return None


def takes_the_rows(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            if "NOT NULL" in hint or "IntegrityError" in hint:
                return (
                    f"{hint}\n"
                    "The three notes have no author, and NULL is not allowed from now on: say "
                    "which value they get."
                )
            return hint
        column = copy.columns("note").get("author")
        if column is None:
            return "After `upgrade()`, the table has no column `author`."
        titles = {title for (title,) in copy.rows("SELECT title FROM note")}
        empty = copy.rows("SELECT title FROM note WHERE author IS NULL")
    if lost := [title for title in TITLES if title not in titles]:
        return (
            f"After `upgrade()`, the note {lost[0]!r} is gone. Rows are not in the way: give them "
            "a value."
        )
    if column.nullable:
        left = f", and {len(empty)} notes have no author" if empty else ""
        return (
            f"After `upgrade()`, the column may still be NULL{left}. Filling it is not enough: the "
            "table has to refuse a note without an author."
        )
    return None


def lets_the_old_release_write(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        problem = serves_the_release_before(project, copy)
    if problem is None:
        return None
    return (
        "While you deploy, the release before goes on, and knows nothing of `author`. After your "
        "revision, its `POST /notes` fails:\n"
        f"  {problem}\n"
        "A value in Python, `default=`, does not help it: the database needs one, "
        "`server_default=`."
    )


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or downgrade(copy, FIRST):
            return hint
        titles = {title for (title,) in copy.rows("SELECT title FROM note")}
        if "author" in copy.columns("note"):
            return "After `downgrade()`, the column is still there."
    if lost := [title for title in TITLES if title not in titles]:
        return f"After `downgrade()`, the note {lost[0]!r} is gone."
    return None


STEPS = [
    ("each `Note` has to have an `author`", has_model),
    ("a new revision changes the table", lambda project: is_revised(project, "changes the table")),
    ("nothing is left to decide", is_decided),
    ("upgrade() works on a table with rows, and keeps them", takes_the_rows),
    ("the release before goes on reading and writing", lets_the_old_release_write),
    ("downgrade() takes it away again", goes_back),
    ("the revisions make what the models say", agrees),
    ("your database is at the newest revision", is_at_head),
    ("your notes are all still there", has_its_notes),
]
