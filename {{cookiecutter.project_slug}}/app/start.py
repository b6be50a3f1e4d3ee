"""In development only: where this machine's databases are, and a stop when one is behind."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from app.config import BINDS, ROOT
from app.db import db
from app.health import Status, migration_status, script_directory
from app.url import describe

blueprint = Blueprint("start", __name__)


@blueprint.before_app_request
def stop_when_behind() -> ResponseReturnValue | None:
    """Answer 503, and what to type, where a view would fail on a table that is not there yet."""
    if request.blueprint in (None, "health", blueprint.name):
        return None
    statuses = {bind: migration_status(bind) for bind in (None, *BINDS)}
    behind = [status for status in statuses.values() if status.status == "behind"]
    if not behind:
        return None
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return start_page(statuses), 503
    abort(503, behind[0].reason)


@blueprint.get("/")
def page() -> str:
    """Show the environment, the databases, their lines of revisions and what to type next."""
    return start_page({bind: migration_status(bind) for bind in (None, *BINDS)})


def start_page(statuses: dict[str | None, Status]) -> str:
    """Return the page about these databases, by bind."""
    scripts = Path(sys.executable).parent
    scripts = scripts.relative_to(ROOT) if scripts.is_relative_to(ROOT) else scripts
    return render_template(
        "start.html",
        name=ROOT.name,
        databases=[database(bind, status) for bind, status in statuses.items()],
        run="uv run " if shutil.which("uv") else f"{scripts}{os.sep}",
    )


def database(bind: str | None, status: Status) -> dict[str, Any]:
    """Return what the page shows of a database."""
    revisions = script_directory(bind)
    known = {script.revision: script for script in revisions.walk_revisions()}
    current = tuple(revision for revision in status.current if revision in known)
    return {
        "alembic": f"alembic -n {bind}" if bind else "alembic",
        "name": bind,
        "url": describe(db.engines[bind].url),
        "status": status,
        "revisions": known.values(),
        "applied": {script.revision for script in revisions.iterate_revisions(current, "base")},
    }
