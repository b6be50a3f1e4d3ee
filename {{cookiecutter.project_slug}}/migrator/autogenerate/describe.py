"""What a database says that a table is, for one that is there and for a model.

Databases rewrite what they are told: `n > 1` may come back as `((n)::numeric > (1)::numeric)`. So
texts of a model and of a table that differ say nothing. Instead the model's table is made for a
moment, as a temporary one, and the database describes both. Only what a database itself says in
the model's words, to the letter, need not be made.

`Describing` is the interface between autogenerate and the folders of the databases: each has a
subclass of it and of Alembic's own class for that database, in its `autogenerate.py`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import sqlalchemy as sa
from alembic.ddl.impl import ComparisonResult, DefaultImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy.schema import CreateIndex, CreateTable

from migrator.autogenerate.steps import PrimaryKey
from migrator.messages import tell

KindOfColumnPart = Literal["type", "nullable", "default", "computed", "sequence", "comment"]
KindOfPart = KindOfColumnPart | Literal["key", "check", "unique", "index"]
# The colon of what text() takes for a parameter, as SQLAlchemy's documentation of text() says.
PARAMETER = re.compile(r"(?<![:\w]):(?=\w)")
# How many temporary tables are made at once. PostgreSQL locks each, and has room for some thousand
# locks: https://www.postgresql.org/docs/current/runtime-config-locks.html
AT_ONCE = 100


class Part(NamedTuple):
    """One thing that a database knows of a table.

    `name` is that of a column, a CHECK or an index. The primary key has none: it is the only one.
    """

    kind: KindOfPart
    name: str


KEY = Part("key", "")
# Each part as SQL. Two are the same where the database's `normal()` of them is.
Description = Mapping[Part, str]
TableName = tuple[str | None, str]  # the schema, None for the usual one, and the name


class Pair(NamedTuple):
    """A table that is there, and the model of the same name."""

    there: sa.Table
    wanted: sa.Table

    def have_column(self, name: str) -> bool:
        return name in names(self.there) and name in names(self.wanted)


@dataclass
class Memory:
    """What a comparison has found so far. It is kept in `impl.memo`, one for each context.

    `models` are all tables of the models. They are made together when one is asked for.
    `reflected` are the tables that Alembic has reflected so far.
    """

    models: Sequence[sa.Table] = ()
    reflected: dict[TableName, sa.Table] = field(default_factory=dict)
    pairs: dict[TableName, Pair] = field(default_factory=dict)
    there: dict[TableName, Description] = field(default_factory=dict)
    wanted: dict[sa.Table, Description | None] = field(default_factory=dict)
    differences: dict[Pair, frozenset[Part]] = field(default_factory=dict)


class Describing(DefaultImpl):
    """What autogenerate asks of a kind of database, beside what Alembic does.

    A subclass says how a table is described, and how a temporary one is made.
    """

    # Whether a table is copied to change a column, so that constraints and indexes are made anew.
    COPIES_TABLES: ClassVar[bool] = False
    # Whether a foreign key may be written before the table that it refers to.
    FORWARD_KEYS: ClassVar[bool] = False
    # What happens to a row that has no value for a new column that is NOT NULL.
    WITHOUT_VALUE: ClassVar[str] = "this fails"
    # Whether a schema is part of a database. It may be another database.
    SCHEMAS_WITHIN: ClassVar[bool] = False

    # ----- Each database has its own answer

    def describe(self, table: sa.Table) -> Mapping[TableName, Description]:
        """Return the parts of a table that is there, as Alembic has reflected it.

        Other tables may be described as well, where one query answers for all.
        """
        raise NotImplementedError

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        """Return the parts of models: make their tables, describe them, and leave no trace.

        They are made without their foreign keys. Raises sa.exc.SQLAlchemyError where the database
        does not take one of them.
        """
        raise NotImplementedError

    def normal(self, part: Part, text: str) -> str:
        """Return SQL in a form that is the same for what means the same."""
        return text

    def dependents(self, table: sa.Table, column: str) -> set[Part]:
        """Return the CHECKs and indexes that have to go before a column can go."""
        raise NotImplementedError

    def change_sequence(self, pair: Pair, column: str) -> Iterator[ops.MigrateOperation]:
        """Yield what changes the sequence that numbers a column's rows."""
        yield from ()

    def change_key(self, pair: Pair) -> Iterator[ops.MigrateOperation]:
        """Yield what changes the primary key of a table."""
        old, new = pair.there.primary_key, pair.wanted.primary_key
        name = new.name or old.name
        if column_names(old):
            yield PrimaryKey(pair.there, old.name, name, column_names(old), drops=True)
        if column_names(new):
            yield PrimaryKey(pair.there, name, name, column_names(new), drops=False)

    def complete_column(
        self, change: ops.AlterColumnOp, there: sa.Column[Any], wanted: sa.Column[Any]
    ) -> None:
        """Change what was found about a column, after all comparisons of it."""

    def computed_from(self, table: sa.Table, column: str) -> set[str]:
        """Return the computed columns that have to go before a column's type can change."""
        return set()

    def index_there(self, table: sa.Table, name: str) -> sa.Index:
        """Return an index of a table that is there."""
        index: sa.Index = self.named(table, sa.Index)[name]
        return index

    def unmanaged(self) -> set[tuple[str | None, str]]:
        """Return the schemas and names of tables that come and go with something else.

        Partitions are an example, and tables of an extension. A model may still name them.
        """
        return set()

    def questions(self, operations: ops.OpContainer) -> Iterator[str]:
        """Yield what a person has to decide about operations, beyond what holds everywhere."""
        yield from ()

    # ----- Descriptions, each made once

    @property
    def connected(self) -> sa.Connection:
        """The connection to the database that is described."""
        if self.connection is None:
            raise CommandError("Models can only be compared with a database that is there.")
        return self.connection

    @property
    def memory(self) -> Memory:
        memory: Memory = self.memo.setdefault(Memory, Memory())
        return memory

    def begin_comparison(self, models: Sequence[sa.Table]) -> None:
        """Forget what was found before, and remember what the models are."""
        self.memo[Memory] = Memory([model for model in models if not model.is_view])

    def autogen_column_reflect(
        self, inspector: sa.Inspector, table: sa.Table, column_info: dict[str, Any]
    ) -> None:
        """Remember a table that Alembic reflects."""
        super().autogen_column_reflect(inspector, table, column_info)  # type: ignore[no-untyped-call]
        self.memory.reflected[table.schema, table.name] = table

    def description(self, table: sa.Table) -> Description:
        """Return the parts of a table that is there."""
        name = (table.schema, table.name)
        if name not in self.memory.there:
            self.memory.there |= self.describe(table)
        return self.memory.there[name]

    def model_description(self, model: sa.Table) -> Description | None:
        """Return the parts that a model's table has once it is made.

        Return None, and say why, where it cannot be made. Then only Alembic's own comparison sees
        what changed.
        """
        wanted = self.memory.wanted
        if model not in wanted:
            models = [other for other in self.memory.models if other not in wanted]
            if model not in models:
                models = [model]
            for start in range(0, len(models), AT_ONCE):
                wanted |= self.make_and_describe(models[start : start + AT_ONCE])
        return wanted[model]

    def make_and_describe(
        self, models: Sequence[sa.Table]
    ) -> Mapping[sa.Table, Description | None]:
        """Describe models together, or in halves where that fails: it may be one's own fault."""
        try:
            return self.describe_models(models)
        except sa.exc.SQLAlchemyError as error:
            if len(models) == 1:
                tell_why_not(models[0], error)
                return {models[0]: None}
        middle = len(models) // 2
        first, second = models[:middle], models[middle:]
        return {**self.make_and_describe(first), **self.make_and_describe(second)}

    def differences(self, pair: Pair) -> frozenset[Part]:
        """Return the parts of a table and its model that are not the same."""
        if pair not in self.memory.differences:
            self.memory.differences[pair] = frozenset(self.find_differences(pair))
        return self.memory.differences[pair]

    def find_differences(self, pair: Pair) -> Iterator[Part]:
        old, new = self.description(pair.there), self.model_description(pair.wanted)
        for part in {*old, *(new or {})}:
            if new is not None and self.differs(part, old, new, pair):
                yield part

    def differs(self, part: Part, old: Description, new: Description, pair: Pair) -> bool:
        """Tell whether a part changed; a column's parts count only where it is on both sides."""
        if part.kind in get_args(KindOfColumnPart) and not pair.have_column(part.name):
            return False
        if part not in old or part not in new:
            return True
        if old[part] == new[part]:  # as nearly always, and reading SQL takes its time
            return False
        return self.normal(part, old[part]) != self.normal(part, new[part])

    # ----- What Alembic's own comparators ask. Their answer is that of the descriptions.

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
        name = self.name_there(metadata_index)
        if Part("index", name) in self.differences(Pair(there, wanted)):
            return ComparisonResult.Different("the database describes them differently")
        return ComparisonResult.Equal()

    def compare_unique_constraint(
        self,
        metadata_constraint: sa.UniqueConstraint,
        reflected_constraint: sa.UniqueConstraint,
    ) -> ComparisonResult:
        pair = Pair(reflected_constraint.table, metadata_constraint.table)
        part = Part("unique", self.name_there(metadata_constraint))
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
        """Return an expression as a revision has it: within `text()`, but for that of an index."""
        text = self.sql_of(expr, is_server_default=is_server_default, is_index=is_index, **kw)
        return text if is_index else as_text(text)

    def sql_of(self, expression: sa.ClauseElement, **options: Any) -> str:
        """Return an expression as SQL that the database could read."""
        if isinstance(expression, sa.TextClause):  # DDL has no parameters, so `\:` is a colon
            return expression.text.replace("\\:", ":")
        text: str = super().render_ddl_sql_expr(expression, **options)
        if self.dialect.paramstyle in ("format", "pyformat"):  # the driver would undouble them
            return text.replace("%%", "%")
        return text

    def name_there(self, item: sa.Constraint | sa.Index) -> str:
        """Return the name that a constraint or an index has in the database, which cuts long ones.

        It is empty for one without a name.
        """
        preparer = self.dialect.identifier_preparer
        # None may also come from a naming convention that has no name for it.
        name = None if item.name is None else preparer.format_constraint(item)
        if name is None:
            return ""
        quote = preparer.initial_quote
        return name.strip(quote).replace(quote * 2, quote)

    def named(self, table: sa.Table, kind: type[Any]) -> dict[str, Any]:
        """Return the constraints or indexes of a kind, those of columns included, by their name."""
        items: list[Any] = [*table.constraints, *table.indexes]
        for column in table.columns:
            items += column.constraints
        chosen = [item for item in items if isinstance(item, kind)]
        return {name: item for item in chosen if (name := self.name_there(item))}

    def create_statements(self, model: sa.Table) -> Iterable[sa.schema.ExecutableDDLElement]:
        """Return what makes a model's table without foreign keys, and its indexes."""
        yield CreateTable(model, include_foreign_key_constraints=[])
        for index in model.indexes:
            yield CreateIndex(index)


def tell_why_not(model: sa.Table, error: sa.exc.SQLAlchemyError) -> None:
    """Say that a model's table cannot be made for a comparison, and why."""
    reason = str(getattr(error, "orig", error)).strip()
    tell(
        f"The table {model.fullname} of the models cannot be made here for a comparison, "
        f"so its CHECKs and expressions are compared by their names alone: {reason}"
    )


def describing(context: MigrationContext) -> Describing:
    """Return what answers for the database of a comparison."""
    impl = context.impl
    if not isinstance(impl, Describing):
        raise TypeError(f"{impl} was not registered by migrator/<kind>/autogenerate.py")
    return impl


def as_text(sql: str) -> str:
    """Return SQL as `text()` wants it, which takes `:word` for a parameter."""
    return PARAMETER.sub(r"\\:", sql)


def sequence_of(column: sa.Column[Any]) -> sa.Sequence | None:
    """Return the sequence that a column takes its values from, in Python or in the database."""
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
    """Return the type that a database is told: of the variant for it, without decorators."""
    final = type_.dialect_impl(dialect)
    while isinstance(final, sa.types.TypeDecorator):
        final = final.load_dialect_impl(dialect).dialect_impl(dialect)
    return final
