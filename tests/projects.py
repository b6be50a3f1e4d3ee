"""Projects as Flask-Migrate and `alembic init` make them, with two revisions and rows."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from support import DRIVERS

FLASK = """\
import os

from flask import Flask
from flask_migrate import Migrate

from models import db

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db.init_app(app)
Migrate(app, db)
"""
FLASK_MODELS = """\
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
Base, sa = db.Model, db
"""
PLAIN = """\
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass
"""
AUTHOR = """

class Author(Base):
    __tablename__ = "author"
    id = sa.Column(sa.Integer, primary_key=True)
    email = sa.Column(sa.String(100), unique=True, nullable=False)
    joined = sa.Column(sa.DateTime)
"""
BOOK = """

class Book(Base):
    __tablename__ = "book"
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String(100), index=True, nullable=False)
    cents = sa.Column(sa.Numeric(10, 2), server_default="0")
    author_id = sa.Column(sa.Integer, sa.ForeignKey("author.id"), nullable=False)
"""
SHELF = """

class Shelf(Base):
    __tablename__ = "shelf"
    id = sa.Column(sa.Integer, primary_key=True)
    book_id = sa.Column(sa.Integer, sa.ForeignKey("book.id"), nullable=False)
"""
# The models of each of two revisions.
REVISIONS = {"Add author": AUTHOR, "Add book": BOOK}


@dataclass(frozen=True)
class Project:
    """A project that was there before this template; its commands run as its developer's would.

    - `command` is what Alembic's commands follow
    - `migrate` is the command that writes a revision
    """

    kind: str
    folder: Path
    url: str
    env: Mapping[str, str]
    command: tuple[str, ...]
    migrate: tuple[str, ...]

    def environ(self) -> dict[str, str]:
        return {**self.env, "DATABASE_URL": self.url, "FLASK_APP": "app"}

    def run(self, *words: str, fails: bool = False) -> str:
        """Return what a command of Alembic's printed."""
        done = subprocess.run(
            [sys.executable, "-m", *self.command, *words],
            cwd=self.folder,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=600,
        )
        assert (done.returncode != 0) == fails, f"{words}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def add(self, models: str) -> None:
        with (self.folder / "models.py").open("a", encoding="utf-8") as file:
            file.write(models)

    def revise(self, message: str) -> Path:
        """Have a revision written; return its file."""
        before = {*self.revisions()}
        said = self.run(*self.migrate, "-m", message)
        new = {*self.revisions()} - before
        assert new, said
        return new.pop()

    def revisions(self) -> list[Path]:
        return sorted((self.folder / "migrations/versions").glob("*.py"))

    def engine(self) -> sa.Engine:
        return sa.create_engine(self.url, poolclass=sa.NullPool)

    def rows(self) -> dict[str, list[Any]]:
        """Return what each table holds."""
        tables = sa.MetaData()
        engine = self.engine()
        tables.reflect(engine)
        with engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(sa.select(table))]
                for table in tables.sorted_tables
            }


def with_driver(url: str) -> str:
    """Return an address as projects write it, with the driver's name."""
    parts = sa.make_url(url)
    driver = DRIVERS.get(parts.drivername, parts.drivername)
    return parts.set(drivername=driver).render_as_string(hide_password=False)


def flask_migrate(kind: str, folder: Path, url: str, env: Mapping[str, str]) -> Project:
    """Make a project as Flask-Migrate's documentation says."""
    folder.mkdir()
    (folder / "app.py").write_text(FLASK, "utf-8")
    (folder / "models.py").write_text(FLASK_MODELS, "utf-8")
    command = ("flask", "db")
    project = Project(kind, folder, with_driver(url), env, command, ("migrate",))
    project.run("init")
    return fill(project)


def plain_alembic(kind: str, folder: Path, url: str, env: Mapping[str, str]) -> Project:
    """Make a project as Alembic's tutorial says."""
    folder.mkdir()
    (folder / "models.py").write_text(PLAIN, "utf-8")
    revise = ("revision", "--autogenerate")
    project = Project(kind, folder, with_driver(url), env, ("alembic",), revise)
    project.run("init", "migrations")
    edit(folder / "alembic.ini", "driver://user:pass@localhost/dbname", project.url)
    edit(
        folder / "migrations/env.py",
        "target_metadata = None",
        "from models import Base\ntarget_metadata = Base.metadata",
    )
    return fill(project)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def fill(project: Project) -> Project:
    """Give a project two revisions, applied, and rows."""
    for message, models in REVISIONS.items():
        project.add(models)
        project.revise(message)
        project.run("upgrade", "head")
    with project.engine().begin() as connection:
        for number in (1, 2):
            connection.exec_driver_sql(
                f"INSERT INTO author (id, email) VALUES ({number}, 'a{number}@example.org')"  # noqa: S608 (a number)
            )
            connection.exec_driver_sql(
                "INSERT INTO book (id, title, cents, author_id) "  # noqa: S608 (a number)
                f"VALUES ({number}, 'Book {number}', 1.5, {number})"
            )
    return project
