"""The benchmarks still work: each gives its rows. What they measure is asserted nowhere."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import DATABASES, server

ROWS = {1: 1, 2: 3, 3: 2, 4: 6, 5: 12, 6: 9, 7: 7}


@pytest.mark.parametrize("number", ROWS)
def test_a_benchmark_gives_its_rows(number: int, root: Path, run: Callable[..., str]) -> None:
    for kind in DATABASES[1:]:
        server(kind).dispose()

    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", str(number)]
    printed = run(command, root / "tests")

    rows = [line for line in printed.splitlines() if line.startswith(f"| {number} ")]
    assert len(rows) == ROWS[number], printed
    assert all(line.count("|") == 9 for line in rows), printed
