"""A cluster of three MariaDB servers, each of which may be asked to migrate."""

import json
import secrets
import signal
import subprocess
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree

import pytest
from clusters import Server, galera, synced
from histories import COUNTED, MIXED, execute, start, together, write_history
from support import Service
from test_kill import DRIVER

pytestmark = pytest.mark.long
PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": "k" * 32}
# Revisions after the one that comes with the service; they change the service's own table.
LIVE = """\
import time

import sqlalchemy as sa
from alembic import op

revision = "live{number}"
down_revision = "{down}"


def upgrade() -> None:
    op.execute("UPDATE note SET body = CONCAT(body, '+')")
    op.add_column("note", sa.Column("c{number}", sa.Integer, server_default="0", nullable=False))
    op.create_index("ix_note_c{number}", "note", ["c{number}"])
    time.sleep(0.5)


def downgrade() -> None:
    op.drop_column("note", "c{number}")
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    with galera(3) as nodes:
        yield nodes


@pytest.fixture
def services(
    nodes: list[Server], render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> Iterator[list[Service]]:
    """The service in one folder, on one empty database, by way of each node."""
    folder = copytree(render(database="mariadb"), tmp_path / "my-service")
    name = f"template_{secrets.token_hex(6)}"
    nodes[0].run(f"CREATE DATABASE {name}")
    for node in nodes:
        node.run("SET SESSION wsrep_sync_wait = 15", f"USE {name}")  # it is there
    yield [Service("mariadb", folder, node.url(name), env) for node in nodes]
    nodes[0].run(f"DROP DATABASE {name}")


def everywhere(services: list[Service], query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query, which are the same on each node."""
    found = []
    for service in services:
        with service.engine().connect() as connection:
            connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 15")
            found.append([tuple(row) for row in connection.exec_driver_sql(query)])
    assert found == [found[0]] * len(found)
    return found[0]


def test_nine_upgrade_at_once_on_three_nodes(services: list[Service]) -> None:
    write_history(services[0], *COUNTED)
    for begun in ("nothing", "r3", "base", "r5"):
        if begun != "nothing":
            services[1].run("alembic", "downgrade", begun)

        together(services[0], 0)  # writes what all of them run
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda service: together(service, 3, "upgrade", "head"), services))

        steps = "SELECT step FROM applied ORDER BY step"
        assert everywhere(services, steps) == [(n // 2,) for n in range(4, 14)]
        assert everywhere(services, "SELECT version_num FROM alembic_version") == [("r6",)]


def test_killed_on_one_node_and_run_again_on_another(services: list[Service]) -> None:
    write_history(services[0], *MIXED)
    services[0].write("driver.py", DRIVER)

    printed = services[0].run("driver", "kill", "15", services[1].url)

    result = json.loads(printed.splitlines()[-1])
    print(result["runs"], "interruptions")
    assert result["failures"] == []
    assert result["runs"] >= 4


def test_two_nodes_serve_while_the_third_migrates(services: list[Service]) -> None:
    services[0].run("alembic", "upgrade", "head")
    execute(services[0], "INSERT INTO note (title, body, created_at) VALUES ('1', '', NOW())")
    down = "_".join(services[0].revisions()[0].stem.split("_")[:2])
    answers: Counter[tuple[str, int]] = Counter()
    with ExitStack() as stack:
        others = [stack.enter_context(service.serve(**PRODUCTION)) for service in services[1:]]
        for number in range(1, 5):
            text = LIVE.format(number=number, down=f"live{number - 1}" if number > 1 else down)
            services[0].write(f"migrations/versions/live{number}.py", text)
        process = start(services[0], "upgrade", "head")
        while process.poll() is None:
            for get in others:
                answers["readyz", get("/readyz")[0]] += 1
                answers["read", get("/notes")[0]] += 1
                answers["write", get("/notes", {"title": "Written meanwhile"})[0]] += 1
        assert process.returncode == 0, process.communicate()[0]
        execute(services[0], "UPDATE note SET body = CONCAT(body, '.')")
        assert everywhere(services, "SELECT body FROM note WHERE title = '1'") == [("++++.",)]
        assert [get("/readyz")[0] for get in others] == [200, 200]
    process.communicate()
    print(dict(answers))
    # DDL ends the transactions in its way, on each node, and the request fails.
    # Four revisions of two such statements each; two nodes, of which one is asked at a time.
    assert answers.pop(("read", 500), 0) + answers.pop(("write", 500), 0) <= 16
    assert set(answers) - {("readyz", 200)} == {("read", 200), ("write", 201), ("readyz", 503)}


def migrate_slowly(services: list[Service]) -> subprocess.Popen[str]:
    """Start a migration on the first node; return its process while it migrates."""
    pause = "import time\ntime.sleep(0.3)\n"
    write_history(services[0], *((pause + textwrap.dedent(up), down) for up, down in MIXED))
    process = start(services[0], "upgrade", "head")
    assert process.stdout
    while "-> r2" not in process.stdout.readline():
        assert process.poll() is None
    return process


def all_is_done_once(services: list[Service]) -> None:
    applied = [("fifth",), ("first",), ("second",), ("third",)]
    assert everywhere(services, "SELECT revision FROM applied ORDER BY revision") == applied
    balances = [(100 * n * 2 + 1) * 3 * 2 for n in range(1, 6)]
    query = "SELECT balance FROM account ORDER BY id"
    assert everywhere(services, query) == [(balance,) for balance in balances]
    assert everywhere(services, "SELECT version_num FROM alembic_version") == [("r5",)]


def test_the_wait_ends_and_says_who_is_at_it(services: list[Service]) -> None:
    write_history(services[0], *MIXED)
    services[0].run("alembic", "upgrade", "r1")
    columns = "position INT PRIMARY KEY, digest CHAR(64), statement TEXT"
    execute(services[0], f"CREATE TABLE alembic_journal ({columns})")
    execute(services[0], "INSERT INTO alembic_journal VALUES (0, 'never renewed', 'somebody')")

    said = services[1].run("alembic", "-x", "lock_wait=0.5", "upgrade", "head", fails=True)
    assert "did not end within 0.5 s: somebody. Let it end" in said
    assert "Traceback" not in said

    services[1].run(
        "alembic", "upgrade", "head"
    )  # after the time in which it becomes clear that the owner is dead
    all_is_done_once(services)


def test_a_migrator_sleeps_until_another_has_taken_over(services: list[Service]) -> None:
    process = migrate_slowly(services)
    process.send_signal(signal.SIGSTOP)
    services[1].run("alembic", "upgrade", "head")
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode != 0, said

    services[0].run("alembic", "upgrade", "head")
    all_is_done_once(services)


def test_a_node_dies_while_another_migrates(nodes: list[Server], services: list[Service]) -> None:
    process = migrate_slowly(services)
    nodes[2].stop(signal.SIGKILL)
    try:
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        all_is_done_once(services[:2])
    finally:
        nodes[2].start(synced)
    all_is_done_once(services)


def test_a_node_dies_while_it_migrates(nodes: list[Server], services: list[Service]) -> None:
    process = migrate_slowly(services)
    nodes[0].stop(signal.SIGKILL)
    try:
        said = process.communicate(timeout=120)[0]
        assert process.returncode != 0
        assert "The connection to the database was lost. Run this again" in said
        assert "Traceback" not in said

        services[1].run("alembic", "upgrade", "head")
        all_is_done_once(services[1:])
    finally:
        nodes[0].start(synced)
    all_is_done_once(services)
