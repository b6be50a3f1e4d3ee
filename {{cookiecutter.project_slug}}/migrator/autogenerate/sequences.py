"""Sequences that models name: Alembic neither compares nor writes them."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.schema import CreateSequence, DropSequence

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.describe import impl_of, sequence_of
from migrator.autogenerate.steps import SQL


def compare_sequences(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Create the sequences of the models that are missing.

    A sequence that no model names is left alone, because it may be somebody else's.
    """
    impl = impl_of(context.migration_context)
    if impl.dialect.supports_sequences:
        inspector = sa.inspect(impl.connected)
        for sequence in sequences_of(context.sorted_tables):
            if not inspector.has_sequence(sequence.name, sequence.schema):
                create = str(CreateSequence(sequence).compile(dialect=impl.dialect))
                drop = str(DropSequence(sequence).compile(dialect=impl.dialect))
                upgrade.ops.append(SQL([create], [drop], Phase.TYPES))
    return PriorityDispatchResult.CONTINUE


def sequences_of(tables: Iterable[sa.Table]) -> Iterator[sa.Sequence]:
    """Yield each sequence that a column takes its values from, without duplicates."""
    found: dict[tuple[str | None, str], sa.Sequence] = {}
    for table in tables:
        for column in table.columns:
            sequence = sequence_of(column)
            if sequence is not None and not sequence.optional:
                found[sequence.schema, sequence.name] = sequence
    yield from found.values()


def setup(plugin: Plugin) -> None:
    """Add the comparator of sequences. arrange.py runs after it and moves them to the front."""
    plugin.add_autogenerate_comparator(
        compare_sequences, "schema", "sequences", priority=DispatchPriority.LAST
    )
