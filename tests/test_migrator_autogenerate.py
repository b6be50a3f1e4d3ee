"""What of autogenerate needs no database: order, names in SQL, and guesses."""

import io
from collections.abc import Mapping, Sequence
from importlib import import_module

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from migrator.autogenerate.describe import DescribingImpl, Description, Part, as_text
from migrator.autogenerate.questions import pairs_of_columns
from migrator.order import ordered

ORDERS: dict[str, tuple[dict[str, set[str]], str]] = {
    "none": ({}, ""),
    "alone": ({"b": set(), "a": set()}, "ab"),
    "a chain": ({"a": {"b"}, "b": {"c"}, "c": set()}, "cba"),
    "itself": ({"a": {"a"}, "b": {"a"}}, "ab"),
    "a circle": ({"a": {"b"}, "b": {"a"}}, "ab"),
    "what depends on a circle": ({"a": {"c"}, "b": {"c"}, "c": {"b"}}, "bca"),
    "what a circle depends on": ({"a": {"b", "z"}, "b": {"a"}, "z": set()}, "zab"),
    "two circles": ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}, "cdab"),
    "a circle in a circle": ({"a": {"b"}, "b": {"a", "c"}, "c": {"b"}, "d": {"a"}}, "abcd"),
}


@pytest.mark.parametrize(("parents", "order"), ORDERS.values(), ids=ORDERS)
def test_parents_come_first(parents: dict[str, set[str]], order: str) -> None:
    assert "".join(ordered(parents)) == order


def test_a_thousand_tables_in_a_row_are_no_trouble() -> None:
    names = [f"t{number:04}" for number in range(1000)]
    parents = {name: {*names[number + 1 : number + 2]} for number, name in enumerate(names)}
    assert ordered(parents) == names[::-1]


@pytest.mark.parametrize(
    "sql", ["'12:30'", "'{\"a\":1}'", "a::text", ":word", "'a: b'", "x = ':w'", "'50%'", "a\\:b"]
)
def test_sql_comes_through_text_as_it_was(sql: str) -> None:
    compiled = sa.text(as_text(sql)).compile()
    assert not compiled.params
    assert str(compiled) == sql


def columns(**types: object) -> dict[str, sa.Column[object]]:
    return {name: sa.Column(name, type_) for name, type_ in types.items()}  # type: ignore[arg-type]


def test_columns_are_paired_by_type_then_family_then_place() -> None:
    gone = columns(a=sa.String(20), b=sa.Text(), c=sa.Integer(), d=sa.Date())
    came = columns(w=sa.Integer(), x=sa.Boolean(), y=sa.String(40), z=sa.String(20))
    pairs = pairs_of_columns(gone, came)
    assert dict(pairs) == {"a": "z", "b": "y", "c": "w", "d": "x"}


class Picky(DescribingImpl):  # type: ignore[misc]
    """Describes many tables at once, and takes none whose name begins with `bad`."""

    calls = 0

    def describe_models(self, models: Sequence[sa.Table]) -> Mapping[sa.Table, Description]:
        self.calls += 1
        if any(model.name.startswith("bad") for model in models):
            raise sa.exc.CompileError("nobody can make this")
        return {model: {Part("type", "a"): model.name} for model in models}


def picky(*names: str) -> tuple[Picky, list[sa.Table]]:
    impl = Picky(sa.create_engine("sqlite://").dialect, None, False, None, None, {})
    models = [sa.Table(name, sa.MetaData()) for name in names]
    impl.begin_comparison(models)
    return impl, models


def test_all_models_are_described_at_once() -> None:
    impl, models = picky(*(f"t{number}" for number in range(90)))
    for model in models:
        assert impl.model_description(model) == {Part("type", "a"): model.name}
    assert impl.calls == 1


def test_a_model_that_cannot_be_made_takes_no_other_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    impl, models = picky(*(f"t{number}" for number in range(30)), "bad", "good")
    found = {model.name: impl.model_description(model) for model in models}
    assert [name for name, description in found.items() if description is None] == ["bad"]
    assert impl.calls < 12
    assert capsys.readouterr().err.count("cannot be made here") == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_an_enum_is_written_as_sql(kind: str) -> None:
    import_module(f"migrator.{kind}.autogenerate")
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name=kind, opts=options)
    mood = sa.Enum("sad", "ok", name="mood", native_enum=False)

    operations = Operations(context)
    operations.create_table("thing", sa.Column("mood", mood))
    operations.rename_table("thing", "other")

    assert "CREATE TABLE thing" in written.getvalue()
