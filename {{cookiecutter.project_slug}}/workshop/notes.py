"""What the stages of several labs have in common: they change the example, `app/notes/`."""

from workshop.project import Project, WorkshopError

MODELS = "app/notes/models.py"
LAST_COLUMN = "    created_at: Mapped[datetime]"
FIRST = "20261122090000_3632c1f107b5"  # the revision that creates the table
TITLES = ("Buy milk", "Call the bank", "Water the plants")


def add_column(project: Project, line: str) -> None:
    """Add a column to the model `Note`."""
    project.edit(MODELS, LAST_COLUMN, f"    {line}\n{LAST_COLUMN}")


def add_notes(project: Project, **values: tuple[str, ...]) -> None:
    """Insert three notes into the table as it is now, with the values of further columns."""
    names = ", ".join(["title", "body", "created_at", *values])
    marks = ", ".join("?" for _ in range(3 + len(values)))
    for position, title in enumerate(TITLES):
        row = [
            title,
            "",
            "2026-11-23 09:00:00.000000",
            *(each[position] for each in values.values()),
        ]
        statement = f"INSERT INTO note ({names}) VALUES ({marks})"  # noqa: S608 (names of a lab's)
        if problem := project.database.execute(statement, *row):
            raise WorkshopError(f"The notes of this lab cannot be written: {problem}")


def draw(project: Project) -> None:
    """Draw the picture of the revisions, as a new revision would have."""
    done = project.run("flask", "db", "draw")
    if done.status:
        raise WorkshopError(f"flask db draw failed: {done.last_line}")
