"""A clean database is like the real one, and what killed runs have left of them goes away."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import histories
import pytest
import sqlalchemy as sa
from migrator.database import Database, scratch_age
from migrator.database import database as database_at
from support import DRIVERS, SERVERS, Service, server

SERVER_KINDS = tuple(SERVERS)
DAY = 24 * 60 * 60


@contextmanager
def real(kind: str, name: str, options: str = "") -> Iterator[Database]:
    """Make a database with options of its own, and drop it afterwards."""
    scheme, _, rest = SERVERS[kind].partition(":")
    url = sa.make_url(f"{DRIVERS.get(scheme, scheme)}:{rest}").set(database=name)
    with server(kind).connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
        try:
            yield database_at(url)
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name}")


def ask(place: Database, query: str) -> object:
    with place.engine().connect() as connection:
        return connection.exec_driver_sql(query).scalar()


def execute(place: Database, *statements: str) -> None:
    with place.engine().begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


ENCODING = """
    SELECT concat_ws(' ', pg_encoding_to_char(encoding), datcollate, datctype)
    FROM pg_database WHERE datname = current_database()"""


def test_encoding_settings_and_extensions_are_those_of_the_real_one() -> None:
    latin = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    with real("postgresql", "clean_like", latin) as place:
        execute(
            place,
            "CREATE SCHEMA app",
            "CREATE SCHEMA tools",
            "CREATE EXTENSION citext SCHEMA tools",
            'ALTER DATABASE clean_like SET search_path = app, "$user", tools',
            "ALTER DATABASE clean_like SET default_transaction_read_only = off",
            "ALTER DATABASE clean_like SET DateStyle = 'SQL, DMY'",
            "ALTER ROLE CURRENT_USER IN DATABASE clean_like SET work_mem = '5MB'",
        )
        with place.scratch("test") as clean:
            for query in (ENCODING, "SHOW search_path", "SHOW DateStyle", "SHOW work_mem"):
                assert ask(clean, query) == ask(place, query)
            assert ask(clean, "SELECT current_schema()") == "app"
            assert ask(clean, "SELECT 'A'::citext = 'a'") is True


def test_a_revision_may_make_an_extension_that_the_real_one_has() -> None:
    """It made it there: nothing tells it from one that an operator made."""
    with real("postgresql", "clean_extension") as place:
        execute(place, "CREATE EXTENSION citext")
        with place.scratch("test") as clean:
            execute(clean, "create extension citext", "DROP EXTENSION citext")
            execute(clean, "CREATE EXTENSION citext")
        with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
            execute(place, "CREATE EXTENSION citext")


NOTIFY = '''\
"""Notify"""

from alembic import op

revision = "notify"
down_revision = {down!r}


def upgrade() -> None:
    # what only the operator's extension has, as the functions of Citus
    op.execute(
        "CREATE TRIGGER notify AFTER UPDATE ON note FOR EACH ROW "
        "EXECUTE FUNCTION tools.triggered_change_notification()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER notify ON note")
'''


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_revision_may_call_what_an_operators_extension_has(service: Service) -> None:
    make = ("CREATE SCHEMA tools", "CREATE EXTENSION tcn SCHEMA tools")
    histories.execute(service, *make)
    (first,) = service.revisions()
    down = re.findall('^revision = "(.*)"', first.read_text("utf-8"), re.MULTILINE)[0]
    service.write("migrations/versions/notify.py", NOTIFY.format(down=down))

    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    models = service.folder / "app/notes/models.py"
    text = models.read_text("utf-8")
    models.write_text(text + "    pinned: Mapped[bool | None]\n", "utf-8")
    service.run("alembic", "revision", "--autogenerate", "-m", "Pin note")
    written = service.newest().read_text("utf-8")
    assert "pinned" in written
    assert "TRIGGER" not in written
    service.run("alembic", "upgrade", "head")
    service.run("pytest", "-q")
    service.run("alembic", "downgrade", "base")

    kept = "SELECT count(*) FROM pg_extension WHERE extname = 'tcn'"
    assert histories.rows(service, kept) == [(1,)]


def test_what_cannot_be_copied_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with real("postgresql", "clean_refused") as place:
        execute(
            place,
            "CREATE EXTENSION citext",
            "UPDATE pg_extension SET extname = 'gone_from_here' WHERE extname = 'citext'",
        )
        with place.scratch("test") as clean:
            assert ask(clean, "SELECT 1") == 1

    said = capsys.readouterr().err
    assert "the extension gone_from_here is missing there" in said


def test_character_set_and_collation_are_those_of_the_real_one() -> None:
    latin = "CHARACTER SET latin1 COLLATE latin1_german1_ci"
    with real("mariadb", "clean_like", latin) as place, place.scratch("test") as clean:
        for query in ("SELECT @@character_set_database", "SELECT @@collation_database"):
            assert ask(clean, query) == ask(place, query)
        execute(clean, "CREATE TABLE long_key (name VARCHAR(1000) PRIMARY KEY)")


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_what_killed_runs_left_goes_away_and_nothing_else(kind: str) -> None:
    """By its name and its age; a name that only looks like it stays, and one that is in use."""
    now = int(time.time())
    old, new = f"{now - 2 * DAY:08x}abcd", f"{now - DAY + 600:08x}abcd"
    gone = f"clean_left__test_gw0_{old}"
    kept = {
        f"clean_left__test_{new}",  # of a run that may still be at work
        f"clean_other__test_{old}",  # of another database
        f"clean_left_more__test_{old}",  # of one whose name begins alike
        f"clean_left_test_{old}",  # it may be somebody's own
        f"clean_left__{old}",  # no purpose
        "clean_left__test_0000000aabcd",  # no time
        f"clean_left__test_{old}x",
        f"clean_left__used_{old}",
    }
    with real(kind, "clean_left") as place, server(kind).connect() as connection:
        for name in {gone, *kept}:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        used = place.url.set(database=f"clean_left__used_{old}")
        try:
            with database_at(used).engine().connect(), place.scratch("test"):
                query = "SELECT datname FROM pg_database"
                query = query if kind == "postgresql" else "SHOW DATABASES"
                there = {*connection.exec_driver_sql(query).scalars()}
            assert gone not in there
            assert kept <= there
        finally:
            for name in {gone, *kept}:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def test_a_scratch_name_has_its_time_in_it() -> None:
    place = database_at(sa.make_url("sqlite:///shop.db"))
    age = scratch_age(place.scratch_name("test"))
    assert age is not None
    assert 0 <= age < 60
    for name in ("shop", "shop__test_00000000abcd", "shop__test_ffffffffabcd", "shop_deadbeef"):
        assert scratch_age(name) is None, name
