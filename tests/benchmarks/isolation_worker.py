"""Copied into a rendered project as a test, and run: prints the seconds around each test as JSON.

The service's own `app` fixture and create_all()/drop_all() take turns, on the same database.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator

import pytest
from app import create_app
from app.config import Config, load_config
from app.db import db
from flask import Flask
from migrator import database

# Two more, because the first and the last set up and tear down the session: they are left out.
ROUNDS = range(int(os.environ.get("ROUNDS", "1")) + 2)


@pytest.fixture(scope="session")
def empty() -> Iterator[Flask]:
    """The service on a database without tables."""
    config: Config = load_config("testing")
    with database(*config.database(None)).scratch("empty") as scratch:
        config.SQLALCHEMY_DATABASE_URI = scratch.url
        service = create_app(config)
        yield service
        with service.app_context():
            db.engine.dispose()


@pytest.fixture
def created(empty: Flask) -> Iterator[Flask]:
    with empty.app_context():
        db.create_all()
    yield empty
    with empty.app_context():
        db.drop_all()


@pytest.mark.parametrize("number", ROUNDS)
def test_ours(number: int, app: Flask) -> None:
    assert app.test_client().post("/notes", json={"title": "Milk"}).status_code == 201


@pytest.mark.parametrize("number", ROUNDS)
def test_theirs(number: int, created: Flask) -> None:
    assert created.test_client().post("/notes", json={"title": "Milk"}).status_code == 201


class Stopwatch:
    """A plugin of pytest that notes how long the set-up and the tear-down of each test took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        items.sort(key=lambda item: int(str(item.callspec.params["number"])))  # A B A B

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            self.seconds[report.nodeid] += report.duration


if __name__ == "__main__":
    os.environ["ROUNDS"] = sys.argv[1]
    watch = Stopwatch()
    status = pytest.main(["-q", "-p", "no:cacheprovider", __file__], plugins=[watch])
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for test, seconds in watch.seconds.items():
        found["ours" if "ours" in test else "theirs"].append(seconds)
    print(json.dumps({way: seconds[1:-1] for way, seconds in found.items()}))
    sys.exit(status)
