"""A rendered service on a database of its own, for the tests that use both for real."""

import json
import os
import secrets
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa

DATABASES = ("sqlite", "postgresql", "mariadb")
SERVERS = {
    "postgresql": os.environ.get("POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("MARIADB_URL", "mariadb://root@127.0.0.1:3306/mysql"),
}
DRIVERS = {"postgresql": "postgresql+psycopg"}
DRIVERS |= {"mariadb": "mariadb+pymysql", "mysql": "mysql+pymysql"}


def missing(reason: str) -> NoReturn:
    """Fail in CI for what is not there; on a laptop skip, and say why."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def server(kind: str) -> sa.Engine:
    """Return an engine to a database server; without one, CI fails and a laptop skips."""
    return server_at(SERVERS[kind], f"{kind.upper()}_URL")


def server_at(address: str, variable: str) -> sa.Engine:
    """Return an engine to the server at an address; `variable` is the one that sets it."""
    url = sa.make_url(address)
    engine = sa.create_engine(
        url.set(drivername=DRIVERS.get(url.drivername, url.drivername)),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    try:
        engine.connect().close()
    except sa.exc.OperationalError as error:
        missing(f"No server answers; start it, or set {variable}: {error.orig}")
    return engine


@contextmanager
def service_on(
    kind: str, render: Callable[..., Path], env: dict[str, str], folder: Path
) -> Iterator["Service"]:
    """Yield a copy of the service, rendered for a kind of database, on an empty database."""
    (folder / "data").mkdir()
    copy = copytree(render(database=kind), folder / "my-service")
    with database(kind, folder / "data") as url:
        yield Service(kind, copy, url, env)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Make an empty database, yield the text of its URL, and drop it."""
    if kind == "sqlite":
        yield f"sqlite:///{(folder / 'service.db').as_posix()}"
        return
    with database_on(SERVERS[kind], f"{kind.upper()}_URL") as url:
        yield url


@contextmanager
def database_on(address: str, variable: str) -> Iterator[str]:
    """Make an empty database on a server, yield the text of its URL, and drop it."""
    engine = server_at(address, variable)
    name = f"template_{secrets.token_hex(6)}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield sa.make_url(address).set(database=name).render_as_string(False)
        finally:
            force = " WITH (FORCE)" if engine.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def free_port() -> int:
    """Return a free port. It is below those that the system gives to clients, so it stays free."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass(frozen=True)
class Service:
    """A rendered project; its commands run as a developer's would, with DATABASE_URL set."""

    kind: str
    folder: Path
    url: str
    env: dict[str, str]

    def environ(self, **variables: str) -> dict[str, str]:
        # Compiled files are shared, outside of the project: short commands mostly import.
        compiled = {"PYTHONPYCACHEPREFIX": str(Path(self.env["HOME"]) / "pycache")}
        return self.env | compiled | {"DATABASE_URL": self.url, "PYTHONUTF8": "1"} | variables

    def run(
        self, *command: str, fails: bool = False, cwd: Path | None = None, **variables: str
    ) -> str:
        """Return what a command printed; it succeeds, or fails where `fails` says so."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=cwd or self.folder,
            env=self.environ(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=600,  # ends a command that hangs; long enough for a slow machine
        )
        assert (done.returncode != 0) == fails, f"exit {done.returncode}: {command}\n{done.stdout}"
        return done.stdout

    def python(self, code: str) -> str:
        """Run a piece of Python in the project's folder, and return what it printed."""
        path = self.folder / "snippet.py"
        path.write_text(textwrap.dedent(code), "utf-8")
        try:
            return self.run("snippet")
        finally:
            path.unlink()

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, "utf-8")

    def revisions(self) -> list[Path]:
        return sorted((self.folder / "migrations" / "versions").glob("*.py"))

    def newest(self) -> Path:
        """Return the revision made last, by file time: names of the same second sort by chance."""
        return max(self.revisions(), key=lambda path: path.stat().st_mtime_ns)

    def engine(self) -> sa.Engine:
        url = sa.make_url(self.url)
        driver = DRIVERS.get(url.drivername, url.drivername)
        return sa.create_engine(url.set(drivername=driver), poolclass=sa.NullPool)

    def databases(self) -> set[str]:
        """Return the names of this database and of those beside it; for SQLite, of the files."""
        if self.kind == "sqlite":
            return {
                path.name for path in Path(sa.make_url(self.url).database or "").parent.iterdir()
            }
        with server(self.kind).connect() as connection:
            show = {"postgresql": "SELECT datname FROM pg_database", "mariadb": "SHOW DATABASES"}
            names = connection.exec_driver_sql(show[self.kind]).scalars()
            return {name for name in names if name.startswith(sa.make_url(self.url).database or "")}

    def snapshot(self) -> dict[str, Any]:
        """Return every table's definition and rows."""
        engine = self.engine()
        tables = sa.MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            return {
                table.name: (
                    [str(sa.schema.CreateColumn(column)) for column in table.columns],
                    sorted(map(repr, connection.execute(sa.select(table)))),
                )
                for table in tables.sorted_tables
                if table.name != "alembic_log"  # it holds times; tests/test_log.py tests it
            }

    @contextmanager
    def serve(self, **variables: str) -> Iterator[Callable[..., tuple[int, Any]]]:
        """Run `flask run`; yield a function that returns the status and the answer of an address.

        If it is given data, it posts them as JSON.
        """
        port = free_port()
        log = (self.folder / "serve.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "run", "--port", str(port)],
            cwd=self.folder,
            env=self.environ(**variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(port, process)
            yield lambda path, data=None: get(f"http://127.0.0.1:{port}{path}", data)
        finally:
            process.terminate()
            process.wait(timeout=20)
            log.close()

    def log(self) -> str:
        return (self.folder / "serve.log").read_text("utf-8")


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            get(f"http://127.0.0.1:{port}/healthz")
            return
        except URLError:
            time.sleep(0.05)
    raise AssertionError("the server did not start in ten seconds")


def get(address: str, data: Any = None) -> tuple[int, Any]:
    """Return the status of an address, and its JSON or text; post data to it as JSON, if given."""
    body = data and json.dumps(data).encode()
    # The address is that of our own server, on loopback, so it cannot name a file.
    request = Request(address, body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            status, text = answer.status, answer.read().decode()
    except HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
