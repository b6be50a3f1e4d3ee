"""The models of the release before are executed on the new schema: what fails is named."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import recipe
from support import Service

MODELS = """\
import enum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Owner(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), unique=True)
    age: Mapped[int]
    twice: Mapped[int | None] = mapped_column(sa.Computed("age * 2", persisted=True))


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey(Owner.id))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("thing.id"))
    name: Mapped[str] = mapped_column(sa.String(100))
    size: Mapped[int] = mapped_column(server_default="1")
    price: Mapped[float] = mapped_column(sa.Numeric(10, 2))
    mood: Mapped[Mood] = mapped_column(sa.Enum(Mood, name="mood"))
    data: Mapped[dict[str, str]] = mapped_column(sa.JSON)


tag = db.Table(
    "tag",
    sa.Column("thing_id", sa.ForeignKey(Thing.id), primary_key=True),
    sa.Column("owner_id", sa.ForeignKey(Owner.id), primary_key=True),
)
"""
ALTER = "with op.batch_alter_table({!r}) as batch:\n    batch."
THING = ALTER.format("thing")
# What a revision does, which table that breaks, what cannot be done, and what is said of it.
BREAKS = {
    "column gone": (THING + 'drop_column("data")', "thing", "select", "1. take data out"),
    "column renamed": (
        THING + 'alter_column("name", existing_type=sa.String(100), new_column_name="title")',
        *("thing", "select", "1. take name out"),
    ),
    "table gone": ('op.drop_table("tag")', "tag", "select", "db.Table('tag', …, info="),
    "table renamed": ('op.rename_table("tag", "label")', "tag", "select", "db.Table('tag', …"),
    "required column": (
        THING + 'add_column(sa.Column("rank", sa.Integer, nullable=False))',
        *("thing", "insert", "1. add rank as nullable or with a server_default"),
    ),
    "default gone": (
        THING + 'alter_column("size", existing_type=sa.Integer, server_default=None)',
        *("thing", "insert", "1. have the code write only what both the old and the new thing"),
    ),
    "check": (
        THING + 'create_check_constraint("short", "length(name) < 3")',
        *("thing", "insert", "1. have the code write only"),
    ),
    "narrower type": (
        ALTER.format("owner") + 'alter_column("name", existing_type=sa.String(50), '
        "type_=sa.String(2), existing_nullable=False)",
        *("owner", "insert", "1. have the code write only"),
    ),
}
NOT_ON = {"narrower type": ["sqlite"]}  # which keeps a text of any length


def commit(service: Service, run: Callable[..., str], message: str, tag: str = "") -> None:
    run(["git", "add", "--all"], service.folder)
    run(["git", "commit", "--quiet", "--message", message], service.folder)
    if tag:
        run(["git", "tag", tag], service.folder)


@pytest.fixture
def released(service: Service, run: Callable[..., str]) -> Service:
    """The service with a release v1 of some models."""
    if not (service.folder / ".git").is_dir():
        run(["git", "-c", "init.defaultBranch=main", "init", "--quiet"], service.folder)
    service.write(recipe.MODELS, MODELS)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add things")
    commit(service, run, "v1", tag="v1")
    return service


def add_revision(service: Service, name: str, body: str) -> None:
    down = service.revisions()[-1].name.split("_")
    template = """\
        import sqlalchemy as sa
        from alembic import op

        revision = "2999{name}"
        down_revision = "{down}"


        def upgrade() -> None:
        {body}


        def downgrade() -> None:
            raise NotImplementedError
        """
    text = textwrap.dedent(template).format(
        name=name, down="_".join(down[:2]), body=textwrap.indent(body, "    ")
    )
    service.write(f"migrations/versions/2999{name}_{name}.py", text)


def test_what_breaks_the_release_before_is_named(released: Service) -> None:
    """All in one test, because the fixture takes longer than any of them."""
    said = released.run("flask", "db", "compatible", "v1")
    assert "v1 can read and write all its tables after 0 revisions" in said
    assert "Not tried" not in said
    for what, (body, table, action, cure) in BREAKS.items():
        if released.kind in NOT_ON.get(what, []):
            continue
        add_revision(released, "first", 'op.add_column("owner", sa.Column("more", sa.Integer))')
        first = released.newest()
        down = first.read_text("utf-8")
        second = first.with_name("2999second_second.py")
        text = down.replace("2999first", "2999second")
        text = text.replace(text.partition('down_revision = "')[2].partition('"')[0], "2999first")
        added = '    op.add_column("owner", sa.Column("more", sa.Integer))'
        second.write_text(text.replace(added, textwrap.indent(body, "    ")), "utf-8")

        said = released.run("flask", "db", "compatible", "v1", fails=True)

        assert f"FAILED: 2999second_second.py: v1 cannot {action} {table} any more: " in said, what
        assert cure in said, what
        allow = f"# allow downtime of {table}"
        assert f"{allow}: <reason>" in said
        assert said.count("any more") == 1, said
        second.write_text(f"{allow}: for once\n" + second.read_text("utf-8"), "utf-8")
        released.run("flask", "db", "compatible", "v1")
        second.unlink()
        first.unlink()


def test_each_step_of_the_recipe_suits_the_release_before(
    service: Service, run: Callable[..., str], root: Path
) -> None:
    if not (service.folder / ".git").is_dir():
        run(["git", "-c", "init.defaultBranch=main", "init", "--quiet"], service.folder)
    recipe.begin(service)
    commit(service, run, "v0", tag="v0")
    for number, step in enumerate(recipe.steps(root).values(), start=1):
        service.run("alembic", "upgrade", "head")
        recipe.follow(service, step)
        said = service.run("flask", "db", "compatible")
        assert f"v{number - 1} can read and write all its tables" in said
        commit(service, run, f"v{number}", tag=f"v{number}")

    assert "v3 can read and write" in service.run("flask", "db", "compatible")
    said = service.run("flask", "db", "compatible", "v2", fails=True)
    assert "v2 cannot select thing any more" in said, "two releases back is no promise"


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_what_cannot_be_tried_is_said(released: Service, run: Callable[..., str]) -> None:
    """No row is made up for one table, and so none for its child; both are read all the same."""
    text = (released.folder / recipe.MODELS).read_text("utf-8")
    odd = """

class Odd(db.Model):
    code: Mapped[str] = mapped_column(sa.String(9), primary_key=True)
    more: Mapped[int]
    __table_args__ = (sa.CheckConstraint("code = lower(hex(more)) || '-x'", name="odd"),)


class Child(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.ForeignKey(Odd.code))
"""
    released.write(recipe.MODELS, text + odd)
    released.run("alembic", "revision", "--autogenerate", "-m", "Add odd")
    commit(released, run, "v2", tag="v2")
    add_revision(released, "last", ALTER.format("child") + 'drop_column("code")')

    said = released.run("flask", "db", "compatible", "v2", fails=True)

    assert "Not tried: insert of odd, because " in said
    assert "Not tried: insert of child, because " in said
    assert "2999last_last.py: v2 cannot select child any more: " in said
    assert "insert thing" not in said


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_release_before_is_found_or_said_to_be_missing(
    released: Service, run: Callable[..., str]
) -> None:
    def said(*words: str, fails: bool = False) -> str:
        return released.run("flask", "db", "compatible", *words, fails=fails)

    assert "There is no release before this one" in said()
    released.write("app/more.py", "MORE = 1\n")
    assert "v1 can read and write" in said(), "of a change that is no release yet, the newest tag"
    commit(released, run, "v2", tag="v2")
    assert "v1 can read and write" in said(), "of a tag, the one before"
    tagged = run(["git", "rev-parse", "HEAD"], released.folder).strip()
    run(["git", "checkout", "--quiet", "-b", "branch"], released.folder)
    released.write("app/more.py", "MORE = 2\n")
    commit(released, run, "Branch")
    assert f"{tagged} can read and write" in said(), "of a branch, where it began"
    assert "git knows no v9" in said("v9", fails=True)

    released.write("app/broken/models.py", "import nothing_like_it\n")
    commit(released, run, "Broken")
    run(["git", "rm", "--quiet", "app/broken/models.py"], released.folder)
    broken = said("HEAD", fails=True)
    assert "The models of HEAD cannot be tried here, so nothing is known" in broken
    assert "No module named 'nothing_like_it'" in broken
    assert "name another one: flask db compatible <commit or tag>" in broken

    revision = released.revisions()[-1]
    edited = revision.read_text("utf-8").replace('\nrevision = "2', '\nrevision = "3')
    revision.write_text(edited, "utf-8")
    assert "v1 has a revision that is not among these" in said("v1", fails=True)


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_each_database_of_the_release_is_tried(released: Service, run: Callable[..., str]) -> None:
    """An extra one that the release before did not have is nothing to it."""
    config = (released.folder / "app/config.py").read_text("utf-8")
    old = "BINDS: tuple[str, ...] = ()"
    assert old in config
    released.write("app/config.py", config.replace(old, 'BINDS: tuple[str, ...] = ("extra",)'))
    ini = (released.folder / "alembic.ini").read_text("utf-8")
    section = "[extra]\nversion_locations = %(here)s/migrations/extra\n"
    released.write("alembic.ini", f"{ini}\n{section}")
    (released.folder / "migrations/extra").mkdir()

    said = released.run("flask", "db", "compatible", "v1", EXTRA_DATABASE_URL="sqlite:///x.db")

    assert "v1 can read and write all its tables" in said
    assert "v1 has no database extra" in said


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
@pytest.mark.parametrize("named", [[], ["v1"]])
def test_a_repository_of_another_user_is_not_one_without_releases(
    released: Service, named: list[str]
) -> None:
    """As in a container that CI starts: git says which setting allows it."""
    words = ("flask", "db", "compatible", *named)

    # The variable is git's own, for tests.
    said = released.run(*words, fails=True, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")

    assert "git config --global --add safe.directory" in said
