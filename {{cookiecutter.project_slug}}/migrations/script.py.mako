<%!
    import re
%>\
<%
    # A message may hold anything. It must not end the docstring, nor be read as escapes.
    text = message.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"""', '\\"""')
    # Without --rev-id, an id begins with its time, by which /readyz knows a newer revision.
    made = create_date.strftime("%Y%m%d%H%M%S")
    identifier = f"{made}_{up_revision}" if re.fullmatch("[0-9a-f]{12}", up_revision) else up_revision
%>\
"""${"\n".join("".join(filter(str.isprintable, line)).rstrip() for line in text.splitlines()).strip()}

Revision ID: ${identifier}
Revises:${" " if down_revision else ""}${down_revision | comma,n}
Create Date: ${create_date}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(identifier)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
