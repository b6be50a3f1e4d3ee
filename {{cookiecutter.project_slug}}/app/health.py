"""/healthz and /readyz: is the service alive, and do its databases match its code?"""

import time
from collections import defaultdict
from concurrent.futures import Future
from functools import lru_cache
from threading import Lock, Thread
from typing import Any

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)

from app.config import BINDS, ROOT, prefix
from app.db import db
from migrator.database import database
from migrator.history import problem_of
from migrator.status import Status, compare

blueprint = Blueprint("health", __name__)
REVISIONS = sa.select(sa.column("version_num", sa.String)).select_from(sa.table("alembic_version"))
TIMEOUT = 2  # seconds until a database that does not answer counts as unreachable
MOST_WAITING = 4  # the number of questions that may wait for one database at the same time
NO_CONNECTION = (DatabaseError, InterfaceError, OperationalError)  # when connecting fails
# During a deployment, the old release is on the new one's schema ("ahead"), and has to go on.
SERVING = ("ready", "ahead")


class Question:
    """Ask a database for its revisions in a thread, so that the caller can stop waiting.

    `fresh` asks on a new connection instead of one of the pool.
    """

    def __init__(self, app: Flask, bind: str | None, fresh: bool) -> None:
        self.asked = time.monotonic()
        self.answer: Future[tuple[str, ...]] = Future()
        Thread(target=self.ask, args=(app, bind, fresh), daemon=True).start()

    def ask(self, app: Flask, bind: str | None, fresh: bool) -> None:
        try:
            with app.app_context():
                revisions = fresh_revisions(bind) if fresh else pooled_revisions(bind)
            self.answer.set_result(revisions)  # only here, where the session is closed
        except Exception as error:  # a driver raises more than SQLAlchemy's errors
            self.answer.set_exception(error)

    def is_late(self) -> bool:
        return time.monotonic() > self.asked + TIMEOUT


questions: defaultdict[str | None, list[Question]] = defaultdict(list)  # the last is the newest
asking = Lock()


def this_app() -> Flask:
    """Return the app itself, which another thread can use."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app


def migration_status(bind: str | None = None, patience: float = TIMEOUT) -> Status:
    """Compare a database's revision with the code's head.

    `patience` is how many seconds to wait for an answer; after that, the database counts as
    unreachable.
    """
    app = this_app()
    try:
        current = question(app, bind).answer.result(patience)
    except Exception as error:
        return Status("unreachable", (), why_unreachable(error, bind))
    if problem := problem_of(script_directory(bind)):
        return Status("unknown", current, problem)
    return compare(current, script_directory(bind), f"alembic -n {bind}" if bind else "alembic")


def why_unreachable(error: BaseException, bind: str | None) -> str:
    """Return a sentence that says why a database cannot be reached, and log it.

    In staging and production, only the log has the cause.
    """
    variable = f"{prefix(bind)}DATABASE_URL"
    found = database(db.engines[bind].url)
    if isinstance(error, TimeoutError):
        reason = f"the database of {variable} does not answer in time"
        current_app.logger.warning("%s: %s", found, reason)
        return reason
    current_app.logger.warning("%s", found.unreachable(error, variable).replace("\n", ". "))
    reason = f"the database of {variable} cannot be reached"
    strict = current_app.config["STRICT"]
    return reason if strict else f"{reason}. {found.cure_of_connection(error, variable)}"


def no_database(error: DBAPIError) -> ResponseReturnValue:
    """Answer 503 if a view got no connection, or lost it. Raise any other error again."""
    at_connecting = error.statement is None and type(error) in NO_CONNECTION
    if not at_connecting and not error.connection_invalidated:
        raise error
    binds = [bind for bind, engine in db.engines.items() if is_of_driver(error, engine)]
    bind, *others = binds or [None]
    if not error.connection_invalidated and does_answer(bind):
        raise error  # a COMMIT has no statement either, but it had a connection
    reason = why_unreachable(error, bind)
    for other in others:  # the error does not tell which of them it comes from
        reason = f"{reason} (or that of {prefix(other)}DATABASE_URL)"
    return {"error": "Service Unavailable", "detail": reason}, 503


def does_answer(bind: str | None) -> bool:
    """Tell whether a database answers in limited time."""
    app = this_app()
    try:
        question(app, bind).answer.result(TIMEOUT)
    except Exception:  # whatever a driver raises, and TimeoutError
        return False
    return True


def is_of_driver(error: DBAPIError, engine: sa.Engine) -> bool:
    """Tell whether an error comes from the driver that an engine uses."""
    driver: Any = engine.dialect.dbapi
    return isinstance(error.orig, driver.Error)


def question(app: Flask, bind: str | None) -> Question:
    """Return the newest question that waits for an answer, or a new one if there is none.

    If that question is late, its connection may have fallen silent, as in a failover. Then return a
    new question on a fresh connection.
    """
    with asking:
        waiting = [each for each in questions[bind] if not each.answer.done()]
        if not waiting or (waiting[-1].is_late() and len(waiting) < MOST_WAITING):
            waiting.append(Question(app, bind, fresh=bool(waiting)))
        questions[bind] = waiting
        return waiting[-1]


def pooled_revisions(bind: str | None) -> tuple[str, ...]:
    """Return what the version table holds, on a connection of the pool."""
    return revisions_on(db.session.connection(bind_arguments={"bind": db.engines[bind]}))


def fresh_revisions(bind: str | None) -> tuple[str, ...]:
    """Return what the version table holds, on a new connection."""
    config = current_app.config
    options = config["SQLALCHEMY_BINDS"][bind] if bind else config["SQLALCHEMY_ENGINE_OPTIONS"]
    engine = sa.create_engine(
        db.engines[bind].url, poolclass=sa.NullPool, connect_args=options["connect_args"]
    )
    with engine.connect() as connection:
        return revisions_on(connection)


def revisions_on(connection: sa.Connection) -> tuple[str, ...]:
    try:
        return tuple(connection.scalars(REVISIONS))
    except SQLAlchemyError:  # there may be no table yet: Alembic returns () then, or raises
        connection.rollback()
        return MigrationContext.configure(connection).get_current_heads()


def script_directory(bind: str | None = None) -> ScriptDirectory:
    """Return the code's revisions for a database, read again when a file was added or removed."""
    folder = ROOT / "migrations" / (bind or "versions")
    return read_revisions(bind, folder.stat().st_mtime_ns if folder.is_dir() else 0)


@lru_cache(maxsize=len(BINDS) + 1)
def read_revisions(bind: str | None, _changed: int) -> ScriptDirectory:
    """Return the code's revisions for a database; `_changed` makes the cache read them again."""
    config = AlembicConfig(ROOT / "alembic.ini", ini_section=bind or "alembic")
    return ScriptDirectory.from_config(config)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 while the process serves, whatever the database does."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 when every database is at the code's head or ahead of it, else 503."""
    found = {bind or "main": migration_status(bind) for bind in (None, *BINDS)}
    worst = max(found.values(), key=severity)
    answer = {**vars(worst), "databases": found} if BINDS else vars(worst)
    return answer, 200 if worst.status in SERVING else 503


def severity(status: Status) -> int:
    """Return 0 for a database that is ready, 1 for one that is ahead, and 2 for the others."""
    return SERVING.index(status.status) if status.status in SERVING else len(SERVING)
