"""More than one database: the recipe of the rendered README, word for word, on each kind."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import DATABASES, Service, database

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER = dict(zip(DATABASES, (*DATABASES[1:], DATABASES[0]), strict=True))


def recipe(service: Service) -> list[tuple[str, str]]:
    """Return the fenced blocks of "Add a database", each with its language."""
    text = (service.folder / "README.md").read_text("utf-8")
    section = text.partition("\n## Add a database\n")[2].partition("\n## ")[0]
    return [(block[1], block[2]) for block in FENCE.finditer(section)]


def edit(path: Path, pattern: str, text: str) -> None:
    old = path.read_text("utf-8")
    new = re.sub(pattern, lambda _: text, old, count=1, flags=re.MULTILINE)
    assert new != old, f"{pattern} is not in {path}"
    path.write_text(new, "utf-8")


@pytest.fixture
def analytics(service: Service, tmp_path: Path) -> Iterator[Service]:
    """Follow the recipe, with a second database of another kind."""
    (language, name), (_, address), (_, section), (_, model), (shell, _) = recipe(service)
    assert (language, shell) == ("python", "sh")
    folder = service.folder
    edit(folder / "app/config.py", r"^BINDS: .*\n", name)
    for file in (".env", ".env.example"):
        with (folder / file).open("a", encoding="utf-8") as env:
            env.write(f"\n{address}")
    edit(folder / "alembic.ini", r"^\[post_write_hooks\]\n", f"{section}\n[post_write_hooks]\n")
    head, _, body = model.partition("\n")
    columns = "    id = sa.Column(sa.Integer, primary_key=True)\n"
    imports = "import sqlalchemy as sa\n\nfrom app.db import db\n\n\n"
    service.write("app/visits/models.py", f"{imports}{head}\n{body}\n{columns}")

    with database(OTHER[service.kind], tmp_path) as url:
        yield replace(service, env=service.env | {"ANALYTICS_DATABASE_URL": url})


def test_the_recipe(analytics: Service) -> None:
    """Each database has its history, its tests, its check and its line in /readyz."""
    before = {path: path.read_bytes() for path in analytics.revisions()}
    analytics.run("alembic", "upgrade", "head")
    for line in recipe(analytics)[-1][1].splitlines():
        words = re.findall(r'"[^"]*"|\S+', line.removeprefix("uv run "))
        output = analytics.run(*(word.strip('"') for word in words))
    assert output.count("No new upgrade operations") == 2

    assert {path: path.read_bytes() for path in analytics.revisions()} == before
    (revision,) = (analytics.folder / "migrations" / "analytics").glob("*.py")
    assert "visit" in revision.read_text("utf-8")
    assert "note" not in revision.read_text("utf-8")
    assert "visit" not in analytics.snapshot()
    current = analytics.run("flask", "db", "current").split()
    assert revision.name[:27] in current
    assert next(iter(before)).name[:27] in current
    tests = analytics.run("pytest", "-q", "-p", "no:cacheprovider")
    assert " passed" in tests

    with analytics.serve() as get:
        assert get("/readyz")[0] == 200
        analytics.run("alembic", "-n", "analytics", "downgrade", "base")
        status, answer = get("/readyz")
        assert (status, answer["status"]) == (503, "behind")
        assert "alembic -n analytics upgrade head" in answer["reason"]
        states = {name: found["status"] for name, found in answer["databases"].items()}
        assert states == {"main": "ready", "analytics": "behind"}
        assert get("/notes")[0] == 503
        assert "alembic -n analytics upgrade head" in get("/")[1]
        analytics.run("flask", "db", "upgrade")
        assert get("/notes")[0] == 200
    assert "Running upgrade" not in analytics.run("flask", "db", "upgrade")


def test_its_own_tests_look_at_each_database(analytics: Service) -> None:
    """A downgrade of the second database that does nothing is named, and only that one."""
    analytics.run("alembic", "-n", "analytics", "revision", "--autogenerate", "-m", "Visit")
    (revision,) = (analytics.folder / "migrations" / "analytics").glob("*.py")
    text = revision.read_text("utf-8").partition("def downgrade() -> None:\n")
    revision.write_text("".join([*text[:2], "    pass\n"]), "utf-8")

    out = analytics.run("pytest", "-q", "-p", "no:cacheprovider", fails=True)

    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1, out
    assert "test_every_downgrade_undoes_its_upgrade[analytics]" in failed[0]
    assert f"{revision.name}: after downgrade(), table visit is there" in out
    assert "downgrade() has to undo all that upgrade() does" in out


def test_what_is_refused(analytics: Service) -> None:
    """One database named twice, a bind that only models name, a section that is no bind."""
    twice = analytics.run("alembic", "current", fails=True, ANALYTICS_DATABASE_URL=analytics.url)
    assert "ANALYTICS_DATABASE_URL is the database of DATABASE_URL" in twice
    unreadable = analytics.run("flask", "run", fails=True, ANALYTICS_DATABASE_URL="nonsense")
    assert "ANALYTICS_DATABASE_URL cannot be read" in unreadable

    edit(analytics.folder / "app/config.py", r"^BINDS: .*", "BINDS: tuple[str, ...] = ()")
    forgotten = analytics.run("alembic", "check", fails=True)
    assert "__bind_key__ {'analytics'}: add it to BINDS" in forgotten
    (analytics.folder / "app/visits/models.py").unlink()
    assert "add it to BINDS" in analytics.run("alembic", "-n", "analytics", "current", fails=True)


def test_a_bind_fails_on_its_own(analytics: Service) -> None:
    """An unreachable database stops neither the migration nor the status of another."""
    analytics.run("alembic", "-n", "analytics", "revision", "--autogenerate", "-m", "Visit")
    gone = "postgresql://postgres@127.0.0.1:1/gone"
    output = analytics.run("flask", "db", "upgrade", fails=True, ANALYTICS_DATABASE_URL=gone)
    assert "cannot be reached" in output
    assert "note" in analytics.snapshot()
    with analytics.serve(ANALYTICS_DATABASE_URL=gone) as get:
        states = {name: found["status"] for name, found in get("/readyz")[1]["databases"].items()}
    assert states == {"main": "ready", "analytics": "unreachable"}
