"""One attempt to migrate: it takes the lock, gives way to requests, and explains errors."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationStep, StampStep
from alembic.util import CommandError

from migrator.database import Database
from migrator.limits import Limits
from migrator.log import Log
from migrator.messages import explain, tell, where_it_failed
from migrator.steps import current_heads, steps_from

LOST = "The connection to the database was lost. Run this again to go on where it stopped"


class Attempt:
    """A context manager to migrate in, which holds the lock if there is something to do.

    When its block ends, it sets `succeeded`, or it waits so that the caller can try again, or it
    raises CommandError.

    - `variable` is the name of the variable that holds the database's address, for messages
    - `tries_left` is how many attempts may follow
    - `refuse` raises CommandError for steps that must not be taken
    - `log` records the steps that were taken
    """

    def __init__(
        self,
        database: Database,
        variable: str,
        limits: Limits,
        tries_left: int,
        refuse: Callable[[Sequence[MigrationStep]], None],
        log: Log,
    ) -> None:
        self.database = database
        self.variable = variable
        self.limits = limits
        self.tries_left = tries_left
        self.refuse = refuse
        self.log = log
        self.connection = context.get_bind()
        self.succeeded = False
        self.locked = ExitStack()

    def __enter__(self) -> None:
        while not self.is_prepared():
            self.tries_left -= 1

    def is_prepared(self) -> bool:
        """Get ready to migrate; return False, after a pause, if something is in use.

        Raises CommandError, or the error of the database, for what does not pass.
        """
        try:
            self.prepare()
        except (CommandError, sa.exc.SQLAlchemyError) as error:
            # The lock has to know that this failed: MariaDB's journal would be dropped otherwise.
            self.unlock(type(error), error, error.__traceback__)
            explained = self.command_error(error)
            if explained or not isinstance(error, sa.exc.DBAPIError) or not self.is_busy(error):
                raise explained or error from None
            self.give_way(error)
            return False
        return True

    def prepare(self) -> None:
        """Find out what there is to do, and take the lock for it."""
        migration = context.get_context()
        heads = current_heads(migration)
        steps = steps_from(heads, migration)
        self.refuse(steps)
        # The reads above began a transaction, which Alembic would not commit.
        self.connection.rollback()
        if steps or not heads:
            self.take_lock(steps)
        else:  # a database at head needs no lock
            self.database.tidy(self.connection)

    def take_lock(self, steps: Sequence[MigrationStep]) -> None:
        """Take the lock, and prepare what the steps need."""
        migration = context.get_context()
        self.database.refuse_steps(steps)
        self.locked.enter_context(self.database.adapted(migration))
        lock = self.database.lock(self.connection, self.limits.wait, self.limits.timeout)
        self.locked.enter_context(lock)
        if steps and all(isinstance(step, StampStep) for step in steps):
            self.database.forget_interrupted(self.connection)
        if steps:
            self.log.prepare(migration)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Release the lock; return True, which hides the error, if a new attempt may succeed."""
        failure = self.unlock(kind, error, trace)
        if failure is None:
            self.succeeded = True
            return False
        explained = self.command_error(failure)
        if explained:
            raise explained from None
        if isinstance(failure, sa.exc.DBAPIError) and self.is_busy(failure):
            self.give_way(failure)
            return True
        raise failure

    def unlock(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> BaseException | None:
        """Release the lock; return the error of the block, or else the error of the release."""
        try:
            self.locked.__exit__(kind, error, trace)
        except Exception as another:
            return error or another
        return error

    def command_error(self, error: BaseException) -> CommandError | None:
        """Return a CommandError that says what to do, or None if nobody knows."""
        if isinstance(error, CommandError):
            return explain(error, self.variable)
        if lost := connection_lost(error):
            return lost
        cure = self.database.cure(error, self.variable, self.limits.wait)
        if cure is None and isinstance(error, sa.exc.DBAPIError) and not self.is_busy(error):
            cure = where_it_failed(error, context.script)
        return CommandError(cure) if cure else None

    def is_busy(self, error: sa.exc.DBAPIError) -> bool:
        return self.database.code(error.orig) in self.database.BUSY

    def give_way(self, error: sa.exc.DBAPIError) -> None:
        """Wait before the next attempt; raise CommandError after the last one."""
        other = self.database.in_the_way(self.connection, error.statement or "")
        busy = f"A table is in use by {other or 'another process'} ({str(error.orig).strip()})"
        if not self.tries_left:
            raise CommandError(
                f"{busy}, at each try. End the transaction that is in the way, or choose a quieter "
                "time, or give -x lock_timeout=<seconds>; then run this again to go on where it "
                "stopped"
            ) from None
        pause = self.limits.timeout
        tell(f"{busy}: trying again in {pause:g} s, {self.tries_left} times more")
        time.sleep(pause)


def connection_lost(error: BaseException) -> CommandError | None:
    """Return an error that says that the connection was lost, or None if it was not."""
    if isinstance(error, sa.exc.PendingRollbackError):  # what follows a lost connection
        return CommandError(LOST)
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return CommandError(f"{LOST}: {error.orig}")
    return None
