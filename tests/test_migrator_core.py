"""migrator/ alone, without an app: addresses, engines, locks and clean databases of each kind."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support import DATABASES, DRIVERS, database, server

ENV = """\
from alembic import context
import sqlalchemy as sa
from migrator import Run

metadata = sa.MetaData()
thing = sa.Table("thing", metadata, sa.Column("id", sa.Integer, primary_key=True))
run = Run(sa.make_url(context.get_x_argument(as_dictionary=True)["url"]), {}, metadata, "alone")
with run.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, **run.options)
    for attempt in run.attempts():
        with attempt, context.begin_transaction():
            context.run_migrations()
"""
INI = """\
[alembic]
script_location = %(here)s/migrations
prepend_sys_path = %(here)s
path_separator = newline
"""


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    with database(request.param, tmp_path) as text:
        url = sa.make_url(text)
        yield url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


@pytest.fixture(scope="session")
def migrator(root: Path) -> Any:
    """The package, imported from the template's own folder."""
    sys.path.insert(0, str(root / "{{cookiecutter.project_slug}}"))
    import migrator

    return migrator


@pytest.fixture
def alone(
    root: Path, tmp_path: Path, env: dict[str, str], url: sa.URL
) -> Callable[..., tuple[int, str]]:
    """A project that is only migrator/ and fifteen lines of env.py; runs `alembic …` there."""
    project = tmp_path / "alone"
    (project / "migrations" / "versions").mkdir(parents=True)
    source = root / "{{cookiecutter.project_slug}}"
    (project / "migrator").symlink_to(source / "migrator")
    (project / "migrations" / "env.py").write_text(ENV, "utf-8")
    template = (source / "migrations" / "script.py.mako").read_text("utf-8")
    (project / "migrations" / "script.py.mako").write_text(template, "utf-8")
    (project / "alembic.ini").write_text(INI, "utf-8")

    def run(*words: str) -> tuple[int, str]:
        text = url.render_as_string(hide_password=False)
        command = [sys.executable, "-m", "alembic", "-x", f"url={text}", *words]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, encoding="utf-8")
        return done.returncode, done.stdout + done.stderr

    return run


def test_it_works_with_fifteen_lines_of_env(alone: Callable[..., tuple[int, str]]) -> None:
    assert len(ENV.splitlines()) <= 15
    for words in (
        ("revision", "--autogenerate", "-m", "Thing"),
        ("upgrade", "head"),
        ("check",),
        ("downgrade", "base"),
        ("upgrade", "head"),
        ("current", "--check-heads"),
    ):
        status, said = alone(*words)
        assert status == 0, said


@pytest.mark.parametrize("text", ["oracle://me@h/x", "mssql://me@h/x", "proof://h/x", "run://h/x"])
def test_a_kind_without_a_folder_is_refused(migrator: Any, text: str) -> None:
    with pytest.raises(migrator.UnsupportedDatabaseError) as caught:
        migrator.database(sa.make_url(text))

    assert "Use one of mariadb, mysql, postgresql, sqlite" in str(caught.value)


OPTIONS = (
    {"isolation_level": "AUTOCOMMIT"},
    {"execution_options": {"isolation_level": "AUTOCOMMIT"}},
    {"connect_args": {"autocommit": True}},
    {"echo": True, "pool_size": 3, "pool_pre_ping": True},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_option_takes_the_transaction_away(
    migrator: Any, url: sa.URL, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    if url.get_backend_name() == "sqlite" and "connect_args" in options:
        options = {"connect_args": {"isolation_level": None}}  # what that driver calls it
    engine = migrator.database(url, options).engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    assert capsys.readouterr().out == ""


def test_a_lock_leaves_nothing_on_its_connection(migrator: Any, url: sa.URL) -> None:
    """Neither listeners nor settings pile up on a connection that is used again."""
    own = migrator.database(url)
    seen: list[str] = []
    with own.engine().connect() as connection:

        def statements_of_a_transaction() -> list[str]:
            seen.clear()
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
            return [*seen]

        sa.event.listen(
            connection, "before_cursor_execute", lambda *args: seen.append(str(args[2]))
        )
        before = statements_of_a_transaction()
        for _ in range(3):
            with own.lock(connection, wait=1, timeout=1):
                statements_of_a_transaction()
        assert statements_of_a_transaction() == before


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_a_second_migrator_waits_and_is_told_whose_the_lock_is(migrator: Any, url: sa.URL) -> None:
    own = migrator.database(url)
    with own.engine().connect() as first, own.engine().connect() as second:
        late = pytest.raises(Exception, match=r"did not end within 0\.3 s: (process|connection)")
        with own.lock(first, wait=1, timeout=1), late, own.lock(second, wait=0.3, timeout=1):
            pass
        with own.lock(second, wait=1, timeout=1):  # the first has let go
            pass


def test_a_clean_database_is_empty_and_goes_away(migrator: Any, url: sa.URL) -> None:
    own = migrator.database(url)
    with own.scratch("test") as scratch:
        assert scratch.url.database != url.database
        with scratch.engine().begin() as connection:
            assert sa.inspect(connection).get_table_names() == []
            connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
    with pytest.raises(sa.exc.DBAPIError), scratch.engine().connect() as connection:
        connection.exec_driver_sql("SELECT * FROM t")


def test_the_guard_of_a_lock_may_be_lost(migrator: Any, tmp_path: Path) -> None:
    """The server ended the connection that held the lock: what was committed is no failure."""
    with database("postgresql", tmp_path) as text:
        own = migrator.database(sa.make_url(text).set(drivername="postgresql+psycopg"))
        with own.engine().connect() as connection:
            with own.lock(connection, wait=1, timeout=1):
                others = "pg_stat_activity WHERE datname = current_database()"
                ended = f"SELECT pg_terminate_backend(pid) FROM {others}"  # noqa: S608 (no answer)
                connection.exec_driver_sql(f"{ended} AND pid <> pg_backend_pid()")
                connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
                connection.commit()
            assert sa.inspect(connection).has_table("t")


def test_one_connection_is_too_few(migrator: Any, tmp_path: Path) -> None:
    with database("postgresql", tmp_path) as text:
        url = sa.make_url(text).set(drivername="postgresql+psycopg")
        role = f"single_{url.database}"
        admin = migrator.database(url).engine().execution_options(isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
        try:
            own = migrator.database(url.set(username=role))
            refused = pytest.raises(Exception, match="needs two connections at once")
            with own.engine().connect() as one, refused, own.lock(one, wait=1, timeout=1):
                pass
        finally:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP ROLE {role}")


def test_a_server_that_is_gone_has_not_refused_the_second_connection(
    migrator: Any, tmp_path: Path
) -> None:
    with database("postgresql", tmp_path) as text:
        own = migrator.database(sa.make_url(text).set(drivername="postgresql+psycopg"))
        with own.engine().connect() as one, server("postgresql").connect() as admin:
            process = one.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            one.rollback()
            admin.exec_driver_sql(f"ALTER DATABASE {own.url.database} ALLOW_CONNECTIONS false")
            admin.exec_driver_sql(f"SELECT pg_terminate_backend({process}, 5000)")
            with (
                pytest.raises(sa.exc.DBAPIError) as caught,
                own.lock(one, wait=1, timeout=1),
            ):
                pass
        assert caught.value.connection_invalidated


def test_sqlite_keeps_the_transaction_of_a_revision(migrator: Any, tmp_path: Path) -> None:
    """executescript() commits first, and so half of a revision: that is refused."""
    own = migrator.database(sa.make_url(f"sqlite:///{tmp_path / 'x.db'}"))
    with own.engine().connect() as connection:
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        driver: Any = connection.connection.dbapi_connection
        with pytest.raises(Exception, match="not authorized") as caught:
            driver.executescript("CREATE TABLE other (id INTEGER);")
        assert "executescript()" in own.cure(caught.value, "DATABASE_URL", 1)
        for statement in ("COMMIT", "END", "ROLLBACK"):
            with pytest.raises(sa.exc.DatabaseError, match="not authorized"):
                connection.exec_driver_sql(statement)
        connection.rollback()
        assert sa.inspect(connection).get_table_names() == []


def test_sqlite_tells_old_orphans_from_new_ones(
    migrator: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = migrator.database(sa.make_url(f"sqlite:///{tmp_path / 'x.db'}"))
    with own.engine().connect() as connection:
        for statement in (
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (parent_id INTEGER REFERENCES parent)",
        ):
            connection.exec_driver_sql(statement)
        connection.commit()
    # The usual driver checks nothing: an old orphan.
    with sa.create_engine(own.url).begin() as connection:
        connection.exec_driver_sql("INSERT INTO child VALUES (7)")
    with own.engine().begin() as connection:
        connection.exec_driver_sql("CREATE TABLE unrelated (id INTEGER)")
    assert "1 rows refer to what is not there, as they did before" in capsys.readouterr().err
    refused = pytest.raises(Exception, match=r"2 rows would refer .* 1 of them already before")
    with refused, own.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO child VALUES (8)")
