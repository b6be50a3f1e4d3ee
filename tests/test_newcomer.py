"""Tier 4: the README's command on a fresh clone with an empty HOME, and what a person then sees."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import needed_width
from support import free_port, get, wait_for

Run = Callable[..., str]


def printed(root: Path, name: str) -> list[str]:
    """Return the commands of README.md under the mark `<!-- name -->`."""
    text = (root / "README.md").read_text("utf-8")
    found = re.search(rf"(?s)<!-- {name} -->\n```sh\n(.*?)\n```", text)
    assert found, name
    return found[1].splitlines()


def first(root: Path) -> str:
    """Return the first command of README.md, which asks its questions."""
    command = (root / "README.md").read_text("utf-8").partition("```sh\n")[2].partition("\n")[0]
    assert "--no-input" not in command
    return command


def pythons() -> list[str]:
    """Return the supported Pythons of this machine, each minor version once, this one first."""
    found = {sys.version_info.minor: sys.executable}
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for minor in (11, 12, 13):
        places = Path(pyenv, "versions").glob(f"3.{minor}.*/bin")
        paths = os.pathsep.join([*map(str, places), os.environ["PATH"]])
        if path := shutil.which(f"python3.{minor}", path=paths):
            found.setdefault(minor, path)
    return list(found.values())


def only(folder: Path, **programs: str) -> str:
    """Return a PATH on which there are only these programs."""
    folder.mkdir()
    for name, path in programs.items():
        (folder / name).symlink_to(os.path.realpath(path))
    return str(folder)


def found(name: str, path: str | None = None) -> str:
    program = shutil.which(name, path=path)
    assert program, f"{name} is not installed"
    return program


@pytest.fixture(scope="module")
def project(template: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service that the README's first command makes, where there is Python and git only."""
    place = tmp_path_factory.mktemp("newcomer")
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], place)
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    tools = only(place / "tools", bash=found("bash"), git=found("git"), python3=python)
    out = run(
        ["bash", "-ec", *printed(template, "render")],
        place / "clone",
        PATH=tools,
        HOME="/none",
    )
    assert "first-service is ready" in out
    assert run(["git", "status", "--porcelain"], place / "clone") == ""
    return place / "first-service"


@pytest.fixture(scope="module")
def address(project: Path, env: dict[str, str]) -> Iterator[str]:
    """The service, served by the command that the set-up's last paragraph names."""
    port = free_port()
    process = subprocess.Popen(
        [".venv/bin/flask", "run", "--port", str(port)],
        cwd=project,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_first_command_leaves_a_service_ready_to_run(address: str) -> None:
    assert get(f"{address}/readyz")[0] == 200


def test_a_second_command_runs_its_tests(project: Path, run: Run) -> None:
    assert " passed" in run([".venv/bin/pytest", "-q"], project)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_start_page_fits_the_window(address: str, width: int, tmp_path: Path, run: Run) -> None:
    status, page = get(f"{address}/")
    assert status == 200
    assert needed_width(tmp_path, page, width, run) <= width
    assert "the database is here" in page


def test_the_shorter_commands(template: Path, run: Run, tmp_path: Path) -> None:
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], tmp_path)
    (render,), (tests,) = printed(template, "with uv"), printed(template, "tests with uv")

    assert "second-service is ready" in run(["bash", "-ec", render], tmp_path / "clone")
    # The tests themselves are what runs here: that they are found is enough.
    assert "tests collected" in run(
        ["bash", "-ec", f"{tests} --collect-only -q"], tmp_path / "clone"
    )


def test_the_prompts_take_enter_for_an_answer(template: Path, run: Run, tmp_path: Path) -> None:
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], tmp_path)

    out = run(["bash", "-ec", f"yes '' | head -n 8 | {first(template)}"], tmp_path / "clone")

    assert "my-service is ready" in out


def test_each_command_works_after_the_others(template: Path, run: Run, tmp_path: Path) -> None:
    """Whoever tries all of them in the order of the page meets no folder that exists already."""
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], tmp_path)
    commands = [f"{first(template)} --no-input"]
    commands += [*printed(template, "render"), *printed(template, "with uv")]

    for command in commands:
        run(["bash", "-ec", f"{command} setup=no"], tmp_path / "clone")

    made = {path.parent.name for path in tmp_path.glob("*/alembic.ini")}
    assert made == {"my-service", "first-service", "second-service"}


@pytest.mark.long
@pytest.mark.parametrize("way", ["render", "with uv"])
@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).parent.parent.name)
def test_each_python_and_nothing_else(
    python: str, way: str, template: Path, run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], tmp_path)
    programs = {"bash": found("bash"), "git": found("git"), "python3": python}
    if way == "with uv":
        # Programs that uvx starts look for their Python by the last two, which each machine has.
        for name in ("uv", "uvx", "realpath", "dirname"):
            programs[name] = found(name, env["PATH"])
    path = only(tmp_path / "tools", **programs)

    out = run(["bash", "-ec", *printed(template, way)], tmp_path / "clone", PATH=path)

    assert "is ready" in out
    (project,) = [each.parent for each in tmp_path.glob("*/alembic.ini")]
    versions = [run([each, "--version"], project) for each in (python, ".venv/bin/python")]
    assert versions[0] == versions[1]
    assert " passed" in run([".venv/bin/pytest", "-q"], project, PATH=path)
