"""The student's project as the workshop sees it: its files, its git repository and its database.

Nothing here imports the app, because a student's error in the app must not stop the workshop.
"""

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory

from migrator.history import problem_of

ROOT = Path(__file__).resolve().parent.parent
# Of the variables that choose a database, those of the shell would come before the lines in .env.
CHOOSING = ("APP_ENV", "DATABASE_URL", "MIGRATION_DATABASE_URL", "DATABASE_ENGINE_OPTIONS")
STAGED = "refs/workshop/staged"  # the commit of the stage that was set last, in git
MODELS = """
import json
from app.db import db, import_models

import_models()
print(json.dumps({
    table.name: {
        column.name: {
            "type": str(column.type),
            "nullable": column.nullable,
            "has_default": column.server_default is not None,
        }
        for column in table.columns
    }
    for table in db.metadata.sorted_tables
}))
"""


class WorkshopError(Exception):
    """The workshop cannot go on. The message says why, and what the student can do."""


class BrokenError(WorkshopError):
    """The project cannot be read, for example because a file is no Python. It is a lab's hint."""


class Done(NamedTuple):
    """A command that ended: its exit status, and all that it printed."""

    status: int
    output: str

    @property
    def last_line(self) -> str:
        return self.output.strip().rpartition("\n")[2]


class Column(NamedTuple):
    """A column as the database has it."""

    type: str
    nullable: bool
    default: str | None


@dataclass(frozen=True)
class Database:
    """An SQLite file, and the commands of the project on it."""

    path: Path
    folder: Path  # the project's

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path.as_posix()}"

    def alembic(self, *words: str) -> Done:
        """Run Alembic on this database, whatever .env says."""
        return run_python(self.folder, "-m", "alembic", *words, **self.variables)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "APP_ENV": "development",
            "DATABASE_URL": self.url,
            "MIGRATION_DATABASE_URL": "",
            "DATABASE_ENGINE_OPTIONS": "{}",
        }

    def upgrade(self, revision: str = "head") -> None:
        """Apply the revisions up to one. Raises WorkshopError if that fails."""
        done = self.alembic("upgrade", revision)
        if done.status:
            raise WorkshopError(f"alembic upgrade {revision} failed: {done.last_line}")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the file or the table is missing."""
        if not self.path.is_file():
            return []
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such" in str(error):
                    return []
                raise

    def execute(self, statement: str, *values: object) -> str | None:
        """Run a statement and commit; return the error of the database, or None."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            try:
                connection.execute(statement, values)
                connection.commit()
            except sqlite3.Error as error:
                return str(error)
        return None

    def columns(self, table: str) -> dict[str, Column]:
        """Return the columns of a table by name; none where the table is missing."""
        found = self.rows(
            'SELECT name, type, "notnull", dflt_value FROM pragma_table_info(?)', table
        )
        return {name: Column(kind, not notnull, default) for name, kind, notnull, default in found}

    def indexes(self, table: str) -> set[str]:
        return {name for (name,) in self.rows("SELECT name FROM pragma_index_list(?)", table)}

    @property
    def current(self) -> set[str]:
        """The revisions that the database says it is at."""
        return {revision for (revision,) in self.rows("SELECT version_num FROM alembic_version")}

    @property
    def log(self) -> list[tuple[str, str]]:
        """What ran on the database, oldest first: "upgrade", "downgrade" or "stamp", revision."""
        found = self.rows("SELECT direction, revision FROM alembic_log ORDER BY id")
        return [(direction, revision) for direction, revision in found]

    def settle(self) -> None:
        """Write all of it into one file, so that a copy of that file is a copy of the database."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def delete(self) -> None:
        """Delete the file. Raises WorkshopError where another program holds it (on Windows)."""
        try:
            for suffix in ("", "-wal", "-shm", "-journal"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except PermissionError:
            raise WorkshopError(
                f"{self.path.name} is in use: stop `flask run` (Ctrl-C in its terminal), and run "
                "this again"
            ) from None

    def replace_by(self, other: Path) -> None:
        """Make this database a copy of a settled file, byte by byte."""
        self.delete()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(other, self.path)


@dataclass(frozen=True)
class Project:
    """The project in a folder. Labs set their stage and check through it."""

    folder: Path = ROOT

    # --- Files

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> str:
        """Return a file's text. Raises BrokenError where it is missing or is not UTF-8."""
        try:
            return self.path(name).read_text("utf-8")
        except FileNotFoundError:
            raise BrokenError(f"{name} is missing: git checkout -- {name} brings it back") from None
        except UnicodeDecodeError:
            raise BrokenError(f"{name} is not in UTF-8: save it in that encoding") from None

    def write(self, name: str, text: str) -> None:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text, "utf-8", newline="\n")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that is in a file once. Raises WorkshopError where it is not."""
        text = self.read(name)
        if text.count(old) != 1:
            raise WorkshopError(
                f"{name} is not as the template made it, and the labs change it: play the workshop "
                "in a project that was just rendered"
            )
        self.write(name, text.replace(old, new))

    def copy(self, folder: Path) -> None:
        """Copy the files of a lab over the project's."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                self.write(path.relative_to(folder).as_posix(), path.read_text("utf-8"))

    # --- Commands

    def run(self, *words: str, **variables: str) -> Done:
        """Run `python -m <words>` in the project, on the database that .env names."""
        return run_python(self.folder, "-m", *words, **variables)

    def run_code(self, code: str) -> Done:
        """Run a piece of Python in the project, on the database that .env names."""
        return run_python(self.folder, "-c", code)

    def git(self, *words: str) -> str:
        """Return what git printed. Raises WorkshopError where it failed."""
        done = self.try_git(*words)
        if done.status:
            raise WorkshopError(f"git {' '.join(words)} failed: {done.output.strip()}")
        return done.output.strip()

    def try_git(self, *words: str) -> Done:
        """Run git, and return its status and output."""
        return run_command(self.folder, ["git", *words], plain_environment())

    # --- The database

    @property
    def state(self) -> Path:
        """The folder of what the workshop keeps; git ignores it with all of instance/."""
        return self.folder / "instance" / "workshop"

    @property
    def database(self) -> Database:
        """The workshop's own development database."""
        return Database(self.folder / "instance" / "workshop.db", self.folder)

    @property
    def staged_file(self) -> Path:
        """A copy of the database as the lab's stage was set."""
        return self.state / "staged.db"

    @contextmanager
    def copy_of_stage(self) -> Iterator[Database]:
        """Yield a throwaway copy of the database as the stage was set, to try revisions on."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            copy = Database(Path(folder) / "copy.db", self.folder)
            copy.replace_by(self.staged_file)
            yield copy

    @contextmanager
    def release(self, commit: str = STAGED) -> Iterator[Path]:
        """Yield a folder with the code of a commit, by default the stage's, as a server runs it."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            archive = Path(name) / "release.zip"
            self.git("archive", "--format=zip", f"--output={archive}", commit)
            shutil.unpack_archive(archive, Path(name) / "release")
            yield Path(name) / "release"

    # --- Models and revisions

    def models(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the tables of the models: each column's type, nullable and has_default.

        Raises BrokenError where the models cannot be imported.
        """
        done = self.run_code(MODELS)
        if done.status:
            raise BrokenError(explain_failure(done.output, self.folder))
        models: dict[str, dict[str, dict[str, Any]]] = json.loads(done.last_line)
        return models

    def script(self) -> ScriptDirectory:
        """Return Alembic's view of the revisions. Raises BrokenError where they cannot be read."""
        found = ScriptDirectory.from_config(AlembicConfig(self.folder / "alembic.ini"))
        if problem := problem_of(found):
            raise BrokenError(f"The revisions cannot be read: {problem}")
        return found

    def revisions(self) -> list[Script]:
        """Return the revisions, oldest first."""
        return [*self.script().walk_revisions()][::-1]

    def heads(self) -> list[str]:
        return self.script().get_heads()

    def source(self, revision: Script) -> str:
        return Path(revision.path).read_text("utf-8")

    # --- What the student changed since the stage was set

    def new_revisions(self) -> list[Script]:
        """Return the revisions that were added since the stage was set, oldest first."""
        listed = self.git("ls-tree", "-r", "--name-only", STAGED, "migrations/versions")
        old = {Path(name).name for name in listed.splitlines()}
        return [script for script in self.revisions() if Path(script.path).name not in old]

    def edited_revisions(self) -> list[str]:
        """Return the names of the stage's revisions that were changed or deleted since."""
        listed = self.git("diff", "--name-only", STAGED, "--", "migrations/versions/*.py")
        here = self.git("ls-tree", "-r", "--name-only", STAGED, "migrations/versions")
        return sorted(Path(name).name for name in {*listed.splitlines()} & {*here.splitlines()})


def plain_environment() -> dict[str, str]:
    """Return the variables for commands: those of the shell, without what `flask` added to them."""
    added = ("FLASK_RUN_FROM_CLI", "FLASK_DEBUG", "WERKZEUG_RUN_MAIN", "WERKZEUG_SERVER_FD")
    kept = {name: value for name, value in os.environ.items() if name not in added}
    return {
        **kept,
        "PYTHONUTF8": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "LC_ALL": "C",
    }


def run_python(folder: Path, *words: str, **variables: str) -> Done:
    """Run this Python with words in a folder."""
    return run_command(folder, [sys.executable, *words], {**plain_environment(), **variables})


def stream_python(folder: Path, *words: str, **variables: str) -> int:
    """Run this Python with words in a folder, on this terminal; return its exit status."""
    environment = {**plain_environment(), **variables}
    process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sends it to the child, too, which ends by it
            continue


def run_command(folder: Path, command: Sequence[str], environment: dict[str, str]) -> Done:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise WorkshopError(f"{command[0]} is not installed, or is not in PATH") from None
    return Done(done.returncode, done.stdout)


def explain_failure(output: str, folder: Path) -> str:
    """Return the sentence of a traceback that helps: the last file of the project, and the "
    "error."""
    own = re.escape(str(folder / "app"))
    places = re.findall(rf'File "({own}[^"]+)", line (\d+)', output)
    last = output.strip().rpartition("\n")[2]
    if not places:
        return last
    path, line = places[-1]
    return f"{Path(path).relative_to(folder).as_posix()}, line {line}: {last}"


def functions(text: str) -> dict[str, str]:
    """Return the source of each function of a file, by name; none if the file is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
