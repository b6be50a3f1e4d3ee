"""Every command that a rendered README prints is run here, in its order, as a newcomer would."""

import re
import shutil
import subprocess
import textwrap

import pytest
from support import Service, free_port, get, wait_for

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
            assert get(f"http://127.0.0.1:{port}/readyz")[0] == 200
        finally:
            process.terminate()
            process.wait(timeout=20)
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


def section(service: Service, title: str) -> str:
    text = (service.folder / "README.md").read_text("utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def commands(service: Service, title: str) -> list[str]:
    return [line for block in blocks(section(service, title)) for line in block.splitlines()]


def test_the_first_commands_and_the_daily_loop(service: Service) -> None:
    for command in blocks(section(service, "Run it"))[0].splitlines():
        shell(service, command)
    shell(service, "uv run flask run --debug")
    service.write(
        "app/things/models.py", blocks(section(service, "Change the database"), "python")[0]
    )
    loop = commands(service, "Change the database")
    assert loop[0].startswith("uv run alembic revision --autogenerate")
    for command in loop:
        shell(service, command)
    assert '"thing"' in service.newest().read_text("utf-8")
    inline = re.findall(r"`(uv run [a-z]+ [^`…]+)`", section(service, "Change the database"))
    assert inline == ["uv run flask db sql"]
    shell(service, inline[0])


def test_the_example_goes_away(service: Service) -> None:
    for command in blocks(section(service, "Run it"))[0].splitlines()[:-1]:
        shell(service, command)

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
    model = blocks(section(service, "Change the database"), "python")[0]
    service.write("app/things/models.py", model)
    service.run("alembic", "revision", "--autogenerate", "-m", "Add thing")
    shutil.rmtree(service.folder / "app/notes")
    (service.folder / "tests/test_notes.py").unlink()
    service.run("alembic", "revision", "--autogenerate", "-m", "Drop note")
    text = service.newest().read_text("utf-8")
    drop = '    op.drop_table("note")'
    assert drop in text
    text = text.replace(drop, textwrap.indent(lines, "    ") + "\n" + drop)
    service.newest().write_text(text, "utf-8")

    service.run("pytest", "-q")
    service.run("alembic", "upgrade", "head")


def test_every_command_is_run_here_or_in_a_container(service: Service) -> None:
    ours = {*blocks(section(service, "Run it")), *blocks(section(service, "Change the database"))}
    ours |= {*blocks(section(service, "Take the example out"))}
    ours |= {*blocks(section(service, "Add a database"))}  # tests/test_binds.py follows it
    ours |= {*blocks(section(service, "When two branches meet"))}  # tests/test_review.py does
    text = (service.folder / "README.md").read_text("utf-8")

    for block in set(blocks(text)) - ours:
        assert all(DOCKER.match(line) for line in block.splitlines()), block


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_the_commands_without_uv(service: Service) -> None:
    block = blocks((service.folder / "README.md").read_text("utf-8"))[1]

    for command in block.splitlines():
        shell(service, command)

    shell(service, ".venv/bin/pytest -q")
