"""Is the service alive, and does its database match its code?"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from app.config import ROOT
from app.db import db

blueprint = Blueprint("health", __name__)


@dataclass(frozen=True)
class Migrations:
    """The code's revisions, oldest first, and where the database is among them."""

    revisions: tuple[Script, ...]
    current: frozenset[str]
    state: str  # ready, behind, ahead or unreachable
    reason: str = ""

    @property
    def pending(self) -> tuple[Script, ...]:
        known = [script.revision for script in self.revisions]
        done = max((known.index(rev) for rev in self.current if rev in known), default=-1)
        return self.revisions[done + 1 :]


def migrations() -> Migrations:
    """Compare the database's revision with the code's head, without any lock."""
    folder = ROOT / "migrations" / "versions"
    revisions = read_revisions(folder, folder.stat().st_mtime_ns)
    head = {script.revision for script in revisions if script.is_head}
    try:
        context = MigrationContext.configure(db.session.connection())
        current = frozenset(context.get_current_heads())
    except sa.exc.SQLAlchemyError as error:
        current_app.logger.warning("The database cannot be reached: %s", error)
        return Migrations(revisions, frozenset(), "unreachable", "the database cannot be reached")
    if unknown := current - {script.revision for script in revisions}:
        names = ", ".join(sorted(unknown))
        reason = f"the database is at {names}, which this code does not have: deploy newer code"
        return Migrations(revisions, current, "ahead", reason)
    if current != head:
        return Migrations(revisions, current, "behind", "run: alembic upgrade head")
    return Migrations(revisions, current, "ready")


@lru_cache(maxsize=1)
def read_revisions(folder: Path, changed_ns: int) -> tuple[Script, ...]:
    """Return the revisions, oldest first; read again when a file came to the folder or went."""
    script = ScriptDirectory.from_config(AlembicConfig(ROOT / "alembic.ini"))
    return tuple(script.walk_revisions())[::-1]


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 while the process serves, whatever the database does."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 when the database is at the code's head, else 503 with the reason."""
    found = migrations()
    body = {"status": found.state, "current": sorted(found.current)}
    return (body, 200) if found.state == "ready" else (body | {"reason": found.reason}, 503)
