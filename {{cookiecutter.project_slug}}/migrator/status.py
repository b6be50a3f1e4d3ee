"""Compare the revisions in a database with those of the code. Nothing here connects."""

from collections.abc import Sequence
from dataclasses import dataclass

from alembic.script import ScriptDirectory

TIME_DIGITS = 14  # the UTC time that begins an id of migrations/script.py.mako: YYYYMMDDhhmmss


@dataclass(frozen=True)
class Status:
    """How the revision of a database compares with those of the code.

    `status` is one of:

    - ready: the database is at the code's head
    - behind: revisions are pending
    - ahead: the database has a revision that is newer than this code
    - unknown: the database has a revision that this code does not have and that is not newer
    - unreachable: the database does not answer
    """

    status: str
    current: tuple[str, ...] = ()  # the database's revisions: several if branches are not merged
    reason: str = ""


def compare(current: Sequence[str], revisions: ScriptDirectory, alembic: str = "alembic") -> Status:
    """Return how the revisions in a database compare with those of the code.

    `current` is what the version table holds, and `alembic` begins a command in a reason.
    """
    current = tuple(current)
    heads = revisions.get_heads()
    if set(current) == set(heads):
        return Status("ready", current)
    known = {script.revision for script in revisions.walk_revisions()}
    foreign = set(current) - known
    if not foreign:
        return Status("behind", current, pending(heads, alembic))
    newest = max(map(made_at, heads), default="")
    if all(made_at(revision) > newest for revision in foreign):
        return Status("ahead", current, "its revision is newer than this code, which still serves")
    return Status(
        "unknown", current, "its revision is not in this code: is it another service's database?"
    )


def pending(heads: Sequence[str], alembic: str) -> str:
    """Return what to type when revisions are pending; `upgrade head` needs a single head."""
    if len(heads) > 1:
        return (
            f"revisions are pending on {len(heads)} branches; "
            f"join them: {alembic} merge heads -m Merge"
        )
    return f"revisions are pending; run: {alembic} upgrade head"


def made_at(revision: str) -> str:
    """Return the digits of the time that an id begins with, or "" for an id without one."""
    digits = revision[:TIME_DIGITS]
    return digits if digits.isdecimal() and len(revision) > TIME_DIGITS else ""
