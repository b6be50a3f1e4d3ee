"""Is the service alive, and do its databases match its code?"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app.config import BINDS, ROOT, prefix
from app.db import db

blueprint = Blueprint("health", __name__)
REVISIONS = sa.select(sa.column("version_num", sa.String)).select_from(sa.table("alembic_version"))
TIMEOUT = 2  # seconds until a database that does not answer is unreachable
# One thread for each: while a database hangs, no more than one connection hangs with it.
waiters = {bind: ThreadPoolExecutor(1, "health") for bind in (None, *BINDS)}
# What each is asked just now: who comes meanwhile waits for the same answer.
questions: dict[str | None, Future[tuple[str, ...]]] = {}


@dataclass(frozen=True)
class Status:
    """Where a database is, compared with the code.

    `status` is ready, behind, ahead (a revision newer than this code), unknown (any other that is
    not in this code) or unreachable.
    """

    status: str
    current: tuple[str, ...] = ()  # the database's revision; two where branches are not merged
    reason: str = ""


def migration_status(bind: str | None = None) -> Status:
    """Compare a database's revision with the code's head, without a lock, in limited time."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    question = questions.get(bind)
    if question is None or question.done():
        question = questions[bind] = waiters[bind].submit(current_revisions, app, bind)
    try:
        current = question.result(TIMEOUT)
    except (SQLAlchemyError, TimeoutError) as error:
        name = f"{prefix(bind)}DATABASE_URL"
        app.logger.warning("The database of %s cannot be reached: %s", name, error)
        return Status("unreachable", (), f"the database of {name} does not answer")
    return compare(current, script_directory(bind), f"alembic -n {bind}" if bind else "alembic")


def current_revisions(app: Flask, bind: str | None) -> tuple[str, ...]:
    """Return what the database's version table holds."""
    with app.app_context():
        connection = db.session.connection(bind_arguments={"bind": db.engines[bind]})
        try:
            return tuple(connection.scalars(REVISIONS))
        except SQLAlchemyError:  # there is no such table yet, or worse: this tells
            connection.rollback()
            return MigrationContext.configure(connection).get_current_heads()


def compare(current: tuple[str, ...], revisions: ScriptDirectory, alembic: str) -> Status:
    """Return how a database's revisions stand to the code's; `alembic` is the command to name."""
    heads = revisions.get_heads()
    if set(current) == set(heads):
        return Status("ready", current)
    if not (foreign := set(current) - {script.revision for script in revisions.walk_revisions()}):
        return Status("behind", current, f"revisions are pending; run: {alembic} upgrade head")
    if all(made_at(revision) > max(map(made_at, heads), default="") for revision in foreign):
        return Status("ahead", current, "its revision is newer than this code: deploy newer code")
    return Status(
        "unknown", current, "its revision is not in this code: is it another service's database?"
    )


def made_at(revision: str) -> str:
    """Return the time that an id begins with, or an empty text."""
    return revision[:14] if revision[:14].isdecimal() and len(revision) > 14 else ""


def script_directory(bind: str | None = None) -> ScriptDirectory:
    """Return a database's revisions, read again when a file was added or removed."""
    folder = ROOT / "migrations" / (bind or "versions")
    return read_revisions(bind, folder.stat().st_mtime_ns if folder.is_dir() else 0)


@lru_cache(maxsize=len(BINDS) + 1)
def read_revisions(bind: str | None, _changed: int) -> ScriptDirectory:
    """Return a database's revisions, once for each time that its folder changed."""
    config = AlembicConfig(ROOT / "alembic.ini", ini_section=bind or "alembic")
    return ScriptDirectory.from_config(config)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 while the process serves, whatever the database does."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 when every database is at the code's head, else 503 with the reason."""
    found = {bind or "main": migration_status(bind) for bind in (None, *BINDS)}
    worst = next((status for status in found.values() if status.status != "ready"), found["main"])
    answer = {**vars(worst), "databases": found} if BINDS else vars(worst)
    return answer, 200 if worst.status == "ready" else 503
