"""Fixtures: the service on new databases, which the revisions build.

What a test does to the databases is rolled back.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import (
    ROOT,
    Config,
    ConfigError,
    environment_name,
    load_config,
    load_variables,
    prefix,
)
from app.db import db, import_models, unseen
from app.health import read_revisions, script_directory
from migrator import Database, ScratchRefusedError, database


def pytest_configure() -> None:
    """End pytest with one message, before anything connects, if the settings do not allow tests."""
    try:
        variables = load_variables()
        environment = environment_name(variables)
        load_config("testing")
        # What other packages deprecate is no fault of this project's models.
        with warnings.catch_warnings(action="default", category=DeprecationWarning):
            import_models()
            unseen()  # before a test imports a module of models by itself, which would hide a fault
    except ConfigError as error:
        pytest.exit(error.message, returncode=2)
    source = variables.sources.get("APP_ENV")
    if variables.sources["DATABASE_URL"] == ".env" and "APP_ENV" in variables.from_file:
        # DATABASE_URL belongs to the environment that .env names, even if APP_ENV is set elsewhere.
        environment, source = variables.from_file["APP_ENV"], ".env"
    if environment not in ("development", "testing"):
        message = f"Tests do not run in {environment}: change or remove APP_ENV, set in {source}"
        pytest.exit(message, returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run test_the_revisions_are_one_chain() first, because it says most clearly what is wrong."""
    items.sort(key=lambda item: "one_chain" not in item.name)


@pytest.fixture(scope="session")
def addresses() -> Iterator[dict[str, str]]:
    """The variables with the addresses of new, empty databases, one for each bind."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with ExitStack() as stack:
        variables = {}
        settings = load_config("testing")
        for bind, address in settings.migration_databases.items():
            variable = settings.migration_variable(bind)
            new = stack.enter_context(empty(database(*address), f"test_{worker}", variable))
            url = new.url.render_as_string(hide_password=False)
            variables[f"{prefix(bind)}DATABASE_URL"] = url
            # The user in `url` has created the database, and so can migrate it.
            variables[f"{prefix(bind)}MIGRATION_DATABASE_URL"] = ""
        yield variables


def pytest_sessionstart(session: pytest.Session) -> None:
    """End pytest if a database does not answer, before the workers of pytest-xdist hide why."""
    if not session.config.getoption("numprocesses", None):
        return
    settings = load_config("testing")
    for bind, address in settings.migration_databases.items():
        with empty(database(*address), "test", settings.migration_variable(bind)):
            pass


@contextmanager
def empty(original: Database, purpose: str, variable: str) -> Iterator[Database]:
    """Create an empty database like another one, and drop it at the end.

    End pytest with one message if that fails. `variable` is the one with the address of the other
    database.
    """
    with ExitStack() as stack:
        try:
            new = stack.enter_context(original.scratch(purpose))
            new.engine().connect().close()
        except ScratchRefusedError as refusal:
            pytest.exit(str(refusal), returncode=2)
        except Exception as error:  # drivers raise more than SQLAlchemy's errors
            pytest.exit(original.unreachable(error, variable), returncode=2)
        yield new


@pytest.fixture(scope="session")
def config(addresses: dict[str, str]) -> Config:
    """The testing configuration, with the databases of `addresses`."""
    return load_config("testing", addresses)


def alembic_ini(bind: str | None, connection: sa.Engine | sa.Connection | None) -> AlembicConfig:
    """Return the section of alembic.ini for a bind, with a connection to use instead of its own."""
    section, attributes = bind or "alembic", {"connection": connection}
    return AlembicConfig(ROOT / "alembic.ini", ini_section=section, attributes=attributes)


@pytest.fixture(scope="session")
def service(config: Config) -> Iterator[Flask]:
    """The service, on databases at head. Use `app` in tests, which undoes what they do."""
    for bind, address in config.databases.items():
        with database(*address).engine().connect() as connection:
            command.upgrade(alembic_ini(bind, connection), "head")
            connection.commit()  # if there is no revision, Alembic does not commit
    try:
        service = create_app(config)
    except ConfigError as error:
        pytest.exit(error.message, returncode=2)
    with service.app_context():
        engines = db.engines.values()
    with ExitStack() as stack:
        for engine in engines:
            stack.callback(engine.dispose)
            stack.enter_context(database(engine.url).begin_for_real(engine))
        yield service


@pytest.fixture
def app(service: Flask) -> Iterator[Flask]:
    """The service. After a test, its changes to the databases are undone, even committed ones."""
    with service.app_context():
        engines: Any = db.engines  # Any, because a connection takes the place of each engine
    originals = dict(engines)
    with ExitStack() as stack:
        for bind, engine in originals.items():
            connection = stack.enter_context(engine.connect())
            stack.callback(connection.begin().rollback)
            connection.begin_nested()  # so that the commit of a session ends only this savepoint
            engines[bind] = connection
        yield service
        engines.update(originals)


@pytest.fixture
def newer_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the code have one more revision than the databases of the tests."""
    versions = script_directory().versions
    script = ScriptDirectory(str(ROOT / "migrations"), version_locations=[versions, str(tmp_path)])
    script.generate_revision("newer", "Newer", head="head", version_path=str(tmp_path))
    read = read_revisions

    def read_newer(bind: str | None, *rest: Any) -> ScriptDirectory:
        return read(bind, *rest) if bind else script

    monkeypatch.setattr("app.health.read_revisions", read_newer)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
