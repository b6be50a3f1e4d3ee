"""A model in a file that nobody imports, and a colleague's revision that is not applied."""

from pathlib import Path

from workshop.checks import agrees, has_its_notes, is_at_head, is_decided, is_revised
from workshop.notes import FIRST, add_column, add_notes, draw
from workshop.project import Project

MINUTES = 20
FILES = Path(__file__).parent / "files"


def stage(project: Project) -> None:
    """The code has a revision more than the database, and a model that nothing finds."""
    project.database.upgrade()
    add_notes(project)
    add_column(project, "pinned: Mapped[bool] = mapped_column(server_default=sa.false())")
    project.copy(FILES)
    draw(project)


def has_model(project: Project) -> str | None:
    if "tag" in project.models():
        return None
    defining = [
        path.relative_to(project.folder).as_posix()
        for path in sorted((project.folder / "app").rglob("*.py"))
        if "class Tag(" in path.read_text("utf-8")
    ]
    if not defining:
        return "The model `Tag` is gone. It was in app/tags/tag.py: git checkout -- app/tags"
    return (
        f"`Tag` is in {defining[0]}, and nothing imports that file, so for Python the class does "
        "not exist. Models are found in files of a certain name: `uv run alembic check` says which."
    )


def has_colleagues_revision(project: Project) -> str | None:
    here = project.database.current
    if here - {FIRST} and "pinned" not in project.database.columns("note"):
        return (
            "Your database says that it has your colleague's revision, but note.pinned is not in "
            "it: `stamp` writes down a number and runs nothing. Say where it really is, and "
            f"upgrade:\n  uv run alembic stamp {FIRST}\n  uv run alembic upgrade head"
        )
    if here <= {FIRST}:
        return (
            "Your colleague's revision is in the code, and not in your database: that is what "
            '"Target database is not up to date" means. Apply it:\n'
            "  uv run alembic upgrade head"
        )
    return None


def has_revision(project: Project) -> str | None:
    hint = is_revised(project, "creates the table tag")
    if hint and not project.new_revisions() and project.database.columns("tag"):
        return (
            "Your database has a table tag, but no revision creates it: `db.create_all()`, or "
            "somebody by hand, made it. Where the revision runs, the table is in its way. Drop "
            "it, and let Alembic write a revision."
        )
    return hint


STEPS = [
    ("the model `Tag` is found", has_model),
    ("your database has your colleague's revision", has_colleagues_revision),
    ("a new revision creates the table tag", has_revision),
    ("nothing is left to decide", is_decided),
    ("the revisions make what the models say", agrees),
    ("your database has all revisions", is_at_head),
    ("your notes are all still there", has_its_notes),
]
