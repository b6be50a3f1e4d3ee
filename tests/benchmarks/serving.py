"""7: what the service answers in a second, under the production server and under others."""

import json
import os
import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa
from benchmarks.lab import Lab, tool
from benchmarks.measure import HERE, Contestant, Row, execute, serving, side_by_side
from support import free_port

CONNECTIONS, SECONDS = 4, 2.0


def requests(lab: Lab) -> list[Row]:
    """Answers per second of the service, against one file of Flask; and under other servers."""
    if os.name == "nt":
        print("  gunicorn does not run on Windows: left out", file=sys.stderr)
        return []
    kind = "postgresql" if "postgresql" in lab.databases else lab.databases[0]
    project = lab.render(database=kind)
    shutil.copy2(HERE / "single.py", project)
    with lab.database(kind) as url:
        execute([tool(lab.service, "alembic"), "upgrade", "head"], project, DATABASE_URL=url)
        fill(url)
        return [*against_one_file(lab, project, url), *against_servers(lab, project, url)]


def fill(url: str) -> None:
    """Insert a page of notes to list."""
    note = "INSERT INTO note (title, body, created_at) VALUES ('Milk', 'Two bottles', '2030-01-02')"
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for _ in range(20):
            connection.execute(sa.text(note))


def gunicorn(project: Path, app: str) -> list[str]:
    """Return the command of the Dockerfile, for another application."""
    found = re.findall(r"^CMD (\[.*\])$", (project / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    name, _, *options = json.loads(found[-1])
    memory = ["--worker-tmp-dir=/dev/shm"] if Path("/dev/shm").is_dir() else []  # noqa: S108 (the image's)
    kept = [word for word in options if "bind" not in word and "worker-tmp" not in word]
    return [name, app, "--bind=127.0.0.1:PORT", *memory, workers(project), *kept]


def workers(project: Path) -> str:
    """Return the option that gives a server as many workers as the Dockerfile does."""
    text = (project / "Dockerfile").read_text("utf-8")
    return f"--workers={re.findall(r'WEB_CONCURRENCY=([0-9]+)', text)[-1]}"


def against_one_file(lab: Lab, project: Path, url: str) -> list[Row]:
    one = "one file of Flask"
    commands = {
        "ours": gunicorn(project, "app:create_app()"),
        one: gunicorn(project, "single:app"),
        f"{one}, pool_pre_ping": [*gunicorn(project, "single:app"), "--env=PING=1"],
    }
    rows = []
    for path in ("/notes", "/readyz"):
        measured = answers(lab, lab.service, project, url, path, commands)
        ours, *others = measured
        for name in others:
            aim = ">= 0.95" if name == one else ""
            rows.append(Row(f"7 GET {path}", measured[ours], name, measured[name], aim, "/s"))
    return rows


def against_servers(lab: Lab, project: Path, url: str) -> list[Row]:
    common, many = ["--host=127.0.0.1", "--port=PORT"], workers(project)
    factory = ["--interface=wsgi", "--factory", "--blocking-threads=4", "--no-ws", "--access-log"]
    dockerfile = gunicorn(project, "app:create_app()")
    commands = {
        "gunicorn, as in the Dockerfile": dockerfile,
        "gunicorn, one worker": [*dockerfile, "--workers=1"],
        "gunicorn, sync": ["gunicorn", "app:create_app()", "--bind=127.0.0.1:PORT", many],
        "granian": ["granian", *common, *factory, many, "app:create_app"],
        "waitress, one process": ["waitress-serve", *common, "--call", "app:create_app"],
    }
    measured = answers(lab, lab.peer, project, url, "/notes", commands)
    ours, *others = measured
    return [Row(f"7 {ours}", measured[ours], name, measured[name], "", "/s") for name in others]


def answers(
    lab: Lab, environment: Path, project: Path, url: str, path: str, commands: dict[str, list[str]]
) -> dict[str, list[float]]:
    """Return the answers per second under each of these servers, in each round."""
    variables = {"APP_ENV": "production", "DATABASE_URL": url, "SECRET_KEY": "k" * 64}
    contestants: dict[str, Contestant] = {}
    with ExitStack() as stack:
        for name, (program, *words) in commands.items():
            port = free_port()
            given = [
                tool(environment, program),
                *(word.replace("PORT", str(port)) for word in words),
            ]
            stack.enter_context(serving(given, project, port, **variables))
            contestants[name] = load(lab, port, path)
        return side_by_side(lab.rounds(5), contestants)


def load(lab: Lab, port: int, path: str) -> Contestant:
    """Return what asks for a path as fast as it is answered, and counts."""
    words = [str(port), path, str(CONNECTIONS), str(0.2 if lab.quick else SECONDS)]
    return lambda: float(execute([sys.executable, HERE / "load.py", *words], lab.folder))
