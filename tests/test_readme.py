"""Every command that a rendered README prints is run here, in its order, as a newcomer would."""

import re
import secrets
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import alembic
import pytest
import sqlalchemy as sa
from support import SERVERS, Service, free_port, get, server, wait_for

DOCKER = re.compile(r"^docker compose ")  # no engine here: test_delivery.py runs what they run


@pytest.fixture
def service(service: Service) -> Service:
    """A fresh clone: no .env, and its example names this machine's server."""
    (service.folder / ".env").unlink()
    if service.kind != "sqlite":
        example = service.folder / ".env.example"
        text = example.read_text("utf-8")
        new = re.sub(r"(?m)^DATABASE_URL=.*$", f"DATABASE_URL={service.url}", text)
        example.write_text(new, "utf-8")
    return service


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def shell(service: Service, command: str) -> None:
    """Run a printed line in a POSIX shell; serve for a moment where it is a server."""
    if " flask run" in f" {command.replace('/', ' ')}":
        assert serve(service, command, "/readyz")[0] == 200
        return
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=service.folder,
        env=service.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"


def serve(service: Service, command: str, path: str) -> tuple[int, object]:
    """Run a printed command that serves, and return the status and the answer of a path."""
    port = free_port()
    process = subprocess.Popen(
        [*command.split(), "--port", str(port)],
        cwd=service.folder,
        env=service.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        return get(f"http://127.0.0.1:{port}{path}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def section(service: Service, title: str) -> str:
    text = (service.folder / "README.md").read_text("utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def commands(service: Service, title: str) -> list[str]:
    return [line for block in blocks(section(service, title)) for line in block.splitlines()]


def add_thing(service: Service) -> None:
    """Write the page's model."""
    (model,) = blocks(section(service, "Change the database"), "python")
    service.write("app/things/models.py", model)


def start(service: Service) -> None:
    """Run the first commands, but not the server."""
    for command in blocks(section(service, "Run it"))[0].splitlines()[:-1]:
        shell(service, command)


def test_the_first_commands_and_the_daily_loop(service: Service) -> None:
    for command in blocks(section(service, "Run it"))[0].splitlines():
        shell(service, command)
    shell(service, "uv run flask run --debug")
    add_thing(service)
    loop = commands(service, "Change the database")
    assert loop[0].startswith("uv run alembic revision --autogenerate")
    assert loop.index("uv run pytest") < loop.index("uv run alembic upgrade head")
    for command in loop:
        shell(service, command)
    assert '"thing"' in service.newest().read_text("utf-8")
    inline = re.findall(r"`(uv run [a-z]+ [^`…]+)`", section(service, "Change the database"))
    assert inline == ["uv run flask db prove", "uv run flask db sql"]
    for command in inline:
        shell(service, command)


def test_a_revision_that_was_applied_too_early_is_undone(service: Service) -> None:
    """Its TODO was not read, an empty table took it, and the tests find it: the page goes on."""
    start(service)
    models = service.folder / "app/notes/models.py"
    text = models.read_text("utf-8")
    size = "    size: Mapped[int] = mapped_column()\n\n    def to_dict"
    models.write_text(text.replace("\n    def to_dict", size, 1), "utf-8")
    (service.folder / "tests/test_notes.py").unlink()  # a note has no size yet
    shell(service, 'uv run alembic revision --autogenerate -m "Size"')
    shell(service, "uv run alembic upgrade head")
    assert "Decide" in service.run("pytest", "-q", fails=True)

    undo, *_ = blocks(section(service, "Undo a revision"))
    back, edit, *again = undo.splitlines()
    assert edit.startswith("# edit")
    shell(service, back)
    revision = service.newest()
    decided = re.sub(r"(?m)^ *# TODO.*\n(?: *# (?!allow).*\n)*", "", revision.read_text("utf-8"))
    decided = decided.replace("nullable=False)", 'nullable=False, server_default="0")')
    revision.write_text(decided, "utf-8")
    models.write_text(
        models.read_text("utf-8").replace("mapped_column()", 'mapped_column(server_default="0")'),
        "utf-8",
    )
    (log,) = re.findall(r"`(uv run [a-z]+ [^`…]+ log)`", section(service, "Undo a revision"))
    for command in [*again, log, "uv run alembic check"]:
        shell(service, command)


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_an_edited_revision_is_undone_with_an_empty_database(service: Service) -> None:
    start(service)

    again = blocks(section(service, "Undo a revision"))[1].splitlines()
    for command in again:
        shell(service, command)

    shell(service, "uv run alembic check")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_route_is_added(service: Service) -> None:
    start(service)
    add_thing(service)
    (views,) = blocks(section(service, "Add a route"), "python")
    service.write("app/things/views.py", views)
    shell(service, 'uv run alembic revision --autogenerate -m "Thing"')
    shell(service, "uv run alembic upgrade head")

    assert serve(service, "uv run flask run", "/things") == (200, {"things": []})
    for command in ("ruff check .", "ruff format --check .", "mypy"):
        shell(service, f"uv run {command}")


@pytest.fixture
def own_user(service: Service) -> Iterator[Service]:
    """The database and the user that an administrator makes by the page; .env names them."""
    name = f"readme{secrets.token_hex(4)}"
    (statements,) = blocks(section(service, "Run it"), "sql")
    statements = re.sub(r"my\\?_service", name, statements)
    found = re.search(r"`(\w+://my_service:[^`]+)`", section(service, "Run it"))
    assert found
    url = sa.make_url(found[1].replace("my_service", name))
    real = sa.make_url(SERVERS[service.kind])
    url = url.set(host=real.host, port=real.port)
    role = "ROLE" if service.kind == "postgresql" else "USER"
    # A percent sign is a parameter's, unless there are no parameters.
    options = {"no_parameters": True}
    with server(service.kind).connect().execution_options(**options) as connection:
        try:
            for statement in statements.strip().split("\n"):
                connection.exec_driver_sql(statement.removesuffix(";"))
            example = (service.folder / ".env.example").read_text("utf-8")
            line = f"DATABASE_URL={url.render_as_string(hide_password=False)}"
            own = re.sub("(?m)^DATABASE_URL=.*$", line, example)
            (service.folder / ".env").write_text(own, "utf-8")
            yield replace(service, url=url.render_as_string(hide_password=False))
        finally:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
            connection.exec_driver_sql(f"DROP {role} IF EXISTS {name}")


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_the_user_that_an_administrator_makes_can_do_everything(own_user: Service) -> None:
    add_thing(own_user)
    for command in [
        "uv run alembic upgrade head",
        *commands(own_user, "Change the database"),
        "uv run alembic upgrade head",
        "uv run flask run",
    ]:
        shell(own_user, command)


@pytest.mark.parametrize("service", ["mariadb"], indirect=True)
def test_each_error_that_is_explained_exists(service: Service) -> None:
    """What the page says that people see is in the code, word for word."""
    rows = re.findall(r"(?m)^\| `([^`]+)` \|", section(service, "What an error means"))
    assert len(rows) > 10
    alembics = Path(alembic.__file__).parent.rglob("*.py")
    ours = [path for path in service.folder.rglob("*.py") if ".venv" not in path.parts]
    text = "\n".join(path.read_text("utf-8") for path in [*ours, *alembics])
    text = re.sub(r'"\s*\n\s*f?"', "", text)  # one message over several lines
    assert [row for row in rows if row not in text] == []


def test_the_example_goes_away(service: Service) -> None:
    start(service)

    for command in commands(service, "Take the example out"):
        shell(service, command)

    assert not service.revisions()
    for command in ("pytest -q", "mypy", "ruff check .", "alembic check", "alembic upgrade head"):
        shell(service, f"uv run {command}")
    shell(service, "uv run flask run")


@pytest.mark.parametrize("service", ["sqlite", "postgresql"], indirect=True)
def test_the_example_goes_away_later(service: Service) -> None:
    """Its table is dropped by a revision, which says what the README says."""
    lines = blocks(section(service, "Take the example out"), "python")[0].strip()
    add_thing(service)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    shell(service, "git add --all && git commit --quiet --message v1 && git tag v1")
    shutil.rmtree(service.folder / "app/notes")
    (service.folder / "tests/test_notes.py").unlink()
    service.run("alembic", "revision", "--autogenerate", "-m", "Drop note")
    text = service.newest().read_text("utf-8")
    drop = '    op.drop_table("note")'
    assert drop in text
    text = text.replace(drop, textwrap.indent(lines, "    ") + "\n" + drop)
    service.newest().write_text(text, "utf-8")

    service.run("pytest", "-q")
    service.run("flask", "db", "compatible", "v1")
    service.run("alembic", "upgrade", "head")


def test_every_command_is_run_here_or_in_a_container(service: Service) -> None:
    ours = {*blocks(section(service, "Run it")), *blocks(section(service, "Change the database"))}
    ours |= {*blocks(section(service, "Undo a revision"))}
    ours |= {*blocks(section(service, "Take the example out"))}
    ours |= {*blocks(section(service, "Add a database"))}  # tests/test_binds.py follows it
    ours |= {*blocks(section(service, "When two branches meet"))}  # tests/test_review.py does
    ours |= {"uv run flask db compatible\n"}  # tests/test_compatible.py does
    text = (service.folder / "README.md").read_text("utf-8")

    for block in set(blocks(text)) - ours:
        assert all(DOCKER.match(line) for line in block.splitlines()), block


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_commands_without_uv(service: Service) -> None:
    block = blocks((service.folder / "README.md").read_text("utf-8"))[1]

    for command in block.splitlines():
        shell(service, command)

    shell(service, ".venv/bin/pytest -q")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_commands_for_agents(service: Service) -> None:
    """AGENTS.md from top to bottom, with a model where it says to write one."""
    text = (service.folder / "AGENTS.md").read_text("utf-8")
    inline = re.findall(r"`(uv run [^`]+)`", text)
    fenced = "".join(re.findall(r"(?ms)^ *```sh\n(.*?)```$", text))

    for command in map(str.strip, fenced.strip().splitlines()):
        if "--autogenerate" in command:
            add_thing(service)
        shell(service, command)
    assert '"thing"' in service.newest().read_text("utf-8")
    assert inline == ["uv run alembic downgrade -1"]
    for command in inline:
        shell(service, command)
