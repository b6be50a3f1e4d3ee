"""A review: the SQL of a colleague's revision, and the statement in it that would stop the site."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from workshop.checks import agrees, downgrade, has_its_notes, is_at_head, is_one_chain, upgrade
from workshop.labs.lab11_review.sql import sql_for_postgresql
from workshop.notes import FIRST, MODELS, add_column, add_notes, draw
from workshop.project import Project

MINUTES = 30
FILES = Path(__file__).parent / "files"
INDEX = "ix_note_created_at"
OF_ALEMBIC = re.compile(r"(?i)(BEGIN|COMMIT|UPDATE alembic_version|INSERT INTO alembic_version)\b")


class Statement(NamedTuple):
    """A statement as PostgreSQL would get it."""

    text: str
    revision: str
    in_transaction: bool


def stage(project: Project) -> None:
    """A colleague's revision waits for review: a column and an index, and nobody has applied it."""
    add_column(project, "checked: Mapped[bool] = mapped_column(server_default=sa.false())")
    old = "created_at: Mapped[datetime] = mapped_column(UTCDateTime, "
    project.edit(MODELS, old, f"{old}index=True, ")
    project.database.upgrade(FIRST)
    add_notes(project)
    project.copy(FILES)
    draw(project)


def statements(project: Project) -> Iterator[Statement]:
    """Yield what the revisions do, but for what Alembic notes of them."""
    revision, in_transaction = "", False
    for text in sql_for_postgresql(project).split(";\n"):
        for name in re.findall(r"-- Running upgrade \S* -> (\S+)", text):
            revision = name.rstrip(",")
        statement = " ".join(re.sub("--.*", "", text).split())
        if statement in ("BEGIN", "COMMIT"):
            in_transaction = statement == "BEGIN"
        elif statement and not OF_ALEMBIC.match(statement):
            yield Statement(statement, revision, in_transaction)


def index_statement(project: Project) -> Statement | None:
    for statement in statements(project):
        if re.match("(?i)CREATE INDEX", statement.text) and INDEX in statement.text:
            return statement
    return None


def does_what_it_should(project: Project) -> str | None:
    if "checked" not in project.models()["note"]:
        return "The model `Note` has lost its column `checked`. The review is about how, not what."
    if hint := is_one_chain(project):
        return hint
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy):
            return hint
        if "checked" not in copy.columns("note"):
            return "After `upgrade()`, the column `checked` is not there."
        if INDEX not in copy.indexes("note"):
            return (
                f"After `upgrade()`, the index {INDEX} is not there. Without it, the page of the "
                "newest notes reads forty million rows. It has to come, without stopping the site."
            )
    return None


def is_not_waived(project: Project) -> str | None:
    for revision in project.revisions():
        if "allow require-concurrent-index-creation" in project.source(revision):
            return (
                f"{Path(revision.path).name} says that the lock is allowed. That is right for a "
                "small table. This one has forty million rows, and its site would stand still."
            )
    return None


def locks_nobody_out(project: Project) -> str | None:
    statement = index_statement(project)
    if statement is None:
        return f"No statement makes {INDEX} on PostgreSQL. Is there a branch on the database?"
    if "CONCURRENTLY" not in statement.text:
        return (
            f"{statement.text};\nWhile this runs, PostgreSQL lets nobody write into `note`, and on "
            "forty million rows it runs for minutes. PostgreSQL has another way to make an index."
        )
    if statement.in_transaction:
        return (
            "CREATE INDEX CONCURRENTLY is between BEGIN and COMMIT, and PostgreSQL refuses that. "
            "Alembic has a block which ends the transaction before, and begins another one after: "
            "`op.get_context().autocommit_block()`."
        )
    return None


def can_be_repeated(project: Project) -> str | None:
    statement = index_statement(project)
    assert statement is not None  # noqa: S101 (the step before has found it)
    others = [
        other.text
        for other in statements(project)
        if other.revision == statement.revision and other != statement
    ]
    if others:
        return (
            f"The revision {statement.revision} also does this:\n  {others[0]};\n"
            "The block commits what came before it. If the index then fails, that is there, the "
            "revision counts as not applied, and the next run does it twice. The index needs a "
            "revision of its own."
        )
    if "IF NOT EXISTS" not in statement.text:
        return (
            "If CREATE INDEX CONCURRENTLY is killed, the index is there already when it runs "
            "again. `if_not_exists=True` lets the next run pass; the migrator then looks whether "
            "the index is valid."
        )
    return None


def goes_back(project: Project) -> str | None:
    with project.copy_of_stage() as copy:
        if hint := upgrade(copy) or downgrade(copy, FIRST):
            return hint
        if INDEX in copy.indexes("note"):
            return f"After `downgrade()`, the index {INDEX} is still there."
        if "checked" in copy.columns("note"):
            return "After `downgrade()`, the column `checked` is still there."
    return None


STEPS = [
    ("the column and the index come", does_what_it_should),
    ("nothing is waved through", is_not_waived),
    ("the index is made without locking writers out", locks_nobody_out),
    ("the revision of the index can be run again", can_be_repeated),
    ("downgrade() takes both away", goes_back),
    ("the revisions make what the models say", agrees),
    ("your database is at the newest revision", is_at_head),
    ("your notes are all still there", has_its_notes),
]
