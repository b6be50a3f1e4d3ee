"""Two branches in git that both add a revision: the conflict, and the join."""

import re
from pathlib import Path

from workshop.checks import agrees_from_empty, has_its_notes, is_at_head, is_one_chain
from workshop.notes import MODELS, add_column, add_notes, draw
from workshop.project import Project
from workshop.stage import commit

MINUTES = 20
FOLDER = Path(__file__).parent
COLLEAGUE = "lab6-colleague"
COLORS, PINNED = "20261123090000_d4e5f6a7b8c9", "20261124090000_e5f6a7b8c9d0"
PICTURE = "migrations/versions/README.md"
DRAWN = """
from alembic.config import Config
from migrations.draw import drawing

path, text = drawing(Config("alembic.ini"))
print(path.read_text("utf-8") == text)
"""


def stage(project: Project) -> None:
    """Two branches from one commit: a colleague's with color, and yours with pinned."""
    base = project.git("rev-parse", "HEAD")
    add_column(project, "color: Mapped[str | None] = mapped_column(sa.String(20))")
    project.copy(FOLDER / "colleague")
    draw(project)
    commit(project, "Notes have a color")
    project.git("branch", COLLEAGUE)
    project.git("reset", "--quiet", "--hard", base)
    add_column(project, "pinned: Mapped[bool] = mapped_column(server_default=sa.false())")
    project.copy(FOLDER / "mine")
    draw(project)
    project.database.upgrade()
    add_notes(project)


def is_merged(project: Project) -> str | None:
    waiting = project.path(project.git("rev-parse", "--git-dir")) / "MERGE_HEAD"
    if waiting.exists():
        left = project.git("diff", "--name-only", "--diff-filter=U").splitlines()
        marked = [name for name in (MODELS, PICTURE) if has_marks(project, name)]
        if marked:
            return (
                f"git waits for you to solve the conflict: {', '.join(marked)} has both versions."
            )
        if left:
            return f"No conflict is left in the files. Say so to git: git add {' '.join(left)}"
        return "The merge is prepared, and not committed: git commit --no-edit"
    if project.try_git("merge-base", "--is-ancestor", COLLEAGUE, "HEAD").status:
        return f"Your colleague's branch is not in yours yet: git merge {COLLEAGUE}"
    return None


def has_marks(project: Project, name: str) -> bool:
    return bool(re.search(r"(?m)^(<{7}|>{7}) ", project.read(name)))


def is_solved(project: Project) -> str | None:
    for name in (MODELS, PICTURE):
        if has_marks(project, name):
            return f"{name} still has git's marks of a conflict, <<<<<<< and >>>>>>>."
    return None


def has_both(project: Project) -> str | None:
    columns = project.models()["note"]
    for name, whose in (("color", "your colleague's"), ("pinned", "your own")):
        if name not in columns:
            return (
                f"`Note` has lost {whose} column `{name}`. Both sides of the conflict are wanted."
            )
    ids = {script.revision for script in project.revisions()}
    for revision, whose in ((COLORS, "your colleague's"), (PINNED, "your own")):
        if revision not in ids:
            return (
                f"The revision {revision}, {whose}, is gone. Databases have it already. Bring it "
                f"back: git checkout {COLLEAGUE if revision == COLORS else 'lab6'} -- "
                "migrations/versions"
            )
    return None


def has_one_head(project: Project) -> str | None:
    if hint := is_one_chain(project):
        return (
            f"{hint} git has merged the files; now join the revisions:\n"
            "  uv run alembic merge heads -m Merge"
        )
    return None


def is_drawn(project: Project) -> str | None:
    done = project.run_code(DRAWN)
    if done.last_line == "True":
        return None
    return f"{PICTURE} does not show the revisions as they are: uv run flask db draw"


def has_both_columns(project: Project) -> str | None:
    if hint := is_at_head(project):
        return hint
    if lost := {"color", "pinned"} - {*project.database.columns("note")}:
        return (
            "Your database says that it is at the newest revision, but has no column "
            f"`{lost.pop()}`: the order of the revisions changed beneath it. Give your revision "
            "its old down_revision, take it back with `uv run alembic downgrade -1`, and only then "
            "put it after the other one."
        )
    return None


def is_committed(project: Project) -> str | None:
    if left := project.git("status", "--porcelain"):
        return (
            f"git has not committed all of it yet:\n{left}\n  git add --all\n  git commit -m Merge"
        )
    return None


STEPS = [
    ("git has merged both branches", is_merged),
    ("no mark of the conflict is left", is_solved),
    ("both columns and both revisions are there", has_both),
    ("there is one newest revision", has_one_head),
    ("the picture of the revisions is up to date", is_drawn),
    ("the revisions make what the models say", agrees_from_empty),
    ("your database has both columns", has_both_columns),
    ("your notes are all still there", has_its_notes),
    ("it is committed", is_committed),
]
