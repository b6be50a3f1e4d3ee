"""A student who plays the labs of the workshop: what the tests of the labs share."""

import re
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pages import Step, change, replace_functions, steps
from workshop.course import find_lab
from workshop.project import Project
from workshop.stage import read_stage, reset

CHOOSING = ("APP_ENV", "DATABASE_URL", "MIGRATION_DATABASE_URL", "DATABASE_ENGINE_OPTIONS")


@dataclass(frozen=True)
class Student:
    """Somebody in a terminal, in a project with the workshop."""

    folder: Path
    env: Mapping[str, str]

    def type(self, command: str, **variables: str) -> tuple[int, str]:
        """Type a command as a page prints it; return its exit status and all that it printed.

        `uv run` is left out, because the tests have an environment already.
        """
        environment = {name: text for name, text in self.env.items() if name not in CHOOSING}
        compiled = {"PYTHONPYCACHEPREFIX": str(Path(self.env["HOME"]) / "pycache")}
        done = subprocess.run(
            ["sh", "-ec", command.replace("uv run ", "")],
            cwd=self.folder,
            env={**environment, **compiled, "PYTHONUTF8": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return done.returncode, done.stdout

    def must(self, command: str) -> str:
        """Type a command that succeeds; return what it printed."""
        status, output = self.type(command)
        assert status == 0, f"{command}\n{output}"
        return output

    def workshop(self, words: str) -> str:
        """Run `flask workshop …`, which succeeds."""
        return self.must(f"uv run flask workshop {words}")

    def begin(self, lab: int) -> None:
        """Set the stage of a lab, again where it is set already.

        That is done in this process, because it is done often and starts no Python.
        """
        project, found = Project(self.folder), find_lab(lab)
        stage = read_stage(project)
        if stage is None or stage.lab != found.name:
            self.workshop(f"start {lab}")
        for _ in reset(project, found):
            pass

    def refused(self, lab: int) -> str:
        """Have a lab checked that is not done; return the hint for what is wrong."""
        status, output = self.type(f"uv run flask workshop check {lab}")
        assert status == 1, output
        assert "Traceback" not in output
        return output.rpartition("[ ] ")[2].partition("\n\n")[2]

    def page(self, lab: int, name: str = "lab.md") -> str:
        (found,) = (self.folder / "workshop/labs").glob(f"lab{lab:02d}_*/{name}")
        return found.read_text("utf-8")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, "utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert text.count(old) == 1, f"{name} has not, or more than once:\n{old}"
        self.write(name, text.replace(old, new))

    def newest(self) -> Path:
        """Return the revision that was written last."""
        found = (self.folder / "migrations/versions").glob("*.py")
        return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def sql(self, statement: str) -> None:
        """Change the database by hand."""
        with closing(sqlite3.connect(self.folder / "instance/workshop.db")) as connection:
            connection.execute(statement)
            connection.commit()

    def play(self, text: str) -> None:
        """Do what a page says: each command is run, and its output is what the page shows."""
        output = ""
        for step in steps(text):
            if step.language == "sh":
                output = self.run_block(step, shows_output(step, text))
            elif step.language == "text":
                assert matches(step.text, output), f"{step.text}\nis not in\n{output}"
            elif step.language == "diff":
                change(self.folder / step.path, step.text)
            elif step.language == "python":
                path = self.folder / step.path
                replace_functions(self.newest() if path.is_dir() else path, step.text.rstrip())
            else:
                raise AssertionError(step.language)

    def run_block(self, step: Step, may_fail: bool) -> str:
        """Run the commands of a block. One whose output is shown may fail: the page shows how."""
        if may_fail:
            return self.type(step.text)[1]
        return self.must(step.text)

    def snapshot(self) -> dict[str, bytes | str]:
        """Return all that `reset` restores: files, the database, .env, the branch and its "
        "commit."""
        listed = self.must("git ls-files --cached --others --exclude-standard").splitlines()
        files: dict[str, bytes | str] = {
            name: (self.folder / name).read_bytes()
            for name in [*listed, ".env"]
            if (self.folder / name).is_file()
        }
        databases = sorted((self.folder / "instance").glob("*.db*"))
        files |= {path.name: path.read_bytes() for path in databases}
        form = "--format='%(refname) %(objectname)'"
        refs = self.must(f"git for-each-ref {form} refs/heads").splitlines()
        kept = [ref for ref in refs if "-attempt-" not in ref]
        return {**files, "HEAD": self.must("git symbolic-ref HEAD"), "refs": "\n".join(kept)}


def shows_output(step: Step, text: str) -> bool:
    """Tell whether a block of output follows a block of commands."""
    after = text.partition(f"```sh\n{step.text}```\n")[2]
    return after.lstrip("\n").startswith("```text")


def matches(wanted: str, output: str) -> bool:
    """Tell whether the lines of a page are in an output, in their order; … is any text."""
    pattern = r".*\n(?:.*\n)*?".join(
        ".*".join(map(re.escape, line.split("…"))) for line in wanted.strip("\n").splitlines()
    )
    return re.search(pattern, output) is not None
