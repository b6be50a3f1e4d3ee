"""Where a service's settings come from: the same, whatever program asks, and wherever it starts."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest
from support import free_port, get

Render = Callable[..., Path]
Run = Callable[..., str]
PYTHON = [sys.executable, "-m"]
ENTRIES = {
    "alembic": ["alembic", "upgrade", "head"],
    "flask": ["flask", "db", "upgrade"],
    "gunicorn": ["gunicorn", "app:create_app()", "--bind=127.0.0.1:0"],
    "pytest": ["pytest", "-q", "-n", "0", "-p", "no:cacheprovider"],
}
FAILED = {"alembic": 255, "flask": 1, "gunicorn": 1, "pytest": 2}


@pytest.fixture
def project(render: Render, tmp_path: Path) -> Path:
    """A service inside of a folder that has dotenv files of its own, for another database."""
    parent = tmp_path / "parent"
    project = Path(shutil.copytree(render(), parent / "my-service"))
    other = f"DATABASE_URL=sqlite:///{tmp_path / 'other.db'}\nAPP_ENV=testing\n"
    (parent / ".env").write_text(other, "utf-8")
    (parent / ".flaskenv").write_text(f"SECRET_KEY={'k' * 32}\n", "utf-8")
    return project


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_dotenv_file_of_a_folder_above_decides_nothing(
    project: Path, run: Run, entry: str, tmp_path: Path
) -> None:
    (project / ".env").unlink()  # a fresh clone

    said = run([*PYTHON, *ENTRIES[entry]], project, status=FAILED[entry])

    assert "DATABASE_URL is not set: set it, or copy .env.example to .env" in said
    assert "Traceback" not in said
    assert not (tmp_path / "other.db").exists()


def test_the_dotenv_file_of_the_working_folder_decides_nothing(
    project: Path, run: Run, tmp_path: Path
) -> None:
    for command in (["upgrade"], ["current"]):
        flask = [*PYTHON, "flask", "--app", str(project / "app"), "db", *command]
        said = run(flask, project.parent)
        assert f"development: sqlite:///{project}/instance/development.db" in said
    alembic = [*PYTHON, "alembic", "-c", str(project / "alembic.ini"), "current"]
    assert "(head)" in run(alembic, project.parent)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("named", ["here.db", "other.db"])
def test_what_is_exported_counts_even_when_a_file_says_it_too(
    project: Path, run: Run, tmp_path: Path, named: str
) -> None:
    exported = f"sqlite:///{tmp_path / named}"

    for entry in ("alembic", "flask"):
        said = run([*PYTHON, *ENTRIES[entry]], project, DATABASE_URL=exported)
        assert exported in said
    (project / ".env").unlink()
    said = run([*PYTHON, "flask", "db", "current"], project, DATABASE_URL=exported)
    assert exported in said


def test_a_file_that_flask_is_told_to_take_is_taken(
    project: Path, run: Run, tmp_path: Path
) -> None:
    chosen = tmp_path / "chosen.env"
    chosen.write_text(f"DATABASE_URL=sqlite:///{tmp_path / 'chosen.db'}\n", "utf-8")
    (project / ".env").unlink()
    flask = [*PYTHON, "flask", "--env-file", str(chosen), "db", "current"]

    assert "chosen.db" in run(flask, project, FLASK_SKIP_DOTENV="1")
    assert "Error: APP_ENV, SECRET_KEY may come from --env-file" in run(flask, project, status=1)
    shutil.copy(project.parent / ".env", chosen)
    assert f"may come from --env-file or from {project.parent}" in run(flask, project, status=1)


@contextmanager
def flask_run(project: Path, env: dict[str, str], cwd: Path) -> Iterator[int]:
    port = free_port()
    words = ["flask", "--app", str(project / "app"), "run", "--debug", "--port", str(port)]
    process = subprocess.Popen(
        [*PYTHON, *words],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield port
    finally:
        os.killpg(process.pid, 15)  # the reloader and the server that it started
        process.wait(timeout=20)


def test_the_process_that_the_reloader_starts_has_the_same_settings(
    project: Path, run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    run([*PYTHON, "alembic", "upgrade", "head"], project)

    with flask_run(project, env, project.parent) as port:
        for _ in range(400):
            try:
                status, _ = get(f"http://127.0.0.1:{port}/readyz")
                break
            except URLError:
                subprocess.run(["sleep", "0.05"], check=True)

    assert status == 200
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_empty_environment_is_refused_by_every_entry(
    project: Path, run: Run, entry: str
) -> None:
    said = run([*PYTHON, *ENTRIES[entry]], project, status=FAILED[entry], APP_ENV="")

    assert "APP_ENV is empty [set in the environment of this process]: set it to one of" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("exported", [{}, {"APP_ENV": "testing"}])
@pytest.mark.parametrize("name", ["production", "staging", "prodution", "Production"])
def test_tests_do_not_run_beside_the_database_of_a_strict_dotenv_file(
    project: Path, run: Run, name: str, exported: dict[str, str]
) -> None:
    text = (project / ".env").read_text("utf-8")
    (project / ".env").write_text(text.replace("=development", f"={name}"), "utf-8")

    said = run([*PYTHON, *ENTRIES["pytest"]], project, status=2, **exported)

    assert "set in .env" in said
    assert "Tests do not run in" in said or "set it to one of" in said
    assert "passed" not in said


@pytest.mark.parametrize("entry", ["alembic", "gunicorn", "pytest"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_dotenv_file_in_another_encoding_is_named(
    project: Path, run: Run, entry: str, encoding: str
) -> None:
    """Not by `flask`, which reads .env before it imports anything of the service."""
    text = (project / ".env").read_text("utf-8")
    (project / ".env").write_text(f"{text}# süß\n", encoding)

    said = run([*PYTHON, *ENTRIES[entry]], project, status=FAILED[entry])

    assert f"{project / '.env'} is not in UTF-8, but perhaps in {encoding}" in said


@pytest.mark.parametrize("entry", ["alembic", "flask"])
def test_a_reference_in_the_dotenv_file_means_the_same_everywhere(
    project: Path, run: Run, entry: str, tmp_path: Path
) -> None:
    (project / ".env").write_text(
        f"PLACE={tmp_path}\nDATABASE_URL=sqlite:///${{PLACE}}/mine.db\nLOG_LEVEL=${{NOWHERE_SET}}\n",
        "utf-8",
    )

    said = run([*PYTHON, *ENTRIES[entry]], project, status=FAILED[entry])
    assert "LOG_LEVEL refers to ${NOWHERE_SET}, which is not set or empty" in said

    said = run([*PYTHON, *ENTRIES[entry]], project, NOWHERE_SET="INFO")
    assert f"{tmp_path}/mine.db" in said


@pytest.mark.parametrize("entry", ["flask", "gunicorn"])
def test_a_driver_that_is_missing_is_one_sentence(project: Path, run: Run, entry: str) -> None:
    command = {**ENTRIES, "flask": ["flask", "routes"]}[entry]
    address = {"DATABASE_URL": "postgresql+psycopg2://me:Tr0ub4dor@db/shop"}

    said = run([*PYTHON, *command], project, status=FAILED[entry], **address)

    assert "DATABASE_URL wants a driver that cannot be imported" in said
    assert "add 'psycopg2-binary' to the dependencies" in said
    assert "Traceback" not in said
    assert "Tr0ub4dor" not in said


def test_a_command_that_a_test_invokes_has_the_same_settings(project: Path, run: Run) -> None:
    code = """
from app import create_app
from app.config import load_config

app = create_app()
app.cli.command("tell")(lambda: print(load_config().SQLALCHEMY_DATABASE_URI))
print(app.test_cli_runner().invoke(args=["tell"]).output)
"""
    assert f"sqlite:///{project}/instance/development.db" in run(
        [sys.executable, "-c", code], project
    )


# What hosting services hand out, and a pattern of what a service answers: the host, or a refusal.
ADDRESSES = [
    # Heroku: PostgreSQL, and the add-ons ClearDB and JawsDB for MySQL
    ("postgres://u:p@ec2-1.compute-1.amazonaws.com:5432/d1", "ec2-1.compute-1.amazonaws.com"),
    ("mysql://u:p@us-cdbr-east.cleardb.com/heroku_1?reconnect=true", "has reconnect, .*remove it"),
    ("mysql://u:p@jaws.us-east-1.rds.amazonaws.com:3306/d1", "jaws.us-east-1.rds.amazonaws.com"),
    # Railway, Render, Fly
    ("postgresql://postgres:p@roundhouse.proxy.rlwy.net:1/railway", "roundhouse.proxy.rlwy.net"),
    ("mysql://root:p@mysql.railway.internal:3306/railway", "mysql.railway.internal"),
    (
        "postgresql://u:p@dpg-1-a.oregon-postgres.render.com/d1",
        "dpg-1-a.oregon-postgres.render.com",
    ),
    ("postgres://app:p@app-db.flycast:5432/app?sslmode=disable", "app-db.flycast"),
    ("postgres://app:p@[fdaa::2]:5432/app", "fdaa::2"),
    # Azure: as a URL, with the server in the user's name, and in other forms
    (
        "postgresql://me@srv:p@srv.postgres.database.azure.com:5432/d?sslmode=require",
        "srv.postgres",
    ),
    ("host=srv.postgres.database.azure.com dbname=d user=me password=Tr0ub4dor", "as a URL"),
    ("Server=srv.mysql.database.azure.com;Uid=me;Pwd=Tr0ub4dor;SslMode=Required", "as a URL"),
    ("jdbc:postgresql://srv.postgres.database.azure.com:5432/d?user=me", "remove jdbc:"),
    # RDS: TLS by the bundle of Amazon
    ("postgresql://u:p@d.rds.amazonaws.com/d?sslmode=verify-full&sslrootcert=b.pem", "d.rds.amaz"),
    (
        "mysql://u:p@d.rds.amazonaws.com/d?ssl_ca=/missing/global-bundle.pem",
        "No such file.*ssl_ca=",
    ),
    # Supabase, Neon
    ("postgresql://postgres:p@db.ref.supabase.co:5432/postgres", "db.ref.supabase.co"),
    (
        "postgresql://postgres.r:p@aws-0.pooler.supabase.com:6543/postgres?pgbouncer=true",
        "threshold",
    ),
    ("postgresql://u:p@ep-1.neon.tech/d?sslmode=require&channel_binding=require", "ep-1.neon.tech"),
    ("postgresql://u:p@ep-1.neon.tech/d?sslmode=require&connection_limit=5", "pool_size"),
    ("postgresql://u:p@ep-1.neon.tech/d?schema=private", "options=-csearch_path%3D"),
    # PlanetScale
    ('mysql://u:p@aws.connect.psdb.cloud/d?ssl={"rejectUnauthorized":true}', "ssl_ca="),
    ("mysql://u:p@aws.connect.psdb.cloud/d?sslaccept=strict", "ssl_ca="),
    ("mysql://u:p@aws.connect.psdb.cloud/d?ssl_verify_cert=false", "aws.connect.psdb.cloud"),
    # Aiven, DigitalOcean
    (
        "postgres://avnadmin:p@pg-1.aivencloud.com:1/defaultdb?sslmode=require",
        "pg-1.aivencloud.com",
    ),
    (
        "mysql://avnadmin:p@m-1.aivencloud.com:1/defaultdb?ssl-mode=REQUIRED",
        "ssl_verify_cert=false",
    ),
    ("mysql://doadmin:p@m-1.ondigitalocean.com:1/d?sslmode=require", "ssl_verify_cert=false"),
    # Typing errors, in whatever comes after the question mark
    ("postgresql://u:p@db/d?sslmod=require", "has sslmod, which psycopg does not know"),
    ("postgresql://u:p@db/d?ssl=true", "write sslmode=require"),
    ("mysql://u:p@db/d?charset=typo", "value of charset that pymysql cannot use"),
    ("mysql://u:p@db/d?connect_timeout=soon", "cannot be used"),
    ("mysql://u:p@db/d?connect_timeout=-1", "value of connect_timeout"),
    ("mysql://u:€uro@db/d", "value of password .*ASCII"),
]


@pytest.fixture(scope="module")
def addresses(render: Render, run: Run) -> dict[str, str]:
    """What a service says of each of ADDRESSES: the host that it reads, or why it refuses."""
    code = """
import json, sys
from app.config import ConfigError, Development

def read(address):
    try:
        return Development({"DATABASE_URL": address}).SQLALCHEMY_DATABASE_URI.host
    except ConfigError as error:
        return error.message

print(json.dumps({address: read(address) for address in json.loads(sys.argv[1])}))
"""
    given = json.dumps([address for address, _ in ADDRESSES])
    command = [sys.executable, "-B", "-c", code, given]  # -B: other tests read this rendering, too
    found: dict[str, str] = json.loads(run(command, render()))
    return found


@pytest.mark.parametrize(("address", "wanted"), ADDRESSES)
def test_what_hosting_services_hand_out(
    addresses: dict[str, str], address: str, wanted: str
) -> None:
    said = addresses[address]

    assert re.search(wanted, said), said
    assert "Tr0ub4dor" not in said
    assert "€" not in said


def test_arguments_of_the_engine_are_named_by_every_entry(project: Path, run: Run) -> None:
    options = '{"no_such_argument": 1}'
    for entry in ("alembic", "flask", "gunicorn"):
        said = run(
            [*PYTHON, *ENTRIES[entry]],
            project,
            status=FAILED[entry],
            DATABASE_ENGINE_OPTIONS=options,
        )
        assert "DATABASE_ENGINE_OPTIONS is refused by create_engine() (Invalid argument(s)" in said
        assert "'no_such_argument'" in said


@pytest.mark.parametrize("entry", ["flask", "gunicorn", "pytest"])
def test_a_project_that_was_moved_where_alembic_cannot_read_it(
    project: Path, run: Run, entry: str
) -> None:
    """`alembic` itself stops before it runs anything of the service."""
    moved = project.rename(project.parent / "100%")

    said = run([*PYTHON, *ENTRIES[entry]], moved, status=FAILED[entry])

    assert f"{moved} has a % in its path" in said
