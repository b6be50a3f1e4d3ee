"""`flask doctor`, or `python doctor.py`: what is wrong with this project, and what to do next.

The service is imported in the functions that look at its parts, because any part may be broken.
"""

import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig
    from alembic.script import ScriptDirectory

    from app.config import Config
    from app.variables import Recorded
    from migrator.database import Database

ROOT = Path(__file__).resolve().parent
OK, NOTE, WRONG = "ok", "note", "WRONG"
ITEM = "\n  - "  # before each problem in the message of a ConfigError


@dataclass(frozen=True)
class Finding:
    """One line of the report: OK, NOTE or WRONG, what was found, and what to do about it."""

    mark: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.mark:<7}{self.text}" + (f": {self.cure}" if self.cure else "")


def main() -> int:
    """Print what was found, and return the exit status: 0 only if nothing is wrong."""
    warnings.simplefilter("ignore")  # those of the service's code are no faults
    wrong = []
    for finding in Doctor().look():
        show(str(finding))
        if finding.mark == WRONG:
            wrong.append(finding)
    if not wrong:
        show("\nNothing is wrong. Next: flask run")
        return 0
    count = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
    show(f"\n{count} wrong. Next: {wrong[0].cure or wrong[0].text}")
    return 1


def show(text: str) -> None:
    """Print a text, even in a terminal that lacks some of its characters."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


class Doctor:
    """Looks at one part after another, and leaves out what needs a part that is broken.

    - `settings` is None unless they can work
    - `imports_models` and `has_drivers` tell whether that is so
    """

    def __init__(self) -> None:
        self.settings: Config | None = None
        self.imports_models = False
        self.has_drivers = False

    def look(self) -> Iterator[Finding]:
        """Yield each finding once, even if several parts fail for the same reason."""
        packages = [*guarded(look_at_packages)]
        yield from packages
        if any(finding.mark == WRONG for finding in packages):
            return  # nothing can be imported
        told = set()
        parts = (
            look_at_syntax,
            self.look_at_settings,
            self.look_at_models,
            self.look_at_drivers,
            self.look_at_service,
            look_at_revisions,
            self.look_at_databases,
        )
        for part in parts:
            for finding in guarded(part):
                if finding not in told:
                    yield finding
                told.add(finding)

    def look_at_settings(self) -> Iterator[Finding]:
        """Say which settings the service reads, and where each one was set."""
        from app.config import ENVIRONMENTS, ConfigError, environment_name, load_variables
        from app.variables import Recorded

        variables = Recorded(load_variables())
        values, refused = {}, []
        try:
            values["APP_ENV"] = environment_name(variables)
            self.settings = ENVIRONMENTS[values["APP_ENV"]](variables)
            values |= shown_values(self.settings)
        except ConfigError as error:
            for finding in findings_of(error):
                refused.append(finding.text.partition(" ")[0])
                yield finding
        for name in variables.names:
            if name not in refused:
                state = f"is {values[name]}" if values.get(name) else state_of(name, variables)
                yield Finding(OK, f"{name} {state} [{source_of(name, variables)}]")
        for name in sorted(variables.from_file.keys() - variables.names):
            for similar in get_close_matches(name, variables.names, n=1, cutoff=0.8):
                yield Finding(NOTE, f"{name}, set in .env, is not read. Is it {similar}?")

    def look_at_models(self) -> Iterator[Finding]:
        """Import the models, and look for those that no revision would see."""
        from app.db import db, import_models, unseen

        import_models()
        self.imports_models = True
        tables = sum(len(metadata.tables) for metadata in db.metadatas.values())
        yield Finding(OK, f"the models can be imported, and have {count(tables, 'table')}")
        for sentence in unseen():
            yield Finding(WRONG, sentence)

    def look_at_drivers(self) -> Iterator[Finding]:
        """Look for the driver of each database."""
        from app.config import prefix
        from app.driver import missing_driver

        if self.settings is None:
            return
        found = {bind: missing_driver(url) for bind, (url, _) in self.settings.databases.items()}
        self.has_drivers = not any(found.values())
        for bind, missing in found.items():
            driver = self.settings.databases[bind][0].get_driver_name()
            said = missing or f"has its driver, {driver}"
            yield Finding(WRONG if missing else OK, f"{prefix(bind)}DATABASE_URL {said}")

    def look_at_service(self) -> Iterator[Finding]:
        """Import the views, and make the app if the settings allow that."""
        if not self.imports_models:
            return  # a broken model fails in another way when it is imported again
        from app import blueprint_of, create_app
        from app.db import import_all

        for views in import_all("views"):
            blueprint_of(views)
        if self.settings and self.has_drivers:
            routes = len([*create_app(self.settings).url_map.iter_rules()])
            yield Finding(OK, f"the app can be created, and has {count(routes, 'route')}")

    def look_at_databases(self) -> Iterator[Finding]:
        """Look at each database, if its address and its driver are there."""
        if self.settings and self.has_drivers:
            for bind in self.settings.databases:
                yield from guarded(partial(self.look_at_database, self.settings, bind))

    def look_at_database(self, settings: "Config", bind: str | None) -> Iterator[Finding]:
        """Connect to a database, and compare it with the code's revisions."""
        from app.config import prefix
        from migrator.database import database

        places = {f"{prefix(bind)}DATABASE_URL": settings.database(bind)}
        places[settings.migration_variable(bind)] = settings.migration_database(bind)
        current: tuple[str, ...] = ()
        for variable, (url, options) in places.items():
            where = database(url, options)
            if where.is_made_by_connecting():
                yield Finding(WRONG, f"{where} is not there yet", f"{alembic(bind)} upgrade head")
                return
            try:
                current = revisions_in(where)
            except Exception as error:  # a driver raises more than SQLAlchemy's errors
                problem, _, cure = where.unreachable(error, variable).partition("\n")
                yield Finding(WRONG, problem, cure)
                return
            yield Finding(OK, f"{where} answers [{variable}]")
        yield from compare_revisions(bind, current, settings.STRICT)
        # Looking for drift makes a database for a moment, which nobody expects in production.
        if self.imports_models and not settings.STRICT and is_known(bind, current):
            yield from look_for_drift(bind)


def look_at_packages() -> Iterator[Finding]:
    """Look for the packages that pyproject.toml names."""
    import tomllib  # here, because a Python that is too old lacks it

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [re.split(r"[^\w.-]", each)[0] for each in project["dependencies"] if ";" not in each]
    missing = [name for name in names if not [*metadata.distributions(name=name)]]
    python = f"Python {sys.version.partition(' ')[0]} ({sys.executable})"
    if missing:
        cure = "uv sync, or .venv/bin/pip install -e . --group dev"
        yield Finding(WRONG, f"{python} lacks {', '.join(missing)}", cure)
    else:
        yield Finding(OK, f"{python} has the packages of pyproject.toml")


def look_at_syntax() -> Iterator[Finding]:
    """Look for files that are no Python. Revisions are looked at later."""
    for path in sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("migrations/*.py")]):
        yield from guarded(partial(compile_file, path))


def compile_file(path: Path) -> Iterator[Finding]:
    compile(path.read_bytes(), path, "exec", dont_inherit=True)
    yield from ()


def look_at_revisions() -> Iterator[Finding]:
    """Look at the revisions of each database: can they be read, and do they have one end?"""
    from app.config import BINDS

    for bind in (None, *BINDS):
        yield from guarded(partial(look_at_history, bind))


def look_at_history(bind: str | None) -> Iterator[Finding]:
    from migrator.history import problem_of
    from migrator.steps import TODO

    script = script_directory(bind)
    if problem := problem_of(script):
        yield Finding(WRONG, problem)
        return
    heads = script.get_heads()
    if len(heads) == 1:
        yield Finding(OK, f"{bind or 'main'}: the newest revision in the code is {heads[0]}")
    elif heads:
        cure = f"{alembic(bind)} merge heads -m Merge"
        yield Finding(WRONG, f"{bind or 'main'} has several heads, {', '.join(heads)}", cure)
    for revision in script.walk_revisions():
        path = Path(revision.path)
        if TODO.search(path.read_text("utf-8")):
            cure = "decide it, change the revision, and delete the comment"
            yield Finding(WRONG, f"{path.name} has a TODO", cure)


def compare_revisions(
    bind: str | None, current: tuple[str, ...], is_strict: bool
) -> Iterator[Finding]:
    """Say what the revision of a database means to this code."""
    from migrator.history import problem_of
    from migrator.status import compare

    script = script_directory(bind)
    if problem_of(script):
        return
    at = f"{bind or 'main'}: the database is at {', '.join(current) or 'no revision'}"
    status = compare(current, script, alembic(bind))
    # During a deployment, the release before meets the newer schema.
    if status.status == "ready" or (status.status == "ahead" and is_strict):
        yield Finding(OK, at, status.reason)
    elif len(script.get_heads()) > 1:
        yield Finding(NOTE, at)  # that there are several heads has been said
    else:
        yield Finding(WRONG, at, status.reason)


def is_known(bind: str | None, current: tuple[str, ...]) -> bool:
    """Tell whether the code has the revisions of a database, and can read its own."""
    from migrator.history import problem_of

    script = script_directory(bind)
    return not problem_of(script) and {*current} <= {
        revision.revision for revision in script.walk_revisions()
    }


def look_for_drift(bind: str | None) -> Iterator[Finding]:
    """Say whether somebody changed a database by hand."""
    from migrator import ScratchRefusedError
    from migrator.review.drift import find_drift

    name = bind or "main"
    try:
        _, found = find_drift(alembic_config(bind))
    except ScratchRefusedError as error:
        reason = str(error).partition("\n")[0]
        yield Finding(NOTE, f"{name}: changes by hand were not looked for", reason)
        return
    if found:
        example = " ".join(str(found[0]).split())
        text = f"{name}: {count(len(found), 'difference')} from what the revisions make: {example}"
        cure = "undo it by hand, or write a revision that does it. flask db drift lists all"
        yield Finding(WRONG, text, cure)
    else:
        yield Finding(OK, f"{name}: the database is what its revisions make")


def guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a function finds; if it fails, the error is what was found."""
    try:
        yield from look()
    except (Exception, SystemExit) as error:  # whatever broken code raises
        yield from findings_of(error)


def findings_of(error: BaseException) -> Iterator[Finding]:
    """Yield the lines that say what an error is about, and in which file it was raised."""
    said = getattr(error, "message", None) or getattr(error, "msg", None)  # msg: without the place
    message = str(said or error)
    first, *problems = message.split(ITEM)
    for problem in problems or [first]:
        yield Finding(WRONG, place_of(error) + " ".join(problem.split()))


def place_of(error: BaseException) -> str:
    """Return the file, the line and the error that broken code raised, or "" for a message."""
    import click  # here, because it may be missing
    from alembic.util import CommandError

    if isinstance(error, click.ClickException | CommandError):
        return ""
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(Path(error.filename))}, line {error.lineno}: {name}: "
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path != Path(__file__) and path.is_relative_to(ROOT) and ".venv" not in path.parts:
            return f"{shown_path(path)}, line {frame.lineno}: {name}: "
    return f"{name}: "


def shown_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def shown_values(settings: "Config") -> dict[str, str]:
    """Return the values that hold no secret, and the addresses of databases without passwords."""
    from app.config import prefix
    from app.url import describe

    found = {"LOG_LEVEL": settings.LOG_LEVEL, "RELEASE": settings.RELEASE}
    for bind in settings.databases:
        login, _ = settings.migration_database(bind)
        found[settings.migration_variable(bind)] = describe(login)
        service, _ = settings.database(bind)
        found[f"{prefix(bind)}DATABASE_URL"] = describe(service)
    return found


def state_of(name: str, variables: "Recorded") -> str:
    if variables.get(name):
        return "is set"
    return "is empty" if name in variables else "is not set"


def source_of(name: str, variables: "Recorded") -> str:
    """Return where a variable was set, and whether that hides another value."""
    source = variables.sources.get(name, "the default")
    hides = variables.from_file.get(name, variables.get(name)) != variables.get(name)
    return f"{source}, which comes before .env" if hides and source != ".env" else source


def alembic(bind: str | None) -> str:
    """Return what begins a command of Alembic for a database."""
    return f"alembic -n {bind}" if bind else "alembic"


def alembic_config(bind: str | None) -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig(str(ROOT / "alembic.ini"), ini_section=bind or "alembic")
    config.attributes["announce"] = False  # migrations/env.py prints no address
    return config


def script_directory(bind: str | None) -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config(bind))


def revisions_in(where: "Database") -> tuple[str, ...]:
    """Connect to a database, and return the revisions that it is at."""
    from alembic.runtime.migration import MigrationContext

    with where.engine().connect() as connection:
        return MigrationContext.configure(connection).get_current_heads()


def count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


if __name__ == "__main__":
    sys.exit(main())
