"""1 and 3: what a developer waits for at each command."""

import shutil
from pathlib import Path

from benchmarks.lab import Lab, cookiecutter, tool
from benchmarks.measure import HERE, ROOT, Row, execute, running, side_by_side


def render(lab: Lab) -> list[Row]:
    """Render alone, against a template with one empty file."""
    bare = template(lab)
    measured = side_by_side(
        lab.rounds(20),
        {
            "ours": lambda: cookiecutter(ROOT, lab.new(), "setup=no"),
            "floor": lambda: cookiecutter(bare, lab.new()),
        },
    )
    return [Row("1 render", measured["ours"], "one empty file", measured["floor"], "<= 1.5")]


def template(lab: Lab, *files: Path) -> Path:
    """Return a template that renders these files, or one that is empty."""
    folder = lab.new()
    project = folder / "{{cookiecutter.slug}}"
    project.mkdir()
    (folder / "cookiecutter.json").write_text('{"slug": "peer"}', "utf-8")
    (project / "empty.txt").touch()
    for file in files:
        shutil.copy2(file, project)
    return folder


def current(lab: Lab) -> list[Row]:
    """`alembic current` against the imports that it needs, and against `flask db current`."""
    folder, project = lab.new(), lab.render()
    for file in ("single.py", "peer.py"):
        shutil.copy2(HERE / file, folder)
    ours, python = tool(lab.service, "alembic"), tool(lab.service, "python")
    flask = [tool(lab.peer, "flask"), "--app", "peer", "db"]
    url = {"DATABASE_URL": f"sqlite:///{(folder / 'peer.db').as_posix()}"}
    execute([ours, "upgrade", "head"], project)
    for step in ("init", "migrate", "upgrade"):
        execute([*flask, step], folder, **url)
    imports = "import flask_sqlalchemy, alembic.config"
    measured = side_by_side(
        lab.rounds(20),
        {
            "ours": running([ours, "current"], project),
            "imports": running([python, "-c", imports], project),
            "peer": running([*flask, "current"], folder, **url),
        },
    )
    return [
        Row(
            "3 alembic current",
            measured["ours"],
            f'python -c "{imports}"',
            measured["imports"],
            "<= 1.10",
        ),
        Row("3 alembic current", measured["ours"], "flask db current", measured["peer"], "<= 1"),
    ]
