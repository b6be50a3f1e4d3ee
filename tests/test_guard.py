"""/readyz tells where a database is, on each kind, and answers though a database is silent."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support import Service

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
        assert (status, answer["status"]) == (503, "ahead")
        assert answer["current"] == [newest.name[:27]]
        assert "deploy newer code" in answer["reason"]

        with service.engine().begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '1975ea83b712'"))
        status, answer = get("/readyz")
        assert (status, answer["status"]) == (503, "unknown")
        assert "another service" in answer["reason"]
        assert "unknown" in get("/")[1]
        assert get("/healthz")[0] == 200


def test_merged_and_unmerged_branches(service: Service) -> None:
    """Two heads are behind until both are applied; a merge has an id that tells its time too."""
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
def cable(port: int) -> Iterator[tuple[int, threading.Event]]:
    """Pass bytes on to a server; yield a port, and an event after which nothing passes."""
    cut, over = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def serve() -> None:
            pairs: dict[socket.socket, socket.socket] = {}
            while not over.is_set():
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
            for end in pairs:
                end.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], cut
        over.set()
        thread.join(10)


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_a_silent_database_is_unreachable(service: Service) -> None:
    """A network that swallows everything gives no error; the answer comes all the same."""
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
