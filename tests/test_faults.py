"""Faults planted in a rendered project: its own tests name revision, object and cure."""

import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from support import Service

REVISION = '''\
"""Planted"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''
FIRST = "20261122090000_3632c1f107b5"


EVERY = ("sqlite", "postgresql", "mariadb")
SERVERS = ("postgresql", "mariadb")


@dataclass(frozen=True)
class Fault:
    """What a revision does, the test that fails, and what its message holds."""

    upgrade: str
    downgrade: str
    test: str
    words: tuple[str, ...]
    databases: tuple[str, ...] = EVERY


TRACE, LOSS = "every_downgrade_undoes", "no_row_is_lost"
SQL, LOCK, ALONE = "read_as_sql", "stops_the_service", "stands_alone"
ROWS = "there_were_rows_to_lose"
TABLE = 'op.create_table("thing", sa.Column("id", sa.Integer, primary_key=True))'
MORE = f"""op.execute("CREATE SCHEMA IF NOT EXISTS more")
{TABLE[:-1]}, sa.Column("note_id", sa.Integer, sa.ForeignKey("note.id")), schema="more")"""
COLUMN = 'op.add_column("note", sa.Column("size", sa.Integer))'
UPPER = 'op.execute("UPDATE note SET title = upper(title)")'
LEFT = f"""{TABLE}
{COLUMN}
op.create_index("ix_note_body", "note", ["id"])
with op.batch_alter_table("note") as batch:
    batch.create_check_constraint("with_title", "title <> 'none'")"""
LEFT_TOO = """op.create_index("ix_low", "note", [sa.text("lower(title)")])"""
COMMENT = 'op.create_table_comment("note", "Texts")'
SWAP = """\
op.execute("UPDATE note SET rank = (SELECT max(x.title) FROM note x WHERE x.title <> note.title)")
op.execute("UPDATE note SET title = rank")"""
MOOD = 'sa.Enum("sad", "ok", name="mood").create(op.get_bind())'


def batch(*changes: str) -> str:
    return "\n".join(f'with op.batch_alter_table("note") as batch:\n    batch.{c}' for c in changes)


# Several in one revision where one message tells them all.
FAULTS = {
    "an empty downgrade": Fault(
        LEFT,
        "pass",
        TRACE,
        (
            *("table thing is there, and should not be", "column note.size is there"),
            *("index note.ix_note_body is there", "check note.ck_note_with_title is there"),
            "downgrade() has to undo all that upgrade() does",
        ),
    ),
    "a table of another schema": Fault(
        MORE, "pass", TRACE, ("table more.thing is there",), ("postgresql",)
    ),
    "a table of another schema, with rows": Fault(
        MORE,
        'op.drop_table("thing", schema="more")',
        LOSS,
        ("# allow loss of more.thing: <reason>",),
        ("postgresql",),
    ),
    "an index over an expression": Fault(
        LEFT_TOO, "pass", TRACE, ("index note.ix_low is there",), ("sqlite", "postgresql")
    ),
    "a comment": Fault(COMMENT, "pass", TRACE, ("table note: ", "Texts", "should"), SERVERS),
    "an enum type": Fault(MOOD, "pass", TRACE, ("enum mood is there",), ("postgresql",)),
    "an index that does not come back": Fault(
        'op.drop_index("ix_note_title", "note")',
        "pass",
        TRACE,
        ("index note.ix_note_title is missing",),
    ),
    "an index that its name does not tell the table of": Fault(
        """op.execute("CREATE INDEX by_text ON note (id)")""",
        'op.execute("DROP INDEX by_text")\nop.execute("CREATE INDEX by_text ON note (title)")',
        TRACE,
        ("index note.by_text is there, and should not be", "title"),
        ("sqlite", "postgresql"),
    ),
    "a downgrade that fails": Fault(
        TABLE, 'op.drop_table("things")', TRACE, ("downgrade() fails", "things")
    ),
    "an upgrade that fails": Fault(
        'op.drop_table("things")', "pass", TRACE, ("upgrade() fails", "things", "judged_after")
    ),
    "losses": Fault(
        "\n".join(("# allow loss of note.size:", TABLE, COLUMN, UPPER)),
        '# allow loss of thing: <reason>\nop.drop_table("thing")\n' + batch('drop_column("size")'),
        LOSS,
        tuple(f"# allow loss of {name}: <reason>" for name in ("thing", "note.size", "note.title")),
    ),
    "a column that comes back empty": Fault(
        batch('drop_column("body")'),
        batch(
            """add_column(sa.Column("body", sa.Text, server_default=sa.text("('x')")))""",
            'alter_column("body", existing_type=sa.Text, server_default=None, nullable=False)',
        ),
        LOSS,
        ("# allow loss of note.body: <reason>",),
    ),
    "rows that are deleted": Fault(
        'op.execute("DELETE FROM note")', "pass", LOSS, ("# allow loss of note: <reason>",)
    ),
    "values that are swapped": Fault(
        "\n".join((batch('add_column(sa.Column("rank", sa.String(200)))'), SWAP)),
        batch('drop_column("rank")'),
        LOSS,
        tuple(f"# allow loss of note.{name}: <reason>" for name in ("title", "rank")),
    ),
    "a table with a CHECK, and a value in it": Fault(
        """op.create_table(
    "thing",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(9), nullable=False),
    sa.Column("share", sa.Integer, nullable=False),
    sa.CheckConstraint("state in ('draft', 'live')", name="state"),
    sa.CheckConstraint("share between 0 and 100", name="share"),
)""",
        'op.drop_table("thing")',
        LOSS,
        ("# allow loss of thing: <reason>",),
    ),
    "a trigger": Fault(
        """op.execute("CREATE TRIGGER noted BEFORE DELETE ON note FOR EACH ROW SET @a = 1")""",
        "pass",
        TRACE,
        ("trigger note.noted is there",),
        ("mariadb",),
    ),
    "a model": Fault(
        "from app.notes.models import Note\nsa.MetaData().create_all(op.get_bind())",
        "pass",
        ALONE,
        (
            "from app.notes.models import Note",
            "MetaData().create_all",
            "copy what the revision needs",
        ),
    ),
    "online only": Fault(
        'op.get_bind().execute(sa.text("SELECT 1")).scalar_one()',
        "pass",
        SQL,
        ("alembic upgrade --sql", "# allow online-only: <reason>"),
        SERVERS,
    ),
    "locks": Fault(
        batch(
            'drop_column("body")',
            'alter_column("title", type_=sa.String(300), existing_nullable=False)',
            'alter_column("created_at", new_column_name="made_at", existing_type=sa.DateTime)',
            'create_unique_constraint("uq_note_id", ["id"])',
        )
        + '\nop.rename_table("note", "text")\nop.drop_table("text")',
        "pass",
        LOCK,
        (
            *("DROP COLUMN body", "# allow ban-drop-column: <reason>"),
            *("title TYPE VARCHAR(300)", "# allow changing-column-type: <reason>"),
            *("RENAME created_at TO made_at", "# allow renaming-column: <reason>"),
            *("uq_note_id", "# allow disallowed-unique-constraint: <reason>"),
            *("RENAME TO text", "# allow renaming-table: <reason>"),
            *("DROP TABLE text", "# allow ban-drop-table: <reason>"),
        ),
    ),
    "a required column": Fault(
        batch('add_column(sa.Column("size", sa.Integer, nullable=False))'),
        "pass",
        LOCK,
        ("COLUMN size", "# allow adding-required-field: <reason>"),
    ),
}
FAULTS["no row can be made up"] = Fault(
    """op.create_table(
    "thing",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.CheckConstraint("size * size = 2", name="size"),
)""",
    'op.drop_table("thing")',
    ROWS,
    ("none could be made up (", "# allow no rows in thing: <reason>"),
)
FAULTS["no value of this type is known"] = Fault(
    'op.execute("CREATE TABLE thing (id integer PRIMARY KEY, place pg_lsn)")',
    'op.drop_table("thing")',
    ROWS,
    ("its type is not known", "# allow no values in thing.place: <reason>"),
    ("postgresql",),
)
FAULTS["what fails with any row"] = Fault(
    """if op.get_bind().execute(sa.text("SELECT id FROM note")).all():
    raise ValueError("there are rows")""",
    "pass",
    TRACE,
    (
        *("upgrade() fails: there are rows", "judged_after", "# allow tame rows: <reason>"),
        "# allow no made-up rows: <reason>",
    ),
)
FAULTS["a lock, beside SQL that is not PostgreSQL's"] = Fault(
    """op.execute("ALTER TABLE note MODIFY body MEDIUMTEXT NOT NULL")
op.get_bind().execute(sa.text("ALTER TABLE note DROP COLUMN body"))""",
    "pass",
    LOCK,
    ("DROP COLUMN body", "# allow ban-drop-column: <reason>"),
    ("mariadb",),
)
FAULTS["an index that blocks writes, and plain SQL"] = Fault(
    """op.create_index("ix_note_id", "note", ["id"])
op.get_bind().execute(sa.text("ALTER TABLE note DROP COLUMN body"))""",
    "pass",
    LOCK,
    (
        *("ix_note_id", "# allow require-concurrent-index-creation: <reason>"),
        *("DROP COLUMN body", "# allow ban-drop-column: <reason>"),
    ),
    ("postgresql",),
)


def plant(service: Service, upgrade: str, downgrade: str = "pass", **names: Any) -> None:
    values = {"revision": "planted", "down": FIRST} | names
    text = REVISION.format(
        upgrade=textwrap.indent(upgrade, "    "),
        downgrade=textwrap.indent(downgrade, "    "),
        **values,
    )
    service.write(f"migrations/versions/{values['revision']}_x.py", text)


def own_tests(service: Service, fails: bool = True) -> str:
    words = ("-q", "-p", "no:cacheprovider", "tests/test_migrations.py")
    return service.run("pytest", *words, fails=fails)


@pytest.mark.parametrize(
    ("service", "fault"),
    [(kind, name) for name, fault in FAULTS.items() for kind in fault.databases],
    indirect=["service"],
)
def test_its_own_tests_catch(service: Service, fault: str) -> None:
    planted = FAULTS[fault]
    plant(service, planted.upgrade, planted.downgrade)

    out = own_tests(service)

    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert any(planted.test in line for line in failed), out
    for word in (*planted.words, "planted_x.py"):
        assert word in out, f"{word} is not in\n{out}"
    assert "Traceback" not in out


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_what_a_copied_table_loses(service: Service) -> None:
    """SQLAlchemy does not reflect a collation, so a rebuild of the table leaves it out."""
    name = 'sa.Column("name", sa.String(9, collation="NOCASE"))'
    table = TABLE.replace("True)", f"True), {name}, sqlite_autoincrement=True")
    plant(service, table, '# allow loss of thing: it is new\nop.drop_table("thing")')
    copy = 'with op.batch_alter_table("thing", recreate="always") as batch:\n    batch.{}'
    changes = ('add_column(sa.Column("size", sa.Integer))', 'drop_column("size")')
    texts = (copy.format(change) for change in changes)
    plant(service, *texts, revision="copied", down="planted")

    out = own_tests(service)

    assert "copied_x.py: " in out
    assert "column thing.name: collation is not there, and should be nocase" in out
    assert "AUTOINCREMENT" not in out


def test_a_table_with_a_dot_in_its_name_is_green(service: Service) -> None:
    table = TABLE.replace('"thing"', '"th.ing"')
    plant(service, table, '# allow loss of th.ing: it is new\nop.drop_table("th.ing")')
    service.run("flask", "db", "draw")

    out = own_tests(service)

    assert "1 failed" in out, out
    assert "models_and_migrations_agree" in out  # for it has no model


WAIVED = (  # a fault of each kind, with the lines that its message prints
    (
        f"""# allow one-way: nobody goes back
{TABLE}""",
        'raise NotImplementedError("one way")',
    ),
    (
        """# allow no made-up rows: it is for an empty table
# allow online-only: it looks
if op.get_bind().execute(sa.text("SELECT id FROM note")).all():
    raise ValueError("there are rows")""",
        "pass",
    ),
    (
        """# allow no rows in code: they come from elsewhere
# allow loss of code: it is new
op.create_table(
    "code",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.CheckConstraint("size * size = 2", name="size"),
)""",
        'op.drop_table("code")',
    ),
    ('# allow loss of note: they are old\nop.execute("DELETE FROM note")', "pass"),
)


def test_each_message_has_the_line_that_allows_it(service: Service) -> None:
    """The last one shows that the tables have rows again, after a revision without any."""
    down = FIRST
    for number, (upgrade, downgrade) in enumerate(WAIVED):
        plant(service, upgrade, downgrade, revision=f"waived{number}", down=down)
        down = f"waived{number}"
    service.run("flask", "db", "draw")

    out = own_tests(service)
    assert "1 failed" in out, out
    assert "models_and_migrations_agree" in out  # for the tables have no models

    last = service.folder / f"migrations/versions/{down}_x.py"
    last.write_text(last.read_text("utf-8").replace("# allow", "# permit"), "utf-8")
    assert "# allow loss of note: <reason>" in own_tests(service)


def test_one_cause_is_told_once(service: Service) -> None:
    """What is left keeps the revision from being applied again, and two drops need one line."""
    plant(service, "\n".join((TABLE, batch('drop_column("body")', 'drop_column("created_at")'))))

    out, _, _ = own_tests(service).partition("short test summary")  # in CI it repeats each message

    assert "table thing is there" in out
    assert "fails:" not in out
    assert out.count("# allow one-way: <reason>") == 1
    assert out.count("# allow ban-drop-column: <reason>") == 1


HONEST = (  # as a team writes them, with what each does on purpose
    (
        """
        kind = sa.Enum("small", "large", name="kind")
        op.create_table(
            "thing",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("kind", kind, nullable=False),
            sa.Column("name", sa.String(20), nullable=False, unique=True),
            sa.Column("price", sa.Numeric(8, 2)),
            sa.Column("parent_id", sa.Integer, sa.ForeignKey("thing.id", name="fk_parent")),
            sa.Column("note_id", sa.Integer, sa.ForeignKey("note.id"), nullable=False),
        )
        op.create_index("ix_thing_kind", "thing", ["kind"])
        """,
        """
        # allow loss of thing: upgrade() creates it
        op.drop_table("thing")
        sa.Enum(name="kind").drop(op.get_bind())
        """,
    ),
    (
        """
        with op.batch_alter_table("thing") as batch:
            batch.add_column(sa.Column("size", sa.Integer, nullable=False, server_default="0"))
        op.execute("UPDATE thing SET size = id")
        """,
        """
        # allow loss of thing.size: upgrade() adds it
        with op.batch_alter_table("thing") as batch:
            batch.drop_column("size")
        """,
    ),
    (
        """
        # allow changing-column-type: few rows, and no release reads it
        with op.batch_alter_table("thing") as batch:
            batch.alter_column("name", type_=sa.String(40), existing_nullable=False)
        """,
        """
        with op.batch_alter_table("thing") as batch:
            batch.alter_column("name", type_=sa.String(20), existing_nullable=False)
        """,
    ),
    (
        """
        # allow online-only: the rows are worked out here
        # allow loss of thing.price: the old prices are not worth keeping
        connection = op.get_bind()
        for key, price in connection.execute(sa.text("SELECT id, price FROM thing")).all():
            values = {"id": key, "price": price and price + 1}
            connection.execute(sa.text("UPDATE thing SET price = :price WHERE id = :id"), values)
        """,
        "pass",
    ),
)


OTHERS = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Other(db.Model):
    __table_args__ = {"schema": "more"}
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(sa.ForeignKey("note.id"))
    other_id: Mapped[int | None] = mapped_column(sa.ForeignKey("more.other.id"))
"""
THINGS = """\
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.Enum("small", "large", name="kind"), index=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("thing.id", name="fk_parent"))
    note_id: Mapped[int] = mapped_column(sa.ForeignKey("note.id"))
    size: Mapped[int] = mapped_column(server_default="0")
"""


def test_an_honest_project_is_green(service: Service) -> None:
    down = FIRST
    for number, (upgrade, downgrade) in enumerate(HONEST):
        texts = [textwrap.dedent(text).strip() for text in (upgrade, downgrade)]
        plant(service, *texts, revision=f"honest{number}", down=down)
        down = f"honest{number}"

    service.write("app/things/models.py", THINGS)
    service.run("flask", "db", "draw")

    assert " passed" in own_tests(service, fails=False)


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_what_is_written_for_another_schema_is_green(service: Service) -> None:
    for models in (OTHERS, f"{OTHERS}    size: Mapped[int | None]\n"):
        service.write("app/others/models.py", models)
        service.run("alembic", "revision", "--autogenerate", "-m", "Change other")

    service.run("alembic", "upgrade", "head")
    assert " passed" in own_tests(service, fails=False)


ODD = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Odd(db.Model):
    __table_args__ = (sa.CheckConstraint("mood IN ('sad', 'ok')", name="mood"), INDEX)
    id: Mapped[int] = mapped_column(primary_key=True)
    mood: Mapped[str] = mapped_column(sa.String(9), comment="How it is")
"""


def test_what_databases_rewrite_is_green(service: Service) -> None:
    """A CHECK whose casts grow, a comment of MariaDB's own SQL, an index that Alembic skips."""
    plain = '"mood"' if service.kind == "mariadb" else 'sa.text("lower(mood)")'
    before = ODD.replace("INDEX", f'sa.Index("ix_odd", {plain})')
    for models in (before, before.replace("'ok'", "'ok', 'glad'").replace("How", "So")):
        service.write("app/odd/models.py", models)
        service.run("alembic", "revision", "--autogenerate", "-m", "Change odd")

    path = service.newest()
    text = path.read_text("utf-8").replace(
        "def upgrade() -> None:\n",
        "def upgrade() -> None:\n    # allow constraint-missing-not-valid: few rows\n"
        "    # allow ban-drop-constraint: the new one says more\n",
    )
    path.write_text(text, "utf-8")
    assert " passed" in own_tests(service, fails=False)


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_what_is_no_fault_of_the_project_is_green(service: Service) -> None:
    """Another package deprecates something, nothing may be written, and Python is told to hurry."""
    models = service.folder / "app/notes/models.py"
    text = models.read_text("utf-8")
    models.write_text(f'{text}\n\nimport warnings\n\nwarnings.warn("old", DeprecationWarning)\n')
    nowhere = service.folder / "pyproject.toml" / "cache"  # a file is no folder

    words = ("-q", "-o", f"cache_dir={nowhere.as_posix()}", "tests/test_migrations.py")
    assert " passed" in service.run("pytest", *words)
    assert " passed" in service.run("pytest", *words, PYTHONOPTIMIZE="1")


def test_models_that_are_ahead(service: Service) -> None:
    models = service.folder / "app/notes/models.py"
    added = "    body: Mapped[str]", "    size: Mapped[int | None]\n    body: Mapped[str]"
    models.write_text(models.read_text("utf-8").replace(*added), "utf-8")

    out = own_tests(service)

    assert "add_column" in out
    assert "'size'" in out
    assert "alembic revision --autogenerate" in out


CHAINS: dict[str, tuple[dict[str, dict[str, Any]], tuple[str, ...]]] = {
    "two heads": (
        {"left": {}, "right": {}},
        ("left_x.py", "right_x.py", "are heads", "alembic merge heads"),
    ),
    "a parent that is gone": (
        {"one": {"down": "gone"}},
        ("one_x.py: ", "Revision gone referenced from gone -> one", "bring deleted files back"),
    ),
    "a circle": (
        {"one": {"down": "two"}, "two": {"down": "one"}},
        ("one_x.py, two_x.py: ", "Cycle is detected", "Correct its revision or down_revision"),
    ),
    "an id used twice": (
        {FIRST: {"down": None}},
        (f"{FIRST}_create_note.py, {FIRST}_x.py: ", f"{FIRST} is present more than once"),
    ),
    "an id that is too long": ({"x" * 33: {}}, ("x" * 33, "more than 32 characters")),
}

BROKEN = {
    "no revision": ("LIMIT = 3\n", "move files that are no revisions elsewhere"),
    "no module of that name": ("import nowhere\n", "No module named 'nowhere'"),
    "no Python": ("revision = (\n", "was never closed"),
}


@pytest.mark.parametrize("chain", [*CHAINS, *BROKEN])
@pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database is looked at
def test_one_message_for_a_broken_chain(service: Service, chain: str) -> None:
    if chain in BROKEN:
        text, word = BROKEN[chain]
        service.write("migrations/versions/helper.py", text)
        words: tuple[str, ...] = ("helper.py", word)
    else:
        files, words = CHAINS[chain]
        for revision, names in files.items():
            plant(service, "pass", revision=revision, **names)

    out = service.run("pytest", "-q", "-p", "no:cacheprovider", fails=True)

    assert not [word for word in words if word not in out], out
    assert "1 failed in" in out
    assert len(out.splitlines()) < 13
