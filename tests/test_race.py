"""Many migrate at once, on a database that others use: one does it, the others wait and agree."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from clusters import pgbouncer
from histories import COUNTED, MIXED, execute, rows, start, together, write_history
from support import Service, database

CONCURRENTLY = MIXED[3]
LOCK = {
    "postgresql": "SELECT pg_advisory_lock(1634493805, 6449507)",
    "mariadb": "SELECT GET_LOCK(CONCAT('alembic.', DATABASE()), 0)",
    "sqlite": "BEGIN IMMEDIATE",
}
# How a message names the connection that asks this.
SELF = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT CONNECTION_ID()",
    "sqlite": "SELECT 'Another process'",
}


@pytest.fixture
def service(service: Service) -> Service:
    write_history(service, *COUNTED)
    return service


@contextmanager
def somebody(service: Service, statement: str) -> Iterator[sa.Connection]:
    """Execute a statement on a connection that stays open, and its transaction with it."""
    engine = service.engine()
    if service.kind == "sqlite":
        sa.event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
        yield connection
        connection.rollback()
        if service.kind == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_unlock_all()"))


def names(said: str, connection: sa.Connection) -> bool:
    """Tell whether a message names the process at the other end of a connection."""
    other = connection.exec_driver_sql(SELF[connection.dialect.name.replace("mariadb", "mysql")])
    return bool(re.search(rf"\b{other.scalar()}\b", said))


@pytest.mark.long
def test_eight_upgrade_at_once(service: Service) -> None:
    for begun in ("nothing", "r3", "base", "r1", "r5"):
        if begun != "nothing":
            service.run("alembic", "downgrade", begun)

        together(service, 8, "upgrade", "head")

        steps = "SELECT step FROM applied ORDER BY step"
        assert rows(service, steps) == [(n // 2,) for n in range(4, 14)]
        assert rows(service, "SELECT version_num FROM alembic_version") == [("r6",)]


@pytest.mark.long
def test_at_head_nobody_waits(service: Service) -> None:
    service.run("alembic", "upgrade", "head")

    with somebody(service, LOCK[service.kind]):
        together(service, 20, "-x", "lock_wait=0.1", "upgrade", "head")
        service.run("alembic", "current", "--check-heads")


def test_the_wait_ends_and_says_who_is_at_it(service: Service) -> None:
    service.run("alembic", "upgrade", "r3")
    with somebody(service, LOCK[service.kind]) as connection:
        said = service.run("alembic", "-x", "lock_wait=0.5", "upgrade", "head", fails=True)
        assert names(said, connection)
    assert "0.5 s" in said
    assert "-x lock_wait=<seconds>" in said
    assert "Traceback" not in said

    service.run("alembic", "upgrade", "head")


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_another_database_of_the_server_is_not_in_the_way(service: Service, tmp_path: Path) -> None:
    write_history(service, ("import os, time\ntime.sleep(float(os.environ.get('PAUSE', 0)))", ""))
    process = start(service, "upgrade", "head", PAUSE="120")
    assert process.stdout
    while "-> r1" not in process.stdout.readline():
        assert process.poll() is None
    with database(service.kind, tmp_path) as url:
        replace(service, url=url).run("alembic", "-x", "lock_wait=0.1", "upgrade", "head")
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_limits_are_numbers(service: Service) -> None:
    said = service.run("alembic", "-x", "lock_tries=often", "upgrade", "head", fails=True)

    assert "lock_tries is 'often': give a number above 0" in said
    ini = (service.folder / "alembic.ini").read_text("utf-8")
    service.write("alembic.ini", ini.replace("[alembic]", "[alembic]\nlock_timeout = 0"))
    said = service.run("alembic", "upgrade", "head", fails=True)
    assert "lock_timeout is '0': give a number above 0" in said


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_busy_table_is_given_way(service: Service) -> None:
    busy = ('op.add_column("applied", sa.Column("note", sa.Text))', "")
    write_history(service, *COUNTED, busy)
    service.run("alembic", "upgrade", "r6")
    with somebody(service, "SELECT * FROM applied") as connection:
        limits = ("-x", "lock_timeout=1", "-x", "lock_tries=2")
        said = service.run("alembic", *limits, "upgrade", "head", fails=True)
        assert "A table is in use by" in said
        assert names(said, connection)
        assert "1 times more" in said
        assert "End the transaction that is in the way" in said
        assert "Traceback" not in said
        assert rows(service, "SELECT version_num FROM alembic_version") == [("r6",)]

        process = start(service, "-x", "lock_timeout=1", "upgrade", "head")
        assert process.stdout
        while "trying again" not in process.stdout.readline():
            assert process.poll() is None
        assert len(rows(service, "SELECT * FROM applied")) == 10  # readers go on

    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert rows(service, "SELECT note FROM applied LIMIT 1") == [(None,)]


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_request_is_no_victim_of_a_deadlock(service: Service) -> None:
    """The revision has one table and waits for another, whose reader waits for the first."""
    first = 'op.create_table("one", sa.Column("id", sa.Integer))'
    second = 'op.create_table("other", sa.Column("id", sa.Integer))'
    both = """op.add_column("one", sa.Column("note", sa.Text))
op.execute("SELECT pg_sleep(0.5)")
op.add_column("other", sa.Column("note", sa.Text))"""
    write_history(service, *COUNTED, (first, ""), (second, ""), (both, ""))
    service.run("alembic", "upgrade", "r8")
    with somebody(service, "SELECT id FROM other") as connection:
        process = start(service, "-x", "lock_timeout=3", "upgrade", "head")
        held = "SELECT count(*) FROM pg_locks WHERE relation = 'one'::regclass AND granted"
        while not rows(service, held)[0][0]:
            assert process.poll() is None
        connection.execute(sa.text("SELECT id FROM one"))  # waits, and is not ended

    assert process.wait(timeout=60) == 0
    assert process.stdout
    assert "trying again" in process.stdout.read()
    process.stdout.close()


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_revision_on_sqlite_is_whole_with_its_autocommit_block(service: Service) -> None:
    block = """
    import time
    op.execute("INSERT INTO applied VALUES (2)")
    with op.get_context().autocommit_block():
        op.execute("CREATE TABLE {} (id INTEGER)")
    time.sleep(0.5)  # for another process to come in between
    op.execute("INSERT INTO {} VALUES (2)")
    """
    write_history(service, COUNTED[0], (block.format("t2", "nowhere"), ""))
    service.run("alembic", "upgrade", "head", fails=True)
    assert "applied" not in service.snapshot()

    write_history(service, COUNTED[0], (block.format("t2", "applied"), ""))
    together(service, 4, "upgrade", "head")
    assert rows(service, "SELECT step FROM applied") == [(2,), (2,)]


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
class TestPostgreSQL:
    def test_three_create_an_index_concurrently(self, service: Service) -> None:
        write_history(service, *MIXED)

        together(service, 3, "upgrade", "head")

        assert rows(service, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]

    def test_an_invalid_index_is_built_anew(self, service: Service) -> None:
        unique = CONCURRENTLY[0].replace("if_not_exists", "unique=True, if_not_exists")
        write_history(service, *MIXED[:3], (unique, ""))
        service.run("alembic", "upgrade", "r3")
        execute(service, "INSERT INTO account VALUES (9, 'o1', 0)")
        service.run("alembic", "upgrade", "head", fails=True)
        invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert rows(service, invalid) == [(1,)]
        execute(service, "DELETE FROM account WHERE id = 9")

        service.run("alembic", "upgrade", "head")

        assert rows(service, invalid) == [(0,)]
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_account_owner'::regclass"
        assert rows(service, valid) == [(True,)]

    @pytest.mark.parametrize(
        "index",
        [
            """op.create_index(
                "Of n", "My table", ["n"], unique=True, postgresql_concurrently=True,
                if_not_exists=True,
            )""",
            # PostgreSQL writes a name without quotes in small letters.
            "op.execute('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS Of_N ON \"My table\" (n)')",
        ],
    )
    def test_an_invalid_index_with_an_odd_name_too(self, service: Service, index: str) -> None:
        table = """op.create_table("My table", sa.Column("n", sa.Integer))
        op.execute('INSERT INTO "My table" VALUES (1), (1)')"""
        block = f"with op.get_context().autocommit_block():\n            {index}"
        write_history(service, (table.replace("\n        ", "\n"), ""), (block, ""))
        service.run("alembic", "upgrade", "head", fails=True)
        execute(service, 'DELETE FROM "My table"')

        service.run("alembic", "upgrade", "head")

        assert rows(service, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]

    def test_a_value_added_to_an_enum_is_used_by_the_next_revision(self, service: Service) -> None:
        write_history(
            service,
            ("""op.execute("CREATE TYPE mood AS ENUM ('sad')")""", ""),
            ("""op.execute("ALTER TYPE mood ADD VALUE 'glad'")""", ""),
            ("""op.execute("CREATE TABLE me AS SELECT 'glad'::mood AS mood")""", ""),
        )

        service.run("alembic", "upgrade", "head")

        assert rows(service, "SELECT mood::text FROM me") == [("glad",)]

    def test_the_lock_outlasts_the_servers_patience(self, service: Service) -> None:
        """Its connection is idle for long, and a server may be told to end idle connections."""
        name = sa.make_url(service.url).database
        setting = "idle_in_transaction_session_timeout = '500ms'"
        execute(service, f"ALTER DATABASE {name} SET {setting}")
        write_history(service, COUNTED[0], ("""op.execute("SELECT pg_sleep(120)")""", ""))
        process = start(service, "upgrade", "head")
        assert process.stdout
        while "-> r2" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(1)

        said = service.run("alembic", "-x", "lock_wait=0.1", "upgrade", "head", fails=True)

        assert "Another migration of this database did not end" in said
        assert process.poll() is None
        process.kill()
        process.communicate()

    @pytest.mark.long
    def test_through_pgbouncer(self, service: Service) -> None:
        write_history(service, *MIXED)
        with pgbouncer(service.url) as pooled:
            for begun in ("nothing", "base", "base"):
                if begun != "nothing":
                    service.run("alembic", "downgrade", begun, DATABASE_URL=pooled)
                together(service, 8, "upgrade", "head", DATABASE_URL=pooled)
                assert rows(service, "SELECT count(*) FROM applied") == [(4,)]

            assert rows(replace(service, url=pooled), "SHOW lock_timeout") == [("0",)]
        assert rows(service, "SELECT version_num FROM alembic_version") == [("r5",)]
        held = (
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        assert rows(service, held) == [(0,)]
