"""`cruft update` of a service from each earlier release, with its own history, rows and changes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import edit
from support import DATABASES, Service, database

Run = Callable[..., str]
CRUFT = [sys.executable, "-m", "cruft"]
# What a database has and no model says: the tests of 0.1.0 find it, those before it did not.
UNKNOWN_TO_MODELS = {
    "sqlite": (
        'name=op.f("pk_shelf")),',
        'name=op.f("pk_shelf")),\n        sqlite_with_rowid=False,',
    ),
    "postgresql": (
        "\n\n\ndef d",
        '\n    op.execute("ALTER TABLE shelf SET (fillfactor=70)")\n\n\ndef d',
    ),
    "mariadb": (
        "\n\n\ndef d",
        '\n    op.execute("ALTER TABLE shelf ROW_FORMAT=REDUNDANT")\n\n\ndef d',
    ),
}
MODELS = '''\
"""What we sell."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))


class Visit(db.Model):
    __bind_key__ = "analytics"
    id: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[str] = mapped_column(sa.String(100))
'''
LATER_MODELS = """\


class Shelf(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(10))
"""
VIEWS = '''\
"""The routes of what we sell."""

from flask import Blueprint

blueprint = Blueprint("shop", __name__, url_prefix="/shop")


@blueprint.get("")
def hello() -> str:
    """Answer a word."""
    return "hello"
'''
# What a user has changed, in the places that the README of a service names, and elsewhere.
CHANGES = [
    ("README.md", "# My Service", "# Our Shop"),
    ("app/config.py", "BINDS: tuple[str, ...] = ()", 'BINDS: tuple[str, ...] = ("analytics",)'),
    (
        "alembic.ini",
        "[post_write_hooks]",
        "[analytics]\nversion_locations = %(here)s/migrations/analytics\n\n[post_write_hooks]",
    ),
    ("alembic.ini", "# lock_wait = 60", "lock_wait = 30"),
    (
        "app/__init__.py",
        "\n    import_models()",
        '\n    app.config["MAX_CONTENT_LENGTH"] = 1_000_000\n    import_models()',
    ),
    ("pyproject.toml", '    "python-dotenv', '    "markupsafe",\n    "python-dotenv'),
    (
        ".github/workflows/ci.yml",
        "      DATABASE_URL:",
        "      ANALYTICS_DATABASE_URL: sqlite:////tmp/analytics.db\n      DATABASE_URL:",
    ),
    (
        "compose.yaml",
        "  DATABASE_URL:",
        "  ANALYTICS_DATABASE_URL: sqlite:////data/analytics.db\n  DATABASE_URL:",
    ),
]
VARIABLES = """
ANALYTICS_DATABASE_URL=sqlite:///instance/analytics.db
ANALYTICS_DATABASE_ENGINE_OPTIONS={}
"""


def earlier_releases() -> list[str]:
    """Return the commits that CHANGELOG.md names, each of the release before an entry."""
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text("utf-8")
    return re.findall(r"`([0-9a-f]{40})`", text)


@pytest.fixture(scope="module")
def released(
    root: Path, template: Path, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """This repository with its history, and the working tree as its newest commit."""
    for commit in earlier_releases():
        found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=root)
        if found.returncode:
            pytest.fail(f"The history ends before {commit}. Run: git fetch --unshallow")
    clone = tmp_path_factory.mktemp("released") / "template"
    run(["git", "clone", "--quiet", "--no-checkout", f"file://{root}", clone], root)
    for path in template.iterdir():
        if path.name != ".git":
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, clone / path.name)
    commit_all(clone, run)
    return clone


def commit_all(folder: Path, run: Run) -> None:
    run(["git", "add", "--all"], folder)
    run(["git", "commit", "--quiet", "--allow-empty", "--message", "Go on"], folder)


@pytest.fixture(params=DATABASES)
def shop(
    request: pytest.FixtureRequest, released: Path, run: Run, env: dict[str, str], tmp_path: Path
) -> Iterator[Service]:
    """A service that was rendered from the release before this, changed, migrated and in use."""
    kind, (*_, commit) = request.param, earlier_releases()
    answers = json.dumps({"setup": False, "database": kind, "ci": "github"})
    made = [*CRUFT, "create", released, "--no-input", "--checkout", commit]
    run([*made, "--extra-context", answers], tmp_path)
    (tmp_path / "data").mkdir()
    with database(kind, tmp_path / "data") as url:
        analytics = {"ANALYTICS_DATABASE_URL": f"sqlite:///{tmp_path}/data/analytics.db"}
        service = Service(kind, tmp_path / "my-service", url, env | analytics)
        commit_all(service.folder, run)
        live_in(service)
        commit_all(service.folder, run)
        yield service


def live_in(service: Service) -> None:
    """Do what a user does: take the example out, write models and revisions, change files."""
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "downgrade", "base")
    shutil.rmtree(service.folder / "app/notes")
    (service.folder / "tests/test_notes.py").unlink()
    service.newest().unlink()
    for path, old, new in CHANGES:
        edit(service.folder / path, old, new)
    with (service.folder / ".env.example").open("a", encoding="utf-8") as file:
        file.write(VARIABLES)
    service.write("app/shop/models.py", MODELS)
    service.write("app/shop/views.py", VIEWS)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    service.run("alembic", "-n", "analytics", "revision", "--autogenerate", "-m", "Add visit")
    service.run("flask", "db", "upgrade")
    with service.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO thing (id, name) VALUES (1, 'one'), (2, 'two')")
    models = service.folder / "app/shop/models.py"
    edit(models, "\n\n\nclass Visit", "\n    size: Mapped[int | None]\n\n\nclass Visit")
    models.write_text(models.read_text("utf-8") + LATER_MODELS, "utf-8")
    service.run("alembic", "revision", "--autogenerate", "-m", "Add shelf and size")
    edit(service.newest(), *UNKNOWN_TO_MODELS[service.kind])
    service.run("alembic", "upgrade", "head")
    assert "failed" not in service.run("pytest", "-q")


def revisions(service: Service) -> dict[str, bytes]:
    return {
        path.relative_to(service.folder).as_posix(): path.read_bytes()
        for path in service.folder.glob("migrations/*/*.py")
    }


@pytest.mark.long
def test_a_service_of_an_earlier_release_stays_as_it_is(shop: Service, run: Run) -> None:
    before, rows = revisions(shop), shop.snapshot()["thing"]

    run([*CRUFT, "update", "--skip-apply-ask"], shop.folder)

    assert not [*shop.folder.rglob("*.rej"), *shop.folder.rglob("*.orig")]
    assert not run(["git", "diff", "--name-only", "--diff-filter=U"], shop.folder)
    for path, _, new in CHANGES:
        assert new in (shop.folder / path).read_text("utf-8")
    assert not (shop.folder / "alembic_support").exists()
    assert not (shop.folder / "app/notes").exists()
    assert revisions(shop) == before
    shop.run("flask", "db", "upgrade")
    shop.run("flask", "db", "current", "--check-heads")
    assert shop.snapshot()["thing"] == rows
    # The tests of today would condemn a revision of that day, which is deployed.
    shop.run("pytest", "-q")
    if shop.kind == "sqlite":  # the same files on all
        shop.run("ruff", "check", ".")
        shop.run("ruff", "format", "--check", ".")
        shop.run("mypy")
    edit(shop.folder / "alembic.ini", "\njudged_after =", "\n# judged_after =")
    assert "test_the_database_is_what_the_models_say" in shop.run("pytest", "-q", fails=True)


def follow(project: Path, name: str, after: str | None) -> None:
    """Write an empty revision."""
    text = f"revision = {name!r}\ndown_revision = {after!r}\n"
    text += "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
    (project / "migrations/versions" / f"{name}.py").write_text(text, "utf-8")


def judged_after(project: Path) -> str:
    found = re.search("(?m)^judged_after = (.*)$", (project / "alembic.ini").read_text("utf-8"))
    return found[1] if found else ""


def test_each_update_carries_it_forward(released: Path, run: Run, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(released, tmp_path / "newer"))
    answers = json.dumps({"setup": False})
    run([*CRUFT, "create", newer, "--no-input", "--extra-context", answers], tmp_path)
    project = tmp_path / "my-service"
    assert judged_after(project) == ""
    commit_all(project, run)
    (first,) = [path.name[:27] for path in project.glob("migrations/versions/*.py")]
    for name, before in {"second": first, "third": "second"}.items():
        follow(project, name, before)
        commit_all(project, run)
        with (newer / "{{cookiecutter.project_slug}}/migrator/proof/new.py").open("a") as judge:
            judge.write(f"\n# Stricter than with the {name}.\n")
        commit_all(newer, run)

        run([*CRUFT, "update", "--skip-apply-ask"], project)

        assert judged_after(project) == name
        assert not [*project.rglob("*.rej")]
        commit_all(project, run)
        assert "judged_after" not in run([*CRUFT, "diff"], project)


def test_what_is_new_by_names_of_several_databases(tmp_path: Path) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from migrator.proof.new import new_revisions

    for place in ("versions", "analytics"):
        (tmp_path / "migrations" / place).mkdir(parents=True)
    for name, after in {"a": None, "b": "a", "c": "b"}.items():
        follow(tmp_path, f"{name}1234", after and f"{after}1234")
    (tmp_path / "migrations/versions/a1234.py").rename(tmp_path / "migrations/analytics/a1234.py")
    follow(tmp_path, "b1234", None)
    ini = tmp_path / "alembic.ini"

    def new(section: str) -> list[str]:
        config = Config(ini, ini_section=section)
        found = new_revisions(config, ScriptDirectory.from_config(config))
        return [script.revision for script in found]

    def say(judged_after: str) -> None:
        ini.write_text(
            "[DEFAULT]\nscript_location = %(here)s/migrations\npath_separator = newline\n"
            f"{judged_after}\n"
            "[alembic]\nversion_locations = %(here)s/migrations/versions\n"
            "[analytics]\nversion_locations = %(here)s/migrations/analytics\n",
            "utf-8",
        )

    for judged, main, analytics in [
        ("# judged_after =", ["b1234", "c1234"], ["a1234"]),
        ("judged_after =", ["b1234", "c1234"], ["a1234"]),
        ("judged_after = b1234", ["c1234"], ["a1234"]),
        ("judged_after = b1234 a1234", ["c1234"], []),
        ("judged_after = a1234, c1234", [], []),
    ]:
        say(judged)
        assert (new("alembic"), new("analytics")) == (main, analytics)
    say("judged_after = a1234 haed")
    with pytest.raises(CommandError, match="names haed, which is no revision"):
        new("alembic")
