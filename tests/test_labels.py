"""A label of an Enum is renamed where the database does not know it."""

import re

import pytest
from support import Service

MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String({size}))
    mood: Mapped[str] = mapped_column(
        sa.Enum("sad", "{label}", name="mood", native_enum=False, length=9)
    )
"""
TODO = re.compile(r"^    # TODO.*\n(    # (?!TODO|#).*\n)*", re.MULTILINE)
UPDATE = "UPDATE thing SET mood = '{}' WHERE mood = '{}'"


@pytest.mark.parametrize("service", ["sqlite", "postgresql"], indirect=True)
def test_a_renamed_label_is_asked_about_once(service: Service) -> None:
    """Also after a change of its table, which SQLite copies."""
    for size in (20, 30):
        service.write("app/things/models.py", MODELS.format(size=size, label="ok"))
        service.run("alembic", "revision", "--autogenerate", "-m", f"Thing {size}")
    service.run("alembic", "upgrade", "head")
    with service.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO thing (name, mood) VALUES ('a', 'ok')")

    service.write("app/things/models.py", MODELS.format(size=30, label="fine"))
    said = service.run("alembic", "revision", "--autogenerate", "-m", "Rename a label")
    assert "the label 'ok' of thing.mood is gone, and 'fine' is new" in said
    path = service.newest()
    text = TODO.sub("", path.read_text("utf-8"))
    for function, labels in (("upgrade", ("fine", "ok")), ("downgrade", ("ok", "fine"))):
        start = f"def {function}() -> None:\n"
        text = text.replace(start, f'{start}    op.execute("{UPDATE.format(*labels)}")\n')
    path.write_text(text, "utf-8")

    assert "proven" in service.run("flask", "db", "prove", "head")
    for command in ("upgrade head", "check"):
        service.run("alembic", *command.split())
    with service.engine().connect() as connection:
        assert connection.exec_driver_sql("SELECT mood FROM thing").scalars().all() == ["fine"]
    said = service.run("alembic", "revision", "--autogenerate", "-m", "Nothing")
    assert said.splitlines()[-1] == "No changes: no revision was written."
