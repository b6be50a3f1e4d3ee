"""Each cause of a failed connection has its own cure, wherever somebody meets it."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator.database import database
from support import Service, free_port, server

SERVERS = ("postgresql", "mariadb")
ON_SERVERS = pytest.mark.parametrize("service", SERVERS, indirect=True)
ON_SQLITE = pytest.mark.parametrize("service", ["sqlite"], indirect=True)
ASK = """
from app import create_app

client = create_app().test_client()
for path in ("/readyz", "/notes", "/"):
    answer = client.get(path)
    print(path, answer.status_code, answer.get_json() if answer.is_json else answer.text)
"""


def at(service: Service, **parts: object) -> Service:
    """Return the service with another address."""
    url = sa.make_url(service.url).set(**parts)  # type: ignore[arg-type]
    return replace(service, url=url.render_as_string(hide_password=False))


def refused(service: Service, cure: str, *command: str) -> str:
    said = service.run(*(command or ("alembic", "upgrade", "head")), fails=True)
    assert "Traceback" not in said
    assert cure in said
    return said


def answers(service: Service, cure: str) -> None:
    """Check that each entry says it, in a sentence of its own, with one line in the log."""
    assert "cannot be reached" in refused(service, cure)
    assert "cannot be reached" in refused(service, cure, "flask", "db", "current")
    said = service.python(ASK)
    assert "Traceback" not in said
    ready, notes, *page = [line for line in said.splitlines() if " in health: " not in line]
    assert ready.startswith("/readyz 503")
    assert notes.startswith("/notes 503")
    assert "'error': 'Service Unavailable'" in notes
    for line in (ready, notes, "\n".join(page)):
        assert cure in line.replace("&#39;", "'")
    logged = [line for line in said.splitlines() if " in health: " in line]
    assert len(logged) == 3  # one for each request
    lines = ["from app import create_app"]
    lines += ["answer = create_app().test_client().get('/notes')"]
    lines += ["print(answer.status_code, answer.get_json())"]
    service.write("asked.py", "\n".join(lines))
    production = service.run("asked", APP_ENV="production", SECRET_KEY="k" * 32)
    assert "503 {'detail': 'the database of DATABASE_URL cannot be reached'" in production
    assert production.count("\n") == 2
    assert cure in production  # in the log


@ON_SERVERS
def test_a_closed_port(service: Service) -> None:
    answers(at(service, port=free_port()), "Nothing listens there: start the server")


@ON_SERVERS
def test_a_mistyped_host(service: Service) -> None:
    refused(at(service, host="no-such-host.invalid"), "No host has this name: correct it")


@ON_SERVERS
def test_a_missing_database(service: Service) -> None:
    answers(at(service, database="no_such_database"), "Make it: flask db create")


@ON_SERVERS
def test_a_missing_user(service: Service) -> None:
    cures = {"postgresql": "CREATE ROLE nobody LOGIN", "mariadb": "CREATE USER `nobody`"}
    refused(at(service, username="nobody", password=None), cures[service.kind])


@contextmanager
def user(service: Service, postgresql: str, mariadb: str) -> Iterator[Service]:
    """Yield the service with a user who is made with these words."""
    name = f"user_{secrets.token_hex(4)}"
    url = sa.make_url(service.url)
    with server(service.kind).connect() as connection:
        if service.kind == "postgresql":
            connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN {postgresql}")
        else:
            connection.exec_driver_sql(f"CREATE USER {name} IDENTIFIED BY 'right' {mariadb}")
            connection.exec_driver_sql(f"GRANT ALL ON `{url.database}`.* TO {name}")
        try:
            yield at(service, username=name, password="right")  # noqa: S106
        finally:
            drop = "ROLE" if service.kind == "postgresql" else "USER"
            connection.exec_driver_sql(f"DROP {drop} {name}")


@ON_SERVERS
def test_too_many_connections(service: Service) -> None:
    with user(service, "CONNECTION LIMIT 0", "WITH MAX_USER_CONNECTIONS 1") as limited:
        held = limited.engine()
        connection = held.connect() if service.kind == "mariadb" else None
        refused(limited, "All connections are taken")
        if connection:
            connection.close()


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_a_wrong_password(service: Service) -> None:
    with user(service, "", "") as known:
        known.run("alembic", "upgrade", "head")
        refused(at(known, password="wrong"), "The server refuses this user or this password")  # noqa: S106


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_no_tls_where_it_is_asked_for(service: Service) -> None:
    query = {"ssl_verify_cert": "false", "ssl_ca": "/etc/ssl/certs/ca-certificates.crt"}
    refused(at(service, query=query), "correct or remove what begins with ssl_")


# What libpq says, word for word, where no server of the tests' can be had to say so.
TEXTS = {
    'FATAL:  password authentication failed for user "me"': "ALTER ROLE me PASSWORD",
    "fe_sendauth: no password supplied": "write user:password@host",
    'FATAL:  Peer authentication failed for user "me"': "refuses this user",
    'FATAL:  role "me" does not exist': "CREATE ROLE me LOGIN",
    'FATAL:  role "me" is not permitted to log in': "ALTER ROLE me LOGIN",
    'FATAL:  database "me" does not exist': "flask db create",
    'FATAL:  no pg_hba.conf entry for host "::1", user "me", database "a", no encryption': (
        "wants TLS: write ?sslmode=require"
    ),
    'FATAL:  no pg_hba.conf entry for host "::1", user "me", database "a", SSL encryption': (
        "add it to pg_hba.conf"
    ),
    "ERROR: connection is insecure (try using `sslmode=require`)": "wants TLS",
    "server does not support SSL, but SSL was required": "has no TLS: remove sslmode",
    "SSL error: certificate verify failed": "sslrootcert",
    'root certificate file "/x" does not exist': "sslrootcert",
    "FATAL:  sorry, too many clients already": "All connections are taken",
    'FATAL:  too many connections for role "me"': "All connections are taken",
    "FATAL:  remaining connection slots are reserved for roles": "All connections are taken",
    'FATAL:  permission denied for database "a"': "GRANT CONNECT",
    "FATAL:  the database system is starting up": "Wait until it is up",
    'could not translate host name "x" to address: Name or service not known': "No host has",
    "failed to resolve host 'x': [Errno -2] Name or service not known": "No host has",
    'connection to server at "::1", port 1 failed: Connection refused': "Nothing listens there",
    "connection timeout expired": "does not answer",
    "No route to host": "does not answer",
    "received invalid response to SSL negotiation: H": "Another program",
    "FATAL:  la base n'existe pas": "Start the server, or correct user, password, host",
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_postgresql_says(text: str) -> None:
    found = database(sa.make_url("postgresql+psycopg://me:x@h/a"))

    cure = found.why_unreachable(Exception(text), "DATABASE_URL")

    assert TEXTS[text] in cure


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (1044, "GRANT ALL ON `a%`.* TO `me`"),
        (1130, "takes no connection from this machine"),
        (1129, "flush-hosts"),
        (3159, "wants TLS"),
        (9999, "Start the server, or correct user, password, host"),
    ],
)
def test_what_mariadb_says(code: int, cure: str) -> None:
    found = database(sa.make_url("mariadb+pymysql://me:x@h/a"))

    assert cure in found.why_unreachable(Exception(code, "…"), "DATABASE_URL")


@pytest.mark.parametrize("driver", ["postgresql+psycopg2", "mysql+mysqldb"])
@ON_SQLITE
def test_no_driver(service: Service, driver: str) -> None:
    """create_app() refuses it; Alembic, which needs none for SQL, says so when it connects."""
    other = replace(service, url=f"{driver}://me@127.0.0.1/x")

    refused(other, "Add this driver to the dependencies in pyproject.toml")
    refused(other, "in pyproject.toml", "flask", "routes")


@ON_SQLITE
def test_files_that_cannot_be_opened(service: Service, tmp_path: Path) -> None:
    service.write("text.db", "no database" * 999)
    cures = {
        service.folder / "text.db": "is no database, or a broken one: name another file",
        tmp_path / "no" / "x.db": f"There is no folder {tmp_path / 'no'}. Is it a typo?",
        service.folder: "is a folder: name a file in it",
        service.folder / "text.db" / "x.db": "is a file, and no folder",
    }
    for path, cure in cures.items():
        refused(replace(service, url=f"sqlite:///{path}"), cure)
    answers(replace(service, url=f"sqlite:///{service.folder / 'text.db'}"), "name another file")


@ON_SQLITE
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that nobody writes to")
def test_a_folder_that_is_read_only(service: Service) -> None:
    refused(replace(service, url="sqlite:////proc/x.db"), "Let this user write to the file and")


@ON_SQLITE
def test_a_typo_makes_no_folder(service: Service) -> None:
    typo = replace(service, url="sqlite:///instnace/development.db")

    refused(typo, "Is it a typo?")

    assert not (service.folder / "instnace").exists()
    replace(service, url="sqlite:///instance/x.db").run("alembic", "upgrade", "head")


def test_a_database_is_made(service: Service, tmp_path: Path) -> None:
    if service.kind == "sqlite":
        new = replace(service, url=f"sqlite:///{tmp_path / 'new folder' / 'x.db'}")
    else:
        new = at(service, database=f"{sa.make_url(service.url).database}_a b")
    refused(new, "flask db create")

    try:
        assert "is made, and empty" in new.run("flask", "db", "create")
        assert "exists already: nothing was done" in new.run("flask", "db", "create")
        new.run("alembic", "upgrade", "head")
        assert "exists already" in new.run("flask", "db", "create")
        if service.kind == "mariadb":
            with new.engine().connect() as connection:
                charset = connection.exec_driver_sql("SELECT @@character_set_database").scalar()
            assert charset == "utf8mb4"
    finally:
        if service.kind != "sqlite":
            with server(service.kind).connect() as connection:
                name = sa.make_url(new.url).database or ""
                quoted = connection.dialect.identifier_preparer.quote_identifier(name)
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted}")


@ON_SERVERS
def test_a_user_who_may_not_make_it(service: Service) -> None:
    with user(service, "", "") as modest:
        said = refused(
            at(modest, database="not_mine"), "let an administrator", "flask", "db", "create"
        )
    assert "CREATE DATABASE not_mine" in said


@ON_SERVERS
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_the_tests_end_at_once(service: Service, workers: tuple[str, ...]) -> None:
    closed = at(service, port=free_port())

    said = refused(closed, "Nothing listens there", "pytest", "-q", *workers)

    assert len(said.splitlines()) < 12
    assert "cannot be reached" in said


@ON_SERVERS
def test_an_error_of_a_statement_stays_one(service: Service) -> None:
    """It is not taken for a database that is away."""
    service.write(
        "app/broken/views.py",
        """\
import sqlalchemy as sa
from flask import Blueprint

from app.db import db

blueprint = Blueprint("broken", __name__)


@blueprint.get("/broken")
def broken() -> str:
    db.session.execute(sa.text("SELECT * FROM nothing"))
    return ""
""",
    )
    service.run("alembic", "upgrade", "head")
    said = service.python(
        """
        from app import create_app

        print(create_app().test_client().get("/broken").status_code)
        """
    )
    assert "500" in said.splitlines()
    assert "Exception on /broken" in said
