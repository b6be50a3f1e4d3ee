"""`flask workshop`: where you are, and what to do with a lab."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import click

from workshop import doctor as doctor_of
from workshop import stage
from workshop.course import Lab, find_lab, labs
from workshop.progress import Progress, read_progress, write_progress
from workshop.project import STAGED, Project, WorkshopError, plain_environment, stream_python
from workshop.requests import send
from workshop.words import for_this_machine, next_command, overview, prefix, report

PAUSE = 1.0  # seconds between two looks of `check --watch`


def explained(function: Callable[..., None]) -> Callable[..., None]:
    """Turn a WorkshopError into one line on the terminal, and exit status 1."""

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except WorkshopError as error:
            raise click.ClickException(for_this_machine(str(error))) from None

    return wrapper


@click.group(invoke_without_command=True)
@click.pass_context
@explained
def workshop(context: click.Context) -> None:
    """Learn migrations by doing: labs with a checker."""
    if context.invoked_subcommand is None:
        click.echo(overview(labs(), read_progress(Project())))


@workshop.command()
@explained
def status() -> None:
    """Show where you are, in one line that names nobody."""
    progress = read_progress(Project())
    states = [(lab, progress.state(lab.name)) for lab in labs()]
    words = [f"{lab.number} {state}" for lab, state in states if state]
    click.echo(", ".join(words) or "nothing started")


@workshop.command()
@explained
def doctor() -> None:
    """Tell whether this laptop is ready: one line, and the exit status."""
    found = [*doctor_of.findings(Project())]
    problems = [finding.problem for finding in found if finding.problem]
    for problem in problems:
        click.secho(for_this_machine(problem), fg="red")
    if problems:
        raise click.ClickException("This laptop is not ready. Fix that, and run it again.")
    names = ", ".join(finding.about for finding in found)
    click.secho(f"This laptop is ready: {names}.", fg="green")


@workshop.command()
@click.argument("number", type=int)
@explained
def start(number: int) -> None:
    """Set the stage of a lab."""
    project, lab = Project(), find_lab(number)
    progress = read_progress(project)
    if lab.has_stage:
        tell(stage.start(project, lab))
    progress.start(lab.name)
    write_progress(project, progress)
    click.echo(f"Lab {lab.number}, {lab.title}, is ready. Read it:")
    click.echo(
        f"  {prefix()}flask workshop show, or {lab.folder.relative_to(project.folder)}/lab.md"
    )
    click.echo(f"  in a browser: {prefix()}flask workshop serve, then /workshop/{lab.number}")


@workshop.command()
@click.argument("number", type=int, required=False)
@explained
def show(number: int | None) -> None:
    """Print the page of a lab."""
    lab = chosen(number, read_progress(Project()))
    click.echo(for_this_machine(lab.text))


@workshop.command()
@click.argument("number", type=int, required=False)
@click.option("--watch", is_flag=True, help="Look again whenever a file or the database changes.")
@explained
def check(number: int | None, watch: bool) -> None:
    """Tell what is done, and what is not, by looking at the project."""
    project = Project()
    progress = read_progress(project)
    lab = chosen(number, progress)
    if watch:
        watch_lab(project, lab)
        return
    require_stage(project, lab, progress)
    outcome = lab.check(project)
    click.echo(report(lab, outcome))
    if not outcome.is_passed:
        sys.exit(1)
    progress.finish(lab.name, "passed")
    write_progress(project, progress)
    click.secho(f"Lab {lab.number} is passed. The solution, to compare with yours:", fg="green")
    click.echo(f"  {prefix()}flask workshop solution {lab.number}")
    click.echo(f"Next: {next_command(labs(), progress)}")


@workshop.command()
@click.argument("number", type=int, required=False)
@explained
def hint(number: int | None) -> None:
    """Give a hint. Each of the three is more direct than the one before."""
    project = Project()
    progress = read_progress(project)
    lab = chosen(number, progress)
    record, hints = progress.record(lab.name), lab.hints
    record.hints = min(record.hints + 1, len(hints))
    write_progress(project, progress)
    click.echo(f"Hint {record.hints} of {len(hints)}:")
    click.echo(for_this_machine(hints[record.hints - 1]))


@workshop.command()
@click.argument("number", type=int, required=False)
@explained
def solution(number: int | None) -> None:
    """Show the solution of a lab that is passed or skipped."""
    progress = read_progress(Project())
    lab = chosen(number, progress)
    if progress.state(lab.name) not in ("passed", "skipped"):
        raise WorkshopError(
            f"Lab {lab.number} is not passed yet. `uv run flask workshop hint {lab.number}` helps; "
            f"`uv run flask workshop skip {lab.number}` gives it up"
        )
    click.echo(for_this_machine(lab.solution))


@workshop.command()
@click.argument("number", type=int, required=False)
@click.option("--all", "everything", is_flag=True, help="Take back all that the workshop made.")
@explained
def reset(number: int | None, everything: bool) -> None:
    """Set the stage of a lab again, as it was, or take back the whole workshop."""
    project = Project()
    if everything:
        tell(stage.forget(project))
        click.echo("The workshop is as if it had not begun.")
        return
    progress = read_progress(project)
    lab = chosen(number, progress)
    if lab.has_stage:
        tell(stage.reset(project, lab))
    progress.start(lab.name)
    write_progress(project, progress)
    click.echo(
        f"Lab {lab.number} is as it was when it began. Restart `flask run` if it is running."
    )


@workshop.command()
@click.argument("number", type=int, required=False)
@explained
def skip(number: int | None) -> None:
    """Go on without a lab; its solution can be read then."""
    project = Project()
    progress = read_progress(project)
    lab = chosen(number, progress)
    progress.finish(lab.name, "skipped")
    write_progress(project, progress)
    click.echo(f"Lab {lab.number} is {progress.state(lab.name)}.")
    click.echo(f"Next: {next_command(labs(), progress)}")


@workshop.command()
@explained
def leave() -> None:
    """Go back to your own branch, database and uncommitted changes; the progress stays."""
    tell(stage.leave(Project()))
    click.echo("You are back where you were before the workshop.")


@workshop.command()
@explained
def serve() -> None:
    """Run `flask run --debug` on port 5000, or on the next one that is free."""
    port = doctor_of.free_port()
    if port is None:
        raise WorkshopError(doctor_of.find_port().problem)
    click.echo(f"The labs: http://localhost:{port}/workshop")
    sys.exit(stream_python(Project().folder, "-m", "flask", "run", "--debug", "--port", str(port)))


@workshop.command()
@click.option(
    "--number", default=0, help="How often to write and read; 0, the default, has no end."
)
@click.option("--release", default=STAGED, help="A branch; the default is the lab's stage.")
@explained
def requests(number: int, release: str) -> None:
    """Send requests to the release before, on your database, until Ctrl-C."""
    project = Project()
    if stage.read_stage(project) is None:
        raise WorkshopError("No lab is started, so there is no release before")
    sys.exit(send(project, number, release))


def chosen(number: int | None, progress: Progress) -> Lab:
    """Return the lab of a number, or the one that is played now."""
    if number is not None:
        return find_lab(number)
    for lab in labs():
        if lab.name == progress.lab:
            return lab
    raise WorkshopError("No lab is started. `uv run flask workshop start 1` starts the first")


def require_stage(project: Project, lab: Lab, progress: Progress) -> None:
    """Raise WorkshopError where another lab's stage, or none, is set."""
    if not lab.has_stage:
        return
    found = stage.read_stage(project)
    if found is None or found.lab != lab.name or not progress.state(lab.name):
        raise WorkshopError(
            f"Lab {lab.number} is not what the project is set to now: `uv run flask workshop start "
            f"{lab.number}` begins it"
        )


def tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(for_this_machine(line))


def watch_lab(project: Project, lab: Lab) -> None:
    """Check a lab again and again, in a process each, until it is passed."""
    command = [sys.executable, "-m", "workshop", "check", str(lab.number)]
    seen = None
    while True:
        found = [*changes(project)]
        if found != seen:
            seen = found
            click.clear()
            done = subprocess.run(command, cwd=project.folder, env=plain_environment())
            if done.returncode == 0:
                return
            click.echo("\nLooking again when something changes. Ctrl-C ends this.")
        time.sleep(PAUSE)


def changes(project: Project) -> Iterator[tuple[str, int]]:
    """Yield what differs when a check may find something else: files, the database and git."""
    places = [project.folder / name for name in ("app", "migrations", "tests")]
    files = [path for place in places for path in sorted(place.rglob("*.py"))]
    files += sorted(project.database.path.parent.glob(f"{project.database.path.name}*"))
    files += [project.folder / ".git" / name for name in ("HEAD", "index")]
    for path in files:
        if path.is_file():
            yield str(path), path.stat().st_mtime_ns
