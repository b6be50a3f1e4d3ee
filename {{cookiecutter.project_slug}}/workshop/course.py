"""The labs: each folder in labs/ is one, found by being there.

    labs/lab03_rename/
        lab.md        the page: what it is about, commands with their output, the task
        hints.md      three hints, each more direct than the one before, with a line `---` between
        solution.md   shown when the lab is passed, or skipped
        lab.py        MINUTES, stage(project) and STEPS
        files/        optional: what stage() copies over the project

The number in the folder's name is the lab's. INSTRUCTOR.md has an example.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from workshop.project import BrokenError, Project, WorkshopError

LABS = Path(__file__).parent / "labs"
NAME = re.compile(r"lab(\d+)_\w+")
# What a step needs, and a function that returns None where it is done, else the hint for what is
# wrong. A step is only asked when those before it are done.
Step = tuple[str, Callable[[Project], str | None]]


@dataclass(frozen=True)
class Outcome:
    """What a check found: the steps that are done, the first that is not, and those after it."""

    done: list[str]
    wrong: str = ""
    hint: str = ""
    later: Sequence[str] = ()

    @property
    def is_passed(self) -> bool:
        return not self.wrong


@dataclass(frozen=True)
class Lab:
    """A lab in its folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def number(self) -> int:
        match = NAME.fullmatch(self.name)
        return int(match[1]) if match else -1

    @property
    def branch(self) -> str:
        """The git branch that the lab is played on; its other branches begin like this, and -."""
        return f"lab{self.number}"

    @cached_property
    def text(self) -> str:
        return (self.folder / "lab.md").read_text("utf-8")

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def hints(self) -> list[str]:
        text = (self.folder / "hints.md").read_text("utf-8")
        return [hint.strip() for hint in re.split(r"(?m)^---$", text)]

    @property
    def solution(self) -> str:
        return (self.folder / "solution.md").read_text("utf-8")

    @property
    def minutes(self) -> int:
        """How long the lab takes, as planned."""
        minutes: int = import_module(f"workshop.labs.{self.name}.lab").MINUTES
        return minutes

    @property
    def has_stage(self) -> bool:
        """Tell whether the lab is played on a branch, with a database, that `start` prepares."""
        return hasattr(import_module(f"workshop.labs.{self.name}.lab"), "stage")

    def stage(self, project: Project) -> None:
        """Change the files and the database of a project to what the lab begins with."""
        import_module(f"workshop.labs.{self.name}.lab").stage(project)

    def clean(self, project: Project) -> str | None:
        """Take away what a student made outside the project; return what is left, if anything."""
        module = import_module(f"workshop.labs.{self.name}.lab")
        return module.clean(project) if hasattr(module, "clean") else None

    def check(self, project: Project) -> Outcome:
        """Look at the project, and tell which steps are done."""
        steps: Sequence[Step] = import_module(f"workshop.labs.{self.name}.lab").STEPS
        done: list[str] = []
        for position, (title, find_problem) in enumerate(steps):
            try:
                hint = find_problem(project)
            except BrokenError as error:
                hint = str(error)
            if hint:
                return Outcome(done, title, hint, [title for title, _ in steps[position + 1 :]])
            done.append(title)
        return Outcome(done)


def labs() -> list[Lab]:
    """Return the labs in the order of their numbers."""
    found = [Lab(path.parent) for path in LABS.glob("*/lab.md") if NAME.fullmatch(path.parent.name)]
    return sorted(found, key=lambda lab: lab.number)


def find_lab(number: int) -> Lab:
    """Return the lab of a number. Raises WorkshopError where there is none."""
    for lab in labs():
        if lab.number == number:
            return lab
    numbers = ", ".join(str(lab.number) for lab in labs())
    raise WorkshopError(f"There is no lab {number}. There are {numbers}.")
