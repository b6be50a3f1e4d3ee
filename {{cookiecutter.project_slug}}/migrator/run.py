"""One Alembic command: what it does, on which database, and for which models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import command, context
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep, StampStep
from alembic.util import CommandError

from migrator.attempts import Attempt, connection_lost
from migrator.create import CREATES, make
from migrator.database import ScratchRefusedError, database
from migrator.history import problem_of
from migrator.limits import read_limits
from migrator.log import HAS_LOG, Log, edited, entries
from migrator.messages import explain, show_progress, tell
from migrator.steps import current_heads, steps_from, undecided, upgrade_steps

# These never compare models with a database. Without this list, they would wait for the import of
# migrator.autogenerate.
NEVER_COMPARES = (command.current, command.downgrade, command.stamp, command.upgrade)


class Run:
    """An Alembic command that is running; migrations/env.py creates it.

    - `url` and `engine_options` are arguments of `sa.create_engine()`
    - `metadata` is the metadata of the models
    - `environment` is the name for messages and for `-x allow=<environment>`
    - `guarded` refuses downgrade and stamp without that `-x`, because they may lose data
    - `variable` is the name of the variable that holds the address, for messages
    - `release` is the release of the service, for the log
    - `unseen` returns a sentence for each file whose models are missing in `metadata`

    Raises UnsupportedDatabaseError for a kind of database that this package does not know, and
    CommandError if models are missing and the command compares models, or if the revisions cannot
    be read.
    """

    def __init__(
        self,
        url: sa.URL,
        engine_options: Mapping[str, Any],
        metadata: sa.MetaData,
        environment: str,
        guarded: bool = False,
        variable: str = "DATABASE_URL",
        release: str = "",
        unseen: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.config = context.config
        compares = self.writes_comparison or self.command is command.check
        if compares and (missing := unseen()):
            raise CommandError("\n".join(missing))
        if problem := problem_of(context.script):
            raise CommandError(problem)
        self.database = database(url, engine_options)
        self.metadata = metadata
        self.environment = environment
        self.guarded = guarded
        self.variable = variable
        self.compares_with_clean = False  # connect() sets it
        self.log = Log(release, is_prepared=bool(self.config.attributes.get(HAS_LOG)))
        # Further arguments of context.configure(); comparators read `database` from them.
        self.options: dict[str, Any] = {
            **self.database.CONFIGURE,
            "database": self.database,
            "on_version_apply": self.log.write,
        }
        if self.command not in NEVER_COMPARES:
            from migrator import autogenerate

            self.options |= autogenerate.options(self)
        if self.config.attributes.get("announce", "connection" not in self.config.attributes):
            section = self.config.config_ini_section
            bind = "" if section == "alembic" else f", {section}"
            tell(f"{environment}{bind}: {self.database}")

    @property
    def command(self) -> Any:
        """The function of alembic.command that the command line names, or None without one."""
        function, *_ = getattr(self.config.cmd_opts, "cmd", None) or [None]
        return function

    @property
    def writes_comparison(self) -> bool:
        """Whether this is `alembic revision --autogenerate`."""
        return bool(getattr(self.config.cmd_opts, "autogenerate", False))

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """Open a connection to the database, and close it at the end of the block.

        `config.attributes["connection"]` may hold a connection, which is used and stays open, or
        an engine, which opens the connection.
        `revision --autogenerate` gets a connection to a clean database that the revisions have
        built. Otherwise, it would take manual changes to a development database for changes to
        the models. Raises CommandError when the database cannot be reached, or is lost meanwhile.
        """
        passed = self.config.attributes.get("connection")
        if isinstance(passed, sa.Connection):
            yield passed
            return
        if self.config.attributes.get(CREATES):
            with self.errors_explained():
                make(self.database)
        with self.loss_explained(), ExitStack() as stack:
            connection = self.clean_connection(stack) if self.writes_comparison else None
            self.compares_with_clean = connection is not None
            if connection is None:
                if passed is None and self.database.is_made_by_connecting():
                    tell(f"{self.database} is not there yet: it begins as an empty database")
                connection = stack.enter_context(self.opened(passed))
            show_progress(self.config)
            yield connection

    def clean_connection(self, stack: ExitStack) -> sa.Connection | None:
        """Return a connection to a clean database, or None where the user may not create one."""
        try:
            return stack.enter_context(self.clean())
        except ScratchRefusedError as refusal:
            tell(f"Comparing with the database as it is: {refusal}")
            return None

    @contextmanager
    def clean(self) -> Iterator[sa.Connection]:
        """Make a clean database, apply every revision to it, and yield a connection to it.

        Raises ScratchRefusedError where the user may not create a database, and CommandError when
        the server cannot be reached.
        """
        with ExitStack() as stack:
            with self.errors_explained():
                scratch = stack.enter_context(self.database.scratch("scratch"))
            connection = stack.enter_context(self.opened(scratch.engine()))
            self.upgrade_to_heads(connection)
            yield connection

    @contextmanager
    def real(self) -> Iterator[sa.Connection | None]:
        """Connect to the database of the address, or yield None where it is not there."""
        if self.database.is_made_by_connecting() or not self.database.exists():
            yield None
            return
        with self.opened() as connection:
            yield connection

    @contextmanager
    def opened(self, engine: sa.Engine | None = None) -> Iterator[sa.Connection]:
        """Open a connection of an engine, or else of the database's own, until the block ends.

        Raises CommandError, which says what to do, when that fails.
        """
        with self.errors_explained():
            connection = (engine or self.database.engine()).connect()
        with connection:
            yield connection

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Turn any error of connecting into a CommandError that says what to do."""
        try:
            yield
        except CommandError:
            raise
        except Exception as error:  # drivers raise more than SQLAlchemy's errors: LookupError, …
            raise CommandError(self.database.unreachable(error, self.variable)) from None

    @contextmanager
    def loss_explained(self) -> Iterator[None]:
        """Turn the loss of a connection into a CommandError that says what to do."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise connection_lost(error) or error from None

    def upgrade_to_heads(self, connection: sa.Connection) -> None:
        """Apply every revision to a database while Alembic runs another command."""
        script = context.script
        options = {
            **self.database.CONFIGURE,
            "database": self.database,
            "target_metadata": self.metadata,  # op needs its naming convention of constraints
            "script": script,
            "fn": lambda current, _: upgrade_steps(script, current),
        }
        migration = MigrationContext.configure(connection, opts=options)
        with Operations.context(migration), migration.begin_transaction():
            migration.run_migrations()

    def attempts(self) -> Iterator[AbstractContextManager[None]]:
        """Yield a context manager to migrate in; yield another while a table is in use.

        Raises CommandError when the command is refused or a limit is not a number above 0.
        """
        migration = context.get_context()
        if "destination_rev" not in migration.opts:  # the command changes no database
            with reading(migration.connection):
                self.tell_what_was_edited(migration)
            yield self.explained()
            return
        self.refuse_without_revisions()
        if "connection" in self.config.attributes:  # its owner takes the lock
            yield self.on_passed_connection(migration)
            return
        limits = read_limits()
        for tries_left in reversed(range(limits.tries)):
            attempt = Attempt(
                self.database, self.variable, limits, tries_left, self.refuse_steps, self.log
            )
            yield attempt
            if attempt.succeeded:
                return

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add what to do to Alembic's own errors."""
        try:
            yield
        except CommandError as error:
            raise explain(error, self.variable) from None

    @contextmanager
    def on_passed_connection(self, migration: MigrationContext) -> Iterator[None]:
        """Prepare to migrate on the connection in `config.attributes["connection"]`."""
        with self.explained():
            with reading(migration.connection):
                steps = steps_from(current_heads(migration), migration)
            self.refuse_steps(steps)
            if steps:
                self.log.prepare(migration)
            yield

    def tell_what_was_edited(self, migration: MigrationContext) -> None:
        """In `check` and `current --verbose`, say which revisions were edited after they ran."""
        verbose = getattr(self.config.cmd_opts, "verbose", False)
        tells = self.command is command.check or (self.command is command.current and verbose)
        if not tells or migration.connection is None:
            return
        log = entries(migration.connection, migration.version_table_schema)
        for name in edited(log, context.script):
            tell(
                f"{name} was edited after it was applied to this database, which therefore differs "
                "from what the file says. Undo the edit, and write another revision"
            )

    def refuse_without_revisions(self) -> None:
        """Raise CommandError where there are models but no revision that makes their tables."""
        if self.metadata.tables and not context.script.get_heads():
            raise CommandError(
                f"There is no revision in {context.script.versions}: is the folder complete? To "
                "write the first one: alembic revision --autogenerate -m 'Create tables'"
            )

    def refuse_steps(self, steps: Sequence[MigrationStep]) -> None:
        """Raise CommandError for steps that this environment does not take as they are."""
        self.refuse_to_go_back(steps)
        self.refuse_undecided(steps)

    def refuse_undecided(self, steps: Sequence[MigrationStep]) -> None:
        """Raise CommandError where a pending revision has a TODO; where nobody guards, say so."""
        for name in undecided(steps):
            text = (
                f"{name} still has a TODO: decide it, change the revision, and delete the comment"
            )
            if self.guarded:
                raise CommandError(f"{self.environment} does not apply it. {text}")
            if self.config.attributes.get("connection") is None:
                tell(f"{text}. Until then, pytest fails")

    def refuse_to_go_back(self, steps: Sequence[MigrationStep]) -> None:
        """Raise CommandError for steps that may lose data, if they need `-x allow`."""
        allowed = context.get_x_argument(as_dictionary=True).get("allow") == self.environment
        if not self.guarded or allowed:
            return
        name = None
        if any(isinstance(step, StampStep) for step in steps):
            name = "stamp"
        elif any(step.is_downgrade for step in steps):
            name = "downgrade"
        if name:
            raise CommandError(
                f"{name} is refused in {self.environment}, because it may lose data. If you want "
                f"it: alembic -x allow={self.environment} {name} …"
            )


@contextmanager
def reading(connection: sa.Connection | None) -> Iterator[None]:
    """End the transaction that reading in this block has begun, if there was none before.

    Alembic would take it for a transaction of its caller, and would not commit.
    """
    was_begun = connection is None or connection.in_transaction()
    try:
        yield
    finally:
        if connection is not None and not was_begun:
            connection.rollback()
