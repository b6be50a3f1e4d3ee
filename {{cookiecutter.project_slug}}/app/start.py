"""In development only: where this machine's database is, and a stop when it is behind."""

import os
import shutil
import sys
from pathlib import Path

from flask import Blueprint, abort, current_app, render_template, request
from flask.typing import ResponseReturnValue

from app.config import ROOT
from app.health import Status, migration_status, script_directory
from app.url import describe

blueprint = Blueprint("start", __name__)


@blueprint.before_app_request
def stop_when_behind() -> ResponseReturnValue | None:
    """Answer 503, and what to type, where a view would fail on a table that is not there yet."""
    if request.blueprint in (None, "health", blueprint.name):
        return None
    if (status := migration_status()).status != "behind":
        return None
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return start_page(status), 503
    abort(503, status.reason)


@blueprint.get("/")
def page() -> str:
    """Show the environment, the database, the line of revisions and what to type next."""
    return start_page(migration_status())


def start_page(status: Status) -> str:
    revisions = script_directory()
    known = {script.revision: script for script in revisions.walk_revisions()}
    current = tuple(revision for revision in status.current if revision in known)
    scripts = Path(sys.executable).parent
    scripts = scripts.relative_to(ROOT) if scripts.is_relative_to(ROOT) else scripts
    return render_template(
        "start.html",
        name=ROOT.name,
        database=describe(current_app.config["SQLALCHEMY_DATABASE_URI"]),
        status=status,
        revisions=known.values(),
        applied={script.revision for script in revisions.iterate_revisions(current, "base")},
        run="uv run " if shutil.which("uv") else f"{scripts}{os.sep}",
    )
