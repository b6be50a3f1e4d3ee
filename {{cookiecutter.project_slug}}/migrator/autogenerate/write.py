"""What is added to a revision before Alembic writes it: questions at its top, and reasons.

A reason is a comment that tests/test_migrations.py demands, such as `# allow loss of …: …`.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

import sqlalchemy as sa
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from migrator.autogenerate.adopted import drop_by_names_there
from migrator.autogenerate.describe import impl_of
from migrator.autogenerate.leaving import say_what_leaves
from migrator.autogenerate.ours import Comparing
from migrator.autogenerate.questions import added_columns, changed_tables, questions
from migrator.autogenerate.steps import Comment
from migrator.database import ScratchRefusedError
from migrator.messages import tell

Directives = list[ops.MigrationScript]
Revisions = object  # the second argument that Alembic passes to a directive; it is not used here
DIFFERENT = "The models and the revisions differ: alembic revision --autogenerate -m 'What changed'"
WIDTH = 90  # of a comment, in characters
LEFT = (
    "But what the revisions make is not what the models say, and Alembic writes nothing for it. "
    "Write it into a revision yourself (alembic revision -m …), or allow it there by the line:"
)

rewriter = Rewriter()


def writer(of_database: Rewriter, run: Comparing) -> Callable[..., None]:
    """Return the function for `process_revision_directives` of context.configure().

    `of_database` is the rewriter of the kind of database, which runs before that of this module.
    """

    def write(context: MigrationContext, revision: Revisions, directives: Directives) -> None:
        refuse_without_models(context, directives)
        of_database(context, revision, directives)  # type: ignore[arg-type]
        drop_by_names_there(context, directives, run)
        rewriter(context, revision, directives)  # type: ignore[arg-type]
        if writes_revision(context) and not has_changes(directives):
            directives.clear()
            print("No changes: no revision was written.")
            tell_what_is_left(context, run)
        elif is_check_by_hand(context) and has_changes(directives):
            tell(DIFFERENT)

    return write


def refuse_without_models(context: MigrationContext, directives: Directives) -> None:
    """Raise CommandError for a revision that would drop every table."""
    if not context.opts["target_metadata"].tables and has_changes(directives):
        raise CommandError("No model was found, so this would drop every table: is app/ complete?")


def has_changes(directives: Directives) -> bool:
    return any(not upgrade.is_empty() for upgrade in directives[0].upgrade_ops_list)


def writes_revision(context: MigrationContext) -> bool:
    """Tell whether the command is `alembic revision --autogenerate`, and not `alembic check`.

    `alembic check` needs the operations, even if there are none.
    """
    return bool(context.config and getattr(context.config.cmd_opts, "autogenerate", False))


def tell_what_is_left(context: MigrationContext, run: Comparing) -> None:
    """Say what the models say and nothing writes, such as how a table is stored.

    Where a revision is written, its proof says so.
    """
    if not run.compares_with_clean or context.script is None:
        return
    # Here, because no other command needs the proof.
    from migrator.proof.spot import compared_with_models

    try:
        connection = impl_of(context).connected
        found = compared_with_models(context.script, run.database, run.metadata, connection)
    except (ScratchRefusedError, sa.exc.SQLAlchemyError) as error:
        return tell(f"The models were not compared any further: {getattr(error, 'orig', error)}")
    if found:
        tell(LEFT)
    for finding in found:
        tell(f"  {finding}")


def is_check_by_hand(context: MigrationContext) -> bool:
    """Tell whether somebody typed `alembic check`, whose own message names no cure."""
    options = context.config and context.config.cmd_opts
    return options is not None and not writes_revision(context)


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
    """Remove operations that drop an index of a table which is dropped as well.

    The indexes go with their table.
    """
    dropped = {(op.schema, op.table_name) for op in operations if isinstance(op, ops.DropTableOp)}
    for op in changed_tables(operations):
        if (op.schema, op.table_name) in dropped:
            op.ops = [change for change in op.ops if not isinstance(change, ops.DropIndexOp)]


def missing_views(context: MigrationContext) -> Iterator[str]:
    """Yield a question for each view of the models that the database does not have.

    Autogenerate does not write views.
    """
    inspector = sa.inspect(impl_of(context).connected)
    for table in context.opts["target_metadata"].tables.values():
        if table.is_view and table.name not in inspector.get_view_names(table.schema):
            cure = (
                f'op.execute("CREATE VIEW {table.fullname} AS ..."), and DROP VIEW in downgrade()'
            )
            yield f"the view {table.fullname} of the models is not there yet: write {cure}"


def ask(context: MigrationContext, container: ops.OpContainer, others: Iterable[str]) -> None:
    """Write the open questions at the top of a function, and print them in the terminal.

    `others` are questions beside those about the operations in `container`.
    """
    impl = impl_of(context)
    texts = [*others, *questions(container.ops, impl.WITHOUT_VALUE), *impl.questions(container)]
    lines: list[str] = []
    for text in dict.fromkeys(texts):
        tell(f"TODO in the revision: {text}")
        lines += textwrap.wrap(f"TODO: {text}", WIDTH)
    if lines:
        container.ops = [Comment(lines, alone=container.is_empty()), *container.ops]


def with_reasons(operations: Sequence[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """Write above each drop of a downgrade that it loses only what the upgrade has added.

    That is not so for a column that the downgrade drops and adds again, which is older.
    """
    added_again = added_columns(operations)
    written: list[ops.MigrateOperation] = []
    for op in operations:
        if isinstance(op, ops.DropTableOp):
            written.append(new_in_revision(op.schema, op.table_name))
        elif isinstance(op, ops.DropColumnOp) and op.column_name not in added_again:
            written.append(new_in_revision(op.schema, op.table_name, op.column_name))
        written.append(op)
    return written


def new_in_revision(*names: str | None) -> Comment:
    name = ".".join(filter(None, names))
    return Comment([f"allow loss of {name}: it is new in this revision"])
