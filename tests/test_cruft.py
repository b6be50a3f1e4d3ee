"""Cruft: a service made with it takes over later changes of the template, and nothing else."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
CRUFT = [sys.executable, "-m", "cruft"]


def commit(folder: Path, run: Run) -> None:
    run(["git", "add", "--all"], folder)
    run(["git", "commit", "--quiet", "--message", "Go on"], folder)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def newer(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, to be changed."""
    return Path(shutil.copytree(template, tmp_path / "newer"))


@pytest.fixture
def make(newer: Path, run: Run, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a service by `cruft create` and commits it."""

    def make(**answers: object) -> Path:
        context = json.dumps({"setup": False, **answers})
        run([*CRUFT, "create", newer, "--no-input", "--extra-context", context], tmp_path)
        commit(tmp_path / "my-service", run)
        return tmp_path / "my-service"

    return make


def files(project: Path) -> dict[str, bytes]:
    """Return the contents of all files but git's own and cruft's notes."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.parts and path.name != ".cruft.json"
    }


def test_cruft_makes_the_same_as_cookiecutter(
    make: Callable[..., Path], render: Callable[..., Path]
) -> None:
    assert {**files(make()), ".env": b""} == {**files(render()), ".env": b""}


def test_an_update_brings_changes_and_leaves_the_rest_alone(
    make: Callable[..., Path], newer: Path, run: Run
) -> None:
    project = make(ci="none")
    change(project / "README.md", "# My Service", "# My Own Service")
    (project / "app" / "things").mkdir()
    (project / "app" / "things" / "models.py").write_text("mine = 1\n", "utf-8")
    commit(project, run)
    before = files(project)
    service = newer / "{{cookiecutter.project_slug}}"
    change(service / "README.md", "## Take the example out", "## Remove the example")
    change(service / "app" / "__init__.py", '"""', '"""Newer. ')
    (service / "app" / "newer.py").write_text("newer = True\n", "utf-8")
    commit(newer, run)

    run([*CRUFT, "update", "--skip-apply-ask"], project)
    after = files(project)
    assert [name for name in after if name.endswith((".rej", ".orig"))] == []
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"README.md", "app/__init__.py", "app/newer.py"}
    readme = after["README.md"].decode()
    assert "# My Own Service" in readme
    assert "## Remove the example" in readme
    run([*CRUFT, "check"], project)


def test_create_sets_up_and_an_update_does_not(
    newer: Path, run: Run, env: dict[str, str], tmp_path: Path
) -> None:
    calls, uv = tmp_path / "calls", tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    note = f"print('called', file=open({str(calls)!r}, 'a'))"
    # What it prints is how the set-up is verified: nothing is wrong.
    uv.write_text(f"#!{sys.executable}\n{note}\nprint('[]')\n", "utf-8")
    uv.chmod(0o755)
    path = {"PATH": f"{uv.parent}{os.pathsep}{env['PATH']}"}
    project = tmp_path / "my-service"

    said = run([*CRUFT, "create", newer, "--no-input"], tmp_path, **path)
    assert "my-service is ready" in said
    # Install; migrate, and what is beside; verify.
    assert calls.read_text("utf-8").count("called") == 4
    commit(project, run)
    secret = (project / ".env").read_bytes()
    change(newer / "{{cookiecutter.project_slug}}" / ".env.example", "LOG_LEVEL=INFO", "NEW=1")
    commit(newer, run)

    said = run([*CRUFT, "update", "--skip-apply-ask"], project, **path)
    said += run([*CRUFT, "diff"], project, **path)
    assert "uv" not in said
    assert calls.read_text("utf-8").count("called") == 4
    assert "NEW=1" in (project / ".env.example").read_text("utf-8")
    assert (project / ".env").read_bytes() == secret


def test_what_cruft_is_given_is_refused_with_its_own_command(
    newer: Path, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    run(["git", "tag", "earlier"], newer)
    bad = json.dumps({"project_slug": "../x", "description": "two\nlines", "setup": False})
    command = [*CRUFT, "create", newer, "--no-input", "--checkout", "earlier"]
    said = run([*command, "--extra-context", bad], out, status=1)
    assert not list(out.iterdir())
    assert sorted(tmp_path.iterdir()) == [newer, out]
    line = said.partition("Try:\n")[2].partition("\n")[0]
    assert "cruft create " in line
    if Path("/proc/self/cmdline").exists():
        assert "--checkout earlier" in line
    run(shlex.split(line), out)
    assert (out / "x" / ".cruft.json").is_file()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux tells a command")
def test_an_answer_to_cruft_that_no_question_has_is_told(
    newer: Path, run: Run, tmp_path: Path
) -> None:
    bad = json.dumps({"databse": "mariadb", "setup": False})
    command = [*CRUFT, "create", newer, "--no-input", "--extra-context", bad]
    said = run(command, tmp_path, status=1)
    assert "databse is no question: did you mean database?" in said
    line = said.partition("Try:\n")[2].partition("\n")[0]
    run(shlex.split(line), tmp_path)
    assert "mariadb://" in (tmp_path / "my-service" / ".env").read_text("utf-8")
