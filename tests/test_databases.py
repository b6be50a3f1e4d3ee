"""docs/databases.md says what holds where; of CockroachDB, without a server, its SQL is written."""

import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

from support import Service


def test_what_is_said_to_be_shown_has_its_test(root: Path) -> None:
    named = set(re.findall(r"test_\w+\.py", (root / "docs/databases.md").read_text("utf-8")))

    assert len(named) >= 8
    assert [name for name in sorted(named) if not (root / "tests" / name).is_file()] == []


def test_the_sql_for_cockroachdb_is_written_offline(
    render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> None:
    folder = copytree(render(database="postgresql"), tmp_path / "my-service")
    url = "cockroachdb://root@nowhere.invalid:26257/shop"
    service = Service("cockroachdb", folder, url, env)

    sql = service.run("alembic", "upgrade", "head", "--sql")

    assert "cockroachdb+psycopg://root@nowhere.invalid:26257/shop" in sql
    assert "CREATE TABLE note (" in sql
    assert "CREATE INDEX ix_note_title ON note (title);" in sql
    assert "INSERT INTO alembic_version" in sql
    assert "DROP TABLE note;" in service.run("alembic", "downgrade", "head:base", "--sql")
