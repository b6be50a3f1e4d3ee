"""`migrator/` alone, in a project of plain Alembic: what is proven, and what is printed of it."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from histories import REVISION
from support import DATABASES, DRIVERS, database

INI = "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n"
ENV = """\
import os
from alembic import context
from sqlalchemy import MetaData, make_url
from migrator import Run

run = Run(make_url(os.environ["DATABASE_URL"]), {}, MetaData(), environment="development")
if context.is_offline_mode():
    context.configure(url=run.database.url, literal_binds=True, **run.options)
    with context.begin_transaction():
        context.run_migrations()
else:
    with run.connect() as connection:
        context.configure(connection=connection, target_metadata=run.metadata, **run.options)
        for attempt in run.attempts():
            with attempt, context.begin_transaction():
                context.run_migrations()
"""
PROVE = """
import json, os
from alembic.config import Config
from sqlalchemy import make_url
from migrator import database
from migrator.proof import prove

found = prove(Config("alembic.ini"), database(make_url(os.environ["DATABASE_URL"])))
print(json.dumps({path.name: [vars(finding) for finding in all] for path, all in found.items()}))
"""
DRAW = """
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from migrator.review.picture import picture

metadata = sa.MetaData()
sa.Table("thing", metadata, sa.Column("id", sa.Integer, primary_key=True))
script = ScriptDirectory.from_config(Config("alembic.ini"))
print(picture(script, metadata, title="All of it", about="Drawn by a test."))
"""
TABLE = 'op.create_table("thing", sa.Column("id", sa.Integer, primary_key=True))'
DROP = '# allow loss of thing: it is new\nop.drop_table("thing")'


@dataclass(frozen=True)
class Project:
    """A project of Alembic that has `migrator/` and nothing else of ours."""

    kind: str
    folder: Path
    env: dict[str, str]

    def write(self, *steps: tuple[str, str]) -> None:
        """Write revisions r1, r2 and so on, by what their upgrade() and downgrade() do."""
        for number, step in enumerate(steps, 1):
            upgrade, downgrade = (textwrap.indent(text, "    ") for text in step)
            down = f"r{number - 1}" if number > 1 else None
            text = REVISION.format(
                number=number,
                revision=f"r{number}",
                down=down,
                upgrade=upgrade,
                downgrade=downgrade,
            )
            (self.folder / f"migrations/versions/r{number}.py").write_text(text, "utf-8")

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def proof(self, *steps: tuple[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Return what is found in revisions, by file."""
        self.write(*steps)
        found: dict[str, list[dict[str, Any]]] = json.loads(self.python(PROVE))
        return found

    def waivers(self, *steps: tuple[str, str]) -> list[str]:
        """Return what would have to be allowed in the last of these revisions."""
        return [finding["waiver"] for finding in self.proof(*steps)[f"r{len(steps)}.py"]]


@pytest.fixture(params=DATABASES)
def project(
    request: pytest.FixtureRequest, template: Path, env: dict[str, str], tmp_path: Path
) -> Iterator[Project]:
    folder = tmp_path / "project"
    copytree(template / "{{cookiecutter.project_slug}}/migrator", folder / "migrator")
    (folder / "migrations/versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text(INI)
    (folder / "migrations/env.py").write_text(ENV)
    (tmp_path / "data").mkdir()
    with database(request.param, tmp_path / "data") as text:
        scheme, _, rest = text.partition(":")
        url = f"{DRIVERS.get(scheme, scheme)}:{rest}"
        yield Project(request.param, folder, env | {"DATABASE_URL": url})


def test_nothing_is_found_in_an_honest_history(project: Project) -> None:
    assert project.proof((TABLE, DROP)) == {"r1.py": []}


CIRCLE = """
op.create_table(
    "team", sa.Column("id", sa.Integer, primary_key=True), sa.Column("captain_id", sa.Integer)
)
op.create_table(
    "player",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("team_id", sa.Integer, sa.ForeignKey("team.id", name="fk_team")),
)
with op.batch_alter_table("team") as batch:
    batch.create_foreign_key("fk_captain", "player", ["captain_id"], ["id"])
op.create_table(
    "game",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("player_id", sa.Integer, sa.ForeignKey("player.id"), nullable=False),
)
op.create_table(
    "draw", sa.Column("id", sa.Integer, sa.ForeignKey("game.id"), primary_key=True)
)
"""
NO_CIRCLE = """
with op.batch_alter_table("team") as batch:
    batch.drop_constraint("fk_captain", type_="foreignkey")
for name in ("draw", "game", "player", "team"):
    # allow loss of draw: it is new
    # allow loss of game: it is new
    # allow loss of player: it is new
    # allow loss of team: it is new
    op.drop_table(name)
"""


def test_what_depends_on_a_circle_gets_rows_after_it(project: Project) -> None:
    assert project.proof((CIRCLE, NO_CIRCLE)) == {"r1.py": []}


def test_a_finding_has_names(project: Project) -> None:
    """Its kind, what it is about, what allows it, and what is said."""
    found = project.proof((TABLE, 'op.drop_table("thing")'))
    (finding,) = found["r1.py"]
    assert finding == {
        "kind": "loss",
        "subject": "thing",
        "waiver": "loss of thing",
        "text": "values of thing are lost",
    }


LEFT = {
    "sqlite": (
        "CREATE VIEW ones AS SELECT 1",
        "CREATE TRIGGER noted BEFORE DELETE ON thing BEGIN SELECT 1; END",
    ),
    "postgresql": (
        "CREATE VIEW ones AS SELECT 1 AS one",
        "CREATE MATERIALIZED VIEW twos AS SELECT 2 AS two",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE numbers",
        "CREATE DOMAIN grade AS integer CHECK (value < 7)",
        "CREATE TYPE mood AS ENUM ('sad')",
        "CREATE TRIGGER noted BEFORE UPDATE ON thing FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    "mariadb": (
        "CREATE VIEW ones AS SELECT 1",
        "CREATE FUNCTION one() RETURNS INTEGER DETERMINISTIC RETURN 1",
        "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO SET @a = 1",
        "CREATE SEQUENCE numbers",
        "CREATE TRIGGER noted BEFORE UPDATE ON thing FOR EACH ROW SET @a = 1",
    ),
}


def test_what_is_no_table_is_seen_too(project: Project) -> None:
    """Each of these is named where a downgrade leaves it behind."""
    statements = LEFT[project.kind]
    upgrade = "\n".join(f"op.execute({statement!r})" for statement in statements)

    found = project.proof((TABLE, DROP), (upgrade, "pass"))["r2.py"]

    (finding,) = (finding for finding in found if finding["kind"] == "trace")
    assert (finding["subject"], finding["waiver"]) == ("downgrade()", "one-way")
    assert len(finding["text"].splitlines()) == len(statements)
    for statement in statements:
        words = statement.split()
        name = words[words.index("VIEW") + 1] if "VIEW" in words else words[2]
        assert name.strip("()") in finding["text"], statement


REFERRING = """\
op.create_table(
    "a_child",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.Integer, sa.ForeignKey("parent.id"), nullable=False),
    sa.Column("other_id", sa.Integer, sa.ForeignKey("a_child.id"), nullable=True),
)"""
KINDS = """\
op.create_table(
    "parent",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("flag", sa.Boolean, nullable=False),
    sa.Column("price", sa.Numeric(8, 2), nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("hour", sa.Time, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("key", sa.Uuid, nullable=False),
    sa.Column("mood", sa.Enum("sad", "ok", name="mood"), nullable=False),
    sa.Column("code", sa.String(9), nullable=False, unique=True),
    sa.CheckConstraint("length(code) = 5", name="five"),
)"""


def test_rows_are_made_up_for_all_usual_types(project: Project) -> None:
    """Also where a CHECK wants a length, and in a table whose name comes before its parent's."""
    enum = 'sa.Enum(name="mood").drop(op.get_bind())'
    undo = f'op.drop_table("a_child")\nop.drop_table("parent")\n{enum}'

    found = project.proof((f"{KINDS}\n{REFERRING}", undo))["r1.py"]
    assert [finding["waiver"] for finding in found] == ["loss of a_child", "loss of parent"], found


def test_a_key_that_the_database_makes(project: Project) -> None:
    column = 'sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True)'
    table = f'op.create_table("thing", {column}, sa.Column("name", sa.String(9)))'

    assert project.waivers((table, 'op.drop_table("thing")')) == ["loss of thing"]


def test_what_is_allowed_is_left_out(project: Project) -> None:
    """The reason has to be one: what the message prints is none yet."""
    for reason, waivers in (("<reason>", ["one-way"]), ("it is", [])):
        assert project.waivers((f"# allow one-way: {reason}\n{TABLE}", "pass")) == waivers


def test_after_a_trace_nothing_is_said_of_the_next(project: Project) -> None:
    assert [*project.proof((TABLE, "pass"), ("pass", "pass"))] == ["r1.py"]


def test_the_picture_is_a_text(project: Project) -> None:
    project.write((TABLE, DROP))
    lines = project.python(DRAW).splitlines()

    assert lines[:5] == ["# All of it", "", "Head: `r1`", "", "Drawn by a test."]
    assert '    r_r1["Step 1<br>r1"]' in lines
    assert '    "thing" {' in lines


def test_statements_that_squawk_cannot_read_hide_no_others(
    template: Path, run: Callable[..., str]
) -> None:
    code = """
import re
from migrator.proof.locks import lock_findings
sql = "ALTER TABLE a MODIFY b INT;\\n-- gone\\nALTER TABLE a DROP COLUMN b;\\nDROP TABLE a;\\n"
print([(f.waiver, f.subject) for f in lock_findings(sql, re.compile("ban-drop"))])
print(lock_findings(sql, re.compile("renaming")))
"""
    out = run([sys.executable, "-B", "-c", code], template / "{{cookiecutter.project_slug}}")

    assert "('ban-drop-column', 'ALTER TABLE a DROP COLUMN b')" in out
    assert "('ban-drop-table', 'DROP TABLE a')" in out
    assert out.splitlines()[-1] == "[]"


CHECKED = """\
op.create_table(
    "thing",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("mood", sa.String(9)),
    sa.Column("doubled", sa.Integer, sa.Computed("id * 2")),
    sa.CheckConstraint("mood IN ('sad', 'ok') OR mood LIKE '%y' AND id > 0", name="mood"),
)"""


@pytest.mark.parametrize("project", ["postgresql"], indirect=True)
def test_an_expression_may_be_written_as_it_was_read(project: Project) -> None:
    """PostgreSQL writes it in other words; but a bracket that means something is a difference."""
    where = """op.create_index(
    "ix", "thing", ["id"], postgresql_where=sa.text("mood IN ('a', 'b')")
)"""
    again = """\
# allow online-only: it reads its own constraint
# allow constraint-missing-not-valid: it is a test
# allow ban-drop-constraint: it is a test
# allow require-concurrent-index-creation: it is a test
# allow require-concurrent-index-deletion: it is a test
inspector = sa.inspect(op.get_bind())
(check,) = inspector.get_check_constraints("thing")
(index,) = inspector.get_indexes("thing")
op.drop_index("ix", "thing")
op.drop_constraint("mood", "thing")
where = index["dialect_options"]["postgresql_where"]
op.create_index("ix", "thing", ["id"], postgresql_where=sa.text(where))
op.create_check_constraint("mood", "thing", sa.text(check["sqltext"].replace(":", "\\\\:")))
"""
    first = (f"{CHECKED}\n{where}", DROP)
    assert project.proof(first, (again, "pass"))["r2.py"] == []

    other = """\
op.drop_constraint("mood", "thing")
check = "mood IN ('sad', 'ok') OR (mood LIKE '%y' AND id > 0)"
op.create_check_constraint("mood", "thing", sa.text(check))"""
    moved = other.replace(
        "'sad', 'ok') OR (mood LIKE '%y' AND", "'sad', 'ok') OR mood LIKE '%y') AND"
    )
    moved = moved.replace("id > 0)", "id > 0").replace('"mood IN', '"(mood IN')
    kept = project.proof(first, (other, "pass"))["r2.py"]
    assert not [finding for finding in kept if finding["kind"] == "trace"]
    changed = project.proof(first, (moved, "pass"))["r2.py"]
    assert [finding for finding in changed if finding["kind"] == "trace"]


def test_a_table_is_renamed_and_renamed_back(project: Project) -> None:
    """SQLite puts quotes around the name, in the text of its index."""
    index = 'op.create_index("ix", "thing", ["id"])'
    rename = "# allow renaming-table: nothing reads it\nop.rename_table({!r}, {!r})"
    steps = [rename.format(*names) for names in (("thing", "item"), ("item", "thing"))]

    assert project.waivers((f"{TABLE}\n{index}", DROP), (steps[0], steps[1])) == []


NOT_TAME = """\
op.create_table(
    "thing",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("big", sa.BigInteger),
    sa.Column("small", sa.Integer, nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("body", sa.Text),
    sa.Column("mood", sa.Enum("sad", "ok", name="mood"), nullable=False),
    sa.Column("price", sa.Numeric(10, 2), nullable=False),
)"""
UNDONE = f'{DROP}\nsa.Enum(name="mood").drop(op.get_bind())'
# What each column loses, which rows with short texts and small numbers would not show.
SHORTENED = """\
op.execute("UPDATE thing SET big = big % 65536")
op.execute("UPDATE thing SET small = abs(small)")
op.execute("UPDATE thing SET name = substr(name, 1, 9)")
op.execute("UPDATE thing SET body = coalesce(body, 'none')")
op.execute("UPDATE thing SET mood = 'ok'")
with op.batch_alter_table("thing") as batch:
    batch.alter_column("price", type_=sa.Integer, existing_nullable=False)"""
LONGER = """\
with op.batch_alter_table("thing") as batch:
    batch.alter_column("price", type_=sa.Numeric(10, 2), existing_nullable=False)"""


def test_what_tame_rows_would_not_show(project: Project) -> None:
    found = project.proof((NOT_TAME, UNDONE), (SHORTENED, LONGER))["r2.py"]

    lost = {finding["subject"] for finding in found if finding["kind"] == "loss"}
    assert lost == {f"thing.{name}" for name in ("big", "small", "name", "body", "mood", "price")}
    (price,) = (finding["text"] for finding in found if finding["subject"] == "thing.price")
    assert "became" in price


REFUSES = {
    "not null without a backfill": 'alter_column("body", nullable=False, existing_type=sa.Text)',
    "unique": 'create_unique_constraint("uq_small", ["small"])',
    "too short": 'alter_column("name", type_=sa.String(9), existing_nullable=False)',
}


@pytest.mark.parametrize("change", REFUSES)
def test_what_real_rows_would_stop(project: Project, change: str) -> None:
    """It is a finding of its own where made-up rows that are tame may not show it."""
    if (project.kind, change) == ("sqlite", "too short"):
        change = "unique"  # SQLite does not know how long a text may be
    step = f'with op.batch_alter_table("thing") as batch:\n    batch.{REFUSES[change]}'

    found = project.proof((NOT_TAME, UNDONE), (step, "pass"))["r2.py"]

    (finding,) = (finding for finding in found if finding["kind"] == "trace")
    assert "upgrade() fails: " in finding["text"]
    assert "# allow tame rows: <reason>" in finding["text"]


def test_tame_rows_can_be_asked_for(project: Project) -> None:
    """For one revision: the next one has real rows again."""
    step = 'with op.batch_alter_table("thing") as batch:\n    batch.{}'
    unique = step.format('create_unique_constraint("uq_small", ["small"])')
    down = step.format('drop_constraint("uq_small", type_="unique")')
    allowed = "# allow tame rows: they are unique\n# allow disallowed-unique-constraint: few rows\n"
    short = ('op.execute("UPDATE thing SET name = substr(name, 1, 9)")', "pass")

    found = project.proof((NOT_TAME, UNDONE), (allowed + unique, down), short)

    assert found["r2.py"] == []
    assert [finding["waiver"] for finding in found["r3.py"]] == ["loss of thing.name"]


LOOKUP = """\
table = op.create_table(
    "status",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("at", sa.DateTime, server_default=sa.func.now(), nullable=False),
)"""
ADDED = """\
op.bulk_insert(
    sa.table("status", sa.column("name", sa.String)), [{"name": "open"}, {"name": "closed"}]
)"""


def test_rows_without_ids_may_be_added(project: Project) -> None:
    """Each time they come, the database gives them other numbers, and another time."""
    drop = '# allow loss of status: it is new\nop.drop_table("status")'
    remove = "op.execute(\"DELETE FROM status WHERE name IN ('open', 'closed')\")"

    assert project.waivers((LOOKUP, drop), (ADDED, remove)) == []


def test_rows_that_come_back_with_other_numbers(project: Project) -> None:
    table = LOOKUP.replace(
        '    sa.Column("at", sa.DateTime, server_default=sa.func.now(), nullable=False),\n', ""
    )
    drop = '# allow loss of status: it is new\nop.drop_table("status")'
    remove = "op.execute(\"DELETE FROM status WHERE name IN ('open', 'closed')\")"

    assert project.waivers((f"{table}\n{ADDED}", drop), (remove, ADDED)) == []


READ = {
    "sqlite": "json_extract(data, '$.{}')",
    "postgresql": "data ->> '{}'",
    "mariadb": "json_value(data, '$.{}')",
}
MAKE = {"sqlite": "json_object", "postgresql": "json_build_object", "mariadb": "json_object"}
PLACED = """\
op.add_column("thing", sa.Column("title", sa.String(20)))
op.add_column("thing", sa.Column("pages", sa.Integer))
op.execute("UPDATE thing SET title = {title}, pages = {pages}")
# allow ban-drop-column: no release reads it
op.drop_column("thing", "data")"""
BACK = """\
op.add_column("thing", sa.Column("data", sa.JSON))
op.execute("UPDATE thing SET data = {make}('title', title, 'pages', pages)")
# allow ban-drop-column: no release reads it
op.drop_column("thing", "title")
op.drop_column("thing", "pages")"""


def test_json_becomes_columns_and_json_again(project: Project) -> None:
    """Its objects have the keys that the revision reads out of them, and one has none."""
    table = TABLE.replace("True)", 'True), sa.Column("data", sa.JSON)')
    read = READ[project.kind]
    title, pages = read.format("title"), read.format("pages")
    if project.kind == "postgresql":
        pages = f"({pages})::integer"
    back = BACK.format(make=MAKE[project.kind])
    whole = back.replace("pages)", "pages) WHERE title IS NOT NULL OR pages IS NOT NULL")

    up = PLACED.format(title=title, pages=pages).replace("::", r"\\:\\:")
    found = project.proof((table, DROP), (up, whole))["r2.py"]
    assert found == []

    lossy = whole.replace("'pages', pages", "'pages', 1")
    assert "loss of thing.data" in project.waivers((table, DROP), (up, lossy))


FAULTY = {  # each kind of finding that the rehearsal has, but for what is printed in test_prove.py
    "trace": ('op.create_index("ix", "thing", ["id"])', "pass"),
    "trace, with rows": ('op.execute("INSERT INTO thing SELECT id FROM thing")', "pass"),
    "loss": ('op.execute("DELETE FROM thing")', "pass"),
    "rows": (
        'op.create_table("code", sa.Column("size", sa.Integer, nullable=False),'
        ' sa.CheckConstraint("size * size = 2"))',
        'op.drop_table("code")',
    ),
    "sql": ('op.get_bind().execute(sa.text("SELECT 1")).scalar_one()', "pass"),
    "lock": (
        'op.rename_table("thing", "item")',
        'op.rename_table("item", "thing")',
    ),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_the_line_that_is_printed_allows_it(project: Project, kind: str) -> None:
    """It is pasted, with a reason, until nothing is found."""
    if (project.kind, kind) == ("sqlite", "sql"):
        kind = "trace"  # SQLite's revisions are not written as SQL
    upgrade, downgrade = FAULTY[kind]
    for _ in range(3):
        found = project.proof((TABLE, DROP), (upgrade, downgrade))["r2.py"]
        if not found:
            return
        assert all(finding["waiver"] for finding in found), found
        lines = [f"# allow {finding['waiver']}: it is a test" for finding in found]
        upgrade = "\n".join([*lines, upgrade])
    raise AssertionError(found)
