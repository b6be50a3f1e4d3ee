"""A database of the tests' own, built by the migrations; each test is rolled back."""

import os
from collections.abc import Iterator
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
from app.config import ROOT, Config, load_config
from app.db import db
from app.health import VERSIONS
from app.url import is_sqlite

if (environment := os.environ.get("APP_ENV")) in ("staging", "production"):
    pytest.exit(f"Tests do not run in {environment}: unset APP_ENV", returncode=2)


@pytest.fixture(scope="session")
def config() -> Iterator[Config]:
    """The testing configuration, on a new database beside the one of DATABASE_URL."""
    config = load_config("testing")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with scratch_database(config.SQLALCHEMY_DATABASE_URI, f"test_{worker}") as url:
        config.SQLALCHEMY_DATABASE_URI = url
        yield config


@pytest.fixture
def alembic_config(config: Config) -> Iterator[AlembicConfig]:
    """Alembic's own configuration, with a connection to another new and empty database."""
    with (
        scratch_database(config.SQLALCHEMY_DATABASE_URI, "migrations") as url,
        migration_engine(url, config.SQLALCHEMY_ENGINE_OPTIONS).connect() as connection,
    ):
        yield AlembicConfig(ROOT / "alembic.ini", attributes={"connection": connection})


@pytest.fixture(scope="session")
def service(config: Config) -> Iterator[Flask]:
    """The service, on a database at head; tests take `app`, which is rolled back."""
    url, options = config.SQLALCHEMY_DATABASE_URI, config.SQLALCHEMY_ENGINE_OPTIONS
    with migration_engine(url, options).connect() as connection:
        attributes = {"connection": connection}
        command.upgrade(AlembicConfig(ROOT / "alembic.ini", attributes=attributes), "head")
        connection.commit()
    service = create_app(config)
    with service.app_context():
        engine = db.engine
    if is_sqlite(url):  # its driver begins only before a write, too late for savepoints
        sa.event.listen(engine, "connect", lambda c, _: setattr(c, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    yield service
    engine.dispose()


@pytest.fixture
def app(service: Flask) -> Iterator[Flask]:
    """The service; whatever a test does to the database is undone, also what was committed."""
    with service.app_context():
        engines: Any = db.engines
    engine = engines[None]
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.begin_nested()  # a session that joins here commits to savepoints
        engines[None] = connection
        yield service
        engines[None] = engine
        transaction.rollback()


@pytest.fixture
def newer_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The code has one revision more than the tests' database."""
    locations = [str(VERSIONS), str(tmp_path)]
    script = ScriptDirectory(str(ROOT / "migrations"), version_locations=locations)
    script.generate_revision("newer", "Newer", head="head", version_path=str(tmp_path))
    monkeypatch.setattr("app.health.read_revisions", lambda _: script)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
