"""What the tests share: a clean copy of the template, renderings, and a newcomer's shell.

root        the working tree
template    a copy of it, committed to a git repository of its own; nobody changes it
render      render(**answers) -> folder; not set up, made once for the same answers: only read it
env         the variables of a newcomer's shell: an empty HOME, none of this service's
service     a copy of a rendering and an empty database, of each kind in turn
run         run(command, cwd, status=0, **variables) -> both outputs; the status is checked
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import DATABASES, Service, service_on

OURS = ("APP_ENV", "DATABASE_", "FLASK_", "GIT_", "LOG_LEVEL", "PYTEST_", "PYTHON", "SECRET_KEY")


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("VIRTUAL_ENV", None)
    return kept | {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "UV_SYSTEM_CERTS": "1",  # uv trusts the certificates that pip and git trust
        "GIT_AUTHOR_NAME": "A Newcomer",
        "GIT_AUTHOR_EMAIL": "newcomer@example.org",
        "GIT_COMMITTER_NAME": "A Newcomer",
        "GIT_COMMITTER_EMAIL": "newcomer@example.org",
    }


@pytest.fixture(scope="session")
def run(env: dict[str, str]) -> Callable[..., str]:
    def run(command: list[str | Path], cwd: Path, status: int = 0, **variables: str) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env=env | {"PWD": str(cwd)} | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert done.returncode == status, f"{command}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def template(
    root: Path, run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    copy = tmp_path_factory.mktemp("template") / "template"
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], root)
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():  # git lists a deleted file until its deletion is committed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    run(["git", "-c", "init.defaultBranch=main", "init", "--quiet"], copy)
    run(["git", "add", "--all"], copy)
    run(["git", "commit", "--quiet", "--message", "The working tree"], copy)
    yield copy
    changed = run(["git", "status", "--porcelain", "--ignored"], copy)
    assert not changed, f"a test has written into the template: {changed}"


@pytest.fixture(params=DATABASES)
def service(
    request: pytest.FixtureRequest,
    render: Callable[..., Path],
    env: dict[str, str],
    tmp_path: Path,
) -> Iterator[Service]:
    with service_on(request.param, render, env, tmp_path) as service:
        yield service


@pytest.fixture(scope="session")
def render(template: Path, cookies_session: Any) -> Iterator[Callable[..., Path]]:
    made: dict[tuple[tuple[str, Any], ...], Path] = {}
    files: dict[Path, list[Path]] = {}

    def render(**answers: Any) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            result = cookies_session.bake({"setup": False, **answers}, str(template))
            assert result.exception is None, result.exception
            made[key] = result.project_path
            files[made[key]] = sorted(made[key].rglob("*"))
        return made[key]

    yield render
    for project, found in files.items():
        assert sorted(project.rglob("*")) == found, f"a test has written into {project}"
