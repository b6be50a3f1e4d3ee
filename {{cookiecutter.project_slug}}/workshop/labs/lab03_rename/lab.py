"""A rename, which autogenerate takes for a column that goes and another one that comes."""

from pathlib import Path
from typing import Any

from workshop.checks import agrees, downgrade, is_at_head, is_decided, is_revised, upgrade
from workshop.notes import add_column, add_notes, draw
from workshop.project import Database, Project

MINUTES = 20
FILES = Path(__file__).parent / "files"
BEFORE = "20261123090000_b2c3d4e5f6a7"
NAMES = ("Ada", "Grace", "Edsger")


def stage(project: Project) -> None:
    """Notes with authors, in a column whose name has a typing error."""
    add_column(project, 'autor: Mapped[str] = mapped_column(sa.String(80), server_default="")')
    project.copy(FILES)
    draw(project)
    project.database.upgrade()
    add_notes(project, autor=NAMES)


def names(database: Database, column: str) -> list[Any]:
    """Return the authors of the three notes of the stage."""
    found = database.rows(f'SELECT "{column}" FROM note ORDER BY id LIMIT 3')  # noqa: S608
    return [name for (name,) in found]


def has_model(project: Project) -> str | None:
    columns = project.models()["note"]
    if "author" in columns and "autor" not in columns:
        return None
    if "author" in columns:
        return "`Note` has both columns now. It needs one, with the right name."
    if "author" in project.read("app/notes/models.py"):
        return (
            "The attribute is called `author`, but the column is still `autor`: what "
            '`mapped_column("autor")` says is the name in the table. The table should change, too.'
        )
    return "The column of `Note` is still called `autor`."


def keeps_names(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        if "author" not in copy.columns("note"):
            return "After `upgrade()`, the table has no column `author`."
        found = names(copy, "author")
    if found == [*NAMES]:
        return None
    return (
        f"After `upgrade()`, the authors are {found}, and they were {[*NAMES]}. Autogenerate sees "
        "a column that goes and another one that comes, so the names go with the first. Say that "
        "it is the same column."
    )


def keeps_names_on_the_way_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or downgrade(copy, BEFORE):
            return hint
        if "autor" not in copy.columns("note"):
            return "After `downgrade()`, the table has no column `autor`, which the old code needs."
        found = names(copy, "autor")
    if found == [*NAMES]:
        return None
    return (
        f"After `downgrade()`, the authors are {found}. The way there keeps them, the way back "
        "loses them: `downgrade()` needs the same care as `upgrade()`."
    )


def kept_names(project: Project) -> str | None:
    if hint := is_at_head(project):
        return hint
    found = names(project.database, "author")
    if found == [*NAMES]:
        return None
    return (
        f"In your database, the authors are {found}: an earlier version of your revision ran on "
        "it, and no downgrade brings the names back. In production, this is when you look for the "
        "backup. Here: keep your files elsewhere, `uv run flask workshop reset`, and put them back."
    )


STEPS = [
    ("the model's column is called `author`", has_model),
    ("a new revision changes the table", lambda project: is_revised(project, "changes the table")),
    ("nothing is left to decide", is_decided),
    ("upgrade() keeps the names of the authors", keeps_names),
    ("downgrade() keeps them, too", keeps_names_on_the_way_back),
    ("the revisions make what the models say", agrees),
    ("your database is at the newest revision, with the names", kept_names),
]
