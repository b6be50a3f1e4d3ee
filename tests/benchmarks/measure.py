"""What the benchmarks share: contestants side by side, the table, commands and servers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ("ALEMBIC", "APP_ENV", "DATABASE_", "FLASK_", "GIT_", "LOG_LEVEL", "PYTEST_", "PYTHON")
ENV = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
ENV.pop("VIRTUAL_ENV", None)
# The floor tells uv its Python as well: how long uv looks for one depends on the machine.
ENV["UV_PYTHON"] = sys.executable
# Does one thing once. Returns what it measured itself, or None to have its seconds counted.
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


def side_by_side(
    rounds: int, contestants: dict[str, Contestant], warm_up: int = 1
) -> dict[str, list[float]]:
    """Return what each measured in each round: A B, B A, A B …, after rounds to warm up."""
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for turn, number in enumerate(range(1 - warm_up, rounds + 1)):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            begin = time.perf_counter()
            own = contestants[name]()
            measured[name].append(time.perf_counter() - begin if own is None else own)
        latest = ", ".join(f"{name} {values[-1]:.3g}" for name, values in measured.items())
        print(f"  {number}/{rounds}: {latest}", file=sys.stderr)
    return {name: values[warm_up:] for name, values in measured.items()}


def execute(command: Sequence[object], cwd: Path, **variables: str) -> str:
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


def running(command: Sequence[object], cwd: Path, **variables: str) -> Contestant:
    """Return a contestant that runs a command, and has its seconds counted."""

    def run() -> None:
        execute(command, cwd, **variables)

    return run


@contextmanager
def serving(command: Sequence[object], cwd: Path, port: int, **variables: str) -> Iterator[None]:
    """Run a server; the block begins after its first 200 of /readyz."""
    with open(cwd / "serve.log", "w+b") as log:
        server = subprocess.Popen(
            list(map(str, command)), cwd=cwd, env=ENV | variables, stdout=log, stderr=log
        )
        try:
            while True:
                try:
                    urlopen(f"http://127.0.0.1:{port}/readyz").close()
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
