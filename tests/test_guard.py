"""/readyz tells the state of a database, on each kind, and answers even if one is silent."""

import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support import Service, free_port, get, wait_for

MODEL = """\
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
"""


def test_ready_behind_ahead_and_unknown(service: Service) -> None:
    """The code goes back by one revision, as after a rollback; then the database is another's."""
    service.write("app/things/models.py", MODEL)
    service.run("alembic", "revision", "--autogenerate", "-m", "Added thing")
    newest = service.newest()
    with service.serve() as get:
        assert get("/readyz")[1]["status"] == "behind"
        assert get("/readyz")[1]["current"] == []
        service.run("alembic", "upgrade", "head")
        assert get("/readyz")[1]["status"] == "ready"

        newest.rename(service.folder / "newest.py")
        status, answer = get("/readyz")
        assert (status, answer["status"]) == (200, "ahead")
        assert answer["current"] == [newest.name[:27]]
        assert "newer than this code" in answer["reason"]

        with service.engine().begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '1975ea83b712'"))
        status, answer = get("/readyz")
        assert (status, answer["status"]) == (503, "unknown")
        assert "another service" in answer["reason"]
        assert "unknown" in get("/")[1]
        assert get("/healthz")[0] == 200


def test_merged_and_unmerged_branches(service: Service) -> None:
    """A database is behind until both heads are applied. The id of a merge tells its time, too."""
    first = service.revisions()[0].name[:27]
    for name in ("left", "right"):
        service.run("alembic", "revision", "-m", name, "--head", first, "--splice")
    service.run("alembic", "upgrade", "heads")
    with service.serve() as get:
        assert get("/readyz")[1]["status"] == "ready"
        service.run("alembic", "merge", "heads", "-m", "Both")
        assert get("/readyz")[1]["status"] == "behind"
        service.run("alembic", "upgrade", "head")
        assert get("/readyz")[1]["status"] == "ready"
        (merge,) = (path for path in service.revisions() if path.name.endswith("_both.py"))
        merge.unlink()
        assert get("/readyz")[1]["status"] == "ahead"


@contextmanager
def cable(port: int, heals: bool = False) -> Iterator[tuple[int, threading.Event]]:
    """Pass bytes on to a server; yield a port, and an event after which nothing passes.

    A cable that `heals` passes the bytes of later connections on, as after a failover.
    """
    cut, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def serve() -> None:
            pairs: dict[socket.socket, socket.socket] = {}
            silent: list[socket.socket] = []
            while not over.is_set():
                if heals and cut.is_set():
                    silent += pairs
                    pairs.clear()
                    cut.clear()
                with suppress(TimeoutError):
                    near = listening.accept()[0]
                    far = socket.create_connection(("127.0.0.1", port))
                    pairs |= {near: far, far: near}
                while pairs and not cut.is_set():
                    ready = select.select([*pairs, listening], [], [], 0.1)[0]
                    for end in ready:
                        if end is not listening:
                            pairs[end].sendall(end.recv(65536))
                    if listening in ready or over.is_set():
                        break
            for end in [*pairs, *silent]:
                end.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], cut
        over.set()
        thread.join(10)


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_silent_database_is_unreachable(service: Service) -> None:
    """A network that swallows everything gives no error, and the answer still comes."""
    service.run("alembic", "upgrade", "head")
    url = sa.make_url(service.url)
    with cable(url.port or 0) as (port, cut):
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        with replace(service, url=through).serve() as get:
            assert get("/readyz")[1]["status"] == "ready"
            cut.set()
            for _ in range(3):
                assert get("/readyz")[1]["status"] == "unreachable"
            assert get("/healthz")[0] == 200


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_silent_connection_is_replaced(service: Service) -> None:
    """After a failover the old connections are silent, and new ones work."""
    service.run("alembic", "upgrade", "head")
    url = sa.make_url(service.url)
    with cable(url.port or 0, heals=True) as (port, cut):
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        with replace(service, url=through).serve() as get:
            assert get("/readyz")[1]["status"] == "ready"
            cut.set()
            assert get("/readyz")[1]["status"] == "unreachable"
            assert get("/readyz")[1]["status"] == "ready"


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_silent_database_does_not_delay_a_stop(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    url = sa.make_url(service.url)
    with cable(url.port or 0) as (port, cut):
        through = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        own = free_port()
        gunicorn = [sys.executable, "-m", "gunicorn", "app:create_app()", "--threads=4"]
        process = subprocess.Popen(
            [*gunicorn, f"--bind=127.0.0.1:{own}", "--graceful-timeout=600", "--no-control-socket"],
            cwd=service.folder,
            env=service.environ(DATABASE_URL=through),
        )
        try:
            wait_for(own, process)
            assert get(f"http://127.0.0.1:{own}/readyz")[1]["status"] == "ready"
            cut.set()
            assert get(f"http://127.0.0.1:{own}/readyz")[1]["status"] == "unreachable"
            process.terminate()
            process.wait(timeout=120)  # waiting for its threads would take five times as long
        finally:
            process.kill()
            process.wait()
