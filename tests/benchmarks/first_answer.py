"""2: from the command to the first 200 of /readyz."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import template
from benchmarks.lab import Lab, cookiecutter, frozen, make_environment, tool
from benchmarks.measure import HERE, ROOT, Contestant, Row, execute, serving, side_by_side
from support import free_port

FLASK_MIGRATE = next(
    line
    for line in (HERE / "requirements.txt").read_text("utf-8").splitlines()
    if "migrate" in line
)
FLOOR_INI = """\
[alembic]
script_location = %(here)s/migrations
prepend_sys_path = .
path_separator = os
"""
FLOOR_ENV = """\
from alembic import context
from single import app, db

with app.app_context(), db.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=db.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def first_answer(lab: Lab) -> list[Row]:
    """From the command to the first 200 of /readyz, installing included; all downloads cached."""
    packages: list[str] = []
    steps: dict[str, Contestant] = {
        "ours": lambda: ours(lab, packages),
        "floor": lambda: floor(lab, packages),
        "peer, pip": lambda: peer(lab, packages, None),
    }
    if uv := shutil.which("uv"):
        steps["peer, uv"] = lambda: peer(lab, packages, uv)
    measured = side_by_side(lab.rounds(3), steps, warm_up=int(not lab.quick))
    rows = [
        ("environment, upgrade, server", "floor", "<= 1.15"),
        ("cookiecutter-flask's steps", "peer, pip", "<= 0.4"),
        ("the same steps with uv", "peer, uv", ""),
    ]
    return [
        Row("2 first answer", measured["ours"], against, measured[name], aim)
        for against, name, aim in rows
        if name in measured
    ]


def ours(lab: Lab, packages: list[str]) -> float:
    """Return the seconds of the template's command and of `flask run`; note the packages."""
    folder = lab.new()
    begin = time.perf_counter()
    cookiecutter(ROOT, folder)
    project = folder / "my-service"
    flask: Sequence[object] = ["uv", "run", "flask"]
    if not shutil.which("uv"):
        flask = [tool(project / ".venv", "flask")]
    seconds = until_ready(begin, flask, project)
    packages[:] = packages or frozen(project / ".venv")
    return seconds


def floor(lab: Lab, packages: list[str]) -> float:
    """Return the seconds of a bare environment, one `alembic upgrade head` and the server."""
    folder, environment = bare_project(lab), {"DATABASE_URL": "sqlite:///floor.db"}
    begin = time.perf_counter()
    make_environment(folder / ".venv", *packages)
    execute([tool(folder / ".venv", "alembic"), "upgrade", "head"], folder, **environment)
    flask = [tool(folder / ".venv", "flask"), "--app", "single"]
    return until_ready(begin, flask, folder, **environment)


def bare_project(lab: Lab) -> Path:
    """Return a folder with the single-file service, Alembic's own files and our revisions."""
    folder = lab.new()
    shutil.copy2(HERE / "single.py", folder)
    (folder / "alembic.ini").write_text(FLOOR_INI, "utf-8")
    (folder / "migrations").mkdir()
    (folder / "migrations" / "env.py").write_text(FLOOR_ENV, "utf-8")
    shutil.copytree(lab.project / "migrations" / "versions", folder / "migrations" / "versions")
    return folder


def peer(lab: Lab, packages: list[str], uv: str | None) -> float:
    """Return the seconds of cookiecutter-flask's README, as its peer: Flask-Migrate."""
    wanted = lab.new() / "requirements.txt"
    wanted.write_text("\n".join([*packages, FLASK_MIGRATE]), "utf-8")
    source, folder = template(lab, wanted, HERE / "single.py", HERE / "peer.py"), lab.new()
    environment = {"DATABASE_URL": "sqlite:///peer.db", "FLASK_APP": "peer"}
    begin = time.perf_counter()
    cookiecutter(source, folder)
    project = folder / "peer"
    make_environment(project / ".venv", "-r", str(project / "requirements.txt"), uv=uv)
    flask = tool(project / ".venv", "flask")
    for step in ("init", "migrate", "upgrade"):
        execute([flask, "db", step], project, **environment)
    return until_ready(begin, [flask], project, **environment)


def until_ready(begin: float, flask: Sequence[object], folder: Path, **variables: str) -> float:
    """Return the seconds from `begin` to the first 200 of /readyz."""
    port = free_port()
    with serving([*flask, "run", "--port", str(port)], folder, port, **variables):
        return time.perf_counter() - begin
