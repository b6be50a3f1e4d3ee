"""The rendered service, by its own commands, on each database."""

import json
import re
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from histories import rows
from support import Service, free_port

MODEL = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100), unique=True)
"""


def as_user(service: Service, name: str) -> Service:
    """Return the service with another user of its database, whom a test makes with password x."""
    url = sa.make_url(service.url).set(username=name, password="x")  # noqa: S106 (made here)
    return replace(service, url=url.render_as_string(hide_password=False))


def test_its_own_checks_pass(service: Service) -> None:
    service.run("pytest", "-q")


def test_the_daily_loop(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    with service.serve() as get:
        assert get("/readyz")[0] == 200
        service.write("app/things/models.py", MODEL)
        assert get("/readyz")[0] == 200

        service.run("alembic", "revision", "--autogenerate", "-m", "Added some table")
        status, body = get("/readyz")
        assert status == 503
        assert body["status"] == "behind"

        service.run("alembic", "upgrade", "head")
        assert get("/readyz")[0] == 200
        service.run("alembic", "check")
        service.run("alembic", "downgrade", "-1")
        assert get("/readyz")[1]["status"] == "behind"
        service.run("alembic", "upgrade", "head")
        assert get("/readyz")[0] == 200
        assert get("/notes")[1] == {"notes": []}
    service.run("ruff", "check", ".")
    service.run("ruff", "format", "--check", ".")
    service.run("pytest", "-q")


def test_a_constraint_without_a_name_gets_the_same_one_everywhere(service: Service) -> None:
    """Written by hand, applied to the clean database: the naming convention holds there too."""
    service.run("alembic", "revision", "-m", "Unique")
    path = service.newest()
    batch = 'with op.batch_alter_table("note") as batch_op:\n        batch_op.{}'
    text = path.read_text("utf-8")
    text = text.replace("pass", batch.format('create_unique_constraint(None, ["title"])'), 1)
    path.write_text(text, "utf-8")
    models = service.folder / "app" / "notes" / "models.py"
    unique = '    __table_args__ = (sa.UniqueConstraint("title"),)\n\n    id: Mapped'
    assert "New upgrade operations" not in service.run("alembic", "upgrade", "head")
    assert "uq_note_title" in service.run("alembic", "check", fails=True)  # no model has it yet
    text = models.read_text("utf-8").replace("    id: Mapped", unique, 1)
    models.write_text(text, "utf-8")

    assert "No changes" in service.run("alembic", "revision", "--autogenerate", "-m", "Again")


def test_an_empty_diff_writes_no_file(service: Service) -> None:
    before = service.revisions()

    out = service.run("alembic", "revision", "--autogenerate", "-m", "Nothing")

    assert "No changes" in out
    assert service.revisions() == before


def test_autogenerate_ignores_what_somebody_did_by_hand(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    with service.engine().begin() as connection:
        connection.exec_driver_sql("CREATE TABLE of_somebody_else (id INTEGER)")
        connection.exec_driver_sql("ALTER TABLE note ADD COLUMN by_hand INTEGER")
    service.write("app/things/models.py", MODEL)

    service.run("alembic", "revision", "--autogenerate", "-m", "Added some table")

    text = service.newest().read_text("utf-8")
    assert "create_table" in text
    assert "of_somebody_else" not in text
    assert "by_hand" not in text


def test_autogenerate_leaves_nothing_on_the_server(service: Service) -> None:
    service.write("app/things/models.py", MODEL)
    before = service.databases()

    service.run("alembic", "revision", "--autogenerate", "-m", "Added some table")

    assert service.databases() == before


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_autogenerate_for_a_user_who_may_not_create_a_database(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    service.write("app/things/models.py", MODEL)
    role = f"role_{service.url.rpartition('_')[2]}"
    with service.engine().begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")

    poor = as_user(service, role)
    out = poor.run("alembic", "revision", "--autogenerate", "-m", "Added some table")

    with service.engine().begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")
    assert "Comparing with the database as it is" in out
    assert "CREATEDB" in out
    assert "create_table" in service.newest().read_text("utf-8")


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_the_grant_that_is_named_is_enough(service: Service) -> None:
    name = sa.make_url(service.url).database or ""
    user = f"u{name[-12:]}"
    poor = as_user(service, user)
    with service.engine().begin() as connection:
        connection.exec_driver_sql(f"CREATE USER {user} IDENTIFIED BY 'x'")
        connection.exec_driver_sql(f"GRANT ALL ON {name}.* TO {user}")
        try:
            refused = poor.run("pytest", "-q", fails=True)
            named = re.search(r"GRANT ALL ON `[^`]+`\.\*", refused)
            assert named, refused
            connection.exec_driver_sql(f"{named[0].replace('%', '%%')} TO {user}")
            poor.run("pytest", "-q")
        finally:
            connection.exec_driver_sql(f"DROP USER {user}")


def test_revisions_sort_by_date(service: Service) -> None:
    for name in ("zebra", "ant"):
        service.run("alembic", "revision", "-m", name)
        time.sleep(1)  # names made within the same second sort by chance

    names = [path.name for path in service.revisions()]

    assert names == sorted(names)
    assert [name.rpartition("_")[2] for name in names[-2:]] == ["zebra.py", "ant.py"]


def test_a_revision_that_drops_every_table_is_refused(service: Service) -> None:
    (service.folder / "app/notes/models.py").unlink()
    (service.folder / "app/notes/views.py").unlink()
    before = service.revisions()

    out = service.run("alembic", "revision", "--autogenerate", "-m", "Oops", fails=True)

    assert "drop every table" in out
    assert "Traceback" not in out
    assert service.revisions() == before


def test_every_entry_uses_the_same_database(service: Service, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ini = str(service.folder / "alembic.ini")
    service.run("alembic", "-c", ini, "upgrade", "head", cwd=elsewhere)

    assert "(head)" in service.run("alembic", "current")
    assert "(head)" in service.run("flask", "db", "current")
    app = str(service.folder / "app")
    assert "(head)" in service.run("flask", "--app", app, "db", "current", cwd=elsewhere)
    assert list(elsewhere.iterdir()) == []


def test_the_environment_and_the_database_are_announced(service: Service) -> None:
    out = service.run("alembic", "current", APP_ENV="testing")

    assert out.startswith("testing: ")
    assert service.url.rpartition("/")[2] in out


def test_every_command_of_flask_migrate_works(service: Service) -> None:
    def db(*args: str, fails: bool = False) -> str:
        return service.run("flask", "db", *args, fails=fails, EDITOR="true")

    assert "is here already. Go on with: flask db migrate" in db("init")
    assert "generic" in db("list-templates")
    db("upgrade")
    service.write("app/things/models.py", MODEL)
    db("migrate", "-m", "migrate")
    assert "create_table" in service.newest().read_text("utf-8")
    assert "CREATE TABLE thing" in db("upgrade", "--sql")
    db("upgrade")
    db("check")
    db("downgrade")
    assert "(head)" not in db("current")
    db("stamp")
    assert "(head)" in db("current")
    assert "migrate" in db("history")
    assert "(head)" in db("heads")
    db("branches")
    assert "migrate" in db("show")
    db("edit")
    last = service.newest().name[:27]
    db("revision", "-m", "Left", "--rev-id", "left")
    db("revision", "-m", "Right", "--rev-id", "right", "--head", last, "--splice")
    db("merge", "-m", "Both", "--rev-id", "both")
    assert "both (head)" in db("heads")


def test_a_connection_can_be_passed(service: Service) -> None:
    service.python(
        """
        import logging
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import create_engine, inspect
        from app.config import load_config

        handler = logging.NullHandler()
        logging.getLogger("somebody").addHandler(handler)
        engine = create_engine(load_config().SQLALCHEMY_DATABASE_URI)
        with engine.connect() as connection:
            command.upgrade(Config("alembic.ini", attributes={"connection": connection}), "head")
            assert "note" in inspect(connection).get_table_names()
        command.current(Config("alembic.ini", attributes={"connection": engine}), check_heads=True)
        assert not logging.getLogger("somebody").disabled
        assert logging.getLogger("somebody").handlers == [handler]
        assert not logging.getLogger().handlers
        """
    )


def test_an_app_that_does_not_boot_can_be_migrated(service: Service) -> None:
    package = service.folder / "app/__init__.py"
    text, views = package.read_text("utf-8"), '    for views in import_all("views"):'
    assert views in text
    package.write_text(text.replace(views, f"    raise RuntimeError\n{views}"), "utf-8")
    assert "RuntimeError" in service.run("flask", "routes", fails=True)

    service.run("alembic", "upgrade", "head")

    assert "(head)" in service.run("alembic", "current")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_command_imports_what_it_needs(service: Service) -> None:
    def loaded(*command: str) -> set[str]:
        code = f"from alembic.config import main; main({command}); import sys; print(*sys.modules)"
        return set(service.python(code).splitlines()[-1].split())

    compare = {"migrator.autogenerate", "migrator.sqlite.autogenerate"}
    others = {"migrator.flask_cli", "migrator.review.sql", "migrator.proof", "app.health"}
    others |= {"app.start", "migrator.postgresql", "migrator.mariadb"}

    upgrade, current, check = loaded("upgrade", "head"), loaded("current"), loaded("check")

    assert "app.notes.models" in upgrade & current & check
    assert not (upgrade | current | check) & others
    assert (upgrade | current) & compare == set()
    assert check & compare == compare


def test_sql_without_a_server_and_without_a_driver(service: Service) -> None:
    url = {
        "sqlite": "sqlite:////no/such/folder/file.db",
        "postgresql": "postgresql://me:p%40ss%25word@nowhere.invalid/shop",
        "mariadb": "mariadb://me:p%40ss%25word@nowhere.invalid/shop",
    }[service.kind]

    out = replace(service, url=url).python(
        """
        import sys
        sys.modules.update(dict.fromkeys(["psycopg", "pymysql"]))
        from alembic.config import main
        main(["upgrade", "head", "--sql"])
        main(["downgrade", "head:base", "--sql"])
        """
    )

    assert "CREATE TABLE note" in out
    assert "DROP TABLE note" in out
    assert "p@ss" not in out
    assert "p%40ss" not in out


@pytest.mark.parametrize("entry", [("alembic", "upgrade", "head"), ("flask", "routes")])
def test_what_is_wrong_is_said_without_a_traceback(
    service: Service, entry: tuple[str, ...]
) -> None:
    out = service.run(*entry, fails=True, APP_ENV="prod")
    assert "development, testing, staging, production" in out
    assert "Traceback" not in out

    out = service.run(*entry, fails=True, APP_ENV="production", SECRET_KEY="", LOG_LEVEL="loud")
    assert "SECRET_KEY" in out
    assert "LOG_LEVEL" in out
    assert "Traceback" not in out


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_mysql_is_told_from_mariadb(service: Service) -> None:
    url = sa.make_url(service.url)
    mysql = "MariaDB" not in str(rows(service, "SELECT version()"))
    for driver in ("mysql", "mariadb"):
        address = url.set(drivername=driver).render_as_string(hide_password=False)
        refused = mysql and driver == "mariadb"
        said = service.run("alembic", "upgrade", "head", fails=refused, DATABASE_URL=address)
        assert ("Begin DATABASE_URL with mysql://" in said) == refused
        assert "Traceback" not in said


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_what_no_column_holds_is_the_clients_fault(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    sent: dict[str, list[tuple[str, dict[str, str] | None]]] = {
        "postgresql": [("/notes/99999999999", None), ("/notes", {"title": "\0"})],
        "mariadb": [("/notes", {"title": "Long", "body": "x" * 70_000})],
    }
    with service.serve() as get:
        for path, data in sent[service.kind]:
            status, body = get(path, data)
            assert (status, body["error"]) == (400, "Bad Request"), path


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_the_options_of_the_engine_reach_every_connection(service: Service) -> None:
    """Only they have the port. The clean databases need it as well, as they would a certificate."""
    url = sa.make_url(service.url)
    usual = {"postgresql": 5432, "mariadb": 3306}[service.kind]
    wrong = url.set(port=free_port()).render_as_string(hide_password=False)
    options = json.dumps({"connect_args": {"port": url.port or usual}})
    service = replace(service, url=wrong, env=service.env | {"DATABASE_ENGINE_OPTIONS": options})
    service.run("alembic", "upgrade", "head")
    service.write("app/things/models.py", MODEL)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    service.run("alembic", "upgrade", "head")
    service.run("alembic", "check")
    service.run("pytest", "-q")


def test_a_password_is_printed_nowhere(service: Service) -> None:
    if service.kind == "sqlite":
        url = f"sqlite:///{service.folder / 'no' / 'such.db'}?password=Tr0ub4dor"
    else:
        url = f"{service.kind}://nobody:Tr0ub4dor%40%25@127.0.0.1:{free_port()}/shop"
    service = replace(service, url=url, env=service.env | {"LOG_LEVEL": "DEBUG"})

    out = service.run("alembic", "upgrade", "head", fails=True)
    assert "cannot be reached" in out
    assert "Traceback" not in out
    out += service.run("flask", "db", "current", fails=True)
    with service.serve() as get:
        status, body = get("/readyz")
        out += str(body) + str(get("/notes")) + str(get("/"))
    assert status == 503
    assert body["status"] == "unreachable"
    out += service.log()

    assert "Tr0ub4dor" not in out


FAILING = '''\
"""Fails half-way."""

import sqlalchemy as sa
from alembic import op

revision = "failing"
down_revision = "20261122090000_3632c1f107b5"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO note (title, body, created_at) VALUES ('half', '', '2026-01-01')")
    with op.batch_alter_table("note") as batch_op:
        batch_op.add_column(sa.Column("half", sa.Integer()))
    op.execute("INSERT INTO no_such_table VALUES (1)")


def downgrade() -> None:
    pass
'''


@pytest.mark.parametrize("service", ["sqlite", "postgresql"], indirect=True)
def test_a_failing_revision_changes_nothing(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    before = service.snapshot()
    service.write("migrations/versions/20990101_000000_failing_failing.py", FAILING)

    service.run("alembic", "upgrade", "head", fails=True)

    assert service.snapshot() == before


FAMILY = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Parent(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(10))


class Child(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("parent.id", ondelete="CASCADE"))
"""


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_children_survive_when_their_parent_is_rebuilt(service: Service) -> None:
    service.write("app/family/models.py", FAMILY)
    service.run("alembic", "revision", "--autogenerate", "-m", "Family")
    service.run("alembic", "upgrade", "head")
    with service.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO parent VALUES (1, 'Ann')")
        connection.exec_driver_sql("INSERT INTO child VALUES (1, 1), (2, 1)")
    service.write("app/family/models.py", FAMILY.replace("String(10)", "String(20)"))

    service.run("alembic", "revision", "--autogenerate", "-m", "Longer names")
    assert "batch_alter_table" in service.newest().read_text("utf-8")
    service.run("alembic", "upgrade", "head")

    with service.engine().connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM child").scalar_one() == 2


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_orphans_are_refused_before_the_commit(service: Service) -> None:
    service.write("app/family/models.py", FAMILY)
    service.run("alembic", "revision", "--autogenerate", "-m", "Family")
    service.run("alembic", "upgrade", "head")
    with sqlite3.connect(str(service.engine().url.database)) as connection:
        connection.execute("INSERT INTO child VALUES (1, 7)")
    service.run("alembic", "revision", "-m", "Next")
    out = service.run("alembic", "upgrade", "head")  # that row is not this revision's fault
    assert "1 rows refer to what is not there, as they did before" in out
    before = service.snapshot()
    service.run("alembic", "revision", "-m", "Orphan")
    path = service.newest()
    insert = 'op.execute("INSERT INTO child VALUES (2, 8)")'
    text = path.read_text("utf-8")
    path.write_text(text.replace("    pass", f"    {insert}", 1), "utf-8")

    out = service.run("alembic", "upgrade", "head", fails=True)

    assert "child" in out
    assert "1 of them already before" in out
    assert "Traceback" not in out
    assert service.snapshot() == before


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_app_guards_sqlite(service: Service) -> None:
    out = service.python(
        """
        from app import create_app
        from app.db import db
        with create_app().app_context():
            for pragma in ("foreign_keys", "journal_mode", "busy_timeout"):
                print(pragma, db.session.execute(db.text(f"PRAGMA {pragma}")).scalar())
        """
    )

    assert "foreign_keys 1" in out
    assert "journal_mode wal" in out
    assert "busy_timeout 15000" in out


def test_moments_keep_their_zone_and_their_microseconds(service: Service) -> None:
    service.run("alembic", "upgrade", "head")

    service.python(
        """
        from datetime import UTC, datetime, timedelta, timezone
        import sqlalchemy as sa
        from app import create_app
        from app.db import db
        from app.notes.models import Note

        moment = datetime(2026, 3, 29, 1, 30, 0, 123456, timezone(timedelta(hours=-5)))
        with create_app().app_context():
            db.session.add(Note(title="t", created_at=moment))
            db.session.commit()
            db.session.expire_all()
            kept = db.session.scalars(sa.select(Note)).one().created_at
            assert kept == moment, kept
            assert kept.tzinfo is UTC and kept.microsecond == 123456, kept
            db.session.add(Note(title="t", created_at=datetime(2026, 3, 29)))
            try:
                db.session.commit()
            except sa.exc.StatementError as error:
                assert "datetime.now(UTC)" in str(error)
            else:
                raise AssertionError
        """
    )


def test_its_own_tests_catch_what_is_not_decided(service: Service) -> None:
    models = service.folder / "app/notes/models.py"
    renamed = models.read_text("utf-8").replace("    title: ", "    heading: ")
    models.write_text(renamed.replace("self.title", "self.heading"), "utf-8")

    out = service.run("alembic", "revision", "--autogenerate", "-m", "Rename")

    assert "TODO in the revision: note.title is dropped with all that it holds" in out
    out = service.run("pytest", "-q", "-k", "left_to_decide", fails=True)
    assert "note.title is dropped" in out
    assert service.newest().name in out


def test_its_tests_never_run_in_production(service: Service) -> None:
    out = service.run("pytest", "-q", fails=True, APP_ENV="production")

    assert "Tests do not run in production" in out


def test_its_tests_never_touch_the_development_database(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    before = service.snapshot()

    service.run("pytest", "-q")

    assert service.snapshot() == before
