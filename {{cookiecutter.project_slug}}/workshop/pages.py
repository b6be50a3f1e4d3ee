"""The pages at /workshop, in development only: all labs with your progress, and each lab."""

from pathlib import Path

from flask import abort, render_template_string, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from workshop.course import Lab, find_lab, labs
from workshop.markdown import to_html
from workshop.progress import Progress, read_progress
from workshop.project import Project, WorkshopError
from workshop.words import for_this_machine, next_command, prefix

TEMPLATE = Path(__file__).parent / "page.html"


def index() -> str:
    """Show all labs, and where you are."""
    return render(None, find_progress())


def page(number: int) -> ResponseReturnValue:
    """Show one lab."""
    try:
        lab = find_lab(number)
    except WorkshopError as error:
        abort(404, str(error))
    return render(lab, find_progress())


def find_progress() -> Progress:
    try:
        return read_progress(Project())
    except WorkshopError:  # the command says what is wrong with the file
        return Progress()


def render(lab: Lab | None, progress: Progress) -> str:
    """Return the page of a lab, or of all."""
    all_labs = labs()
    is_over = lab is not None and progress.state(lab.name) in ("passed", "skipped")
    # No folder of templates, because only a blueprint can have one, and this has none.
    return render_template_string(
        TEMPLATE.read_text("utf-8"),
        labs=all_labs,
        lab=lab,
        progress=progress,
        address=lambda number: url_for("workshop_lab", number=number),
        text=html(lab.text.partition("\n")[2]) if lab else "",
        hints=[html(hint) for hint in lab.hints] if lab else [],
        solution=html(lab.solution) if lab and is_over else "",
        next=next_command(all_labs, progress),
        run=prefix(),
    )


def html(text: str) -> Markup:
    """Return Markdown of a lab's file as HTML; it is the course's own text, and no input."""
    return Markup(to_html(for_this_machine(text)))  # noqa: S704
