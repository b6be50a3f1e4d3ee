"""SQLite: a migration is one transaction, DDL included, and that transaction is the lock."""

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from migrator.database import Code, Database, listening
from migrator.messages import ALREADY_THERE, tell
from migrator.sqlite import batch  # noqa: F401 (registers what batch mode does)

EXISTS = "already exists"  # SQLite has no code for this error, so its message has to do


class SQLite(Database):
    KIND = "SQLite"
    CONNECT_ARGS: ClassVar[Mapping[str, Any]] = {"timeout": 15}  # seconds
    CONFIGURE: ClassVar[Mapping[str, Any]] = {
        "render_as_batch": True,  # SQLite's own ALTER TABLE can do very little
        "transactional_ddl": True,  # by the transactions of engine()
    }
    OFFLINE = False  # batch mode reads the tables
    CURES: ClassVar[Mapping[Code, str]] = {
        "SQLITE_BUSY": "Another process has been writing for {wait:g} s: let it end, or stop it, "
        "and run this again; -x lock_wait=<seconds> waits longer",
        "SQLITE_READONLY": "This database is read-only ({error}): let this user write to the file "
        "and its folder, or name another file in {variable}",
        "SQLITE_FULL": "{error}: make room, and run this again",
        "SQLITE_AUTH": "A revision tried to end its transaction, as COMMIT and executescript() do, "
        "so nothing was changed: run each statement by op.execute()",
        EXISTS: ALREADY_THERE,
    }

    def engine(self) -> sa.Engine:
        """Return an engine whose transactions include DDL.

        This is the recipe of SQLAlchemy's documentation, "Enabling Non-Legacy SQLite Transactional
        Modes". Foreign keys are off, because otherwise DROP TABLE in the rebuild of a table deletes
        the rows that refer to it. They are checked before the commit.
        """
        engine = super().engine()
        sa.event.listen(engine, "connect", leave_transactions_to_us)
        sa.event.listen(engine, "begin", begin_without_foreign_keys)
        sa.event.listen(engine, "begin", keep_transaction)
        # In this order, because a commit that is refused is rolled back.
        sa.event.listen(engine, "commit", let_transaction_end)
        sa.event.listen(engine, "commit", refuse_orphans)
        sa.event.listen(engine, "rollback", let_transaction_end)
        return engine

    @contextmanager
    def scratch(self, purpose: str) -> Iterator[Self]:
        # Windows does not delete a file that is open; the system's own clean-up does so later.
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder, f"{self.scratch_name(purpose)}.db")
            yield type(self)(self.url.set(database=str(path)), self.engine_options)

    @contextmanager
    def lock(self, connection: sa.Connection, wait: float, timeout: float) -> Iterator[None]:
        """Let transactions take SQLite's write lock when they begin.

        SQLite locks the whole file, so `timeout` has no meaning here.
        """
        pragma = f"PRAGMA busy_timeout = {math.ceil(wait * 1000)}"
        connection.connection.cursor().execute(pragma)  # SQLAlchemy would begin a transaction
        connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execution_options(sqlite_begin="BEGIN")

    @contextmanager
    def adapted(self, migration: MigrationContext) -> Iterator[None]:
        """Make autocommit_block() do nothing, because it would commit half a revision, and unlock.

        Alembic has no option for that. With a transaction of our own around Alembic's, an assertion
        in autocommit_block() fails.
        """
        patched: Any = migration
        patched.autocommit_block = nullcontext
        try:
            yield
        finally:
            del patched.autocommit_block

    def code(self, error: BaseException | None) -> Code:
        if not isinstance(error, sqlite3.Error):
            return None
        if str(error).endswith(EXISTS):
            return EXISTS
        name = str(getattr(error, "sqlite_errorname", ""))
        return "_".join(name.split("_")[:2])  # SQLITE_READONLY for SQLITE_READONLY_DIRECTORY, …

    def why_unreachable(self, error: BaseException, variable: str) -> str:
        path = self.path()
        folder = path.parent
        code = self.code(getattr(error, "orig", None) or error)
        if path.is_dir():
            return f"{path} is a folder: name a file in it in {variable}."
        if code in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            return f"{path} is no database, or a broken one: name another file in {variable}."
        if code == "SQLITE_BUSY":
            return "Another process is writing to it: wait for its end, and try again."
        if not folder.exists():
            return (
                f"There is no folder {folder}. Is it a typo? Correct {variable}. Or make the "
                "folder and the database: flask db create"
            )
        if not folder.is_dir():
            return f"{folder} is a file, and no folder: correct {variable}."
        return f"Let this user write to the file and its folder {folder}, or correct {variable}."

    def path(self) -> Path:
        """Return the path of the file; the address has a path or a file: URI."""
        name = self.url.database or ""
        return Path(urlsplit(name).path if name.startswith("file:") else name)

    def is_made_by_connecting(self) -> bool:
        return not self.path().exists() and self.path().parent.is_dir()

    def create(self) -> bool:
        path = self.path()
        if path.exists():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()  # an empty file is an empty database
        except OSError as error:
            raise CommandError(
                f"{path} cannot be made ({error.strerror}): let this user write to that folder, or "
                "name another file"
            ) from None
        return True

    def begin_for_real(self, engine: sa.Engine) -> AbstractContextManager[None]:
        """Begin at once: Python's driver begins at the first write, too late for savepoints."""
        return listening((engine, "connect", leave_transactions_to_us), (engine, "begin", begin))


def leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    """Keep Python's driver from beginning and ending transactions by itself."""
    connection.isolation_level = None


def begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def begin_without_foreign_keys(connection: sa.Connection) -> None:
    """Switch foreign keys off, then begin; within a transaction, SQLite ignores the PRAGMA."""
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def keep_transaction(connection: sa.Connection) -> None:
    """Refuse each COMMIT until let_transaction_end(), and count the orphans that exist already.

    For example, executescript() of Python's driver commits first, and so half a revision.
    """
    connection.info["orphans"] = len(orphans(connection))
    driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    driver.set_authorizer(deny_end)


def deny_end(action: int, word: str | None, *_rest: str | None) -> int:
    """Deny COMMIT and ROLLBACK; SQLite asks this authorizer when it prepares a statement."""
    ends = action == sqlite3.SQLITE_TRANSACTION and word in ("COMMIT", "ROLLBACK")
    return sqlite3.SQLITE_DENY if ends else sqlite3.SQLITE_OK


def let_transaction_end(connection: sa.Connection) -> None:
    driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    driver.set_authorizer(None)


def orphans(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the rows that refer to no row: table, rowid, table referred to, index of the key."""
    return connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()


def refuse_orphans(connection: sa.Connection) -> None:
    """Raise CommandError before a commit if the transaction has added orphans.

    Orphans that existed before are not the fault of this migration, so they are only reported.
    """
    found, before = orphans(connection), connection.info["orphans"]
    if not found:
        return
    table, row, parent, *_ = tuple(found[-1])
    example = f"one is row {row} of {table}, to {parent}"
    if len(found) > before:
        already = f", {before} of them already before" if before else ""
        raise CommandError(
            f"Nothing was changed: {len(found)} rows would refer to what is not there{already}; "
            f"{example}"
        )
    tell(f"{len(found)} rows refer to what is not there, as they did before; {example}")


DATABASE = SQLite
