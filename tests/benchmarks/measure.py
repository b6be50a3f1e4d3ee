"""What the benchmarks share: contestants side by side, the table, environments and projects."""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import sqlalchemy as sa
from support import DATABASES, DRIVERS, database

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ("ALEMBIC", "APP_ENV", "DATABASE_", "FLASK_", "GIT_", "LOG_LEVEL", "PYTEST_", "PYTHON")
ENV = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
ENV.pop("VIRTUAL_ENV", None)
# Does one thing once, and returns what it measured itself or else has its seconds counted.
Contestant = Callable[[], float | None]


@dataclass(frozen=True)
class Row:
    """One line of the table: ours against a floor or a peer, measured in the same rounds."""

    what: str
    ours: list[float]
    against: str
    theirs: list[float]
    aim: str = ""  # for the median ratio: "<= 1.5", ">= 0.95", or none
    unit: str = "s"

    def __str__(self) -> str:
        ratios = sorted(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))
        middle = median(ratios)
        bound = float(self.aim.split()[1]) if self.aim else 0
        met = middle <= bound if self.aim.startswith("<") else middle >= bound
        cells = (
            self.what,
            f"{median(self.ours):.4g} {self.unit}",
            self.against,
            f"{median(self.theirs):.4g} {self.unit}",
            *(f"{ratio:.3g}" for ratio in (ratios[0], middle, ratios[-1])),
            self.aim and f"{self.aim}, {'met' if met else 'missed'}",
        )
        return f"| {' | '.join(cells)} |"


HEAD = """\
| what | ours | against | theirs | ratio: min | median | max | aim |
|---|---|---|---|---|---|---|---|"""


def side_by_side(rounds: int, contestants: dict[str, Contestant]) -> dict[str, list[float]]:
    """Return what each measured in each round: A B, B A, A B …, after a round to warm up."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            begin = time.perf_counter()
            own = contestants[name]()
            measured[name].append(time.perf_counter() - begin if own is None else own)
        latest = ", ".join(f"{name} {values[-1]:.3g}" for name, values in measured.items())
        print(f"  {number}/{rounds}: {latest}", file=sys.stderr)
    return {name: values[1:] for name, values in measured.items()}


def execute(command: list[str | Path], cwd: Path, **variables: str) -> str:
    """Run a command of a user's shell and return what it printed; it has to succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=ENV | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"{command} in {cwd}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def running(command: list[str | Path], cwd: Path, **variables: str) -> Contestant:
    """Return a contestant that runs a command, and has its seconds counted."""

    def run() -> None:
        execute(command, cwd, **variables)

    return run


@contextmanager
def serving(command: list[str | Path], cwd: Path, port: int, **variables: str) -> Iterator[None]:
    """Have a server run, from its first 200 of /readyz on."""
    with open(cwd / "serve.log", "w+b") as log:
        server = subprocess.Popen(
            list(map(str, command)), cwd=cwd, env=ENV | variables, stdout=log, stderr=log
        )
        try:
            while True:
                try:
                    urlopen(f"http://127.0.0.1:{port}/readyz").close()  # noqa: S310 (loopback)
                    break
                except OSError as error:
                    if server.poll() is not None:
                        log.seek(0)
                        sys.exit(f"{command}: {error}\n{log.read().decode()}")
                    time.sleep(0.005)
            yield
        finally:
            server.terminate()
            server.wait(timeout=20)


@dataclass(frozen=True)
class Lab:
    """A folder for everything that is made, and how much is to be measured."""

    folder: Path
    quick: bool  # one round, few and small: shows only that it works
    databases: tuple[str, ...] = DATABASES
    _numbers: "count[int]" = count()

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
        with database(kind, self.new()) as url:
            driver = DRIVERS.get(kind, kind)
            yield sa.make_url(url).set(drivername=driver).render_as_string(hide_password=False)

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
    code = "from importlib.metadata import distributions as d; print(*(f'{i.name}=={i.version}' for i in d()))"
    listed = execute([tool(environment, "python"), "-c", code], environment.parent).split()
    return sorted(item for item in listed if not item.startswith(("pip==", "setuptools==")))


def cookiecutter(template: Path, folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input"]
    execute([*command, "--output-dir", folder, *words], folder)
