"""Add color

Revision ID: 20261123090000_c9d0e1f2a3b4
Revises: 20261122090000_3632c1f107b5
Create Date: 2026-11-23 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123090000_c9d0e1f2a3b4"
down_revision = "20261122090000_3632c1f107b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.add_column(sa.Column("color", sa.String(length=20), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        # allow loss of note.color: it is new in this revision
        batch_op.drop_column("color")
