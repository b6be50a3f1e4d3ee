"""What uses a column is named with statements for both directions, and they are the right ones."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from support import Service

THING = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column({})
"""
VIEW = "CREATE VIEW sizes AS SELECT size * 2 AS doubled FROM thing WHERE id > 0"
STATEMENTS = re.compile(r"op\.execute\((\"[^\"]*\"|'[^']*')\)")


def add(path: Path, function: str, first: str, last: str) -> None:
    """Write statements at the beginning and at the end of a function of a revision."""
    head, start, rest = path.read_text("utf-8").partition(f"def {function}() -> None:\n")
    body, end, tail = rest.partition("    # ### end Alembic commands ###\n")
    body = re.sub(r"    # (?!###|allow).*\n", "", body)  # the TODO
    text = f"{head}{start}    {first}\n{body}    {last}\n{end}{tail}"
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("service", ["sqlite", "postgresql"], indirect=True)
def test_what_is_said_of_a_view_can_be_done(service: Service) -> None:
    service.write("app/things/models.py", THING.format("sa.Integer"))
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    add(service.newest(), "upgrade", "pass", f"op.execute({VIEW!r})")
    add(service.newest(), "downgrade", 'op.execute("DROP VIEW sizes")', "pass")
    service.run("alembic", "upgrade", "head")

    service.write("app/things/models.py", THING.format("sa.BigInteger"))
    said = service.run("alembic", "revision", "--autogenerate", "-m", "Make size big")
    (line,) = {line for line in said.splitlines() if "the view sizes uses" in line}
    drop, create = (f"op.execute({text})" for text in STATEMENTS.findall(line))
    for function in ("upgrade", "downgrade"):
        add(service.newest(), function, drop, create)

    assert "proven" in service.run("flask", "db", "prove", "head")
    for command in ("upgrade head", "check", "downgrade -1", "upgrade head"):
        service.run("alembic", *command.split())
    assert sa.inspect(service.engine()).get_view_names() == ["sizes"]
