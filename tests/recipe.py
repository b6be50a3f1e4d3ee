"""The recipe of docs/deploying.md, followed word for word by the tests that want its releases."""

import re
import shlex
import textwrap
from pathlib import Path

from support import Service

MODELS = "app/things/models.py"
FIRST = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
"""
# A block of code, with the comment before it that says where it goes.
BLOCK = re.compile(r"(?ms)(?:^<!-- ([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$")
BODY = re.compile(r"(?ms)^def upgrade\(\).*\Z")
ABOVE = re.compile(r'in "(.+)", above the first line of upgrade\(\)')


def begin(service: Service) -> None:
    """Have a release with the column that is going to be renamed."""
    service.write(MODELS, FIRST)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")


def steps(root: Path) -> dict[str, str]:
    """Return the text of each step, by its title."""
    text = (root / "docs/deploying.md").read_text("utf-8")
    parts = re.split(r"(?m)^### \d\. (\w+)\n", text.partition("\n## A column is renamed")[2])
    parts[-1] = parts[-1].partition("\n## ")[0]
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def follow(service: Service, step: str) -> None:
    """Do what a step says: write its files, run its commands, and edit its revisions."""
    for place, language, text in BLOCK.findall(step):
        if language == "sh":
            for line in text.splitlines():
                service.run(*shlex.split(line))
        elif place.endswith(".py"):
            service.write(place, text)
        else:
            edit(service.newest(), place, text, imported=re.findall("`(from .+ import .+)`", step))


def edit(revision: Path, place: str, text: str, imported: list[str]) -> None:
    """Put lines at the start of upgrade(), or replace both functions, with their imports."""
    source = revision.read_text("utf-8")
    above = ABOVE.fullmatch(place)
    assert f'"""{above[1] if above else place}\n' in source
    if above:
        head = "def upgrade() -> None:\n"
        source = source.replace(head, head + textwrap.indent(text, "    "))
    else:
        last = "from alembic import op\n"
        source = source.replace(last, "\n".join([last, *imported, ""]))
        source = BODY.sub(lambda _: text, source)
    revision.write_text(source, "utf-8")
