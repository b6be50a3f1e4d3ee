"""Add autor

Revision ID: 20261123090000_b2c3d4e5f6a7
Revises: 20261122090000_3632c1f107b5
Create Date: 2026-11-23 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123090000_b2c3d4e5f6a7"
down_revision = "20261122090000_3632c1f107b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("autor", sa.String(length=80), server_default="", nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        # allow loss of note.autor: it is new in this revision
        batch_op.drop_column("autor")
