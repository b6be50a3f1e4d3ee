"""A database of the tests' own, built by the migrations; each test is rolled back."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient

from alembic_support.connection import migration_engine
from alembic_support.scratch import scratch_database
from app import create_app
from app.config import ROOT, Config, load_config, prefix
from app.db import db
from app.health import read_revisions, script_directory
from app.url import is_sqlite

if (environment := os.environ.get("APP_ENV")) in ("staging", "production"):
    pytest.exit(f"Tests do not run in {environment}: unset APP_ENV", returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Look at the chain of revisions first: where it is broken, nothing else can be said."""
    items.sort(key=lambda item: "one_chain" not in item.name)


@pytest.fixture(scope="session")
def addresses() -> Iterator[dict[str, str]]:
    """The variables that name new databases, beside those of DATABASE_URL and of the binds."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with ExitStack() as stack:
        found = {}
        for bind, database in load_config("testing").databases.items():
            scratch = stack.enter_context(scratch_database(*database, f"test_{worker}"))
            found[f"{prefix(bind)}DATABASE_URL"] = scratch.render_as_string(hide_password=False)
        yield found


@pytest.fixture(scope="session")
def config(addresses: dict[str, str]) -> Config:
    """The testing configuration, on databases of the tests' own."""
    return load_config("testing", addresses)


def alembic_ini(bind: str | None, connection: sa.Engine | sa.Connection | None) -> AlembicConfig:
    section, attributes = bind or "alembic", {"connection": connection}
    return AlembicConfig(ROOT / "alembic.ini", ini_section=section, attributes=attributes)


@pytest.fixture(scope="session")
def service(config: Config) -> Iterator[Flask]:
    """The service, on databases at head; tests take `app`, which is rolled back."""
    for bind, database in config.databases.items():
        with migration_engine(*database).connect() as connection:
            command.upgrade(alembic_ini(bind, connection), "head")
            connection.commit()  # without a revision, Alembic leaves that to us
    service = create_app(config)
    with service.app_context():
        engines = db.engines.values()
    for engine in engines:
        if is_sqlite(engine.url):  # its driver begins only before a write, too late for savepoints
            sa.event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
            sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    yield service
    for engine in engines:
        engine.dispose()


@pytest.fixture
def app(service: Flask) -> Iterator[Flask]:
    """The service; whatever a test does to its databases is undone, also what was committed."""
    with service.app_context():
        engines: Any = db.engines
    originals = dict(engines)
    with ExitStack() as stack:
        for bind, engine in originals.items():
            connection = stack.enter_context(engine.connect())
            stack.callback(connection.begin().rollback)
            connection.begin_nested()  # a session that joins here commits to savepoints
            engines[bind] = connection
        yield service
        engines.update(originals)


@pytest.fixture
def newer_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The code has one revision more than the tests' database."""
    versions = script_directory().versions
    script = ScriptDirectory(str(ROOT / "migrations"), version_locations=[versions, str(tmp_path)])
    script.generate_revision("newer", "Newer", head="head", version_path=str(tmp_path))
    read = read_revisions
    monkeypatch.setattr("app.health.read_revisions", lambda *key: read(*key) if key[0] else script)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
