"""Measure what the template promises of speed, side by side with a floor or a peer.

Run in tests/:    python -m benchmarks [--only 1 3] [--quick] [--databases sqlite mariadb]
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import pytest
from benchmarks import commands, first_answer, growth, isolation, proof, serving
from benchmarks.lab import Lab
from benchmarks.measure import HEAD
from support import DATABASES, server

BENCHMARKS = {
    1: commands.render,
    2: first_answer.first_answer,
    3: commands.current,
    4: isolation.isolation,
    5: growth.growth,
    6: growth.check,
    7: serving.requests,
    8: proof.proof,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", type=int, choices=BENCHMARKS, metavar="NUMBER")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--quick", action="store_true", help="show only that each works")
    given = parser.parse_args()
    try:
        for kind in set(given.databases) - {"sqlite"}:
            server(kind).dispose()
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        sys.exit(f"{reason}, or leave it out: --databases sqlite")
    begin, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        lab = Lab(Path(folder), given.quick, tuple(given.databases))
        for number in given.only or BENCHMARKS:
            print(f"{number}: {BENCHMARKS[number].__doc__}", file=sys.stderr)
            rows += BENCHMARKS[number](lab)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(HEAD, *rows, sep="\n")
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} processors{load}, ", end="")
    print(f"{time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
