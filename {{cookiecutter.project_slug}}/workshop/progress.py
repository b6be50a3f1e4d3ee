"""What the student has done, in one small file that can be copied to another machine."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from workshop.project import Project, WorkshopError


@dataclass
class Record:
    """One lab: "started", "passed" or "skipped"; how many hints were read; when, in UTC."""

    state: str = ""
    hints: int = 0
    started: str = ""
    passed: str = ""


@dataclass
class Progress:
    """The records of the labs by their folders' names, and the lab that is played now."""

    lab: str = ""
    labs: dict[str, Record] = field(default_factory=dict)

    def record(self, lab: str) -> Record:
        return self.labs.setdefault(lab, Record())

    def state(self, lab: str) -> str:
        """Return "started", "passed", "skipped", or "" for a lab that has not begun."""
        return self.labs.get(lab, Record()).state

    def start(self, lab: str) -> None:
        self.lab = lab
        self.labs[lab] = Record("started", self.record(lab).hints, started=now())

    def finish(self, lab: str, state: str) -> None:
        """Note that a lab was passed or skipped; one that was passed stays so."""
        record = self.record(lab)
        if record.state != "passed":
            record.state, record.passed = state, now()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def progress_file(project: Project) -> Path:
    return project.state / "progress.json"


def read_progress(project: Project) -> Progress:
    """Return the progress, empty where there is none. Raises WorkshopError for a broken file."""
    path = progress_file(project)
    try:
        data = json.loads(path.read_text("utf-8"))
        labs = {name: Record(**record) for name, record in data["labs"].items()}
        return Progress(data["lab"], labs)
    except FileNotFoundError:
        return Progress()
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        raise WorkshopError(f"{path} cannot be read: delete it, and the labs begin again") from None


def write_progress(project: Project, progress: Progress) -> None:
    path = progress_file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(progress), indent=2) + "\n", "utf-8", newline="\n")
