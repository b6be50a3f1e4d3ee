"""Releases take each other's place under load, and no request fails.

Both releases serve while the schema is the new one's. What is deployed is a new table and a column;
the release before, again; the recipe of docs/deploying.md, by which a column is renamed; and with
it another column's whole life: it is added, filled, made NOT NULL, and leaves. Last, a column is
dropped at once: requests have to fail, or else the test could not see a failure.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import recipe
import rolling
from support import Service, database

pytestmark = pytest.mark.long
REVIEWS = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db
from migrator.leaving import leaving


{leaving}
class Review(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    {columns}
"""
EXTRA = """\
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Extra(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
"""
HINT = "hint: Mapped[str | None] = mapped_column(sa.String(20), index=True)"
VIEWS = """\
import sqlalchemy as sa
from flask import Blueprint, request

from app.db import db
from app.reviews.models import Review
from app.things.models import Thing

blueprint = Blueprint("things", __name__, url_prefix="/things")


@blueprint.get("")
def newest():
    things = db.session.scalars(sa.select(Thing).order_by(Thing.id.desc()).limit(20)).all()
    reviews = db.session.scalars(sa.select(Review).order_by(Review.id.desc()).limit(20)).all()
    assert all(thing.{title} is not None for thing in things)
    return {{"things": [thing.{title} for thing in things], "reviews": len(reviews)}}


@blueprint.post("")
def create():
    data = request.get_json()
    thing, review = Thing({title}=data["title"]), Review({stars})
    db.session.add_all([thing, review])
    db.session.flush()
    number = thing.id
    db.session.commit()
    # docs/deploying.md: on MariaDB, who reads first and then writes may be ended by an ALTER TABLE.
    thing = db.session.get(Thing, number, with_for_update=True)
    thing.{title} = f"{{thing.{title}}}!"
    db.session.commit()
    return {{"id": number}}, 201
"""
WRITES_STARS = 'stars=data["stars"]'
FILL = '    backfill("thing", {"title": sa.column("name")})\n'
FILL_STARS = (
    '    backfill("review", {"stars": sa.func.coalesce(sa.column("stars"), 0)}, batch=50)\n'
)


@dataclass(frozen=True)
class Builder:
    """Makes the releases, each in a folder of its own, one after the other."""

    service: Service
    folder: Path

    def reviews(self, *columns: str, leaving: str = "") -> None:
        word = leaving or "# nothing leaves"
        text = REVIEWS.format(leaving=word, columns="\n    ".join(columns))
        self.service.write("app/reviews/models.py", text)

    def views(self, title: str, stars: str) -> None:
        self.service.write("app/things/views.py", VIEWS.format(title=title, stars=stars))

    def revise(self, message: str) -> None:
        self.service.run("alembic", "revision", "--autogenerate", "-m", message)

    def release(self, name: str) -> Path:
        ignored = shutil.ignore_patterns(".git", ".mypy_cache", "__pycache__")
        return shutil.copytree(self.service.folder, self.folder / name, ignore=ignored)


def releases(builder: Builder, root: Path) -> Iterator[Path]:
    """Yield the releases, the oldest first, and at last one that drops a column at once."""
    steps = recipe.steps(root)
    builder.reviews()
    builder.views("name", stars="")
    recipe.begin(builder.service)
    yield builder.release("first")

    builder.reviews(HINT)
    builder.service.write("app/extra/models.py", EXTRA)
    builder.revise("Add what is new")
    yield builder.release("additive")

    builder.reviews(HINT, "stars: Mapped[int | None]")
    builder.views("name", WRITES_STARS)
    recipe.follow(builder.service, steps["Add"])
    yield builder.release("add")

    builder.reviews(HINT, "stars: Mapped[int]")
    builder.views("title", WRITES_STARS)
    assert FILL in steps["Copy"]
    recipe.follow(builder.service, steps["Copy"].replace(FILL, FILL + FILL_STARS))
    yield builder.release("copy")

    builder.reviews(HINT, leaving='@leaving(sa.Column("stars", sa.Integer))')
    builder.views("title", stars="")
    recipe.follow(builder.service, steps["Leave"])
    yield builder.release("leave")

    builder.reviews(HINT)
    recipe.follow(builder.service, steps["Gone"])
    yield builder.release("gone")

    builder.reviews()
    builder.revise("Drop hint at once")
    yield builder.release("at once")


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_no_request_fails_while_releases_are_deployed(
    service: Service, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "releases").mkdir()
    first, additive, *others, faulty = releases(Builder(service, tmp_path / "releases"), root)
    counts: dict[str, rolling.Counts] = {}
    with (
        database(service.kind, tmp_path) as url,
        rolling.site(replace(service, url=url), first) as site,
    ):
        for release, back in [
            (additive, False),
            (first, True),
            *((release, False) for release in others),
            (faulty, False),
        ]:
            name = f"back to {release.name}" if back else release.name
            with rolling.load(site) as count:
                site.deploy(release, back)
            counts[name] = count()
            print(f"{service.kind}: {name}: {counts[name]}")
            if release is not faulty:
                logs = "\n".join(map(site.log, rolling.SLOTS))
                assert counts[name].failed == 0, f"{name}: {counts}\n{logs}"
                assert counts[name].answered > 4 * rolling.MEANWHILE
    assert counts[faulty.name].failed > rolling.MEANWHILE, "what is dropped at once is missed"
