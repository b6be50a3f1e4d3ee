"""In staging and production, what may lose data must be confirmed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from histories import rows, write_history
from support import Service, server, service_on

STEPS = [
    (f'op.create_table("t{n}", sa.Column("id", sa.Integer))', f'op.drop_table("t{n}")')
    for n in (1, 2)
]
SECRET = "s" * 32


@pytest.fixture
def service(render: Callable[..., Path], env: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with service_on("sqlite", render, env, tmp_path) as service:
        write_history(service, *STEPS)
        yield service


@pytest.mark.parametrize(
    ("tool", "environment", "command"),
    [
        (["alembic"], "staging", ["downgrade", "-1"]),
        (["flask", "db"], "production", ["downgrade", "-1"]),
        (["alembic"], "production", ["stamp", "--purge", "r1"]),
        (["flask", "db"], "staging", ["stamp", "r1"]),
    ],
)
def test_going_back_is_refused_unless_allowed(
    service: Service, tool: list[str], environment: str, command: list[str]
) -> None:
    variables: dict[str, Any] = {"APP_ENV": environment, "SECRET_KEY": SECRET}
    service.run(*tool, "upgrade", "head", **variables)

    for allowed in ([], ["-x", "allow=development"]):
        said = service.run(*tool, *allowed, *command, fails=True, **variables)
        assert f"{command[0]} is refused in {environment}" in said
        assert f"-x allow={environment}" in said
        assert "Traceback" not in said
        assert rows(service, "SELECT version_num FROM alembic_version") == [("r2",)]

    service.run(*tool, "-x", f"allow={environment}", *command, **variables)
    assert rows(service, "SELECT version_num FROM alembic_version") == [("r1",)]


def test_reading_and_sql_are_always_allowed(service: Service) -> None:
    variables: dict[str, Any] = {"APP_ENV": "production", "SECRET_KEY": SECRET}
    service.run("alembic", "upgrade", "head", **variables)

    assert "DROP TABLE t2" in service.run("alembic", "downgrade", "r2:r1", "--sql", **variables)
    assert "r1" in service.run("alembic", "stamp", "r1", "--sql", **variables)
    for command in (["current"], ["history"], ["heads"]):
        service.run("alembic", *command, **variables)
    assert rows(service, "SELECT version_num FROM alembic_version") == [("r2",)]


def test_development_goes_back_freely(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "downgrade", "-1")
    service.run("alembic", "stamp", "head")


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_a_read_only_database_is_refused(
    kind: str, render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> None:
    with service_on(kind, render, env, tmp_path) as service:
        write_history(service, *STEPS)
        service.run("alembic", "upgrade", "r1")
        path = sa.make_url(service.url).database
        if kind == "postgresql":  # as a replica answers
            with server(kind).connect() as connection:
                setting = "default_transaction_read_only = on"
                connection.exec_driver_sql(f"ALTER DATABASE {path} SET {setting}")
        else:
            service = replace(service, url=f"sqlite:///file:{path}?mode=ro&uri=true")

        said = service.run("alembic", "upgrade", "head", fails=True)

        assert "This database is read-only" in said
        assert "Traceback" not in said
        assert "r1" in service.run("alembic", "current")
