"""Lab 0: is this laptop ready? Each finding is one line, and what is wrong says what to do."""

import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from workshop.project import Project, WorkshopError
from workshop.stage import require_plain_shell, require_repository

PORTS = range(5000, 5020)  # that of `flask run`, and those that are tried where it is taken
OLDEST_PYTHON = (3, 11)
OLDEST_GIT = (2, 23)  # which has `git switch`


class Finding(NamedTuple):
    """What was looked at, in a word or two, and what is wrong with it, or "" if nothing is."""

    about: str
    problem: str = ""


def findings(project: Project) -> Iterator[Finding]:
    """Yield what was found, in an order in which it can be fixed."""
    yield find_python()
    yield find_git(project)
    yield find_folder(project)
    yield find_packages(project)
    yield find_shell()
    yield find_repository(project)
    yield find_example(project)
    yield find_port()


def find_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", f"This is Python {version}: install 3.11 or newer")
    return Finding(f"Python {version}")


def find_git(project: Project) -> Finding:
    try:
        words = project.git("--version")
    except WorkshopError as error:
        return Finding("git", f"{error}: install it from your system or from git-scm.com")
    numbers = re.findall(r"\d+", words)[:2]
    if tuple(map(int, numbers)) < OLDEST_GIT:
        return Finding("git", f"{words} is too old: install 2.23 or newer")
    return Finding(f"git {'.'.join(numbers)}")


def find_folder(project: Project) -> Finding:
    try:
        project.state.mkdir(parents=True, exist_ok=True)
        probe = project.state / "probe"
        probe.write_text("", "utf-8")
        probe.unlink()
    except OSError as error:
        return Finding("the folder", f"{project.state} cannot be written ({error.strerror})")
    return Finding("a folder to write in")


def find_packages(project: Project) -> Finding:
    done = project.run("flask", "--help")
    if done.status:
        return Finding("the packages", f"{done.last_line}: {install()}")
    lacking = [name for name in ("alembic", "mypy", "pytest", "ruff") if not has(name)]
    if lacking:
        return Finding("the packages", f"{', '.join(lacking)} is not installed: {install()}")
    return Finding("the packages")


def has(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def install() -> str:
    return "run `uv sync`" if shutil.which("uv") else "run `pip install -e . --group dev` in .venv"


def find_shell() -> Finding:
    return of(require_plain_shell, "a shell that sets nothing")


def find_repository(project: Project) -> Finding:
    return of(lambda: require_repository(project), "a git repository with a commit")


def find_example(project: Project) -> Finding:
    """The labs change the example, so it has to be there."""
    files = ("app/notes/models.py", "app/notes/views.py", "tests/test_notes.py", ".env")
    lacking = [name for name in files if not project.path(name).is_file()]
    if lacking:
        return Finding(
            "the example",
            f"{', '.join(lacking)} is not there: play the workshop in a project that was just "
            "rendered",
        )
    return Finding("the example notes")


def of(look: Callable[[], None], about: str) -> Finding:
    try:
        look()
    except WorkshopError as error:
        return Finding(about, str(error))
    return Finding(about)


def find_port() -> Finding:
    port = free_port()
    if port is None:
        return Finding("a port", f"None of {PORTS.start} to {PORTS.stop - 1} is free: end a server")
    return Finding(f"port {port}")


def free_port() -> int | None:
    """Return the first free port from that of `flask run` on. macOS keeps 5000 for AirPlay."""
    for port in PORTS:
        with socket.socket() as probe:
            # A server that listens answers; bind() alone succeeds on Windows beside another one.
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    return None
