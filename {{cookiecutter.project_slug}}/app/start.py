"""The start page: where this machine's database is. Registered in development only."""

import os
import shutil
import sys
from pathlib import Path

from flask import Blueprint, current_app, render_template

from app.config import ROOT
from app.health import migration_status, script_directory
from app.url import describe

blueprint = Blueprint("start", __name__)


@blueprint.get("/")
def page() -> str:
    """Show the environment, the database, the line of revisions and what to type next."""
    status, revisions = migration_status(), script_directory()
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
