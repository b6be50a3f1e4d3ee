"""A migration that fails half-way, one that is killed, and eight that start at once."""

from pathlib import Path

from workshop.checks import agrees, downgrade, has_its_notes, is_at_head, upgrade
from workshop.labs.lab10_trouble.replicas import NUMBER, start_replicas
from workshop.notes import FIRST, TITLES, add_column, add_notes, draw
from workshop.project import Project, WorkshopError

MINUTES = 25
FILES = Path(__file__).parent / "files"
SLUG = "20261123090000_a2b3c4d5e6f7"
NAME = f"migrations/versions/{SLUG}_add_slug.py"
ALL = sorted([*TITLES, TITLES[0]])  # the first title is there twice


def stage(project: Project) -> None:
    """Four notes, two of them with one title, and a revision that cannot be applied to them."""
    slug = "slug: Mapped[str | None] = mapped_column(sa.String(100), index=True, unique=True)"
    add_column(project, slug)
    project.database.upgrade(FIRST)
    add_notes(project)
    insert = "INSERT INTO note (title, body, created_at) VALUES (?, ?, ?)"
    problem = project.database.execute(insert, TITLES[0], "", "2026-11-24 09:00:00.000000")
    if problem:
        raise WorkshopError(f"The notes of this lab cannot be written: {problem}")
    project.copy(FILES)
    draw(project)


def is_there(project: Project) -> str | None:
    if SLUG not in {script.revision for script in project.revisions()}:
        return f"The revision {SLUG} is gone. Bring it back: git checkout -- {NAME}"
    if "slug" not in project.models()["note"]:
        return "The model `Note` has lost its column `slug`."
    return None


def takes_the_rows(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            if "UNIQUE" in hint:
                return (
                    f"{hint}\n"
                    "Two notes have one title, so both get the same slug, and the index refuses "
                    "that. Nothing of the revision is left in the database."
                )
            return hint
        rows = copy.rows("SELECT title, slug FROM note")
        unique = copy.rows(
            "SELECT name FROM pragma_index_list('note') WHERE name = 'ix_note_slug' AND \"unique\""
        )
    if len(rows) < len(ALL):
        return (
            f"After `upgrade()`, {len(rows)} of {len(ALL)} notes are left. Two notes with one "
            "title are two notes: whoever wrote them wants both."
        )
    if sorted(title for title, _ in rows) != ALL:
        return "After `upgrade()`, a title is another one. Only the slug has to differ."
    if any(not slug for _, slug in rows):
        return "After `upgrade()`, a note has no slug. NULL is never the same as NULL, and no name."
    if not unique:
        return (
            "After `upgrade()`, nothing keeps two notes from having one slug: the unique index "
            "ix_note_slug is missing. Without it, the next two notes of one title share an address."
        )
    return None


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or downgrade(copy, FIRST):
            return hint
        titles = sorted(title for (title,) in copy.rows("SELECT title FROM note"))
        if "slug" in copy.columns("note"):
            return "After `downgrade()`, the column `slug` is still there."
    if titles != ALL:
        return "After `downgrade()`, the notes are not those that were there before."
    return None


def starts_eight_times(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        statuses = start_replicas(project.folder, copy.variables)
        ran = [direction for direction, revision in copy.log if revision == SLUG]
    if any(statuses):
        return f"Of {NUMBER} that start at once, {len(statuses) - statuses.count(0)} fail."
    if ran != ["upgrade"]:
        return f"Of {NUMBER} that start at once, {len(ran)} run the revision."
    return None


def is_deployed(project: Project) -> str | None:
    if SLUG not in project.database.current:
        return (
            "Your database does not have the revision yet. Start the replicas:\n"
            "  uv run python -m workshop.labs.lab10_trouble.replicas"
        )
    return is_at_head(project)


STEPS = [
    ("your colleague's revision and column are there", is_there),
    ("upgrade() gives each note a slug of its own", takes_the_rows),
    ("downgrade() takes it away again", goes_back),
    (f"{NUMBER} that start at once are up, and one of them migrates", starts_eight_times),
    ("the revisions make what the models say", agrees),
    ("your database has the slugs", is_deployed),
    ("your notes are all still there", has_its_notes),
]
