"""What is printed for people: commands as this machine types them, and a lab's state."""

import os
import re
import shutil
import sys
from pathlib import Path

from workshop.course import Lab, Outcome
from workshop.progress import Progress
from workshop.project import ROOT


def prefix() -> str:
    """Return what a command of the project begins with here: `uv run `, or the folder of .venv."""
    if shutil.which("uv") and (ROOT / "uv.lock").is_file():  # else .venv was made without uv
        return "uv run "
    scripts = Path(sys.executable).parent
    scripts = scripts.relative_to(ROOT) if scripts.is_relative_to(ROOT) else scripts
    return f"{scripts}{os.sep}"


def for_this_machine(text: str) -> str:
    """Return a page with its commands, which are written for uv, as this machine needs them."""
    return re.sub(r"\buv run ", lambda _: prefix(), text)


def overview(labs: list[Lab], progress: Progress) -> str:
    """Return where the student is: one line for each lab, and what to type next."""
    passed = sum(progress.state(lab.name) == "passed" for lab in labs)
    lines = [f"The workshop: {passed} of {len(labs)} labs passed", ""]
    for lab in labs:
        mark = ">" if lab.name == progress.lab else " "
        state = progress.state(lab.name) or f"{lab.minutes} minutes"
        lines.append(f"{mark} {lab.number:>2}  {lab.title:<44} {state}")
    return "\n".join([*lines, "", f"Next: {next_command(labs, progress)}"])


def next_command(labs: list[Lab], progress: Progress) -> str:
    """Return what to type next."""
    flask = f"{prefix()}flask workshop"
    for lab in labs:
        if lab.name == progress.lab and progress.state(lab.name) == "started":
            return f"{flask} check {lab.number}"
    for lab in labs:
        if not progress.state(lab.name):
            return f"{flask} start {lab.number}"
    return f"{flask} leave"


def report(lab: Lab, outcome: Outcome) -> str:
    """Return what a check found, a line for each step, and the hint for the first that is wrong."""
    lines = [f"Lab {lab.number}: {lab.title}", ""]
    lines += [f"  [x] {title}" for title in outcome.done]
    if outcome.is_passed:
        return "\n".join([*lines, "", "All of it is done."])
    lines += [f"  [ ] {outcome.wrong}"]
    lines += [f"  [ ] {title}" for title in outcome.later]
    return "\n".join([*lines, "", for_this_machine(outcome.hint)])
