"""docs/break-it.md: each mistake is made, says what the page says, and is fixed by its commands."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from pages import Step, change, section, steps
from support import Service

PAGE = (Path(__file__).parent.parent / "docs/break-it.md").read_text("utf-8")
MISTAKES = re.findall(r"(?m)^## (.+)$", PAGE)


@pytest.fixture(scope="module")
def migrated(
    render: Callable[..., Path], env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Service:
    """A project that was just rendered and migrated, to be copied."""
    folder = copytree(render(database="sqlite"), tmp_path_factory.mktemp("migrated") / "my-service")
    service = Service("sqlite", folder, "sqlite:///instance/development.db", env)
    service.run("alembic", "upgrade", "head")
    return service


def test_there_are_twenty() -> None:
    assert len(MISTAKES) == len(set(MISTAKES)) == 20


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake(migrated: Service, mistake: str, tmp_path: Path) -> None:
    folder = copytree(migrated.folder, tmp_path / "my-service")
    said, fixed = "", False
    for step in steps(section(PAGE, mistake)):
        if step.language == "text":
            assert shown(said, folder) == step.text.strip()
            fixed = True
        elif step.language == "sh":
            said = run_lines(step.text, folder, migrated.environ(), succeeds=fixed)
        else:
            write(step, folder)
    assert fixed


def run_lines(text: str, folder: Path, env: dict[str, str], succeeds: bool) -> str:
    """Run the lines of a block in one shell, and return what the last one printed.

    All but the last succeed, and the last, too, if `succeeds` says so.
    """
    *before, last = text.splitlines()
    mark = "---- the last command"
    script = "\n".join(["set -e", *before, f"echo '{mark}'", last])
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={name: value for name, value in env.items() if name != "DATABASE_URL"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    _, marked, said = done.stdout.partition(f"{mark}\n")
    assert marked, done.stdout
    assert not succeeds or done.returncode == 0, done.stdout
    assert "Traceback" not in said
    return said


def shown(said: str, folder: Path) -> str:
    """Return what was printed as the page shows it."""
    said = re.sub(
        r"\b\d{14}_(?!3632c1f107b5)", "<time>_", said
    )  # of a revision that the page makes
    return said.replace(str(folder), "…/my-service").strip()


def write(step: Step, folder: Path) -> None:
    path = folder / step.path
    if step.language == "diff":
        change(path, step.text)
    elif re.search("[Aa]t the end of", step.said):
        with path.open("a", encoding="utf-8") as file:
            file.write(step.text)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, "utf-8")
