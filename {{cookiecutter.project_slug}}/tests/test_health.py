import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import BINDS, load_config, prefix
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
    ("revision", "status"), [("99991231235959_3632c1f107b5", "ahead"), ("3632c1f107b5", "unknown")]
)
def test_not_ready_at_a_revision_of_other_code(
    app: Flask, client: FlaskClient, revision: str, status: str
) -> None:
    with app.app_context():
        db.session.execute(sa.text("DELETE FROM alembic_version"))
        db.session.execute(sa.text(f"INSERT INTO alembic_version VALUES ('{revision}')"))  # noqa: S608
        db.session.commit()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["status"] == status


def test_alive_but_not_ready_when_the_database_is_unreachable() -> None:
    gone = {f"{prefix(bind)}DATABASE_URL": f"sqlite:////no/{bind}.db" for bind in (None, *BINDS)}
    client = create_app(load_config("testing", gone)).test_client()

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").get_json()["status"] == "unreachable"


def test_an_error_is_json(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")

    assert answer.status_code == 404
    assert answer.get_json()["error"] == "Not Found"
