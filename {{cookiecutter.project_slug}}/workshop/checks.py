"""What several labs look at. Each function returns None, or the hint for what is wrong."""

import atexit
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from workshop.notes import TITLES
from workshop.project import STAGED, Database, Project
from workshop.requests import send_one


def is_revised(project: Project, what: str) -> str | None:
    """Tell whether there is a new revision, and no old one was edited."""
    if edited := project.edited_revisions():
        return (
            f"{edited[0]} was changed or deleted, but databases have applied it already, and "
            "Alembic never runs it there again. Bring it back, and write a new revision instead:\n"
            f"  git checkout -- migrations/versions/{edited[0]}"
        )
    if not project.new_revisions():
        return (
            f"No new revision {what}. The model says what you want; a revision says how a database "
            'gets there:\n  uv run alembic revision --autogenerate -m "What changed"'
        )
    return None


def is_decided(project: Project) -> str | None:
    """Tell whether the new revisions have no TODO left."""
    for revision in project.new_revisions():
        if found := re.search(r"# TODO: ((?:.|\n *# )*)", project.source(revision)):
            words = re.sub(r"\s*\n\s*# ", " ", found[1]).strip()
            return (
                f"A TODO is left in {revision.revision}: {words}\n"
                "Decide it, change the revision, and delete the comment."
            )
    return None


def is_one_chain(project: Project) -> str | None:
    if len(heads := project.heads()) > 1:
        return (
            f"There are {len(heads)} newest revisions, {' and '.join(sorted(heads))}, so `alembic "
            "upgrade head` does not know which you mean."
        )
    return None


def upgrade(copy: Database) -> str | None:
    """Apply all revisions to a copy of the stage; return the hint where that fails.

    It is done once for all steps of a check, which runs in a process of its own.
    """
    hint, file = upgraded(copy.folder)
    if file is not None:
        copy.replace_by(file)
    return hint


@cache
def upgraded(folder: Path) -> tuple[str | None, Path | None]:
    """Return the hint, and else the file of a copy of the stage with all revisions."""
    temporary = TemporaryDirectory(ignore_cleanup_errors=True)
    atexit.register(temporary.cleanup)
    result = Database(Path(temporary.name) / "upgraded.db", folder)
    result.replace_by(Project(folder).staged_file)
    done = result.alembic("upgrade", "head")
    if done.status:
        return (
            f"On the rows of this lab, `alembic upgrade head` fails:\n  {reason(done.output)}",
            None,
        )
    result.settle()
    return None, result.path


def downgrade(database: Database, revision: str) -> str | None:
    """Take a copy back; return the hint where that fails."""
    done = database.alembic("downgrade", revision)
    if done.status:
        return f"The way back fails: `alembic downgrade` says\n  {reason(done.output)}"
    return None


def reason(output: str) -> str:
    """Return the line of a failure that names it."""
    lines = [
        line for line in output.splitlines() if re.match(r"FAILED|[\w.]+(?:Error|Exception)", line)
    ]
    return lines[-1] if lines else output.strip().rpartition("\n")[2]


def agrees(project: Project) -> str | None:
    """Tell whether the revisions make what the models say, from the stage on."""
    with project.copy_of_stage() as copy:
        return upgrade(copy) or compare(copy)


def agrees_from_empty(project: Project) -> str | None:
    """Tell whether all revisions, on an empty database, make what the models say."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        empty = Database(Path(folder) / "empty.db", project.folder)
        done = empty.alembic("upgrade", "head")
        if done.status:
            return f"On an empty database, `alembic upgrade head` fails:\n  {reason(done.output)}"
        return compare(empty)


def compare(copy: Database) -> str | None:
    """Compare a migrated database with the models; return the hint where they differ."""
    done = copy.alembic("check")
    if done.status:
        changes = re.findall(r"(?m)^Detected .*$", done.output)
        return (
            "The revisions do not make what the models say:\n  "
            + "\n  ".join(changes or [reason(done.output)])
            + "\nWrite what is missing into your revision, or into another one."
        )
    return None


def is_at_head(project: Project) -> str | None:
    """Tell whether the workshop's database has all revisions."""
    heads = {*project.heads()}
    if project.database.current == heads:
        return None
    here = ", ".join(sorted(project.database.current)) or "no revision"
    return (
        f"Your database is at {here}, and the newest revision is {', '.join(sorted(heads))}:\n"
        "  uv run alembic upgrade head"
    )


def has_its_notes(project: Project) -> str | None:
    """Tell whether the three notes of the stage are in the workshop's database."""
    found = {title for (title,) in project.database.rows("SELECT title FROM note")}
    if lost := [title for title in TITLES if title not in found]:
        return (
            f"The note {lost[0]!r} is gone from your database. In production, somebody would miss "
            "it. Begin again: uv run flask workshop reset"
        )
    return None


def serves_the_release_before(
    project: Project, database: Database, commit: str = STAGED
) -> str | None:
    """Tell whether the code of a commit can go on reading and writing in a migrated database.

    By default, that is the stage's.
    """
    done = send_one(project, database, commit)
    return None if done.status == 0 else done.output.strip().partition("\n")[0]
