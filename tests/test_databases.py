"""docs/databases.md says what holds where, and that an unknown kind of database is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support import Service


def test_what_is_said_to_be_shown_has_its_test(root: Path) -> None:
    named = set(re.findall(r"test_\w+\.py", (root / "docs/databases.md").read_text("utf-8")))

    assert len(named) >= 7
    assert [name for name in sorted(named) if not (root / "tests" / name).is_file()] == []


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", ["alembic upgrade head", "alembic upgrade head --sql"])
def test_an_unknown_kind_of_database_is_refused(service: Service, command: str) -> None:
    other = replace(service, url="cockroachdb://root:secret@nowhere.invalid:26257/shop")

    said = other.run(*command.split(), fails=True)

    assert "cockroachdb://, a kind of database that this service cannot migrate" in said
    assert "mariadb, mysql, postgresql, sqlite" in said
    assert "secret" not in said
    assert "CREATE TABLE" not in said
