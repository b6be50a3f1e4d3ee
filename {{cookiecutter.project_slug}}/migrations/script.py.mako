<%
    # A message is anybody's text: it must neither end the docstring nor be read as escapes.
    text = message.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"""', '\\"""')
%>\
"""${"\n".join("".join(filter(str.isprintable, line)).rstrip() for line in text.splitlines()).strip()}

Revision ID: ${up_revision}
Revises:${" " if down_revision else ""}${down_revision | comma,n}
Create Date: ${create_date}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
