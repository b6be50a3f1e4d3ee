"""What a database says it has: two that differ in one thing, and a revision that spoils it.

tests/mutations.py lists the things, for each kind of database.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from histories import REVISION
from migrator.database import Database, database
from migrator.description import BY_HAND, Description, differences
from migrator.proof.finding import Finding
from migrator.proof.spot import prove_on_the_spot
from mutations import BASE, CHANGES, Change, changed
from support import DATABASES, DRIVERS, SERVERS, server

EACH = [(kind, change) for kind in DATABASES for change in CHANGES[kind]]
AS_IT_IS = {"no_parameters": True}


def ids(value: object) -> str:
    return value.what.replace(" ", "_") if isinstance(value, Change) else str(value)


def make(place: Database, statements: list[str]) -> Description:
    """Make a database of SQL, and return its description."""
    with place.engine().connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options=AS_IT_IS)
        connection.commit()
        return place.describe(connection)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Database]:
    """A database of each kind, beside which others are made."""
    found = {kind: database(sa.make_url(address(kind))) for kind in SERVERS}
    file = tmp_path_factory.mktemp("sqlite") / "service.db"
    return found | {"sqlite": database(sa.make_url(f"sqlite:///{file.as_posix()}"))}


def address(kind: str) -> str:
    server(kind)  # fails or skips where there is none
    scheme, _, rest = SERVERS[kind].partition(":")
    return f"{DRIVERS.get(scheme, scheme)}:{rest}"


@pytest.fixture(scope="module")
def bases(places: dict[str, Database]) -> dict[str, Description]:
    found = {}
    for kind, place in places.items():
        with place.scratch("base") as scratch:
            found[kind] = make(scratch, [*BASE[kind]])
    return found


@pytest.mark.parametrize(("kind", "change"), EACH, ids=ids)
def test_a_change_is_named(
    kind: str, change: Change, places: dict[str, Database], bases: dict[str, Description]
) -> None:
    """It, and nothing else: what is only named by the server is not there twice."""
    with places[kind].scratch("change") as scratch:
        found = differences(make(scratch, changed(kind, change)), bases[kind])

    assert {str(difference.name) for difference in found} == {change.name}, [*map(str, found)]


@pytest.mark.parametrize("kind", DATABASES)
def test_the_same_twice_is_the_same(
    kind: str, places: dict[str, Database], bases: dict[str, Description]
) -> None:
    with places[kind].scratch("again") as scratch:
        again = make(scratch, [*BASE[kind]])

    assert differences(again, bases[kind]) == []
    assert {name.kind for name in again} >= {"table", "column", "primary key", "index", "check"}


ENV = """
from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None)
with context.begin_transaction():
    context.run_migrations()
"""
RUN = """\
for statement in {!r}:
    op.get_bind().exec_driver_sql(statement, execution_options={{"no_parameters": True}})"""


@pytest.fixture
def alembic(tmp_path: Path) -> Config:
    """A configuration of plain Alembic, without revisions."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV, "utf-8")
    config = Config()
    config.set_main_option("script_location", tmp_path.as_posix())
    return config


def prove(
    config: Config, place: Database, metadata: sa.MetaData, *steps: tuple[Sequence[str], str]
) -> list[Finding]:
    """Return what is found in the last of revisions, by their SQL and what is allowed."""
    folder = Path(str(config.get_main_option("script_location")), "versions")
    for number, (statements, allowed) in enumerate(steps, 1):
        text = REVISION.format(
            number=number,
            revision=f"r{number}",
            down=f"r{number - 1}" if number > 1 else None,
            upgrade=f"    # allow {allowed}: it is a test\n"
            + "".join(f"    {line}\n" for line in RUN.format([*statements]).splitlines()),
            downgrade="    pass",
        )
        (folder / f"r{number}.py").write_text(text, "utf-8")
    script = ScriptDirectory.from_config(config)
    revision = script.get_revision("head")
    found: dict[Path, list[Finding]] = prove_on_the_spot(
        config, script, place, metadata, [revision], lambda _: None
    )
    return found[Path(revision.path)]


def models_of(statements: Sequence[str]) -> sa.MetaData:
    """Return models of which create_all() executes SQL."""
    metadata = sa.MetaData()

    @sa.event.listens_for(metadata, "after_create")
    def execute(_target: object, connection: sa.Connection, **_: object) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options=AS_IT_IS)

    return metadata


@pytest.mark.long
@pytest.mark.parametrize(("kind", "change"), EACH, ids=ids)
def test_a_spoiled_revision_is_named(
    kind: str, change: Change, places: dict[str, Database], alembic: Config
) -> None:
    """What is made by hand is never more than the models say; it can only be missing."""
    revision, models = changed(kind, change), [*BASE[kind]]
    if change.sql and change.name.startswith(tuple(BY_HAND)):
        revision, models = models, revision

    found = prove(alembic, places[kind], models_of(models), (revision, "one-way"))

    assert {(finding.kind, finding.subject) for finding in found} == {("difference", change.name)}
    assert {finding.waiver for finding in found} == {f"difference of {change.name}"}


# A schema may be left, because somebody else may have tables in it; see the test below.
LEFT = [(kind, change) for kind, change in EACH if change.sql and change.what != "schema"]


@pytest.mark.long
@pytest.mark.parametrize(("kind", "change"), LEFT, ids=ids)
def test_what_a_downgrade_leaves_is_named(
    kind: str, change: Change, places: dict[str, Database], alembic: Config
) -> None:
    steps = ([*BASE[kind]], "one-way"), (change.sql, "nothing")

    (finding,) = prove(alembic, places[kind], sa.MetaData(), *steps)

    assert (finding.kind, finding.subject) == ("trace", "downgrade()")
    assert change.name in finding.text


def test_nothing_allows_an_upgrade_to_fail(places: dict[str, Database], alembic: Config) -> None:
    step = (["CREATE TABLE thing (name unheard_of)"], "one-way")

    (finding,) = prove(alembic, places["postgresql"], sa.MetaData(), step)

    assert finding.text.startswith('upgrade() fails: type "unheard_of" does not exist')
    assert finding.waiver == ""


def test_a_schema_may_be_left_where_the_next_upgrade_expects_that(
    places: dict[str, Database], alembic: Config
) -> None:
    place, base = places["postgresql"], ([*BASE["postgresql"]], "one-way")
    once, again = "CREATE SCHEMA other", "CREATE SCHEMA IF NOT EXISTS other"
    models = models_of([*BASE["postgresql"], once])

    (finding,) = prove(alembic, place, models, base, ([once], "nothing"))

    assert finding.text == 'upgrade() fails: schema "other" already exists'
    assert prove(alembic, place, models, base, ([again], "nothing")) == []


@pytest.mark.parametrize("kind", DATABASES)
def test_nothing_is_found_in_an_honest_revision(
    kind: str, places: dict[str, Database], alembic: Config
) -> None:
    steps = ([*BASE[kind]], "one-way")

    assert prove(alembic, places[kind], models_of(BASE[kind]), steps) == []


@pytest.mark.parametrize("kind", DATABASES)
def test_a_difference_can_be_allowed(
    kind: str, places: dict[str, Database], alembic: Config
) -> None:
    more = [*BASE[kind], "CREATE INDEX ix_more ON thing (size)"]
    allowed = "one-way: it is\n    # allow difference of index thing.ix_more"

    assert prove(alembic, places[kind], models_of(BASE[kind]), (more, allowed)) == []
