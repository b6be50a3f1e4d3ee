import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Development
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


def test_not_ready_when_the_database_is_ahead(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(sa.text("DELETE FROM alembic_version"))
        db.session.execute(sa.text("INSERT INTO alembic_version VALUES ('of_newer_code')"))
        db.session.commit()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["status"] == "ahead"


def test_alive_but_not_ready_when_the_database_is_unreachable() -> None:
    url = "sqlite:////no/such/folder/file.db"
    client = create_app(Development({"DATABASE_URL": url})).test_client()

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").get_json()["status"] == "unreachable"


def test_an_error_is_json(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")

    assert answer.status_code == 404
    assert answer.get_json()["error"] == "Not Found"
