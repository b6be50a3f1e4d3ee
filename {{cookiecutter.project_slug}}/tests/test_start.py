from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import BINDS, ENVIRONMENTS, load_config, prefix
from app.db import db

KEY = "k" * 32


@pytest.fixture
def development(service: Flask, addresses: dict[str, str]) -> Iterator[FlaskClient]:
    """A client of the service as in development, on the tests' databases at head."""
    app = create_app(load_config("development", addresses))
    yield app.test_client()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_it_shows_where_the_database_is(development: FlaskClient) -> None:
    page = development.get("/").text

    assert "ready" in page
    assert "pending" not in page
    assert 'alembic revision --autogenerate -m "Added some table"' in page.replace("&#34;", '"')


@pytest.mark.usefixtures("newer_code")
def test_it_shows_what_is_pending(development: FlaskClient) -> None:
    page = development.get("/").text

    assert "pending" in page
    assert "alembic upgrade head" in page


@pytest.mark.usefixtures("newer_code")
def test_a_view_says_when_the_database_is_behind(development: FlaskClient) -> None:
    development.application.add_url_rule("/some", "some.view", lambda: "unreachable")

    page = development.get("/some", headers={"Accept": "text/html"})
    data = development.get("/some", headers={"Accept": "*/*"})

    assert page.status_code == data.status_code == 503
    assert "pending" in page.text
    assert "alembic upgrade head" in data.get_json()["detail"]


@pytest.mark.parametrize("name", sorted(set(ENVIRONMENTS) - {"development"}))
def test_it_exists_in_development_only(name: str, tmp_path: Path) -> None:
    given = {
        f"{prefix(bind)}DATABASE_URL": f"sqlite:///{tmp_path / f'{bind}.db'}"
        for bind in (None, *BINDS)
    }
    config = load_config(name, {**given, "SECRET_KEY": KEY})

    assert create_app(config).test_client().get("/").status_code == 404
