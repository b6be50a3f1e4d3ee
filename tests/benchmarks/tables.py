"""Projects that have grown: many tables, and histories of many revisions."""

import re
from collections.abc import Iterable
from pathlib import Path

MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db
"""
MODEL = """

class Thing{n}(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), index=True)
    size: Mapped[int | None]
    note_id: Mapped[int | None] = mapped_column(sa.ForeignKey("note.id"))
"""
REVISION = '''\
"""Revision {revision}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{down}"
{allowed}


def upgrade() -> None:
{upgrade}

def downgrade() -> None:
{downgrade}'''
# What the project's own tests have to be told of these, in each revision.
ALLOWED = "loss of thing{n},loss of thing{n}.size,loss of thing{n}.note_id,changing-column-type"
ALLOWED += ",adding-foreign-key-constraint,constraint-missing-not-valid"
ALLOWED += ",require-concurrent-index-creation"
# What happens to a table, one revision each: its upgrade and its downgrade.
LIFE = (
    (
        """\
    op.create_table(
        "thing{n}",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thing{n}")),
    )
""",
        '    op.drop_table("thing{n}")\n',
    ),
    (
        '    op.create_index(op.f("ix_thing{n}_name"), "thing{n}", ["name"])\n',
        '    op.drop_index(op.f("ix_thing{n}_name"), table_name="thing{n}")\n',
    ),
    (
        '    op.add_column("thing{n}", sa.Column("size", sa.Integer(), nullable=True))\n',
        '    op.drop_column("thing{n}", "size")\n',
    ),
    (
        """\
    with op.batch_alter_table("thing{n}") as batch:
        batch.add_column(sa.Column("note_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(op.f("fk_thing{n}_note_id_note"), "note", ["note_id"], ["id"])
""",
        """\
    with op.batch_alter_table("thing{n}") as batch:
        batch.drop_constraint(op.f("fk_thing{n}_note_id_note"), type_="foreignkey")
        batch.drop_column("note_id")
""",
    ),
    (
        """\
    with op.batch_alter_table("thing{n}") as batch:
        batch.alter_column(
            "name", type_=sa.String(length=100), existing_type=sa.String(length=50),
            existing_nullable=False,
        )
""",
        """\
    with op.batch_alter_table("thing{n}") as batch:
        batch.alter_column(
            "name", type_=sa.String(length=50), existing_type=sa.String(length=100),
            existing_nullable=False,
        )
""",
    ),
)
# The same in one go.
GROWN = """\
    op.create_table(
        "thing{n}",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("note_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["note_id"], ["note.id"], name=op.f("fk_thing{n}_note_id_note")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thing{n}")),
    )
    op.create_index(op.f("ix_thing{n}_name"), "thing{n}", ["name"])
"""


def add_models(project: Path, tables: int) -> None:
    """Give a rendered project this many more tables, as models."""
    folder = project / "app" / "things"
    folder.mkdir()
    models = [MODEL.format(n=n) for n in range(1, tables + 1)]
    (folder / "models.py").write_text("".join([MODELS, *models]), "utf-8")


def add_history(project: Path, revisions: int) -> None:
    """Give a rendered project this many more revisions, five for each table, and the models."""
    add_models(project, revisions // len(LIFE))
    for number in range(revisions):
        table, age = divmod(number, len(LIFE))
        up, down, allowed = (text.format(n=table + 1) for text in (*LIFE[age], ALLOWED))
        add_revision(project, number, up, down, allowed.split(","))


def add_tables(project: Path, tables: int) -> None:
    """Give a rendered project this many more tables, as models, and all in one revision."""
    add_models(project, tables)
    numbers = range(1, tables + 1)
    drop = LIFE[0][1]
    ups, downs = ("".join(text.format(n=n) for n in numbers) for text in (GROWN, drop))
    add_revision(project, 0, ups, downs)


def add_revision(
    project: Path, number: int, upgrade: str, downgrade: str, allowed: Iterable[str] = ()
) -> None:
    """Write a revision after the newest."""
    versions = project / "migrations" / "versions"
    newest = max(versions.glob("*.py"))
    found = re.search(r'^revision = "(.*)"$', newest.read_text("utf-8"), re.MULTILINE)
    revision = f"2030{number:010}_{number:012x}"
    lines = "\n".join(f"# allow {name}: nothing waits for this table" for name in allowed)
    text = REVISION.format(
        revision=revision,
        down=found and found[1],
        upgrade=upgrade,
        downgrade=downgrade,
        allowed=lines,
    )
    (versions / f"{revision}_step.py").write_text(text, "utf-8")
