"""A PostgreSQL primary dies during a migration, and its synchronous replica takes over.

`DATABASE_URL` names both hosts, and stays the same.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import getsource
from pathlib import Path
from shutil import copytree, rmtree

import pytest
from clusters import Server, data_folder, new_primary, new_replica
from histories import MIXED, execute, write_history
from support import Service, free_port

pytestmark = pytest.mark.long
ROUNDS = 20
PRODUCTION = {"APP_ENV": "production", "SECRET_KEY": "k" * 32}
ENDED = "The server ended the connection before it was of use"
# What the revisions in MIXED leave, and the table of the service's own example.
MODELS = """
import sqlalchemy as sa

from app.db import db

account = db.Table(
    "account",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(80), nullable=False, index=True),
    sa.Column("balance", sa.Integer, nullable=False),
)
applied = db.Table("applied", sa.Column("revision", sa.String(20)))
movement = db.Table(
    "movement",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("moved", sa.Integer),
)
"""
NOTE = """
from app.notes.models import Note
Note.__table__.create(op.get_bind())
"""
# Runs in the service's folder, and reads commands of Alembic from stdin, one JSON list a line: the
# message of the driver at which the server dies (0 for none), whether it dies before it gets that
# one or while it is at work, its process, and the words of the command. Each is forked from this
# process, which has imported everything. Prints the status, what was printed, and how many messages
# were sent.
DRIVER = """
import json
import sys
import threading
import traceback

import psycopg
from alembic.config import main

sent = 0
original = psycopg.Connection.wait


def strike_at(moment, before, server):
    def wait(self, *args, **kwargs):
        global sent
        sent += 1
        if sent == moment and before:
            die(server)
        elif sent == moment:
            threading.Thread(target=die, args=[server]).start()
        return original(self, *args, **kwargs)

    psycopg.Connection.wait = wait


def run(moment, before, server, words):
    read, write = os.pipe()
    if not (child := os.fork()):
        os.dup2(write, 1)
        os.dup2(write, 2)
        strike_at(moment, before, server)
        try:
            main(words)
            status = 0
        except SystemExit as error:
            status = error.code or 0
        except BaseException:
            traceback.print_exc()
            status = 99
        print("sent", sent)
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(status & 255)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        printed = pipe.read()
    said, _, count = printed.rpartition("sent ")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said, int(count)


import app.config
import migrator.postgresql

for line in sys.stdin:
    print(json.dumps(run(*json.loads(line))), flush=True)
"""


def die(server: int) -> None:
    """Kill a server and all its processes, as when its machine dies."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text("ascii")
    for process in [server, *map(int, children.split())]:  # the first would start the others anew
        os.kill(process, signal.SIGKILL)


class Pair:
    """A primary and its synchronous replica on two ports, which change parts at each failover."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.primary = new_primary(folder / "0", free_port())
        self.replica: Server | None = None
        self.ports = (self.primary.port, free_port())

    def url(self, database: str, **query: str) -> str:
        hosts = [f"host=127.0.0.1:{port}" for port in self.ports]
        more = [f"{key}={value}" for key, value in query.items()]
        return f"postgresql://postgres@/{database}?{'&'.join(hosts + more)}"

    def follow(self) -> None:
        """Give the primary a synchronous replica on the other port."""
        (port,) = {*self.ports} - {self.primary.port}
        self.count += 1
        self.replica = new_replica(self.folder / str(self.count), port, self.primary)
        self.wait_for_commits_at("*")
        with self.primary.engine().connect() as connection:
            query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            while not connection.exec_driver_sql(query).scalar_one():
                time.sleep(0.01)

    def wait_for_commits_at(self, names: str) -> None:
        setting = f"ALTER SYSTEM SET synchronous_standby_names = '{names}'"
        self.primary.run(setting, "SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Have the replica take over from the primary, which is dead."""
        assert self.replica is not None
        self.primary.process.wait(timeout=60)
        self.replica.run("SELECT pg_promote()")
        rmtree(self.primary.log.with_suffix(""), ignore_errors=True)
        self.primary, self.replica = self.replica, None
        # Its commits must not wait for a replica that it does not have.
        self.wait_for_commits_at("")

    def stop(self) -> None:
        for server in filter(None, (self.primary, self.replica)):
            server.stop(signal.SIGQUIT)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with data_folder("postgres") as folder:
        pair = Pair(folder)
        try:
            yield pair
        finally:
            pair.stop()


@pytest.fixture
def service(
    pair: Pair, render: Callable[..., Path], env: dict[str, str], tmp_path: Path
) -> Service:
    """The service with a history that mixes DDL and data, and its models, on both hosts."""
    folder = copytree(render(database="postgresql"), tmp_path / "my-service")
    url = pair.url("service", target_session_attrs="read-write")
    service = Service("postgresql", folder, url, env)
    write_history(service, *MIXED, (NOTE, 'op.drop_table("note")'))
    service.write("app/things/models.py", MODELS)
    service.write(
        "driver.py", f"import os, signal\nfrom pathlib import Path\n\n{getsource(die)}{DRIVER}"
    )
    return service


@contextmanager
def driver(service: Service) -> Iterator[Callable[..., tuple[int, str, int]]]:
    """Yield a function that runs a command of Alembic, in which the server may die."""
    with subprocess.Popen(
        [sys.executable, "-m", "driver"],
        cwd=service.folder,
        env=service.environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdin
        assert process.stdout
        requests, answers = process.stdin, process.stdout

        def run(
            *words: str, moment: int = 0, before: bool = False, server: int = 0
        ) -> tuple[int, str, int]:
            print(json.dumps([moment, before, server, words]), file=requests, flush=True)
            status, said, sent = json.loads(answers.readline())
            return status, said, sent

        yield run


def contents(service: Service) -> dict[str, object]:
    """Return the revision of the database, what the log has, and the tables with their rows."""
    with service.engine().connect() as connection:
        log = connection.exec_driver_sql("SELECT revision FROM alembic_log ORDER BY id").all()
    return {"log": [tuple(row) for row in log], **service.snapshot()}


def test_the_primary_dies_at_twenty_moments(pair: Pair, service: Service) -> None:
    with driver(service) as alembic:
        pair.primary.run("CREATE DATABASE service")
        status, said, messages = alembic("upgrade", "head")
        assert status == 0, said
        wanted = contents(service)

        lost = 0
        for number in range(ROUNDS):
            execute(service, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
            pair.follow()
            moment = 1 + number * (messages - 1) // (ROUNDS - 1)
            dies = {"moment": moment, "before": number % 2 == 0, "server": pair.primary.process.pid}
            status, said, _ = alembic("upgrade", "head", **dies)
            assert "Traceback" not in said
            if status:
                lost += 1
                assert "was lost. Run this again" in said or ENDED in said
            if number == 0:
                status, said, _ = alembic("upgrade", "head")
                assert "wait until one is promoted, and run this again" in said
            pair.promote()

            status, again, _ = alembic("upgrade", "head")
            assert status == 0, f"{moment} of {messages}: {said}\n{again}"
            assert contents(service) == wanted, f"{moment} of {messages}: {said}"
            status, said, _ = alembic("check")
            assert status == 0, said
        print(f"{lost} of {ROUNDS} runs ended with an error; run again, all is done")
        assert lost >= ROUNDS - 2


@pytest.mark.parametrize("command", ["check", "current", "revision --autogenerate -m Thing"])
def test_other_commands_lose_the_server(pair: Pair, service: Service, command: str) -> None:
    with driver(service) as alembic:
        pair.primary.run("CREATE DATABASE service")
        status, said, _ = alembic("upgrade", "head")
        assert status == 0, said
        status, said, messages = alembic(*command.split())
        assert status == 0, said

        dies = {"moment": messages * 2 // 3, "before": True, "server": pair.primary.process.pid}
        status, said, _ = alembic(*command.split(), **dies)

        assert status != 0
        assert "was lost. Run this again" in said or ENDED in said
        assert "Traceback" not in said


def test_a_service_goes_on_with_the_other_host(pair: Pair, service: Service) -> None:
    pair.primary.run("CREATE DATABASE service")
    service.run("alembic", "upgrade", "head")
    pair.follow()
    with service.serve(**PRODUCTION) as get:
        assert get("/notes", {"title": "Before"})[0] == 201
        die(pair.primary.process.pid)
        assert get("/readyz")[0] == 503
        pair.promote()

        assert get("/readyz")[0] == 200
        assert get("/notes", {"title": "After"})[0] == 201
        assert [note["title"] for note in get("/notes")[1]["notes"]] == ["After", "Before"]
