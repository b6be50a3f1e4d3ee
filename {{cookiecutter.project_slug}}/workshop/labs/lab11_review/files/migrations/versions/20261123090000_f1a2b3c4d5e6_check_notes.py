"""Check notes

Revision ID: 20261123090000_f1a2b3c4d5e6
Revises: 20261122090000_3632c1f107b5
Create Date: 2026-11-23 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123090000_f1a2b3c4d5e6"
down_revision = "20261122090000_3632c1f107b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "note", sa.Column("checked", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_index("ix_note_created_at", "note", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_note_created_at", "note")
    # allow loss of note.checked: it is new in this revision
    op.drop_column("note", "checked")
