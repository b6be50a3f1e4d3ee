"""The service on each further version of a server: what it ships with is what was tested.

The other tests run on one PostgreSQL and one MariaDB, those of this machine. `.ci/run` starts
servers of these versions too, out of Debian's newer releases.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest
import sqlalchemy as sa
from histories import execute
from support import Service, database_on, missing

pytestmark = pytest.mark.long
# Each with the kind that a service is rendered for, and what the server's own answer begins with.
VERSIONS = {
    "POSTGRESQL_17": ("postgresql", "17."),
    "POSTGRESQL_18": ("postgresql", "18."),
    "MARIADB_11_8": ("mariadb", "11.8."),
    "MYSQL_9_7": ("mariadb", "9.7."),
}
IMAGE = re.compile(r"\b(postgres|mariadb|mysql):([\d.]+)")
MODELS = """
import enum
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Mood(enum.Enum):
    SAD = "sad"
    GLAD = "glad"


class Owner(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(100), unique=True)


class Thing(db.Model):
    __table_args__ = (
        sa.CheckConstraint("cents >= 0", name="cents_positive"),
        sa.Index("ix_thing_owner_id_name", "owner_id", "name"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("owner.id"))
    name: Mapped[str] = mapped_column(sa.String(100), comment="as it is shown")
    mood: Mapped[Mood]
    cents: Mapped[int] = mapped_column(server_default="0")
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), server_default="1.50")
    made: Mapped[date | None]
    data: Mapped[dict[str, int] | None] = mapped_column(sa.JSON)
    is_new: Mapped[bool] = mapped_column(server_default=sa.true())
    seen: Mapped[datetime] = mapped_column(sa.DateTime, server_default="2020-01-01 00:00:00")
    buyer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owner.id"))
    maker_id: Mapped[int | None]
"""
CHANGES = {
    'sa.String(100), comment="as it is shown"': "sa.Text",
    'cents: Mapped[int] = mapped_column(server_default="0")': (
        'cents: Mapped[int] = mapped_column(sa.BigInteger, server_default="7", index=True)'
    ),
    '        sa.Index("ix_thing_owner_id_name", "owner_id", "name"),\n': "",
    "made: Mapped[date | None]": 'made: Mapped[date] = mapped_column(server_default="2020-01-01")',
    'server_default="2020-01-01 00:00:00"': "server_default=sa.func.now()",
    'buyer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owner.id"))': (
        "buyer_id: Mapped[int | None]"
    ),
    '    GLAD = "glad"': '    GLAD = "glad"\n    BORED = "bored"',
    "    email: Mapped[str] = mapped_column(sa.String(100), unique=True)": (
        "    email: Mapped[str] = mapped_column(sa.String(200))"
    ),
}
KEY = {
    "maker_id: Mapped[int | None]": (
        'maker_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owner.id"))'
    )
}
ROWS = (
    "INSERT INTO owner (id, email) VALUES (1, 'a@example.org')",
    "INSERT INTO thing (id, owner_id, name, mood, made) VALUES (1, 1, 'One', 'SAD', '2020-05-05')",
)


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(
    version: str, render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> Iterator[Service]:
    kind, _ = VERSIONS[version]
    variable = f"{version}_URL"
    address = os.environ.get(variable) or missing(f"{variable} names no such server")
    copy = copytree(render(database=kind), tmp_path / "my-service")
    with database_on(address, variable) as url:
        yield Service(kind, copy, url, env)


def test_the_server_is_of_this_version(version: str, service: Service) -> None:
    with service.engine().connect() as connection:
        said = connection.exec_driver_sql("SELECT version()").scalar_one()

    assert said.removeprefix("PostgreSQL ").startswith(VERSIONS[version][1]), (
        f"{said}: give {version}_URL a server of this version, or say in docs/databases.md and in "
        "VERSIONS which one it is now"
    )


def test_the_service_as_it_is_rendered(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    service.run("pytest", "-q")


def test_models_change_and_go_back(service: Service) -> None:
    """Autogenerate, proof, check and downgrade, with a row in the tables."""
    service.run("alembic", "upgrade", "head")
    service.write("app/things/models.py", MODELS)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    service.run("alembic", "upgrade", "head")
    execute(service, *ROWS)
    there = (service.snapshot(), indexes(service))
    text = changed(MODELS, CHANGES)
    service.write("app/things/models.py", text)
    written = service.run("alembic", "revision", "--autogenerate", "-m", "Change thing")
    assert "TODO" not in written
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    service.run("alembic", "downgrade", "-1")
    assert (service.snapshot(), indexes(service)) == there
    service.run("alembic", "upgrade", "head")
    revision = service.newest()
    reason = "# allow tame rows: no row is without a value any more"  # for the new NOT NULL
    revision.write_text(f"{revision.read_text('utf-8')}\n{reason}\n", "utf-8")
    # Not what Squawk thinks of a table that is in use, which a person decides.
    service.run("pytest", "-q", "tests/test_migrations.py", "-k", "not stops_the_service")

    before = (service.snapshot()["thing"], indexes(service))
    service.write("app/things/models.py", changed(text, KEY))
    service.run("alembic", "revision", "--autogenerate", "-m", "Refer to the maker")
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    service.run("alembic", "downgrade", "-1")
    assert (service.snapshot()["thing"], indexes(service)) == before
    service.run("alembic", "downgrade", "base")


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def indexes(service: Service) -> set[str]:
    """Return the indexes of the tables of these models; a database makes some by itself."""
    inspector = sa.inspect(service.engine())
    found = [*inspector.get_indexes("owner"), *inspector.get_indexes("thing")]
    return {str(index["name"]) for index in found}


def test_what_starts_a_server_names_a_version_that_is_tested(
    root: Path, render: Callable[..., Path]
) -> None:
    tested = {(kind, number.rstrip(".")) for kind, number in VERSIONS.values()}
    named = set()
    for database in ("postgresql", "mariadb"):
        folder = render(database=database)
        gitlab = render(database=database, ci="gitlab")
        for path in (
            folder / "compose.yaml",
            folder / ".github/workflows/ci.yml",
            gitlab / ".gitlab-ci.yml",
        ):
            (found,) = IMAGE.findall(path.read_text("utf-8"))
            named.add((found[0].replace("postgres", "postgresql"), found[1]))
    assert {kind for kind, _ in named} == {"postgresql", "mariadb"}
    assert named <= tested
