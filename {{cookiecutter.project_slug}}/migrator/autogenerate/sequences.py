"""Sequences that models name: Alembic neither compares nor writes them."""

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.schema import CreateSequence, DropSequence

from migrator.autogenerate.arrange import Phase
from migrator.autogenerate.describe import describing, sequence_of
from migrator.autogenerate.steps import SQL


def compare_sequences(
    context: AutogenContext, upgrade: ops.UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Have the sequences made that are not there yet; one that no model names stays."""
    impl = describing(context.migration_context)
    if impl.dialect.supports_sequences:
        inspector = sa.inspect(impl.connected)
        for sequence in sequences_of(context.sorted_tables):
            if not inspector.has_sequence(sequence.name, sequence.schema):
                create = str(CreateSequence(sequence).compile(dialect=impl.dialect))
                drop = str(DropSequence(sequence).compile(dialect=impl.dialect))
                upgrade.ops.append(SQL([create], [drop], Phase.TYPES))
    return PriorityDispatchResult.CONTINUE


def sequences_of(tables: Iterable[sa.Table]) -> Iterator[sa.Sequence]:
    """Yield each sequence that a column takes its values from, once."""
    found: dict[tuple[str | None, str], sa.Sequence] = {}
    for table in tables:
        for column in table.columns:
            sequence = sequence_of(column)
            if sequence is not None and not sequence.optional:
                found[sequence.schema, sequence.name] = sequence
    yield from found.values()


def setup(plugin: Plugin) -> None:
    """Add the comparator of sequences; arrange.py, which comes after it, puts them first."""
    plugin.add_autogenerate_comparator(
        compare_sequences, "schema", "sequences", priority=DispatchPriority.LAST
    )
