"""Drop color

Revision ID: 20261124090000_d0e1f2a3b4c5
Revises: 20261123090000_c9d0e1f2a3b4
Create Date: 2026-11-24 09:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "20261124090000_d0e1f2a3b4c5"
down_revision = "20261123090000_c9d0e1f2a3b4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        # allow loss of note.color: nobody wants the colors any more
        batch_op.drop_column("color")


def downgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.add_column(sa.Column("color", sa.String(length=20), nullable=True))
