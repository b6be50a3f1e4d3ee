"""Tier 4: the README's command on a fresh clone with an empty HOME, and what a person then sees."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import free_port, get, missing, wait_for

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
    """Return the supported Pythons of this machine, this one first."""
    found = [sys.executable]
    for minor in (12, 13):
        places = Path(os.environ.get("PYENV_ROOT", "/nowhere"), "versions").glob(f"3.{minor}.*/bin")
        paths = os.pathsep.join([*map(str, places), os.environ["PATH"]])
        if path := shutil.which(f"python3.{minor}", path=paths):
            found.append(path)
    return found


@pytest.fixture(scope="module")
def project(template: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service that the README's first command makes, where there is Python and git only."""
    place = tmp_path_factory.mktemp("newcomer")
    run(["git", "clone", "--quiet", f"file://{template}", "clone"], place)
    tools = place / "tools"
    tools.mkdir()
    for name in ("bash", "git", "python3"):
        real = os.path.realpath(shutil.which(name, path="/usr/bin") or name)
        (tools / name).symlink_to(real)
    out = run(
        ["bash", "-ec", *printed(template, "render")],
        place / "clone",
        PATH=str(tools),
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
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        missing("no Chromium: apt-get install chromium")
    # A frame is as narrow as it is told to be; a window is not. The page's own title says how
    # wide its content is, as the frame of a file may not look into the page.
    status, page = get(f"{address}/")
    assert status == 200
    measure = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    (tmp_path / "page.html").write_text(page.replace("</body>", measure), "utf-8")
    (tmp_path / "frame.html").write_text(
        f'<iframe src="page.html" width="{width}" height="800" onload="'
        "document.body.append('width ' + this.contentDocument.title + ' end')"
        '"></iframe>',
        "utf-8",
    )
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    dom = run(
        [
            chromium,
            *flags.split(),
            "--allow-file-access-from-files",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=2000",
            "--dump-dom",
            f"file://{tmp_path / 'frame.html'}",
        ],
        tmp_path,
    )
    found = re.search(r"width (\d+) end", dom)
    assert found, dom
    assert int(found[1]) <= width
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


@pytest.mark.parametrize("python", pythons())
def test_each_python(python: str, render: Callable[..., Path], tmp_path: Path, run: Run) -> None:
    folder = shutil.copytree(render(), tmp_path / "my-service")

    run(["uv", "venv", "--quiet", "--python", python, ".venv"], folder)
    run(["uv", "sync", "--quiet"], folder)

    assert " passed" in run(["uv", "run", "pytest", "-q"], folder)
