"""`alembic upgrade head` is killed, or loses its connection: run again, it does the rest, once."""

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from clusters import pgbouncer
from histories import MIXED, rows, write_history
from support import Service

# Runs in the service's folder. Each upgrade is a process of its own, forked from one that has
# imported everything, and dies by SIGKILL, or loses its connection, at a statement's boundary.
DRIVER = '''
import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback

import sqlalchemy as sa
from alembic.config import main

from app.config import load_config
from migrator import database

settings = load_config()
wait = {"init_command": "SET SESSION wsrep_sync_wait = 15"}  # for what the other node did
options = {"connect_args": wait} if sys.argv[3:] else {}
engine = database(settings.SQLALCHEMY_DATABASE_URI, options).engine()
kind = engine.dialect.name
how, interval = sys.argv[1], int(sys.argv[2])
elsewhere = sys.argv[3] if sys.argv[3:] else None  # the same database, by way of another node


def reset():
    tables = sa.MetaData()
    tables.reflect(engine)
    tables.drop_all(engine)


def contents():
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [
                sorted(f"{column.name} {column.type!r}" for column in table.columns),
                sorted(str(index.name) for index in table.indexes),
                sorted(repr(tuple(row)) for row in connection.execute(sa.select(table))),
            ]
            for table in tables.sorted_tables
            if table.name not in ("alembic_journal", "alembic_log")
        }


def logged():
    """Return the revisions of the log, which has times as well."""
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT revision FROM alembic_log ORDER BY id").all()


def kill_server_side(driver):
    with engine.connect() as connection:
        if how == "lose-all":  # PgBouncer shows its own process ids
            everybody = "pg_stat_activity WHERE datname = current_database()"
            end = f"SELECT pg_terminate_backend(pid) FROM {everybody} AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(end)
            print("terminated", flush=True)  # unnoticed if it comes between two transactions
        elif kind == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_terminate_backend({driver.info.backend_pid})")
        else:
            connection.exec_driver_sql(f"KILL {driver.thread_id()}")


def strike_at(moment):
    """Have what was asked for happen when the driver sends its n-th command, or right after.

    Return a function that tells how many it has sent.
    """
    sent = 0

    def strike(driver=None):
        if how.startswith("lose"):
            nonlocal sent
            sent = 10**9  # so that the connection that ends the other one is not struck
            kill_server_side(driver)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(owner, name):
        original = getattr(owner, name)

        def wrapped(self, *args, **kwargs):
            nonlocal sent
            sent += 1
            if sent == moment and how != "kill-after":
                strike(self)
            result = original(self, *args, **kwargs)
            if sent == moment and how == "kill-after":
                strike()
            return result

        setattr(owner, name, wrapped)

    def trace(statement):
        nonlocal sent
        sent += 1
        if sent == moment:
            strike()

    if kind == "postgresql":
        import psycopg

        wrap(psycopg.Connection, "wait")
    elif kind == "sqlite":
        sa.event.listen(sa.Engine, "connect", lambda c, _: c.set_trace_callback(trace))
    else:
        import pymysql

        wrap(pymysql.connections.Connection, "_execute_command")
    return lambda: sent


def upgrade(moment=None, after=None, address=None):
    """Run `alembic upgrade head` in a process; return its status and what it printed."""
    read, write = os.pipe()
    if not (child := os.fork()):
        if address:
            os.environ["DATABASE_URL"] = address
        os.dup2(write, 1)
        os.dup2(write, 2)
        count = strike_at(moment) if moment else int
        try:
            main(["-x", "lock_wait=20", "upgrade", "head"])
            status = 0
            print("sent", count())
        except SystemExit as error:
            status = error.code or 0
        except BaseException:
            traceback.print_exc()
            status = 99
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(status & 255)
    os.close(write)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    with open(read, encoding="utf-8") as pipe:
        printed = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed


def check(moment, ended, printed):
    status, again = upgrade(address=elsewhere)
    once = sorted(set(logged())) == sorted(logged())
    left = sa.inspect(engine).has_table("alembic_journal")
    if status or contents() != wanted or not once or left:
        failures.append([moment, ended, printed, status, again, contents()])


failures, runs, printed_all = [], 0, []
reset()
began = time.monotonic()
status, printed = upgrade()
took = time.monotonic() - began
assert status == 0, printed
wanted = contents()
if how == "random":
    for number in range(1, interval + 1):
        reset()
        moment = took * number / (interval + 1)
        check(moment, *upgrade(after=moment))
        runs += 1
elif how == "end":
    reset()
    _, printed = upgrade(10**9)
    last = int(printed.split()[-1])
    for how in ("kill", "kill-after"):
        for moment in range(last - interval // 2 + 1, last + 1):
            reset()
            check(moment, *upgrade(moment))
            runs += 1
else:
    moment, ended, printed = 1, None, ""
    while ended != 0 or "terminated" in printed:
        reset()
        ended, printed = upgrade(moment)
        check(moment, ended, printed)
        if ended or "terminated" in printed:
            printed_all.append(printed)
            runs += 1
        moment += interval
print(json.dumps({"runs": runs, "failures": failures, "printed": printed_all, "wanted": wanted}))
'''


@pytest.fixture
def service(service: Service) -> Service:
    """A service with five revisions that mix DDL and data."""
    write_history(service, *MIXED)
    service.write("driver.py", DRIVER)
    return service


def drive(service: Service, how: str, amount: int) -> list[str]:
    """Run the driver; check that nothing is lost or doubled; return what was printed."""
    result = json.loads(service.run("driver", how, str(amount)).splitlines()[-1])
    assert result["failures"] == []
    assert result["runs"] >= 6
    print(result["runs"], "interruptions")  # pytest -rP shows it: the figure in docs/databases.md
    balances = {row[0]: row[2] for row in map(eval, result["wanted"]["account"][2])}
    assert balances == {n: (100 * n * 2 + 1) * 3 * 2 for n in range(1, 6)}
    return list(result["printed"])


@pytest.mark.long
def test_killed_at_any_statement(service: Service) -> None:
    drive(service, "kill", 4)


@pytest.mark.long
def test_killed_at_any_time(service: Service) -> None:
    drive(service, "random", 6)


@pytest.mark.long
@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_killed_at_the_very_end(service: Service) -> None:
    """Before and after each of the last commands: no table of the journal's stays for good."""
    drive(service, "end", 40)


@pytest.mark.long
@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_lost_connection(service: Service) -> None:
    printed = drive(service, "lose", 7)

    said = "was lost. Run this again"
    # A connection that is lost while it is made gets another message.
    others = ("cannot be reached", "Lost connection to MySQL server")
    assert [p for p in printed if not any(text in p for text in (said, *others))] == []
    assert sum(said in p for p in printed) > len(printed) / 2


@pytest.mark.long
@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("how", "amount"), [("kill", 7), ("random", 6), ("lose-all", 11)])
def test_by_way_of_pgbouncer(service: Service, how: str, amount: int) -> None:
    with pgbouncer(service.url) as pooled:
        drive(replace(service, url=pooled), how, amount)


def test_a_failing_statement_can_be_fixed(service: Service) -> None:
    bad = 'op.execute("UPDATE account SET balance = 7")\nop.rename_table("none", "movement")'
    write_history(service, *MIXED[:2], (bad, "pass"))
    service.run("alembic", "upgrade", "r2")
    before = rows(service, "SELECT balance FROM account ORDER BY id")
    assert "none" in service.run("alembic", "upgrade", "head", fails=True)
    if service.kind != "mariadb":
        assert rows(service, "SELECT balance FROM account ORDER BY id") == before

    write_history(service, *MIXED[:2], (bad.replace("none", "applied"), "pass"))
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT DISTINCT balance FROM account") == [(7,)]


# When one of these is executed again, an error tells that it is done, for each a different one.
AGAIN = (
    "CREATE DATABASE {side}",
    "DROP DATABASE {side}",
    "ALTER TABLE applied ADD CONSTRAINT few CHECK (revision <> '')",
    "ALTER TABLE applied DROP CONSTRAINT few",
    "ALTER TABLE account PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (9),"
    " PARTITION p1 VALUES LESS THAN (99))",
    "ALTER TABLE account ADD PARTITION (PARTITION p2 VALUES LESS THAN (999))",
    "ALTER TABLE account DROP PARTITION p1",
    "ALTER TABLE account DROP PARTITION p2",
    "ALTER TABLE account REMOVE PARTITIONING",
    "PREPARE p FROM 'ALTER TABLE account ADD COLUMN p INTEGER'; EXECUTE p; DEALLOCATE PREPARE p",
)


@pytest.mark.long
@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_ddl_that_is_done_already_is_known(service: Service) -> None:
    side = f"{sa.make_url(service.url).database}_side"
    statements = [statement.format(side=side).split("; ") for statement in AGAIN]
    steps = ["\n".join(f"op.execute({s!r})" for s in group) for group in statements]
    for number, step in enumerate(steps):
        fixed = [(done, "") for done in steps[:number]]
        write_history(service, MIXED[0], *fixed, (f'{step}\nop.execute("SELECT none")', ""))
        assert "Unknown column 'none'" in service.run("alembic", "upgrade", "head", fails=True)

    write_history(service, MIXED[0], *((step, "") for step in steps))
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT count(*), count(p) FROM account") == [(5, 0)]


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_locked_tables_can_be_let_go(service: Service) -> None:
    step = 'op.execute("UPDATE account SET balance = balance + 1")'
    lock = 'op.execute("LOCK TABLES account WRITE")'
    write_history(service, MIXED[0], (f"{lock}\n{step}", ""))
    said = service.run("alembic", "upgrade", "head", fails=True)
    assert "'alembic_journal' was not locked with LOCK TABLES" in said

    write_history(service, MIXED[0], (step, ""))
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT sum(balance) FROM account") == [(1505,)]


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_the_time_of_a_run_is_no_change(service: Service) -> None:
    step = """
    from datetime import datetime
    insert = sa.text("INSERT INTO account (id, owner, balance) VALUES (9, :at, 0)")
    op.get_bind().execute(insert, {{"at": datetime.now()}})
    op.rename_table("{}", "movement")
    """
    write_history(service, *MIXED[:2], (step.format("none"), "pass"))
    service.run("alembic", "upgrade", "head", fails=True)
    write_history(service, *MIXED[:2], (step.format("applied"), "pass"))

    service.run("alembic", "upgrade", "head")

    assert rows(service, "SELECT count(*) FROM account") == [(6,)]


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_a_revision_that_changed_half_way_is_refused(service: Service) -> None:
    step = 'op.execute("UPDATE account SET balance = 7")\nop.rename_table("{}", "movement")'
    write_history(service, *MIXED[:2], (step.format("none"), "pass"))
    service.run("alembic", "upgrade", "head", fails=True)
    other = step.replace("7", "8").format("applied")
    write_history(service, *MIXED[:2], (other, "pass"))

    said = service.run("alembic", "upgrade", "head", fails=True)
    assert "UPDATE account SET balance = 7" in said
    assert "Bring the old text back" in said
    assert "Traceback" not in said
    assert rows(service, "SELECT DISTINCT balance FROM account") == [(7,)]

    said = service.run("alembic", "downgrade", "-1", fails=True)
    assert "Bring the old text back" in said

    write_history(service, *MIXED[:2], (step.format("applied"), "pass"))
    service.run("alembic", "upgrade", "head")
    assert rows(service, "SELECT DISTINCT balance FROM account") == [(7,)]
