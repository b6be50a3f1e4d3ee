"""Test /healthz, /readyz, errors, and the start page of development."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import BINDS, ENVIRONMENTS, load_config, prefix
from app.db import db
from app.health import script_directory


def test_alive(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok"}


def test_ready_at_the_head(client: FlaskClient) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.get_json()["current"] == list(script_directory().get_heads())


@pytest.mark.usefixtures("newer_code")
def test_not_ready_when_the_database_is_behind(client: FlaskClient) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["status"] == "behind"
    assert "alembic upgrade head" in answer.get_json()["reason"]


@pytest.mark.parametrize(
    ("revision", "status", "code"),
    [("99991231235959_3632c1f107b5", "ahead", 200), ("3632c1f107b5", "unknown", 503)],
)
def test_a_newer_revision_is_served_and_an_unknown_one_is_not(
    app: Flask, client: FlaskClient, revision: str, status: str, code: int
) -> None:
    with app.app_context():
        db.session.execute(sa.text("DELETE FROM alembic_version"))
        db.session.execute(sa.text(f"INSERT INTO alembic_version VALUES ('{revision}')"))  # noqa: S608
        db.session.commit()

    answer = client.get("/readyz")

    assert answer.status_code == code
    assert answer.get_json()["status"] == status


def test_alive_but_not_ready_when_the_database_is_unreachable(tmp_path: Path) -> None:
    gone = {
        f"{prefix(bind)}DATABASE_URL": f"sqlite:///{tmp_path / 'no' / f'{bind}.db'}"
        for bind in (None, *BINDS)
    }
    client = create_app(ENVIRONMENTS["testing"](gone)).test_client()

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").get_json()["status"] == "unreachable"


def test_an_error_is_json(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")

    assert answer.status_code == 404
    assert answer.get_json()["error"] == "Not Found"


@pytest.fixture
def development(service: Flask, addresses: dict[str, str]) -> Iterator[FlaskClient]:
    """A client of the service as in development, on the tests' databases at head."""
    app = create_app(load_config("development", addresses))
    yield app.test_client()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_the_start_page_shows_that_the_database_is_at_head(development: FlaskClient) -> None:
    page = development.get("/").text

    assert "ready" in page
    assert ">pending<" not in page
    assert 'alembic revision --autogenerate -m "Added some table"' in page.replace("&#34;", '"')


@pytest.mark.usefixtures("newer_code")
def test_the_start_page_shows_pending_revisions(development: FlaskClient) -> None:
    page = development.get("/").text

    assert ">pending<" in page
    assert "alembic upgrade head" in page


@pytest.mark.usefixtures("newer_code")
def test_a_view_says_when_the_database_is_behind(development: FlaskClient) -> None:
    development.application.add_url_rule("/some", "some.view", lambda: "unreachable")

    page = development.get("/some", headers={"Accept": "text/html"})
    data = development.get("/some", headers={"Accept": "*/*"})

    assert page.status_code == data.status_code == 503
    assert "because" in page.text
    assert ">pending<" in page.text
    assert "alembic upgrade head" in data.get_json()["detail"]


@pytest.mark.parametrize("name", sorted(set(ENVIRONMENTS) - {"development"}))
def test_the_start_page_exists_in_development_only(name: str, tmp_path: Path) -> None:
    given = {"SECRET_KEY": "k" * 32}
    for bind in (None, *BINDS):  # without options, which may be those of another kind of database
        given[f"{prefix(bind)}DATABASE_URL"] = f"sqlite:///{tmp_path / f'{bind}.db'}"
        given[f"{prefix(bind)}DATABASE_ENGINE_OPTIONS"] = "{}"
        given[f"{prefix(bind)}MIGRATION_DATABASE_URL"] = ""
    config = load_config(name, given)

    assert create_app(config).test_client().get("/").status_code == 404
