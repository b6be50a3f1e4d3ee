"""What others see of a revision before it runs: its SQL, and the picture of what there is."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from histories import execute, write_history
from support import Service, database
from test_offline import STEPS, client, contents

PICTURE = "migrations/versions/README.md"
READ_ONLY = {
    "sqlite": "{}",
    "postgresql": '{"connect_args": {"options": "-c default_transaction_read_only=on"}}',
    "mariadb": '{"connect_args": {"init_command": "SET SESSION TRANSACTION READ ONLY"}}',
}
MODELS = """\
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from app.db import db

sa.Table(
    "order",
    db.metadata,
    sa.Column("pk", sa.Integer, primary_key=True),
    sa.Column('says "hi"', mysql.VARCHAR(9, collation="utf8mb4_bin"), comment='and "ho"'),
    sa.Column("1st", sa.Numeric(10, 2), nullable=False, unique=True),
    sa.Column("kind", sa.Enum("a", "b c", name="kind"), nullable=False),
    schema="sales",
)
sa.Table(
    "erDiagram {",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_pk", sa.ForeignKey("sales.order.pk"), nullable=False),
    sa.Column("only_pk", sa.ForeignKey("sales.order.pk"), unique=True),
)
"""
VISIT = """\
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Visit(db.Model):
    __bind_key__ = "analytics"
    id: Mapped[int] = mapped_column(primary_key=True)
"""


@pytest.fixture
def other(service: Service, tmp_path: Path) -> Iterator[Service]:
    """The same service on a second database."""
    (tmp_path / "other").mkdir()
    with database(service.kind, tmp_path / "other") as url:
        yield replace(service, url=url)


def pending(service: Service) -> tuple[str, str]:
    """Return what `flask db sql` writes to stdout and to stderr, for a user who may only read."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "db", "sql"],
        cwd=service.folder,
        env=service.environ(DATABASE_ENGINE_OPTIONS=READ_ONLY[service.kind]),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("start", ["base", "r2"])
def test_the_sql_of_what_is_pending_does_it(service: Service, other: Service, start: str) -> None:
    write_history(service, *STEPS)
    for each in (service, other):
        if start != "base":
            each.run("alembic", "upgrade", start)
    before, beside = contents(other), other.databases()

    sql, said = pending(other)

    assert (contents(other), other.databases()) == (before, beside)
    assert "Running upgrade" not in said
    client(other, sql)
    service.run("alembic", "upgrade", "head")
    assert contents(other) == contents(service)
    sql, said = pending(other)
    assert sql == ""
    assert "Nothing is pending: the database is at r4" in said


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_each_database_is_shown(service: Service, other: Service) -> None:
    """A bind has its own SQL and its own picture, beside its own revisions."""
    config, ini = service.folder / "app/config.py", service.folder / "alembic.ini"
    text = config.read_text("utf-8")
    config.write_text(text.replace("[str, ...] = ()", '[str, ...] = ("analytics",)'), "utf-8")
    section = "\n[analytics]\nversion_locations = %(here)s/migrations/analytics\n"
    ini.write_text(ini.read_text("utf-8") + section, "utf-8")
    service = replace(service, env=service.env | {"ANALYTICS_DATABASE_URL": other.url})
    service.write("app/visits/models.py", VISIT)

    assert "does not show" in service.run("pytest", "-q", "-k", "picture", fails=True)
    service.run("alembic", "-n", "analytics", "revision", "--autogenerate", "-m", "Add visits")
    service.run("pytest", "-q", "-k", "picture")
    picture = (service.folder / "migrations/analytics/README.md").read_text("utf-8")
    assert "Add visits" in picture
    assert '    "visit" {' in picture
    assert "note" not in picture
    assert "visit" not in (service.folder / PICTURE).read_text("utf-8")

    sql, _ = pending(service)
    assert re.findall("^-- (.+): empty", sql, re.MULTILINE) == ["main", "analytics"]
    assert sql.index("CREATE TABLE note") < sql.index("CREATE TABLE visit")


def test_its_commands_are_listed(service: Service) -> None:
    listed = service.run("flask", "db", "--help")

    assert re.search(r"^ +sql +Print the SQL", listed, re.MULTILINE)
    assert re.search(r"^ +draw +Draw the revisions", listed, re.MULTILINE)


def test_a_model_that_changed_alone_is_noticed(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    models = service.folder / "app/notes/models.py"
    text = models.read_text("utf-8")
    models.write_text(text.replace("sa.String(200), index", "sa.String(300), index"), "utf-8")

    said = service.run("pytest", "-q", "-k", "picture", fails=True)

    assert f"{PICTURE} does not show" in said
    assert "alembic revision --autogenerate" in said
    assert "flask db draw" in said
    assert "modify_type" in service.run("alembic", "check", fails=True)
    service.run("alembic", "revision", "--autogenerate", "-m", "Longer titles")
    service.run("pytest", "-q", "-k", "picture")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_each_revision_is_drawn_wherever_and_with_whatever(
    service: Service, tmp_path: Path
) -> None:
    ini = str(service.folder / "alembic.ini")
    service.run("alembic", "-c", ini, "revision", "-m", "From elsewhere", cwd=tmp_path)
    assert "From elsewhere" in (service.folder / PICTURE).read_text("utf-8")

    service.python(
        """
        import sys
        sys.modules["ruff"] = None  # as if it were not installed
        from alembic.config import main
        try:
            main(["revision", "-m", "Without ruff"])
        except SystemExit:
            pass
        """
    )
    assert "Without ruff" in (service.folder / PICTURE).read_text("utf-8")
    service.run("pytest", "-q", "-k", "picture")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_anybodys_text_is_drawn(service: Service) -> None:
    """The lines are those that Mermaid 10.9 and 11.17 were seen to draw."""
    service.write("app/things/models.py", MODELS)
    message = '1. say "hi" [x] `code` <b>#35; --> %% end'
    service.run("alembic", "revision", "-m", message, "--rev-id", "end")

    lines = (service.folder / PICTURE).read_text("utf-8").splitlines()

    said = (
        "1#46; say #34;hi#34; #91;x#93; #96;code#96; #60;b#62;#35;35#59; #45;#45;#62; #37;#37; end"
    )
    assert f'    r_end["{said}<br>end"]' in lines
    assert "    r_20261122090000_3632c1f107b5 --> r_end" in lines
    assert '    "sales#46;order" {' in lines
    assert "        INTEGER _pk PK" in lines
    assert '        VARCHAR(9)_COLLATE_utf8mb4_bin says_hi_ "nullable"' in lines
    assert "        NUMERIC(10_2) _1st UK" in lines
    assert "        ENUM kind" in lines
    assert '    "sales#46;order" ||--o{ "erDiagram #123;" : "order_pk"' in lines
    assert '    "sales#46;order" |o--o| "erDiagram #123;" : "only_pk"' in lines


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_much_is_drawn_as_far_as_it_can_be_seen(service: Service) -> None:
    write_history(service, *[("", "")] * 50)
    columns = ", ".join(f'sa.Column("column_{n}", sa.Integer)' for n in range(2000))
    table = (
        f'sa.Table("wide", db.metadata, sa.Column("id", sa.Integer, primary_key=True), {columns})'
    )
    service.write(
        "app/things/models.py", f"import sqlalchemy as sa\nfrom app.db import db\n{table}"
    )

    service.run("flask", "db", "draw")

    text = (service.folder / PICTURE).read_text("utf-8")
    assert '    older(["30 older"])' in text
    assert "    older --> r_r31\n" in text
    assert "r_r30[" not in text
    assert '    "wide" {\n    }\n' in text
    assert max(map(len, text.split("```"))) < 50_000  # Mermaid's limit


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_picture_is_the_same_in_each_process(service: Service) -> None:
    first = "20261122090000_3632c1f107b5"
    for name in ("left", "right", "third"):
        head = ("--rev-id", name, "--head", first, "--splice")
        service.run("alembic", "revision", "-m", name, *head)
    drawn = set()
    for seed in range(6):
        service.run("migrations.draw", PYTHONHASHSEED=str(seed))
        drawn.add((service.folder / PICTURE).read_text("utf-8"))

    assert len(drawn) == 1
    assert "\nHead: `left`, `right`, `third`\n" in drawn.pop()


@pytest.fixture
def repository(service: Service, run: Callable[..., str]) -> Callable[..., str]:
    """A git repository of the service whose branches `mine` and `main` add a revision each."""

    def git(*words: str, status: int = 0) -> str:
        return run(["git", *words], service.folder, status)

    git("init", "--quiet", "--initial-branch=main")
    for branch in ("main", "mine"):
        if branch == "main":
            git("add", "--all")
            git("commit", "--quiet", "--message", "Start")
        else:
            git("checkout", "--quiet", "-b", "mine", "main~1")
        service.run("alembic", "revision", "-m", f"Of {branch}", "--rev-id", f"of_{branch}")
        git("add", "--all")
        git("commit", "--quiet", "--message", f"Of {branch}")
    return git


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["merge", "rebase"])
def test_two_branches_meet_in_git(
    service: Service, repository: Callable[..., str], how: str
) -> None:
    page = (service.folder / "README.md").read_text("utf-8").partition("## When two branches")[2]
    printed = page.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert printed[0] == "git merge main"  # an interactive zsh takes a comment for arguments
    assert f"CONFLICT (content): Merge conflict in {PICTURE}" in repository(how, "main", status=1)
    text = (service.folder / PICTURE).read_text("utf-8")
    ours, theirs = ("of_mine", "of_main") if how == "merge" else ("of_main", "of_mine")
    assert re.search(rf"<<<<<<< .*\nHead: `{ours}`\n[^`]*=======\nHead: `{theirs}`", text)

    if how == "merge":
        for command in printed[1:]:
            tool, *words = shlex.split(command.removeprefix("uv run "))
            repository(*words) if tool == "git" else service.run(tool, *words)
    else:
        (path,) = (path for path in service.revisions() if "of_mine" in path.name)
        moved = path.read_text("utf-8").replace(
            'down_revision = "20261122090000_3632c1f107b5"', 'down_revision = "of_main"'
        )
        path.write_text(moved, "utf-8")
        service.run("flask", "db", "draw")
        repository("add", "migrations")
        repository("-c", "core.editor=true", "rebase", "--continue")

    text = (service.folder / PICTURE).read_text("utf-8")
    assert f"\nHead: `{service.newest().name[:27] if how == 'merge' else 'of_mine'}`\n" in text
    assert repository("status", "--porcelain") == ""
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    service.run("pytest", "-q")


@pytest.mark.parametrize("workers", ["0", "auto"])
def test_a_run_leaves_the_database_of_the_service_alone(service: Service, workers: str) -> None:
    """Tables, rows, and what is beside it: files, or databases of the server."""
    service.run("alembic", "upgrade", "head")
    execute(service, "INSERT INTO note (title, body, created_at) VALUES ('t', '', '2026-01-01')")
    before, beside = service.snapshot(), service.databases()

    out = service.run("pytest", "-q", "-n", workers)

    assert " passed" in out
    assert (service.snapshot(), service.databases()) == (before, beside)


@pytest.mark.parametrize("name", ["staging", "production"])
def test_a_run_on_a_protected_database_is_refused(service: Service, name: str) -> None:
    before = service.databases()

    out = service.run("pytest", "-q", "-n", "2", fails=True, APP_ENV=name)

    assert f"Tests do not run in {name}: change or remove APP_ENV, set in the environment" in out
    assert service.databases() == before
