"""Rows change in a revision: online and offline, there and back."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from workshop.checks import downgrade as take_back
from workshop.checks import has_its_notes, is_at_head, is_revised, reason, upgrade
from workshop.notes import TITLES, add_column, add_notes, draw
from workshop.project import Database, Project, WorkshopError

MINUTES = 25
FILES = Path(__file__).parent / "files"
SIZE = "20261123090000_e1f2a3b4c5d6"
ODD = "Paint the fence"
BEFORE = dict(zip((*TITLES, ODD), ("S", "M", "L", "XL"), strict=True))
AFTER = dict(zip((*TITLES, ODD), ("small", "medium", "large", "XL"), strict=True))


def stage(project: Project) -> None:
    """Four notes with a size each, one of them odd."""
    add_column(project, "size: Mapped[str | None] = mapped_column(sa.String(10))")
    project.copy(FILES)
    draw(project)
    project.database.upgrade()
    add_notes(project, size=("S", "M", "L"))
    insert = "INSERT INTO note (title, body, created_at, size) VALUES (?, ?, ?, ?)"
    if problem := project.database.execute(insert, ODD, "", "2026-11-23 09:00:00.000000", "XL"):
        raise WorkshopError(f"The notes of this lab cannot be written: {problem}")


def sizes(database: Database) -> dict[str, str | None]:
    return dict(database.rows("SELECT title, size FROM note"))


def stands_alone(project: Project) -> str | None:
    for revision in project.new_revisions():
        if re.search(r"(?m)^\s*(from|import) app\b", project.source(revision)):
            return (
                "The revision imports something of `app`. That will change, and the revision must "
                "not: in a year, the model has other columns, and a new database is built by this "
                "file all the same. Write the table's and the columns' names."
            )
    return None


def changes_rows(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        found = sizes(copy)
    if missing := [title for title in BEFORE if title not in found]:
        return f"After `upgrade()`, the note {missing[0]!r} is gone."
    if found[ODD] != "XL":
        return (
            f"The note with the size XL has {found[ODD]!r} after `upgrade()`. A value that nobody "
            "thought of stays as it is: change only what you name, by WHERE, or ELSE size."
        )
    for title, wanted in AFTER.items():
        if found[title] != wanted:
            return f"After `upgrade()`, {title!r} has the size {found[title]!r}, not {wanted!r}."
    return None


def works_offline(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        done = copy.alembic("upgrade", f"{SIZE}:head", "--sql")
        if done.status:
            return (
                "Offline, `upgrade()` cannot be written as SQL: it reads rows, and there are none "
                f"without a connection:\n  {reason(done.output)}\nLet the database do it: UPDATE."
            )
        script = done.output[done.output.find("BEGIN;") :]
        with closing(sqlite3.connect(copy.path)) as connection:
            try:
                connection.executescript(script)
            except sqlite3.Error as error:
                return f"Somebody runs what `--sql` writes, and it fails: {error}"
        found = sizes(copy)
    if found != AFTER:
        return (
            "Offline, the SQL leaves the rows as they are: what Python decides while it looks at "
            "rows does not get into the text. Let the database do it: UPDATE."
        )
    return None


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or take_back(copy, SIZE):
            return hint
        found = sizes(copy)
    for title, wanted in BEFORE.items():
        if found.get(title) != wanted:
            return (
                f"After `downgrade()`, {title!r} has the size {found.get(title)!r}, and had "
                f"{wanted!r}. The way back makes letters of the words again."
            )
    return None


def is_changed(project: Project) -> str | None:
    if hint := is_at_head(project):
        return hint
    found = sizes(project.database)
    if any(found.get(title) != wanted for title, wanted in AFTER.items()):
        return (
            "Your database says that your revision has run, but its rows are others: it ran as it "
            "was before. Go back and there again, or begin again: uv run flask workshop reset 8"
        )
    return None


STEPS = [
    ("a new revision is there", lambda project: is_revised(project, "changes the rows")),
    ("it needs nothing of the app", stands_alone),
    ("upgrade() makes words of the letters, and leaves the rest", changes_rows),
    ("it works offline as well", works_offline),
    ("downgrade() makes letters of the words", goes_back),
    ("your database has the words", is_changed),
    ("your notes are all still there", has_its_notes),
]
