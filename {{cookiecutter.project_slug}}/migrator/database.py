"""A database as migrations see it.

Each kind of database has a folder here, named as in addresses. Its `DATABASE` is a subclass of
`Database` with all that is special to the kind. There is no list of kinds: a new folder is enough.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.util import CommandError

from migrator.description import Description, Difference

# The name of a temporary database: that of the one beside it, two underscores, what it is for, the
# time at which it was made, in seconds, and a random number. No database of another name, such as
# `shop_archive` beside `shop`, has temporary ones that look like those of `shop`.
SCRATCH = re.compile(r"(?P<stem>.+?)__[a-z0-9]+(_[a-z0-9]+)*_(?P<seconds>[0-9a-f]{8})[0-9a-f]{4}")
FIRST = 1_764_000_000  # none is older: November 2025
Code = str | int | None  # an error's code: SQLSTATE, a number of MariaDB, a name of SQLite


class ScratchRefusedError(CommandError):
    """The user may not create a database on this server."""


class UnsupportedDatabaseError(CommandError):
    """No folder of this package is about this kind of database."""


@dataclass(frozen=True)
class Database(ABC):
    """An address, and what migrations need to know of the database there.

    `engine_options` are arguments of `sa.create_engine()`, as the app uses them.
    """

    url: sa.URL
    engine_options: Mapping[str, Any] = field(default_factory=dict)

    KIND: ClassVar[str]  # the name that people know it by
    PORT: ClassVar[int | None] = None  # of an address that names none
    CONNECT_ARGS: ClassVar[Mapping[str, Any]] = {}  # the driver's time limits
    CONFIGURE: ClassVar[Mapping[str, Any]] = {}  # further arguments of context.configure()
    SCHEMAS_WITHIN: ClassVar[bool] = False  # a schema is part of a database, not another one
    OFFLINE: ClassVar[bool] = True  # revisions can be written as SQL without a connection
    BUSY: ClassVar[frozenset[Code]] = frozenset()  # errors that pass when others let go
    # What to do about errors that do not pass. cure() fills in {error}, {wait} (seconds) and
    # {variable} (the name of the variable that holds the address).
    CURES: ClassVar[Mapping[Code, str]] = {}

    def __str__(self) -> str:
        """Return the address as it may be shown: without password and query."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    def engine(self) -> sa.Engine:
        """Return an engine without a pool, which runs every revision in a transaction."""
        return sa.create_engine(self.url, poolclass=sa.NullPool, **self.options_for_migrations())

    def options_for_migrations(self) -> dict[str, Any]:
        """Return the engine's options without those that migrations must not have.

        These are the pool's, because there is none; `echo`, because it prints to stdout, where
        SQL may be expected; and an isolation level, because AUTOCOMMIT would end a revision's
        transaction at each statement.
        """
        kept = {key: value for key, value in self.engine_options.items() if "pool" not in key}
        for name in ("echo", "isolation_level"):
            kept.pop(name, None)
        execution = dict(kept.get("execution_options", {}))
        execution.pop("isolation_level", None)
        return kept | {"execution_options": execution}

    @abstractmethod
    def scratch(self, purpose: str) -> AbstractContextManager[Self]:
        """Make an empty database like this one, and drop it at the end of the block.

        Its name is new and contains `purpose`, so no other database is touched.
        Raises ScratchRefusedError where the user may not create a database, and
        sa.exc.DBAPIError where the server does not answer.
        """

    @abstractmethod
    def lock(
        self, connection: sa.Connection, wait: float, timeout: float
    ) -> AbstractContextManager[None]:
        """Keep other migrations of this database out, and limit how long requests wait for ours.

        `wait` is how many seconds to wait for another migration, and `timeout` for a table that
        is in use. Raises CommandError, which says who has the lock, when another migration does
        not end in time.
        """

    @abstractmethod
    def create(self) -> bool:
        """Make this database, empty; return False if it exists already.

        Raises CommandError, which says what to do, if the user may not make it.
        """

    def adapted(self, migration: MigrationContext) -> AbstractContextManager[None]:
        """Change in Alembic's context what does not suit this kind, until the block ends."""
        return nullcontext()

    def refuse_steps(self, steps: Sequence[MigrationStep]) -> None:
        """Raise CommandError, before anything changes, for steps that are not safe to interrupt.

        Most kinds of database roll an interrupted step back, and refuse none.
        """
        return None

    def forget_interrupted(self, connection: sa.Connection) -> None:
        """Forget how far an interrupted run came, because `alembic stamp` overrides that."""
        return None

    def tidy(self, connection: sa.Connection) -> None:
        """Remove what a run that was killed after its last revision left in the database."""
        return None

    def in_the_way(self, connection: sa.Connection, statement: str) -> str | None:
        """Return who keeps a statement waiting, or None where the database cannot tell."""
        return None

    def describe(
        self, connection: sa.Connection, tables: Collection[str] | None = None
    ) -> Description:
        """Return everything in the database's own catalogue, except what Alembic keeps there.

        With `tables`, only the tables of these names are described. `describe.py` in the folder of
        each kind reads the catalogue.
        """
        found: Description = self.part("describe").describe(connection, tables)
        return found

    def settled(
        self, connection: sa.Connection, differences: Sequence[Difference]
    ) -> list[Difference]:
        """Return the differences, except two ways to write the same expression.

        The connection is to one of the two databases that differ.
        """
        return [*differences]

    @abstractmethod
    def code(self, error: BaseException | None) -> Code:
        """Return the code of a driver's error."""

    @abstractmethod
    def why_unreachable(self, error: BaseException, variable: str) -> str:
        """Return what to do about a failed connection; `variable` is the one to correct."""

    def unreachable(self, error: BaseException, variable: str) -> str:
        """Return two lines: this database cannot be reached and why; what to do about it."""
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        cure = self.cure_of_connection(error, variable)
        return f"{self} cannot be reached: {reason}\n{cure}"

    def cure_of_connection(self, error: BaseException, variable: str) -> str:
        """Return what to do about a failed connection or a missing driver."""
        if isinstance(error, ImportError):
            return (
                "Add this driver to the dependencies in pyproject.toml, and install them again "
                f"(uv sync, or pip install -e .), or correct {variable}."
            )
        return self.why_unreachable(error, variable)

    def is_made_by_connecting(self) -> bool:
        """Tell whether a connection would make an empty database, as where its name has a typo."""
        return False

    def ready_for_models(self, connection: sa.Connection) -> sa.Connection:
        """Prepare a new connection so that `metadata.create_all()` can make whatever models say."""
        return connection

    def exists(self) -> bool:
        """Tell whether a connection succeeds."""
        try:
            self.engine().connect().close()
        except sa.exc.DBAPIError:
            return False
        return True

    def begin_for_real(self, engine: sa.Engine) -> AbstractContextManager[None]:
        """Until the block ends, begin a transaction in the driver whenever SQLAlchemy begins one.

        Most drivers do so without help.
        """
        return listening()

    def cure(self, error: BaseException, variable: str, wait: float) -> str | None:
        """Return what to do about an error that does not pass by itself, or None if unknown.

        The error is SQLAlchemy's or the driver's. `wait` is the limit, in seconds, to name in it.
        """
        own = getattr(error, "orig", None) or error
        cure = self.CURES.get(self.code(own))
        return cure and cure.format(error=str(own).strip(), wait=wait, variable=variable)

    def scratch_name(self, purpose: str) -> str:
        """Return a new name for a database beside this one; it has the time in it."""
        return f"{self.scratch_stem}__{purpose}_{int(time.time()):08x}{token_hex(2)}"

    @property
    def scratch_stem(self) -> str:
        """What the names of the databases that are made beside this one begin with."""
        return Path(self.url.database or "").stem[:30]

    @classmethod
    def part(cls, name: str) -> ModuleType:
        """Return a module of this kind's folder, such as `autogenerate`.

        It is imported here, so that commands that do not need it do not wait for it.
        """
        return import_module(f"{cls.__module__}.{name}")


def database(url: sa.URL, engine_options: Mapping[str, Any] | None = None) -> Database:
    """Return the database at an address.

    `engine_options` are arguments of `sa.create_engine()`. Raises UnsupportedDatabaseError for a
    kind that has no folder here.
    """
    return kind_of(url)(url, dict(engine_options or {}))


def scratch_age(name: str, stem: str | None = None) -> float | None:
    """Return how many seconds ago a temporary database was made; None for another one's name.

    With `stem`, only those count that were made beside the database of that `scratch_stem`.
    """
    found = SCRATCH.fullmatch(name)
    if found is None or stem not in (None, found["stem"]):
        return None
    seconds = int(found["seconds"], 16)
    return time.time() - seconds if FIRST < seconds <= time.time() else None


def kind_of(url: sa.URL) -> type[Database]:
    """Return the class for an address's kind of database; no driver is needed.

    Raises UnsupportedDatabaseError for a kind that has no folder here.
    """
    name = url.get_backend_name()
    kind = kind_named(name)
    if kind is None:
        raise UnsupportedDatabaseError(
            f"{name} is a kind of database that {__package__} does not know, so it would migrate "
            f"without a lock and without proof. Use one of {', '.join(kinds())}, or write the "
            f"folder {__package__}/{name}, as {__package__}/README.md says"
        )
    return kind


def kind_named(name: str) -> type[Database] | None:
    """Return the kind of database of this name in an address, or None without a folder for it."""
    if name not in folders():
        return None
    return getattr(import_module(f"{__package__}.{name}"), "DATABASE", None)


def kinds() -> list[str]:
    """Return the kinds of database that have a folder here, by their names in addresses."""
    return [name for name in folders() if kind_named(name)]


def folders() -> list[str]:
    """Return the names of the folders beside this file, sorted."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))


@contextmanager
def listening(*listeners: tuple[Any, str, Callable[..., Any]]) -> Iterator[None]:
    """Listen to SQLAlchemy's events until the block ends.

    Each listener is a target, the name of an event and a function.
    """
    for listener in listeners:
        sa.event.listen(*listener)
    try:
        yield
    finally:
        for listener in listeners:
            sa.event.remove(*listener)
