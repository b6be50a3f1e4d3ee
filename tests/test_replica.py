"""A PostgreSQL primary and its streaming replica, which can be read only."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import psycopg
import pytest
import sqlalchemy as sa
from alembic.util import CommandError
from clusters import Server, replication
from migrator.database import database
from support import Service

pytestmark = pytest.mark.long
PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": "k" * 32}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with replication() as servers:
        yield servers


@pytest.fixture
def primary(
    servers: tuple[Server, Server],
    render: Callable[..., Path],
    env: dict[str, str],
    tmp_path: Path,
) -> Iterator[Service]:
    """The service on an empty database of the primary."""
    folder = copytree(render(database="postgresql"), tmp_path / "my-service")
    servers[0].run("CREATE DATABASE service")
    yield Service("postgresql", folder, servers[0].url("service"), env)
    servers[0].run("DROP DATABASE service WITH (FORCE)")


@pytest.fixture
def replica(servers: tuple[Server, Server], primary: Service) -> Service:
    """The same service by way of the replica."""
    return replace(primary, url=servers[1].url("service"))


def follow(servers: tuple[Server, Server]) -> None:
    """Return when the replica has replayed what the primary has written."""
    with servers[0].engine().connect() as connection:
        written = connection.exec_driver_sql("SELECT pg_current_wal_lsn()").scalar_one()
    with servers[1].engine().connect() as connection:
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        while not connection.exec_driver_sql(replayed).scalar_one():
            pass


def test_a_replica_is_not_migrated(
    servers: tuple[Server, Server], primary: Service, replica: Service
) -> None:
    follow(servers)
    for command in (["upgrade", "head"], ["stamp", "head"]):
        said = replica.run("alembic", *command, fails=True)
        assert "This database is read-only, as a replica is" in said
        assert "name the primary" in said
        assert "Traceback" not in said

    primary.run("alembic", "upgrade", "head")
    follow(servers)
    replica.run("alembic", "upgrade", "head")  # there is nothing to do
    said = replica.run("alembic", "downgrade", "base", fails=True)
    assert "This database is read-only" in said
    assert "Traceback" not in said


def test_a_replica_answers_for_itself(
    servers: tuple[Server, Server], primary: Service, replica: Service
) -> None:
    primary.run("alembic", "upgrade", "head")
    follow(servers)
    assert "(head)" in replica.run("alembic", "current", "--check-heads")
    replica.run("alembic", "check")
    with replica.serve(**PRODUCTION) as get:
        assert get("/readyz")[0] == 200
        assert get("/notes")[0] == 200

        primary.run("alembic", "downgrade", "base")
        follow(servers)
        status, body = get("/readyz")
        assert (status, body["status"]) == (503, "behind")

        primary.run("alembic", "upgrade", "head")
        follow(servers)
        assert get("/readyz")[0] == 200


def test_a_lock_on_another_server_is_refused(
    servers: tuple[Server, Server], primary: Service
) -> None:
    """As where an address has several hosts: the second connection may come to the replica."""
    follow(servers)
    addresses = [sa.make_url(server.url("service")) for server in (*servers, servers[0])]
    hosts = iter(addresses)
    own = database(
        addresses[0].set(drivername="postgresql+psycopg"),
        {"creator": lambda: psycopg.connect(next(hosts).render_as_string(hide_password=False))},
    )
    with own.engine().connect() as connection:
        wrong = pytest.raises(CommandError, match=r"different servers.* target_session_attrs")
        with wrong, own.lock(connection, wait=1, timeout=1):
            pass
        with own.lock(connection, wait=1, timeout=1):  # the right one this time
            connection.exec_driver_sql("CREATE TABLE thing (id INTEGER)")
