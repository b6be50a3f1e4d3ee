"""Where the benchmarks work: renderings, databases, and environments with packages."""

import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from benchmarks.measure import HERE, ROOT, execute
from support import DATABASES, DRIVERS, database


@dataclass(frozen=True)
class Lab:
    """A folder for everything that is made, and how much is to be measured."""

    folder: Path
    quick: bool  # one round, few and small: shows only that it works
    databases: tuple[str, ...] = DATABASES
    _numbers: "count[int]" = field(default_factory=count)

    def rounds(self, usual: int) -> int:
        return 1 if self.quick else usual

    def sizes(self, *usual: int) -> tuple[int, ...]:
        return tuple(5 * n for n in range(1, len(usual) + 1)) if self.quick else usual

    def new(self) -> Path:
        """Return a new, empty folder."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def render(self, **answers: str) -> Path:
        """Return a new rendering of the template, without set-up."""
        words = [f"{name}={value}" for name, value in {"setup": "no", **answers}.items()]
        folder = self.new()
        cookiecutter(ROOT, folder, *words)
        return folder / "my-service"

    @contextmanager
    def database(self, kind: str) -> Iterator[str]:
        """Yield the URL of an empty database, its driver named."""
        with database(kind, self.new()) as text:
            url = sa.make_url(text)
            driver = DRIVERS.get(url.drivername, url.drivername)
            yield url.set(drivername=driver).render_as_string(hide_password=False)

    @cached_property
    def project(self) -> Path:
        """A rendering of the default answers, to read only."""
        return self.render()

    @cached_property
    def service(self) -> Path:
        """The environment of the services: their dependencies of each kind of database."""
        projects = [self.render(database=kind) / "pyproject.toml" for kind in DATABASES]
        files = [tomllib.loads(path.read_text("utf-8")) for path in projects]
        wanted = {name for file in files for name in file["project"]["dependencies"]}
        return self.environment(*sorted(wanted), *files[0]["dependency-groups"]["dev"])

    @cached_property
    def peer(self) -> Path:
        """The same, and the peers of requirements.txt."""
        return self.environment("-r", str(HERE / "requirements.txt"), *frozen(self.service))

    def environment(self, *packages: str) -> Path:
        folder = self.new() / ".venv"
        make_environment(folder, *packages, "-c", str(ROOT / "tests" / "requirements.txt"))
        if not self.quick:
            python = tool(folder, "python")
            execute([python, "-m", "compileall", "-q", "-j", "0", folder], self.folder)
        return folder


def tool(environment: Path, name: str) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / name


def make_environment(folder: Path, *packages: str, uv: str | None = shutil.which("uv")) -> None:
    """Make a virtual environment and install packages, with uv where it is."""
    python = tool(folder, "python")
    if uv:
        execute([uv, "venv", "--quiet", "--python", sys.executable, folder], folder.parent)
        execute([uv, "pip", "install", "--python", python, *packages], folder.parent)
    else:
        execute([sys.executable, "-m", "venv", folder], folder.parent)
        execute([python, "-m", "pip", "install", *packages], folder.parent)


def frozen(environment: Path) -> list[str]:
    """Return what is installed in an environment, as name==version."""
    code = (
        "from importlib.metadata import distributions\n"
        "print(*(f'{found.name}=={found.version}' for found in distributions()))"
    )
    listed = execute([tool(environment, "python"), "-c", code], environment.parent).split()
    return sorted(item for item in listed if not item.startswith(("pip==", "setuptools==")))


def cookiecutter(template: Path, folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input", "--output-dir", folder]
    execute([*command, *words], folder)
