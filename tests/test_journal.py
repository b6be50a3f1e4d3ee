"""MariaDB's journal: what it does not know it refuses, and what it skips still has its result."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from histories import MIXED, execute, rows, start, write_history
from support import Service, database

pytestmark = pytest.mark.parametrize("service", ["mariadb"], indirect=True)
# DDL, which commits all that was done before it, and then an error.
FAILS = 'op.execute("CREATE TABLE mark (id INTEGER)")\nop.execute("SELECT none")'
MARK = "\n" + FAILS.partition("\n")[0]
DOUBLE = (
    "SET STATEMENT max_statement_time=600 FOR UPDATE account SET balance = balance * 2",
    "/*!50000 UPDATE account SET balance = balance * 2 */",
)
UNCERTAIN = (
    "BEGIN NOT ATOMIC UPDATE account SET balance = balance * 2; END",
    "CALL settle()",
    "SET @old = (SELECT max(balance) FROM account)",
    "INSERT INTO applied (revision) VALUES (LAST_INSERT_ID())",
)


def balances(service: Service) -> list[object]:
    return [row[0] for row in rows(service, "SELECT balance FROM account ORDER BY id")]


@pytest.mark.parametrize("statement", DOUBLE)
def test_data_are_changed_once(service: Service, statement: str) -> None:
    step = f"op.execute({statement!r})"
    write_history(service, MIXED[0], (f"{step}\n{FAILS}", ""))
    for _ in range(2):
        assert "none" in service.run("alembic", "upgrade", "head", fails=True)
    write_history(service, MIXED[0], (step + MARK, ""))

    service.run("alembic", "upgrade", "head")

    assert balances(service) == [200 * n for n in range(1, 6)]


@pytest.mark.parametrize("statement", UNCERTAIN)
def test_what_is_uncertain_is_refused_before_anything_is_done(
    service: Service, statement: str
) -> None:
    first = 'op.create_table("new", sa.Column("id", sa.Integer, primary_key=True))'
    write_history(service, MIXED[0], (f"{first}\nop.execute({statement!r})", ""))
    service.run("alembic", "upgrade", "r1")

    said = service.run("alembic", "upgrade", "head", fails=True)

    assert "Traceback" not in said
    assert statement in said
    assert "r1 -> r2" in said
    assert "a rerun could not tell what to do with it" in said
    assert not sa.inspect(service.engine()).has_table("new")
    assert balances(service) == [100 * n for n in range(1, 6)]


@pytest.mark.parametrize(
    "insert",
    [
        "connection.execute(table.insert(), {'name': 'x'}).inserted_primary_key[0]",
        "connection.execute(table.insert().returning(table.c.id), {'name': 'x'}).scalar_one()",
        "connection.exec_driver_sql('INSERT INTO parent (name) VALUES (1) RETURNING id').scalar()",
        "connection.exec_driver_sql('INSERT INTO parent (name) VALUES (2)').lastrowid",
        "added(connection, table)",
    ],
)
def test_a_step_that_is_skipped_still_has_its_result(service: Service, insert: str) -> None:
    step = """
    from sqlalchemy.orm import Session, registry
    class Parent: pass
    def added(connection, table):
        registry().map_imperatively(Parent, table)
        with Session(connection) as session:
            parent = Parent()
            parent.name = "x"
            session.add(parent)
            session.flush()
            return parent.id
    connection = op.get_bind()
    table = sa.table("parent", sa.column("id"), sa.column("name"))
    table = sa.Table("parent", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
                     sa.Column("name", sa.String(9)))
    key = INSERT
    op.get_bind().execute(sa.text("INSERT INTO child (parent_id) VALUES (:key)"), {"key": key})
    """.replace("INSERT", insert, 1)
    tables = """
    op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("name", sa.String(9)))
    op.execute("INSERT INTO parent (name) VALUES ('first')")
    op.create_table("child", sa.Column("parent_id", sa.Integer))
    """
    write_history(service, (tables, ""), (f"{textwrap.dedent(step)}\n{FAILS}", ""))
    for _ in range(2):
        said = service.run("alembic", "upgrade", "head", fails=True)
        assert "Unknown column 'none'" in said
    write_history(service, (tables, ""), (textwrap.dedent(step) + MARK, ""))

    service.run("alembic", "upgrade", "head")

    assert rows(service, "SELECT parent_id FROM child") == [(2,)]
    assert rows(service, "SELECT count(*) FROM parent") == [(2,)]


def test_a_busy_table_repeats_nothing(service: Service) -> None:
    """A step that was done has its result in the next try of the same run as well."""
    step = """
    table = sa.Table("parent", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
                     sa.Column("name", sa.String(9)))
    (key,) = op.get_bind().execute(table.insert(), {"name": "x"}).inserted_primary_key
    op.execute(DOUBLE)
    op.add_column("applied", sa.Column("note", sa.Text))
    op.get_bind().execute(sa.text("INSERT INTO child (parent_id) VALUES (:key)"), {"key": key})
    """.replace("DOUBLE", repr(DOUBLE[0]))
    tables = """
    op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("name", sa.String(9)))
    op.execute("INSERT INTO parent (name) VALUES ('first')")
    op.create_table("child", sa.Column("parent_id", sa.Integer))
    """
    write_history(service, MIXED[0], (tables, ""), (step, ""))
    service.run("alembic", "upgrade", "r2")
    with service.engine().connect() as somebody:
        somebody.exec_driver_sql("SELECT * FROM applied")
        process = start(service, "-x", "lock_timeout=1", "upgrade", "head")
        assert process.stdout
        while "trying again" not in process.stdout.readline():
            assert process.poll() is None
    said = process.communicate(timeout=60)[0]

    assert process.returncode == 0, said
    assert balances(service) == [200 * n for n in range(1, 6)]
    assert rows(service, "SELECT parent_id FROM child") == [(2,)]
    assert rows(service, "SELECT count(*) FROM parent") == [(2,)]


def test_the_way_out_that_a_refusal_names(service: Service) -> None:
    """Do by hand what is missing, stamp the revision, and go on in both directions."""
    step = 'op.execute("UPDATE account SET balance = 7")\nop.rename_table("{}", "movement")'
    write_history(service, MIXED[0], (step.format("none"), 'op.rename_table("movement","applied")'))
    service.run("alembic", "upgrade", "head", fails=True)
    other = step.replace("7", "8").format("applied")
    write_history(service, MIXED[0], (other, 'op.rename_table("movement", "applied")'))
    said = service.run("alembic", "upgrade", "head", fails=True)
    assert "`alembic stamp` the revision" in said

    execute(service, "RENAME TABLE applied TO movement")
    service.run("alembic", "stamp", "r2")

    assert not sa.inspect(service.engine()).has_table("alembic_journal")
    service.run("alembic", "downgrade", "-1")
    service.run("alembic", "upgrade", "head")
    assert set(balances(service)) == {8}


def test_a_revision_that_became_empty_is_refused(service: Service) -> None:
    step = 'op.execute("UPDATE account SET balance = 7")\n'
    write_history(service, MIXED[0], (step + FAILS, ""))
    service.run("alembic", "upgrade", "head", fails=True)
    write_history(service, MIXED[0], ("pass", ""))

    said = service.run("alembic", "upgrade", "head", fails=True)

    assert "UPDATE account SET balance = 7" in said
    service.run("alembic", "stamp", "--purge", "r2")
    service.run("alembic", "current", "--check-heads")


def test_a_table_that_a_killed_run_left_goes_away(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    execute(
        service,
        "CREATE TABLE alembic_journal (position INTEGER PRIMARY KEY, digest CHAR(64) NOT NULL, "
        "statement TEXT NOT NULL)",  # as earlier releases made it
    )

    service.run("alembic", "upgrade", "head")

    assert not sa.inspect(service.engine()).has_table("alembic_journal")


@pytest.fixture
def mariadb(root: Path, tmp_path: Path) -> Iterator[sa.Connection]:
    sys.path.insert(0, str(root / "{{cookiecutter.project_slug}}"))
    with database("mariadb", tmp_path) as text:
        url = sa.make_url(text).set(drivername="mariadb+pymysql")
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            connection.exec_driver_sql("CREATE TABLE account (id INTEGER, title INTEGER)")
            yield connection


IN_DOUBT = (
    ("ALTER TABLE account ADD COLUMN c INTEGER AFTER titel", None),
    ("ALTER TABLE account ADD COLUMN c INTEGER AFTER title", ("c",)),
    ("ALTER TABLE account ADD INDEX (title)", ()),
    ("RENAME TABLE account TO other, extra TO account, other TO extra", ()),
    ("ALTER TABLE account RENAME COLUMN title TO name", ("name",)),
    ("DROP TABLE extra, account", None),
)


@pytest.mark.parametrize(("statement", "_columns"), IN_DOUBT)
@pytest.mark.parametrize("was_run", [True, False])
def test_ddl_in_doubt_is_decided_by_what_is_there(
    service: Service, mariadb: sa.Connection, statement: str, _columns: object, was_run: bool
) -> None:
    """The process was killed with the entry committed, and before or after the statement."""
    from migrator.mariadb.journal import CREATE_TABLE, digest_of, journal
    from migrator.mariadb.schema import fingerprint

    works = "titel" not in statement
    mariadb.exec_driver_sql("CREATE TABLE extra (id INTEGER)")
    mariadb.exec_driver_sql(CREATE_TABLE)
    driver: Any = mariadb.connection.driver_connection
    entry = {
        "d": digest_of(statement, (sa.util.immutabledict(),)),
        "s": statement,
        "t": fingerprint(driver, statement),
    }
    insert = (
        "INSERT INTO alembic_journal (position, digest, statement, there) VALUES (1, :d, :s, :t)"
    )
    mariadb.execute(sa.text(insert), entry)
    mariadb.commit()
    if was_run and works:
        mariadb.exec_driver_sql(statement)
    wanted = tables(mariadb)

    def run_again() -> None:
        with journal(mariadb):
            mariadb.exec_driver_sql(statement)

    if not works:
        with pytest.raises(sa.exc.DBAPIError, match="Unknown column 'titel'"):
            run_again()
        return
    run_again()
    if was_run:
        assert tables(mariadb) == wanted
    else:
        assert tables(mariadb) != wanted


def tables(connection: sa.Connection) -> dict[str, str]:
    """Return the definitions of the tables, without the journal."""
    names = connection.exec_driver_sql("SHOW TABLES").scalars().all()
    shown = {
        name: connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one() for name in names
    }
    return {name: row[1] for name, row in shown.items() if name != "alembic_journal"}
