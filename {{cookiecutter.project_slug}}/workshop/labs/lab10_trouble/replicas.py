"""Start eight replicas at once, each of which runs `alembic upgrade head` before it serves."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from workshop.project import Project, plain_environment

NUMBER = 8


def start_replicas(folder: Path, variables: Mapping[str, str]) -> list[int]:
    """Run them at the same time; return their exit statuses."""
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    processes = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**plain_environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(NUMBER)
    ]
    return [process.wait() for process in processes]


if __name__ == "__main__":
    statuses = start_replicas(Project().folder, {})
    print(f"{statuses.count(0)} of {NUMBER} replicas are up")
    sys.exit(any(statuses))
