"""The benchmarks still work: each gives its rows. What they measure is asserted nowhere."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROWS = {"1": 1, "2": 3, "3": 2, "4": 2, "5": 5, "6": 3, "7": 8, "8": 5}


def test_each_benchmark_gives_its_rows(root: Path, run: Callable[..., str]) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--databases", "sqlite"]
    printed = run(command, root / "tests")

    rows = [line for line in printed.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert Counter(line[2] for line in rows) == ROWS, printed
    assert all(line.count("|") == 9 for line in rows), printed
