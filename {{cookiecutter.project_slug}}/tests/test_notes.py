"""Test the example: notes are kept, listed, deleted, and checked."""

import pytest
from flask.testing import FlaskClient


def test_a_note_is_kept(client: FlaskClient) -> None:
    made = client.post("/notes", json={"title": "Milk", "body": "Two bottles"})

    assert made.status_code == 201
    shown = client.get(made.headers["Location"])
    assert shown.get_json() == made.get_json()
    assert shown.get_json()["title"] == "Milk"
    assert shown.get_json()["created_at"].endswith("+00:00")


def test_each_test_starts_with_an_empty_table(client: FlaskClient) -> None:
    assert client.get("/notes").get_json() == {"notes": []}


def test_notes_are_listed_newest_first_and_page_by_page(client: FlaskClient) -> None:
    ids = [client.post("/notes", json={"title": f"{n}"}).get_json()["id"] for n in range(22)]

    page = client.get("/notes").get_json()["notes"]
    rest = client.get(f"/notes?before={page[-1]['id']}").get_json()["notes"]

    assert [note["id"] for note in page + rest] == ids[::-1]
    assert len(page) == 20


def test_a_deleted_note_is_gone(client: FlaskClient) -> None:
    address = client.post("/notes", json={"title": "Milk"}).headers["Location"]

    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("note", [[], {}, {"title": ""}, {"title": "x" * 201}, {"title": 1}])
def test_what_is_no_note_is_refused(client: FlaskClient, note: object) -> None:
    answer = client.post("/notes", json=note)

    assert answer.status_code == 400
    assert "title of 1 to 200 characters" in answer.get_json()["detail"]
