"""Databases that are more than one server, started here for the tests and stopped after them."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from support import DRIVERS, free_port, missing

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
# A dead node is noticed within seconds, because no test should wait for the usual time.
SOON = (
    "evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT2S;evs.inactive_check_period=PT0.5S;"
    "evs.inactive_timeout=PT4S"
)


def program(name: str, package: str) -> str:
    """Return where a program is; without it, CI fails and a laptop skips."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, folders)])
    return shutil.which(name, path=path) or missing(f"{name} is missing: apt-get install {package}")


def account(name: str) -> dict[str, Any]:
    """Return arguments of Popen: another user runs the process, because no server runs as root."""
    return {"user": name, "group": name} if ROOT else {}


@contextmanager
def data_folder(owner: str) -> Iterator[Path]:
    """Yield a folder that a server's own user can write to."""
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
        if ROOT:
            shutil.chown(folder, owner, owner)
        yield Path(folder)


@dataclass
class Server:
    """A database server of ours: its command, its process, and an engine to it."""

    kind: str
    port: int
    command: list[str]
    log: Path
    account: str
    login: str
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, ready: Callable[[sa.Connection], bool] = lambda _: True) -> None:
        """Start it, and return when it answers and is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, **account(self.account)
            )
        for _ in range(600):
            assert self.process.poll() is None, self.log.read_text("utf-8")[-3000:]
            with suppress(sa.exc.OperationalError), self.engine().connect() as connection:
                if ready(connection):
                    return
            time.sleep(0.1)
        raise AssertionError(f"{self.command} is not ready:\n{self.log.read_text('utf-8')[-3000:]}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(by)
        self.process.wait(timeout=60)

    def url(self, database: str) -> str:
        return f"{self.kind}://{self.login}@127.0.0.1:{self.port}/{database}"

    def engine(self) -> sa.Engine:
        url = sa.make_url(self.url(self.login if self.kind == "postgresql" else "")).set(
            drivername=DRIVERS[self.kind]
        )
        return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def run(self, *statements: str) -> None:
        with self.engine().connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def synced(connection: sa.Connection) -> bool:
    """Tell whether a node of Galera takes part in its cluster."""
    row = connection.exec_driver_sql("SHOW STATUS LIKE 'wsrep_local_state_comment'").one()
    return bool(row[1] == "Synced")


@contextmanager
def galera(count: int) -> Iterator[list[Server]]:
    """Run a cluster of MariaDB servers on this machine; yield them, all in step."""
    mariadbd = program("mariadbd", "mariadb-server")
    program("rsync", "rsync")
    provider = next(filter(os.path.exists, PROVIDERS), None)
    if not provider:
        missing("Galera is missing: apt-get install galera-4")
    with data_folder("mysql") as folder, ExitStack() as stack:
        groups = [free_port() for _ in range(count)]
        nodes = []
        for number, group in enumerate(groups):
            data = folder / str(number)
            install(data)
            nodes.append(node(mariadbd, provider, data, number, groups))
            nodes[-1].start(synced)
            stack.callback(nodes[-1].stop)
            # From now on it joins the others, even if it was the first.
            others = ",".join(f"127.0.0.1:{other}" for other in groups if other != group)
            nodes[-1].command[-1] = f"--wsrep-cluster-address=gcomm://{others}"
        yield nodes


def install(data: Path) -> None:
    """Make an empty MariaDB, whose root needs no password."""
    command = [program("mariadb-install-db", "mariadb-server"), "--no-defaults"]
    command += [f"--datadir={data}", "--skip-test-db", "--auth-root-authentication-method=normal"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, **account("mysql"))


def node(mariadbd: str, provider: str, data: Path, number: int, groups: list[int]) -> Server:
    port, group = free_port(), groups[number]
    earlier = ",".join(f"127.0.0.1:{other}" for other in groups[:number])
    command = [
        *(mariadbd, "--no-defaults", f"--datadir={data}"),
        *(f"--socket={data}/socket", f"--pid-file={data}/pid"),
        *(f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
        *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--innodb-buffer-pool-size=64M"),
        *("--innodb-flush-log-at-trx-commit=0", "--wsrep-on=ON", f"--wsrep-provider={provider}"),
        *("--wsrep-cluster-name=template", f"--wsrep-node-address=127.0.0.1:{group}"),
        *("--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}"),
        f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};"
        f"ist.recv_addr=127.0.0.1:{free_port()};gcache.size=32M;{SOON}",
        f"--wsrep-cluster-address=gcomm://{earlier}",
    ]
    return Server("mariadb", port, command, data.with_suffix(".log"), "mysql", "root")


@contextmanager
def replication() -> Iterator[tuple[Server, Server]]:
    """Run a PostgreSQL primary and a streaming replica of it; yield both."""
    with data_folder("postgres") as folder, ExitStack() as stack:
        primary = new_primary(folder / "primary", free_port())
        stack.callback(primary.stop)
        replica = new_replica(folder / "replica", free_port(), primary)
        stack.callback(replica.stop)
        yield primary, replica


def new_primary(data: Path, port: int) -> Server:
    """Make an empty PostgreSQL in a new folder, and start it."""
    make = [program("initdb", "postgresql"), "--auth=trust", "--username=postgres"]
    make += ["--no-sync", "--locale=C.UTF-8", f"--pgdata={data}"]
    subprocess.run(make, stdout=subprocess.DEVNULL, check=True, **account("postgres"))
    return start_postgresql(data, port)


def new_replica(data: Path, port: int, primary: Server) -> Server:
    """Make a streaming replica in a new folder, and start it."""
    make = [program("pg_basebackup", "postgresql"), "--write-recovery-conf"]
    make += [f"--pgdata={data}", "--no-sync", "--checkpoint=fast"]
    make += [f"--dbname=host=127.0.0.1 user=postgres port={primary.port}"]
    subprocess.run(make, stdout=subprocess.DEVNULL, check=True, **account("postgres"))
    return start_postgresql(data, port)


def start_postgresql(data: Path, port: int) -> Server:
    settings = {"port": port, "unix_socket_directories": "", "fsync": "off"}
    command = [program("postgres", "postgresql"), "-D", str(data)]
    command += [f"-c{key}={value}" for key, value in settings.items()]
    server = Server("postgresql", port, command, data.with_suffix(".log"), "postgres", "postgres")
    server.start()
    return server


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Run a PgBouncer, in transaction mode with few connections; yield a database's URL there."""
    address, port = sa.make_url(url), free_port()
    config = f"""
[databases]
* = host={address.host} port={address.port or 5432} user={address.username}{password(address)}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 8
unix_socket_dir =
ignore_startup_parameters = extra_float_digits
"""
    with data_folder("postgres") as folder:  # it refuses to run as root
        (folder / "pgbouncer.ini").write_text(config, "utf-8")
        command = [program("pgbouncer", "pgbouncer"), "--quiet", str(folder / "pgbouncer.ini")]
        process = subprocess.Popen(command, **account("postgres"))
        through = address.set(host="127.0.0.1", port=port)
        try:
            engine = sa.create_engine(through.set(drivername=DRIVERS["postgresql"]))
            for _ in range(200):
                with suppress(sa.exc.OperationalError):
                    engine.connect().close()
                    break
                time.sleep(0.05)
            engine.dispose()
            yield through.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait(timeout=20)


def password(address: sa.URL) -> str:
    return f" password={address.password}" if address.password else ""
