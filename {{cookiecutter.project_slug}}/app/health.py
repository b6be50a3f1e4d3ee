"""Is the service alive, and does its database match its code?"""

from dataclasses import dataclass
from functools import lru_cache

from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app.config import ROOT
from app.db import db

blueprint = Blueprint("health", __name__)
VERSIONS = ROOT / "migrations" / "versions"


@dataclass(frozen=True)
class Status:
    """Where the database is, compared with the code: ready, behind, ahead or unreachable."""

    status: str
    current: tuple[str, ...] = ()  # the database's revision; two where branches are not merged
    reason: str = ""


def migration_status() -> Status:
    """Compare the database's revision with the code's head, without waiting for any lock."""
    try:
        context = MigrationContext.configure(db.session.connection())
        current = context.get_current_heads()
    except SQLAlchemyError as error:
        current_app.logger.warning("The database cannot be reached: %s", error)
        return Status("unreachable", (), "the database of DATABASE_URL does not answer")
    revisions = script_directory()
    if set(current) == set(revisions.get_heads()):
        return Status("ready", current)
    if set(current) <= {script.revision for script in revisions.walk_revisions()}:
        return Status("behind", current, "the code has newer revisions; run: alembic upgrade head")
    return Status("ahead", current, "its revision is not in this code: deploy newer code")


def script_directory() -> ScriptDirectory:
    """Return the code's revisions, read again when a file was added or removed."""
    return read_revisions(VERSIONS.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def read_revisions(_changed: int) -> ScriptDirectory:
    return ScriptDirectory.from_config(AlembicConfig(ROOT / "alembic.ini"))


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 while the process serves, whatever the database does."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 when the database is at the code's head, else 503 with the reason."""
    found = migration_status()
    return vars(found), 200 if found.status == "ready" else 503
