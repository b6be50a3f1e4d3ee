"""docs/coming-from-elsewhere.md, word for word, on each kind of database."""

import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import follow, section, shell, steps
from projects import Project, edit, flask_migrate, plain_alembic
from support import Service

pytestmark = pytest.mark.long
ROWS = (
    "INSERT INTO author (id, email) VALUES (1, 'a@example.org'), (2, 'b@example.org')",
    "INSERT INTO book (id, title, author_id) VALUES (1, 'A', 1), (2, 'B', 1), (3, 'C', 2)",
)
MODELS = "app/library/models.py"
BEGIN = "def upgrade() -> None:\n"
TODO = re.compile(r"(?m)^ +# TODO: after downgrade.*\n( +# .*\n)*")
ALLOWED = """\
    # allow adding-foreign-key-constraint: the table is small
    # allow ban-drop-constraint: it comes back with the next statement
"""


@pytest.fixture(scope="session")
def page(root: Path) -> str:
    return (root / "docs/coming-from-elsewhere.md").read_text("utf-8")


@pytest.fixture
def begun(service: Service, page: str) -> Service:
    """A service without its example."""
    follow(section(page, "Begin"), service.folder, shell(service.folder, service.environ()))
    return service


def go(service: Service, text: str, **values: str) -> list[str]:
    places = {f"<{name}>": value for name, value in values.items()}
    return follow(text, service.folder, shell(service.folder, service.environ()), places)


def execute(service: Service, *statements: str) -> None:
    with service.engine().begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def head(service: Service) -> str:
    return service.run("alembic", "heads").split()[0]


def rows(service: Service) -> dict[str, Any]:
    """Return every table's definition and rows, but for Alembic's own."""
    return {name: table for name, table in service.snapshot().items() if "alembic" not in name}


def test_a_database_without_alembic(begun: Service, page: str) -> None:
    """Its tables are described, not made; what has a name of its own can be changed."""
    text = section(page, "A database without Alembic")
    (schema,) = (step.text for step in steps(text) if step.language == "sql")
    execute(begun, *filter(str.strip, schema.split(";")), *ROWS)
    before = rows(begun)
    described, judged = re.split(r"(?m)^(?=4\. )", text)

    names, *checks = go(begun, described)
    go(begun, judged, revision=head(begun))

    assert "unique author_email_key on ['email']" in names
    assert "foreign key book_author_id_fkey on ['author_id']" in names
    assert len(checks) == 2
    assert all("No new upgrade operations" in said for said in checks)
    assert rows(begun) == before
    edit(
        begun.folder / MODELS,
        '["author.id"], name="book_author_id_fkey"',
        '["author.id"], name="book_author_id_fkey", ondelete="CASCADE"',
    )
    changes_work(begun)


def changes_work(service: Service, *allowed: str) -> None:
    """A revision is written for a change of the models, goes there and back, and is judged."""
    service.run("alembic", "revision", "--autogenerate", "-m", "Cascade")
    apply_and_judge(service, *allowed)


def apply_and_judge(service: Service, *allowed: str) -> None:
    before = rows(service)
    text = service.newest().read_text("utf-8")
    assert "create_foreign_key" in text
    if allowed:
        text = TODO.sub("", text)
    begin = "".join([BEGIN, ALLOWED, *(textwrap.indent(line, "    ") for line in allowed)])
    service.newest().write_text(text.replace(BEGIN, begin), "utf-8")
    for words in ("upgrade head", "check", "downgrade -1"):
        service.run("alembic", *words.split())
    assert rows(service) == before
    service.run("alembic", "upgrade", "head")
    service.run("pytest", "-q")


NATURAL: dict[str, tuple[str | None, str | None]] = {
    "postgresql": ("author_email_key", "book_author_id_fkey"),
    "mariadb": ("email", "book_ibfk_1"),
    "sqlite": (None, None),
}


def test_names_that_the_database_gave(begun: Service, page: str) -> None:
    """Most schemas name no constraint, so that the database has; the page prints those names."""
    text = section(page, "A database without Alembic")
    (schema,) = (step.text for step in steps(text) if step.language == "sql")
    nameless = re.sub(r"CONSTRAINT \w+ ", "", schema)
    execute(begun, *filter(str.strip, nameless.split(";")), *ROWS)
    unique, key = NATURAL[begun.kind]
    for name, there in (("author_email_key", unique), ("book_author_id_fkey", key)):
        text = text.replace(f', name="{name}"', f', name="{there}"' if there else "")
    if key is None:
        go(begun, section(page, "The names of constraints").partition("```python")[0])

    names, *_ = go(begun, re.split(r"(?m)^(?=4\. )", text)[0])

    assert f"unique {unique} on" in names
    assert f"foreign key {key} on" in names
    if key is not None:
        edit(begun.folder / MODELS, '["author.id"]', '["author.id"], ondelete="CASCADE"')
        changes_work(begun)


@pytest.mark.parametrize("make", [flask_migrate, plain_alembic])
def test_a_history_moves_in(
    begun: Service, page: str, make: Callable[..., Project], tmp_path: Path
) -> None:
    """The revision and the rows stay; a change of what the database has named works."""
    title = {flask_migrate: "A Flask-Migrate project", plain_alembic: "A plain Alembic project"}
    old = make(begun.kind, tmp_path / "old project", begun.url, begun.env)
    before, history, current = begun.snapshot(), old.run("history"), old.run("current").split()[-2:]

    go(begun, section(page, title[make]), old=shlex.quote(str(old.folder)))
    text = section(page, "The names of constraints")
    (batch, one_way) = (step.text for step in steps(text) if step.language == "python")
    go(begun, text.partition("```python")[0])
    *_, checked = go(begun, section(page, "The history moves in"), revision=current[0])

    assert " ".join(current) in checked
    assert "No new upgrade operations" in checked
    assert begun.snapshot() == before
    assert begun.run("alembic", "history") in history
    for command in ("ruff check .", "ruff format --check .", "mypy"):
        begun.run(*command.split())
    key = 'ForeignKey("author.id", ondelete="CASCADE", name="fk_book_author_id_author"'
    edit(begun.folder / MODELS, 'ForeignKey("author.id"', key)
    if begun.kind == "sqlite":
        begun.run("alembic", "revision", "-m", "Cascade")
        up = textwrap.indent(batch, "    ")
        down = up.replace(', ondelete="CASCADE"', "")
        text = begun.newest().read_text("utf-8").replace("    pass\n", up, 1)
        begun.newest().write_text(text.replace("    pass\n", down), "utf-8")
        begun.run("ruff", "format", str(begun.newest()))
        apply_and_judge(begun)
    else:
        changes_work(begun, *[one_way] * (begun.kind == "mariadb"))
