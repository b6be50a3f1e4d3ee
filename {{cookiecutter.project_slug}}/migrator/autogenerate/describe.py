"""How a database describes a table of its own, and how it would describe that of a model.

Databases rewrite the SQL that they are given: `n > 1` may come back as
`((n)::numeric > (1)::numeric)`. So a model and its table may be the same though their texts differ.
To compare them, the model's table is created as a temporary one, and the database describes both.
That is not needed where the text of the table is exactly that of the model.

`DescribingImpl` is the interface between autogenerate and the folders of the databases. Each folder
has a subclass of it and of Alembic's own class for that database, in its `autogenerate.py`.

`there` is always a table or column of the database, and `wanted` is that of the model.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

import sqlalchemy as sa
from alembic.ddl.impl import ComparisonResult
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.schema import CreateIndex, CreateTable

from migrator.autogenerate.labels import RememberingImpl
from migrator.autogenerate.steps import PrimaryKey
from migrator.messages import tell

KindOfColumnPart = Literal["type", "nullable", "default", "computed", "sequence", "comment"]
KindOfPart = KindOfColumnPart | Literal["key", "check", "unique", "index"]
Item = TypeVar("Item", bound=sa.Constraint | sa.Index)
# The colon that begins a parameter, as SQLAlchemy's documentation of text() says.
PARAMETER = re.compile(r"(?<![:\w]):(?=\w)")
# How many models are described together. PostgreSQL locks each of their temporary tables, and has
# room for a few thousand locks: https://www.postgresql.org/docs/current/runtime-config-locks.html
MODELS_AT_ONCE = 100


class Part(NamedTuple):
    """One of the things that a description of a table is made of.

    `name` is that of a column, a constraint or an index. It is "" for the primary key, because a
    table has only one.
    """

    kind: KindOfPart
    name: str


KEY = Part("key", "")
# The SQL of each part of a table. DescribingImpl.normal() tells whether two texts mean the same.
Description = Mapping[Part, str]
TableName = tuple[str | None, str]  # the schema (None for the default one) and the name


class Pair(NamedTuple):
    """A table of the database, and that of the model with the same name."""

    there: sa.Table
    wanted: sa.Table

    def have_column(self, name: str) -> bool:
        """Tell whether both tables have a column of this name."""
        return name in names(self.there) and name in names(self.wanted)


@dataclass
class Memory:
    """What a comparison has found so far. `impl.memo` keeps one for each migration context.

    - `models` are the tables of all models; they are described together when one is asked for
    - `reflected` are the tables that Alembic has reflected
    - `pairs` are the tables that both the database and the models have
    - `descriptions` are those of the database's tables
    - `model_descriptions` are those of the models' tables: None for what the database refuses
    - `differences` are the parts that differ in a pair
    """

    models: Sequence[sa.Table] = ()
    reflected: dict[TableName, sa.Table] = field(default_factory=dict)
    pairs: dict[TableName, Pair] = field(default_factory=dict)
    descriptions: dict[TableName, Description] = field(default_factory=dict)
    model_descriptions: dict[sa.Table, Description | None] = field(default_factory=dict)
    differences: dict[Pair, frozenset[Part]] = field(default_factory=dict)


class DescribingImpl(RememberingImpl):
    """What autogenerate asks a kind of database, beside what Alembic asks it.

    A subclass says how the database describes a table, and how to create a temporary one.
    """

    # Whether a change of a column copies its table, with constraints and indexes.
    COPIES_TABLES: ClassVar[bool] = False
    # Whether a foreign key may be created before the table that it refers to.
    FORWARD_KEYS: ClassVar[bool] = False
    # What happens to a row that has no value for a new column that is NOT NULL.
    WITHOUT_VALUE: ClassVar[str] = "this fails"
    # Whether a schema is part of a database. If not, "schema" is a word for another database.
    SCHEMAS_WITHIN: ClassVar[bool] = False

    # ----- Questions that each kind of database answers in its own way

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the description of a table that Alembic has reflected.

        It may return those of other tables as well, if one query answers for all.
        """
        raise NotImplementedError

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Create the tables of models, describe them, and remove them again.

        The tables have no foreign keys. Raises sa.exc.SQLAlchemyError if the database refuses one
        of them.
        """
        raise NotImplementedError

    def normal(self, part: Part, text: str) -> str:
        """Return the SQL of a part in a form that is equal for texts which mean the same."""
        return text

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        """Return the CHECKs and indexes that have to be dropped before a column is dropped."""
        raise NotImplementedError

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        """Yield operations that add, change or remove what numbers rows by a column."""
        yield from ()

    def change_key(self, pair: Pair) -> Iterator[ops.MigrateOperation]:
        """Yield operations that drop the primary key of a table and create that of the model."""
        old, new = pair.there.primary_key, pair.wanted.primary_key
        name = new.name or old.name
        if column_names(old):
            yield PrimaryKey(pair.there, old.name, name, column_names(old), drops=True)
        if column_names(new):
            yield PrimaryKey(pair.there, name, name, column_names(new), drops=False)

    def complete_column(
        self, change: ops.AlterColumnOp, there: sa.Column[Any], wanted: sa.Column[Any]
    ) -> None:
        """Correct what all comparators have found about a column, by changing `change`."""

    def computed_from(self, table: sa.Table, column: str) -> set[str]:
        """Return the computed columns that have to be dropped before a column's type changes."""
        return set()

    def index_there(self, table: sa.Table, name: str) -> sa.Index:
        """Return an index of a table of the database."""
        return self.named(table, sa.Index)[name]

    def unmanaged(self) -> set[TableName]:
        """Return the tables that something else creates and drops: a partition has a parent.

        Other examples are the tables of an extension. A model may name such a table all the same.
        """
        return set()

    def inherited_keys(self) -> set[tuple[str | None, str, str]]:
        """Return schema, table and name of foreign keys that come and go with another one."""
        return set()

    def drop_if_there(self, op: ops.MigrateOperation, name: str) -> list[ops.MigrateOperation]:
        """Return operations that drop what `op` drops by another name, if it is there at all.

        Return none where the database has no IF EXISTS for that.
        """
        return []

    def restated(
        self, op: ops.ModifyTableOps, pair: Pair, goes_back: bool
    ) -> list[ops.MigrateOperation]:
        """Return a change of a table without the names of its constraints, if tables are copied.

        `goes_back` tells whether it is that of a downgrade.
        """
        return [op]

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield what a person has to decide about operations on this kind of database alone."""
        yield from ()

    # ----- Descriptions, each made once

    @property
    def connected(self) -> sa.Connection:
        """The connection to the database that is described.

        Raises CommandError if Alembic has none, as with --sql.
        """
        if self.connection is None:
            raise CommandError("Models can only be compared with a database that is there.")
        return self.connection

    @property
    def memory(self) -> Memory:
        """What this comparison has found so far."""
        memory: Memory = self.memo.setdefault(Memory, Memory())
        return memory

    def begin_comparison(self, models: Sequence[sa.Table]) -> None:
        """Forget what an earlier comparison has found, and remember the tables of the models."""
        self.memo[Memory] = Memory([model for model in models if not model.is_view])

    def autogen_column_reflect(
        self, inspector: sa.Inspector, table: sa.Table, column_info: dict[str, Any]
    ) -> None:
        """Remember a table that Alembic reflects."""
        super().autogen_column_reflect(inspector, table, column_info)  # type: ignore[no-untyped-call]
        self.memory.reflected[table.schema, table.name] = table

    def description(self, table: sa.Table) -> Description:
        """Return the description of a table of the database."""
        name = (table.schema, table.name)
        if name not in self.memory.descriptions:
            self.memory.descriptions |= self.describe(table)
        return self.memory.descriptions[name]

    def model_description(self, model: sa.Table) -> Description | None:
        """Return the description of a model's table, as the database would create it.

        Return None, and say why in the terminal, if the database refuses to create it. Then only
        Alembic's own comparators see what changed.
        """
        found = self.memory.model_descriptions
        if model not in found:
            models = [other for other in self.memory.models if other not in found]
            if model not in models:
                models = [model]
            for start in range(0, len(models), MODELS_AT_ONCE):
                found |= self.describe_what_can_be(models[start : start + MODELS_AT_ONCE])
        return found[model]

    def describe_what_can_be(
        self, models: Sequence[sa.Table]
    ) -> Mapping[sa.Table, Description | None]:
        """Describe models together, with None for those that the database refuses.

        If it refuses them together, each half is described by itself, until the faulty ones are
        alone.
        """
        try:
            return self.describe_models(models)
        except sa.exc.SQLAlchemyError as error:
            if len(models) == 1:
                tell_why_not(models[0], error)
                return {models[0]: None}
        middle = len(models) // 2
        first, second = models[:middle], models[middle:]
        return {**self.describe_what_can_be(first), **self.describe_what_can_be(second)}

    def differences(self, pair: Pair) -> frozenset[Part]:
        """Return the parts that differ between a table and its model."""
        if pair not in self.memory.differences:
            self.memory.differences[pair] = frozenset(self.find_differences(pair))
        return self.memory.differences[pair]

    def find_differences(self, pair: Pair) -> Iterator[Part]:
        old, new = self.description(pair.there), self.model_description(pair.wanted)
        if new is None:
            return
        for part in {*old, *new}:
            if self.differs(part, old, new, pair):
                yield part

    def differs(self, part: Part, old: Description, new: Description, pair: Pair) -> bool:
        """Tell whether a part differs between two descriptions.

        What belongs to a column that only one of the tables has does not count: the column itself
        is added or dropped.
        """
        if part.kind in get_args(KindOfColumnPart) and not pair.have_column(part.name):
            return False
        if part not in old or part not in new:
            return True
        if old[part] == new[part]:  # the usual case, in which normal() need not read the SQL
            return False
        return self.normal(part, old[part]) != self.normal(part, new[part])

    # ----- Methods that Alembic's comparators call. The descriptions give their answers.

    def compare_type(
        self, inspector_column: sa.Column[Any], metadata_column: sa.Column[Any]
    ) -> bool:
        pair = Pair(inspector_column.table, metadata_column.table)
        if self.model_description(metadata_column.table) is None:
            return super().compare_type(inspector_column, metadata_column)
        return Part("type", metadata_column.name) in self.differences(pair)

    def compare_server_default(
        self,
        inspector_column: sa.Column[Any],
        metadata_column: sa.Column[Any],
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        pair = Pair(inspector_column.table, metadata_column.table)
        if self.model_description(metadata_column.table) is None:
            differs: bool = super().compare_server_default(  # type: ignore[no-untyped-call]
                inspector_column,
                metadata_column,
                rendered_metadata_default,
                rendered_inspector_default,
            )
            return differs
        return Part("default", metadata_column.name) in self.differences(pair)

    def compare_indexes(
        self, metadata_index: sa.Index, reflected_index: sa.Index
    ) -> ComparisonResult:
        there, wanted = reflected_index.table, metadata_index.table
        if there is None or wanted is None or self.model_description(wanted) is None:
            return super().compare_indexes(metadata_index, reflected_index)
        name = self.name_in_database(metadata_index)
        if Part("index", name) in self.differences(Pair(there, wanted)):
            return ComparisonResult.Different("the database describes them differently")
        return ComparisonResult.Equal()

    def compare_unique_constraint(
        self,
        metadata_constraint: sa.UniqueConstraint,
        reflected_constraint: sa.UniqueConstraint,
    ) -> ComparisonResult:
        pair = Pair(reflected_constraint.table, metadata_constraint.table)
        part = Part("unique", self.name_in_database(metadata_constraint))
        if part in self.differences(pair):
            return ComparisonResult.Different("the database describes them differently")
        return super().compare_unique_constraint(metadata_constraint, reflected_constraint)

    # ----- SQL and names

    def render_ddl_sql_expr(
        self,
        expr: sa.ClauseElement,
        is_server_default: bool = False,
        is_index: bool = False,
        **kw: Any,
    ) -> str:
        """Return an expression as a revision has it.

        Alembic writes it into a call of `text()`, except for an expression of an index.
        """
        text = self.sql_of(expr, is_server_default=is_server_default, is_index=is_index, **kw)
        return text if is_index else as_text(text)

    def sql_of(self, expression: sa.ClauseElement, **options: Any) -> str:
        """Return an expression as SQL that the database could read."""
        if isinstance(expression, sa.TextClause):
            return expression.text.replace("\\:", ":")  # DDL has no parameters, so `\:` is a colon
        text: str = super().render_ddl_sql_expr(expression, **options)
        if self.dialect.paramstyle in ("format", "pyformat"):
            return text.replace("%%", "%")  # SQLAlchemy doubles each % for the driver
        return text

    def name_in_database(self, item: sa.Constraint | sa.Index) -> str:
        """Return the name that a constraint or an index has in the database, or "" if none.

        It differs from the name in the model if that is too long for the database.
        """
        preparer = self.dialect.identifier_preparer
        # format_constraint() returns None, too, if the naming convention has no name for the item.
        name = None if item.name is None else preparer.format_constraint(item)
        if name is None:
            return ""
        quote = preparer.initial_quote
        return name.strip(quote).replace(quote * 2, quote)

    def named(self, table: sa.Table, kind: type[Item]) -> dict[str, Item]:
        """Return the constraints or the indexes of a table, by their names in the database.

        `kind` is their class. The constraints of columns are included, and those without a name
        are not.
        """
        items: list[sa.Constraint | sa.Index] = [*table.constraints, *table.indexes]
        for column in table.columns:
            items += column.constraints
        by_name: dict[str, Item] = {}
        for item in items:
            if isinstance(item, kind) and (name := self.name_in_database(item)):
                by_name[name] = item
        return by_name

    def create_statements(self, model: sa.Table) -> Iterable[sa.schema.ExecutableDDLElement]:
        """Yield statements that create a model's table without foreign keys, and its indexes."""
        yield CreateTable(model, include_foreign_key_constraints=[])
        for index in model.indexes:
            yield CreateIndex(index)


def tell_why_not(model: sa.Table, error: sa.exc.SQLAlchemyError) -> None:
    """Say that the database refuses to create a model's table for a comparison, and why."""
    reason = str(getattr(error, "orig", error)).strip()
    tell(
        f"The table {model.fullname} of the models cannot be made here for a comparison, "
        f"so its CHECKs and expressions are compared by their names alone: {reason}"
    )


def impl_of(context: MigrationContext) -> DescribingImpl:
    """Return the impl of a migration context, which knows the kind of its database.

    Raises TypeError if it is not one of this package's.
    """
    impl = context.impl
    if not isinstance(impl, DescribingImpl):
        raise TypeError(f"{impl} was not registered by migrator/<kind>/autogenerate.py")
    return impl


def as_text(sql: str) -> str:
    """Return SQL for `text()`, which would take `:word` for a parameter if it had no backslash."""
    return PARAMETER.sub(r"\\:", sql)


def sequence_of(column: sa.Column[Any]) -> sa.Sequence | None:
    """Return the sequence that SQLAlchemy or the database takes a column's values from, if any."""
    if isinstance(column.default, sa.Sequence):
        return column.default
    default = getattr(column.server_default, "arg", None)
    return default.sequence if isinstance(default, sa.sql.functions.next_value) else None


def is_computed(column: sa.Column[Any]) -> bool:
    return isinstance(column.server_default, sa.Computed)


def column_names(item: sa.PrimaryKeyConstraint) -> list[str]:
    return [column.name for column in item.columns]


def names(table: sa.Table) -> set[str]:
    """Return the names of a table's columns in the database, which may differ from their keys."""
    return {column.name for column in table.columns}


def column_named(table: sa.Table, name: str) -> sa.Column[Any]:
    """Return the column that has this name in the database."""
    return next(column for column in table.columns if column.name == name)


def final_type(type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
    """Return the type that a database gets: the variant for it, inside of any TypeDecorator."""
    final = type_.dialect_impl(dialect)
    while isinstance(final, sa.types.TypeDecorator):
        final = final.load_dialect_impl(dialect).dialect_impl(dialect)
    return final
