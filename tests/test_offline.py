"""The SQL of `--sql`, given to the server's own client, does what the command itself does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from histories import MIXED, write_history
from support import Service, database, missing

STEPS = (
    MIXED[0],
    MIXED[1],
    MIXED[3],
    (
        """
        op.rename_table("applied", "done")
        op.execute("UPDATE account SET note = '100% it''s; a `test` \\\\:not_bound \\\\\\\\'")
        op.execute(sa.text("DELETE FROM account WHERE id = :id").bindparams(id=1))
        account = sa.table("account", sa.column("owner", sa.Text), sa.column("note", sa.Text))
        op.execute(sa.update(account).where(account.c.owner == "o2").values(note="zwölf"))
        """,
        'op.rename_table("done", "applied")',
    ),
)


@pytest.fixture
def other(service: Service, tmp_path: Path) -> Iterator[Service]:
    """The same service on a second database."""
    (tmp_path / "other").mkdir()
    with database(service.kind, tmp_path / "other") as url:
        yield replace(service, url=url)


def client(service: Service, sql: str) -> None:
    """Have the server's own client execute SQL, and stop at the first error."""
    url = sa.make_url(service.url)
    command = {
        "sqlite": ["sqlite3", "-bail", str(url.database)],
        "postgresql": ["psql", "--quiet", "--set=ON_ERROR_STOP=1", service.url],
        "mariadb": [
            *("mariadb", f"--host={url.host}", f"--port={url.port or 3306}"),
            *(f"--user={url.username}", "--default-character-set=utf8mb4", str(url.database)),
        ],
    }[service.kind]
    if not shutil.which(command[0]):
        missing(f"{command[0]}, the client of {service.kind}, is not installed")
    env = os.environ | {"MYSQL_PWD": url.password or "", "PGCLIENTENCODING": "UTF8"}
    # stderr has to stay empty, and PostgreSQL sends a notice if alembic_log exists already.
    env |= {"PGOPTIONS": "--client-min-messages=warning"}
    done = subprocess.run(
        command, input=sql, env=env, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), sql


def contents(service: Service) -> dict[str, Any]:
    """Return the tables, rows and constraints of a database."""
    inspector = sa.inspect(service.engine())
    parts = ("indexes", "unique_constraints", "foreign_keys", "pk_constraint")
    return service.snapshot() | {
        part: sorted(map(repr, getattr(inspector, f"get_multi_{part}")().items())) for part in parts
    }


@pytest.mark.parametrize("history", [None, STEPS], ids=["shipped", "mixed"])
def test_sql_does_what_the_command_does(
    service: Service, other: Service, history: tuple[tuple[str, str], ...] | None
) -> None:
    if history:
        write_history(service, *history)

    service.run("alembic", "upgrade", "head")
    client(other, sql(other, "upgrade", "head"))
    assert contents(other) == contents(service)
    other.run("alembic", "current", "--check-heads")

    service.run("alembic", "downgrade", "base")
    client(other, sql(other, "downgrade", "head:base"))
    assert contents(other) == contents(service)

    other.run("alembic", "upgrade", "head")


def sql(service: Service, *words: str) -> str:
    """Return what `--sql` writes to stdout, while the database is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *words, "--sql"],
        cwd=service.folder,
        env=service.environ(DATABASE_URL=nowhere(service.url)),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def nowhere(url: str) -> str:
    address = sa.make_url(url)
    if address.host:
        address = address.set(host="nowhere.invalid")
    return address.render_as_string(hide_password=False)
