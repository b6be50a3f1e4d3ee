"""The last hand on a revision: open questions at its top, and reasons where a test wants them."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

import sqlalchemy as sa
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from migrator.autogenerate.describe import describing
from migrator.autogenerate.leaving import say_what_leaves
from migrator.autogenerate.questions import added_columns, changed_tables, questions
from migrator.autogenerate.steps import Comment
from migrator.messages import tell

Directives = list[ops.MigrationScript]
Revisions = object  # what Alembic passes between the context and the directives; nobody reads it
WIDTH = 90  # of a comment, in characters

rewriter = Rewriter()


def writer(of_database: Rewriter) -> Callable[..., None]:
    """Return what `process_revision_directives` of context.configure() is to be.

    `of_database` is the rewriter of a kind of database, which runs first.
    """
    rewriters = of_database.chain(rewriter)

    def write(context: MigrationContext, revision: Revisions, directives: Directives) -> None:
        refuse_without_models(context, directives)
        rewriters(context, revision, directives)  # type: ignore[arg-type]
        if writes_revision(context) and not has_changes(directives):
            directives.clear()
            print("No changes: no revision was written.")

    return write


def refuse_without_models(context: MigrationContext, directives: Directives) -> None:
    """Raise CommandError for a revision that would drop every table."""
    if not context.opts["target_metadata"].tables and has_changes(directives):
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")


def has_changes(directives: Directives) -> bool:
    return any(not upgrade.is_empty() for upgrade in directives[0].upgrade_ops_list)


def writes_revision(context: MigrationContext) -> bool:
    """Tell whether this is `alembic revision --autogenerate`: `check` needs what was found."""
    return bool(context.config and getattr(context.config.cmd_opts, "autogenerate", False))


@rewriter.rewrites(ops.UpgradeOps)
def finish_upgrade(
    context: MigrationContext, _revision: Revisions, upgrade: ops.UpgradeOps
) -> ops.UpgradeOps:
    leave_indexes_to_their_tables(upgrade.ops)
    say_what_leaves(context, upgrade.ops)
    ask(context, upgrade, missing_views(context))
    return upgrade


@rewriter.rewrites(ops.DowngradeOps)
def finish_downgrade(
    context: MigrationContext, _revision: Revisions, downgrade: ops.DowngradeOps
) -> ops.DowngradeOps:
    leave_indexes_to_their_tables(downgrade.ops)
    ask(context, downgrade, [])
    downgrade.ops = with_reasons(downgrade.ops)
    for op in changed_tables(downgrade.ops):
        op.ops = with_reasons(op.ops)
    return downgrade


def leave_indexes_to_their_tables(operations: Sequence[ops.MigrateOperation]) -> None:
    """Take out what drops the indexes of a table that is dropped itself."""
    dropped = {(op.schema, op.table_name) for op in operations if isinstance(op, ops.DropTableOp)}
    for op in changed_tables(operations):
        if (op.schema, op.table_name) in dropped:
            op.ops = [change for change in op.ops if not isinstance(change, ops.DropIndexOp)]


def missing_views(context: MigrationContext) -> Iterator[str]:
    """Say which views of the models the database does not have: nothing writes them."""
    inspector = sa.inspect(describing(context).connected)
    for table in context.opts["target_metadata"].tables.values():
        if table.is_view and table.name not in inspector.get_view_names(table.schema):
            cure = (
                f'op.execute("CREATE VIEW {table.fullname} AS ..."), and DROP VIEW in downgrade()'
            )
            yield f"the view {table.fullname} of the models is not there yet: write {cure}"


def ask(context: MigrationContext, container: ops.OpContainer, beginning: Iterable[str]) -> None:
    """Put the open questions first, and say them in the terminal."""
    impl = describing(context)
    texts = [*beginning, *questions(container.ops, impl.WITHOUT_VALUE), *impl.questions(container)]
    lines: list[str] = []
    for text in dict.fromkeys(texts):
        tell(f"TODO in the revision: {text}")
        lines += textwrap.wrap(f"TODO: {text}", WIDTH)
    if lines:
        container.ops = [Comment(lines, alone=container.is_empty()), *container.ops]


def with_reasons(operations: Sequence[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """Say above each drop of a downgrade that nothing old is lost by it, where that is so.

    A column that the downgrade makes anew is old.
    """
    again = added_columns(operations)
    written: list[ops.MigrateOperation] = []
    for op in operations:
        if isinstance(op, ops.DropTableOp):
            written.append(new_in_revision(op.schema, op.table_name))
        elif isinstance(op, ops.DropColumnOp) and op.column_name not in again:
            written.append(new_in_revision(op.schema, op.table_name, op.column_name))
        written.append(op)
    return written


def new_in_revision(*names: str | None) -> Comment:
    name = ".".join(filter(None, names))
    return Comment([f"allow loss of {name}: it is new in this revision"])
