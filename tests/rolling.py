"""Two releases behind HAProxy, under the load of wrk: one takes the other's place."""

import csv
import io
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support import Service, free_port, get, missing

SLOTS = ("a", "b")
MEANWHILE = 40  # the fewest requests that each of two releases answers while both serve
PATIENCE = 120  # seconds to wait for something before it is an error
CONFIG = """\
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    # Without it, an answer that takes longer than `inter` below counts as none.
    timeout check 10s
    # Without it, a server that closes an idle connection meets a request that is on its way.
    option http-server-close
    # A request that has reached a server is not tried again: what fails there fails.
    retry-on conn-failure
    option redispatch
frontend service
    bind 127.0.0.1:{port}
    default_backend releases
backend releases
    option httpchk GET /readyz
    http-check expect status 200
    server a 127.0.0.1:{a} check inter 300ms fall 3 rise 1
    server b 127.0.0.1:{b} check inter 300ms fall 3 rise 1
"""
# Every third request writes. The rate is steady, and below what the machine can do, because other
# tests use it too.
LOAD = """\
local count = 0
function request()
    count = count + 1
    if count % 3 == 0 then
        local headers = {["Content-Type"] = "application/json"}
        return wrk.format("POST", "/things", headers, '{"title": "A thing", "stars": 3}')
    end
    return wrk.format("GET", "/things")
end
function delay()
    return 20
end
function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format("answered=%d status=%d connect=%d read=%d write=%d timeout=%d",
        summary.requests, errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
"""


@dataclass(frozen=True)
class Counts:
    """How many requests were answered, and how many of all failed."""

    answered: int
    failed: int


@dataclass
class Site:
    """HAProxy with two slots; each has a server with some release."""

    service: Service
    folder: Path
    port: int = field(default_factory=free_port)
    ports: dict[str, int] = field(default_factory=lambda: {slot: free_port() for slot in SLOTS})
    servers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        return self.folder / "haproxy.sock"

    def environ(self) -> dict[str, str]:
        return self.service.environ(APP_ENV="production", SECRET_KEY="0123456789abcdef" * 4)

    def migrate(self, release: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=release,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, slot: str, release: Path) -> None:
        """Start a release's server in a slot, and wait until it is ready."""
        options = ["--workers=1", "--threads=4", "--no-control-socket", "--log-level=warning"]
        with (self.folder / f"{slot}.log").open("a") as log:
            self.servers[slot] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "app:create_app()", *options),
                    f"--bind=127.0.0.1:{self.ports[slot]}",
                ],
                cwd=release,
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until_ready(self.ports[slot], self.servers[slot], self.folder / f"{slot}.log")

    def stop(self, slot: str) -> None:
        """Stop a slot's server as a deployment does: it ends what it has begun."""
        self.servers[slot].terminate()
        self.servers[slot].wait(timeout=PATIENCE)

    def log(self, slot: str) -> str:
        return (self.folder / f"{slot}.log").read_text("utf-8")[-3000:]

    def ask(self, command: str) -> str:
        """Return what HAProxy answers on its socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))
            client.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def stat(self, slot: str, name: str) -> str:
        """Return what HAProxy says of a slot: `scur` is the sessions now, `stot` all of them."""
        rows = csv.DictReader(io.StringIO(self.ask("show stat").lstrip("# ")))
        return next(row[name] for row in rows if row["svname"] == slot)

    def put(self, slot: str, release: Path) -> None:
        """Put a release in a slot: no request goes there while there is no server."""
        self.ask(f"set server releases/{slot} state drain")
        until(lambda: self.stat(slot, "scur") == "0", f"{slot} has no requests")
        self.stop(slot)
        self.start(slot, release)
        self.ask(f"set server releases/{slot} state ready")
        until(lambda: self.stat(slot, "status") == "UP", f"{slot} is up")

    def serve_side_by_side(self) -> None:
        """Return when both slots have answered some requests."""
        before = {slot: int(self.stat(slot, "stot")) for slot in SLOTS}
        until(
            lambda: all(int(self.stat(slot, "stot")) > n + MEANWHILE for slot, n in before.items()),
            f"both slots answer\n{self.ask('show stat')}",
        )

    def deploy(self, release: Path, back: bool = False) -> None:
        """Migrate, and put a release in each slot in turn, both serving in between.

        Nothing is migrated to go `back` to a release.
        """
        if not back:
            self.migrate(release)
        self.serve_side_by_side()  # of the release before, on the new schema
        for slot in SLOTS:
            self.put(slot, release)
            self.serve_side_by_side()


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when /readyz answers 200."""

    def is_ready() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}\n{log.read_text()}"
        with suppress(OSError):  # it does not listen yet
            return get(f"http://127.0.0.1:{port}/readyz")[0] == 200
        return False

    until(is_ready, f"something serves that logs to {log}")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.05)


def tool(name: str) -> str:
    """Return the path of a program; without it, CI fails and a laptop skips."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return found or missing(f"{name} is not installed: apt-get install {name}")


@contextmanager
def site(service: Service, release: Path) -> Iterator[Site]:
    """Yield a site whose slots both serve a release, on the service's database."""
    haproxy = tool("haproxy")
    with ExitStack() as stack:
        # Not pytest's folder: the path of a socket may not be longer than a hundred characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site(service, folder)
        config = folder / "haproxy.cfg"
        config.write_text(CONFIG.format(socket=site.socket, port=site.port, **site.ports))
        site.migrate(release)
        for slot in SLOTS:
            site.start(slot, release)
            stack.callback(site.stop, slot)
        log = stack.enter_context((folder / "haproxy.log").open("w"))
        proxy = subprocess.Popen([haproxy, "-db", "-f", config], stdout=log, stderr=log)
        stack.callback(proxy.wait, PATIENCE)
        stack.callback(proxy.terminate)
        wait_until_ready(site.port, proxy, folder / "haproxy.log")
        yield site


@contextmanager
def load(site: Site) -> Iterator[Callable[[], Counts]]:
    """Send requests while the block runs; after it, the yielded function returns the counts."""
    script = site.folder / "load.lua"
    script.write_text(LOAD)
    wrk = subprocess.Popen(
        [
            *(tool("wrk"), "--threads=1", "--connections=6", "--duration=10m", "--timeout=60s"),
            *(f"--script={script}", f"http://127.0.0.1:{site.port}"),
        ],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    printed: list[str] = []

    def count() -> Counts:
        found = {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", printed[0])}
        return Counts(found.pop("answered"), sum(found.values()))

    try:
        yield count
    finally:
        wrk.send_signal(signal.SIGINT)  # it prints its summary, and ends
        printed.append(wrk.communicate(timeout=PATIENCE)[0])
