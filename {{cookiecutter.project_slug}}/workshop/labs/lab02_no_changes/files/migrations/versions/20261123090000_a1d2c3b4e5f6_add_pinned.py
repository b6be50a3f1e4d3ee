"""Add pinned

Revision ID: 20261123090000_a1d2c3b4e5f6
Revises: 20261122090000_3632c1f107b5
Create Date: 2026-11-23 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123090000_a1d2c3b4e5f6"
down_revision = "20261122090000_3632c1f107b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("pinned", sa.Boolean(), server_default=sa.text("0"), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        # allow loss of note.pinned: it is new in this revision
        batch_op.drop_column("pinned")
