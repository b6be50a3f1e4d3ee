"""Add slug

Revision ID: 20261123090000_a2b3c4d5e6f7
Revises: 20261122090000_3632c1f107b5
Create Date: 2026-11-23 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123090000_a2b3c4d5e6f7"
down_revision = "20261122090000_3632c1f107b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("note", sa.Column("slug", sa.String(100)))
    op.execute("UPDATE note SET slug = lower(replace(title, ' ', '-'))")
    op.create_index("ix_note_slug", "note", ["slug"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_note_slug", "note")
    # allow loss of note.slug: it comes from the title
    op.drop_column("note", "slug")
