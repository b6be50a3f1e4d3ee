"""A column leaves in two releases, and what is renamed is added, copied and left.

test_compatible.py checks that none of these releases breaks the one before.
"""

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import recipe
import sqlalchemy as sa
from support import Service

ROWS = 500
BACKFILL = """\
import os
import sqlalchemy as sa
from alembic import op
from migrator.backfill import backfill

revision = "copied"
down_revision = {down!r}
updates = 0


def stop(*args):
    global updates
    updates += args[2].startswith("UPDATE thing")
    if updates == int(os.environ.get("STOP_AT", -1)):
        os._exit(9)


def upgrade() -> None:
    if not op.get_context().as_sql:
        sa.event.listen(op.get_bind(), "after_cursor_execute", stop)
    backfill("thing", {{"title": sa.column("name")}}, batch=20)


def downgrade() -> None:
    # allow loss of thing.title: it is a copy of name
    pass
"""
TABLE = """\
import sqlalchemy as sa
from alembic import op

revision = "thing"
down_revision = {down!r}


def upgrade() -> None:
    op.create_table(
        "thing",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("title", sa.String(100)),
    )


def downgrade() -> None:
    op.drop_table("thing")
"""
TITLES = "SELECT count(*) FROM thing WHERE title = name"


def test_a_column_is_renamed_in_four_releases(service: Service, root: Path) -> None:
    recipe.begin(service)
    for step in recipe.steps(root).values():
        recipe.follow(service, step)
        service.run("alembic", "upgrade", "head")
        service.run("alembic", "check")

    service.run("pytest", "-q", "-p", "no:cacheprovider", "tests/test_migrations.py")
    service.run("ruff", "check", ".")
    service.run("mypy")
    (thing,) = service.snapshot()["thing"][0][1:]
    assert thing.startswith("title VARCHAR(100)")
    assert "NOT NULL" in thing


@pytest.fixture
def filled(service: Service) -> Service:
    """The service with rows to copy, and the revision that does so."""
    first = service.newest().read_text("utf-8").partition('revision = "')[2].partition('"')[0]
    service.write("migrations/versions/1_thing.py", TABLE.format(down=first))
    service.run("alembic", "upgrade", "head")
    with service.engine().begin() as connection:
        rows = [{"id": 3 * number, "name": f"name {number}"} for number in range(ROWS)]
        connection.execute(sa.text("INSERT INTO thing (id, name) VALUES (:id, :name)"), rows)
    service.write("migrations/versions/2_copied.py", BACKFILL.format(down="thing"))
    return service


def scalar(service: Service, query: str) -> int:
    with service.engine().connect() as connection:
        return int(connection.scalar(sa.text(query)) or 0)


def test_a_copy_that_is_killed_goes_on_where_it_was(filled: Service) -> None:
    filled.run("alembic", "upgrade", "head", fails=True, STOP_AT="6")
    done = scalar(filled, TITLES)
    assert done == (0 if filled.kind == "sqlite" else 120)  # SQLite has one transaction

    said = filled.run("alembic", "upgrade", "head")

    assert f"thing: {ROWS} rows, of which {ROWS - done} were written" in said
    assert scalar(filled, TITLES) == ROWS
    assert "copied (head)" in filled.run("alembic", "current")
    assert "Running downgrade copied" in filled.run("alembic", "downgrade", "-1")
    assert "of which 0 were written" in filled.run("alembic", "upgrade", "head")


@contextmanager
def row_in_use(service: Service, seconds: float) -> Iterator[None]:
    """Hold a row in a transaction that writes it and ends after some seconds."""
    connection = service.engine().connect()
    connection.execute(sa.text("UPDATE thing SET name = 'another' WHERE id = 30"))

    def end() -> None:
        time.sleep(seconds)
        connection.commit()
        connection.close()

    thread = Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_copy_waits_for_a_row_in_use(filled: Service) -> None:
    with row_in_use(filled, seconds=5):
        filled.run("alembic", "-x", "lock_timeout=1", "upgrade", "head")

    assert scalar(filled, TITLES) == ROWS
    assert scalar(filled, "SELECT count(*) FROM thing WHERE title = 'another'") == 1


def test_a_copy_can_be_read_as_sql(filled: Service) -> None:
    said = " ".join(filled.run("flask", "db", "sql").split())

    # The SQL for SQLite is recorded on an empty table, where nothing is copied.
    assert ("UPDATE thing SET title=name WHERE" in said) == (filled.kind != "sqlite")
    assert "'upgrade', 'copied'" in said  # in alembic_log


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_table_leaves_in_two_releases(service: Service) -> None:
    recipe.begin(service)
    service.run("alembic", "upgrade", "head")
    leaving = """
        import sqlalchemy as sa

        from app.db import db

        db.Table(
            "thing",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(100), nullable=False),
            info={"leaving": True},
        )
        """
    service.write(recipe.MODELS, textwrap.dedent(leaving))
    service.run("alembic", "check")
    service.write(recipe.MODELS, "")
    service.run("alembic", "revision", "--autogenerate", "-m", "Drop thing")
    assert 'op.drop_table("thing")' in service.newest().read_text("utf-8")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_column_that_inserts_need_is_refused(service: Service) -> None:
    recipe.begin(service)
    text = recipe.FIRST.replace(
        "class Thing", '@leaving(sa.Column("size", sa.Integer, nullable=False))\nclass Thing'
    )
    service.write(recipe.MODELS, "from migrator.leaving import leaving\n" + text)

    said = service.run("alembic", "check", fails=True)

    assert "thing.size is leaving and NOT NULL" in said
    assert "Remove nullable=False, or add a server_default" in said
