"""The start page, in development only, and a stop for other requests while a database is behind."""

import os
import shutil
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from app.config import BINDS, ROOT
from app.db import db
from app.health import migration_status, script_directory
from app.url import describe
from migrator.history import problem_of
from migrator.log import edited, entries
from migrator.review.lanes import Row, rows
from migrator.status import Status

blueprint = Blueprint("start", __name__)
PATIENCE = 10  # seconds that a person waits for a database which is slow to answer
NEWEST = 10  # revisions, and routes, that are shown; the rest is folded
LANES = 6  # branches beside each other that are drawn; more share the last lane


@dataclass(frozen=True)
class Shown:
    """A database as the page shows it.

    `applied` are the revisions that the database has, and None where it did not say so.
    """

    name: str | None
    url: str
    status: Status
    rows: list[Row]
    heads: int
    applied: set[str] | None = None
    edited: set[str] = field(default_factory=set)  # names of files
    problem: str = ""  # why the revisions cannot be read

    @property
    def alembic(self) -> str:
        return f"alembic -n {self.name}" if self.name else "alembic"

    @property
    def pending(self) -> int:
        """How many revisions are pending, as far as that is known."""
        return self.count_pending(self.rows)

    def count_pending(self, rows: list[Row]) -> int:
        return sum(self.state(row.script.revision) == "pending" for row in rows)

    def is_among(self, rows: list[Row]) -> bool:
        """Tell whether the database is at one of these revisions."""
        return any(row.script.revision in self.status.current for row in rows)

    @property
    def lanes(self) -> int:
        """How many branches are drawn beside each other."""
        return 1 + max((lane(line.lane) for row in self.rows for line in row.lines), default=0)

    def state(self, revision: str) -> str:
        """Return "applied", "pending", or "" where nothing is known of a revision."""
        if self.applied is None:
            return ""
        return "applied" if revision in self.applied else "pending"


@blueprint.before_app_request
def stop_when_behind() -> ResponseReturnValue | None:
    """Answer 503 with what to type, because a view would fail on a table that is not there yet."""
    if request.blueprint in (None, "health", blueprint.name):
        return None
    statuses = ask()
    stops = [one for one in statuses.values() if one.status in ("behind", "unreachable")]
    if not stops:
        return None
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return start_page(statuses), 503
    abort(503, stops[0].reason)


@blueprint.get("/")
def page() -> str:
    """Show what to type next, what is served, and the databases with their revisions."""
    return start_page(ask())


def ask() -> dict[str | None, Status]:
    """Return how each database stands to the code, by bind."""
    return {bind: migration_status(bind, PATIENCE) for bind in (None, *BINDS)}


def start_page(statuses: dict[str | None, Status]) -> str:
    """Return the page about these databases; on another path than its own, it says why."""
    scripts = Path(sys.executable).parent
    scripts = scripts.relative_to(ROOT) if scripts.is_relative_to(ROOT) else scripts
    return render_template(
        "start.html",
        name=ROOT.name,
        instead_of="" if request.blueprint == blueprint.name else request.path,
        databases=[shown(bind, status) for bind, status in statuses.items()],
        routes=sorted(routes(), key=lambda route: (route["is_health"], route["path"])),
        run="uv run " if shutil.which("uv") else f"{scripts}{os.sep}",
        newest=NEWEST,
        lane=lane,
    )


def shown(bind: str | None, status: Status) -> Shown:
    """Return what the page shows of a database."""
    revisions = script_directory(bind)
    url = describe(db.engines[bind].url)
    if problem := problem_of(revisions):
        return Shown(bind, url, status, [], 0, problem=problem)
    scripts = [*revisions.walk_revisions()]
    known = {script.revision for script in scripts}
    parts = (bind, url, status, rows(scripts), len(revisions.get_heads()))
    if status.status == "unreachable" or not known.issuperset(status.current):
        return Shown(*parts)
    applied = {script.revision for script in revisions.iterate_revisions(status.current, "base")}
    return Shown(*parts, applied, edited_revisions(bind))


def edited_revisions(bind: str | None) -> set[str]:
    """Return the files of revisions that were changed after they were applied."""
    try:
        connection = db.session.connection(bind_arguments={"bind": db.engines[bind]})
        return {*edited(entries(connection), script_directory(bind))}
    except SQLAlchemyError:  # the page is worth showing without
        return set()


def lane(number: int) -> int:
    """Return the lane that a branch is drawn in."""
    return min(number, LANES - 1)


def routes() -> Iterator[dict[str, Any]]:
    """Yield what the service answers to, but for the page itself."""
    for rule in current_app.url_map.iter_rules():
        owner = rule.endpoint.rpartition(".")[0]
        if owner in (blueprint.name, "") or rule.host or rule.subdomain:
            continue
        methods = {*(rule.methods or ())} - {"HEAD", "OPTIONS"}
        about = current_app.view_functions[rule.endpoint].__doc__ or ""
        yield {
            "methods": ", ".join(sorted(methods)),
            "path": rule.rule,
            "address": address(rule.rule, rule.arguments, methods),
            "about": about.strip().partition("\n")[0],
            "is_health": owner == "health",
        }


def address(path: str, arguments: Collection[str], methods: Collection[str]) -> str:
    """Return what a link to a route leads to, or "" where a browser cannot just open it."""
    return "" if arguments or "GET" not in methods else f"{request.script_root}{path}"
