"""Read the variables for app/config.py: those of the process override those in `.env`."""

import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from dotenv import dotenv_values, find_dotenv
from dotenv.parser import parse_stream
from flask.cli import ScriptInfo
from flask.helpers import get_load_dotenv

# Flask sets this before it loads dotenv files, so in os.environ their variables come after it.
STARTED_BY_FLASK = "FLASK_RUN_FROM_CLI"
REFERENCE = re.compile(r"\$\{(?P<name>[^}:]*)(?P<default>:-[^}]*)?\}")


class Variables(dict[str, str]):
    """The values of variables by name.

    - `from_file` has the values in the dotenv file, even if the process overrides them
    - `sources` says where each variable was set
    - `problems` says what is wrong with some of them
    """

    def __init__(self, values: Mapping[str, str] = {}) -> None:
        super().__init__(values)
        self.from_file: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.problems: dict[str, str] = {}


class Recorded(Variables):
    """Variables that record the names which somebody asks for, in order. doctor.py shows them."""

    def __init__(self, variables: Variables) -> None:
        super().__init__(variables)
        self.from_file, self.sources = variables.from_file, variables.sources
        self.problems = variables.problems
        self.names: dict[str, None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        self.names[name] = None
        return super().get(name, default)


def read_variables(file: Path, given: Mapping[str, str]) -> Variables:
    """Return the variables in `given`, of the process and in a dotenv file, in this precedence.

    Raises ValueError, which says what to do, for a file that cannot be read.
    """
    take_back_what_flask_loaded(file)
    variables = Variables({**os.environ, **given})
    variables.sources = dict.fromkeys(variables, "the environment of this process")
    for name, text in read_file(file):
        variables.from_file[name] = text
        if variables.sources.get(name, file.name) == file.name:  # later lines replace earlier ones
            variables.sources[name] = file.name
            variables.problems.pop(name, None)
            variables[name] = expand(name, text, variables)
    return variables


def expand(name: str, text: str, variables: Variables) -> str:
    """Return a text with `${NAME}` and `${NAME:-default}` replaced by the values of `variables`.

    If one is not set or empty and has no default, note a problem of the variable `name`.
    Otherwise, a password with `${` in it would silently lose its end.
    """

    def replace(match: re.Match[str]) -> str:
        found = variables.get(match["name"], "")
        if not found and match["default"] is None:
            variables.problems[name] = (
                f"refers to {match[0]}, which is not set or empty: set {match['name']}, or write "
                f"{match[0][:-1]}:-}} if it may be empty. If an address contains these characters "
                "themselves, write %24 in place of the dollar sign"
            )
        return found or (match["default"] or "")[2:]

    return REFERENCE.sub(replace, text)


def read_file(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and texts in a dotenv file, in their order; nothing if there is no file.

    Raises ValueError, which says what to do, for a file or a line that cannot be read.
    """
    try:
        text = decode(file, file.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(
            f"{file} cannot be read ({error.strerror}): make it a file that this user may read"
        ) from None
    # dotenv_values() logs a warning for a line that it cannot parse, and ignores the line. Only the
    # parser, which is not public, reports such a line.
    for statement in parse_stream(StringIO(text)):
        if statement.error:
            raise ValueError(
                f"{file}, line {statement.original.line}, cannot be read: write NAME=value, and "
                "close each quotation mark"
            )
        if statement.key is not None and statement.value is not None:
            yield statement.key, statement.value


def decode(file: Path, data: bytes) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark.

    Raises ValueError, which names a guess, for another encoding.
    """
    encoding = "cp1252"
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        try:
            return data.removeprefix(BOM_UTF8).decode("utf-8")
        except UnicodeDecodeError:
            pass  # refused below
    raise ValueError(
        f"{file} is not in UTF-8, but perhaps in {encoding}: save it as UTF-8, in an editor or by "
        f'python -c "from pathlib import Path; p = Path({str(file)!r}); '
        f"p.write_text(p.read_text('{encoding}'), 'utf-8')\""
    )


def take_back_what_flask_loaded(own: Path) -> None:
    """Remove from os.environ what `flask` loaded from dotenv files before it imported the app.

    Flask looks for `.env` and `.flaskenv` in the working folder and all folders above it. Without
    this function, a file of another project could choose the database, and only for commands that
    begin with `flask`. Variables named FLASK_... stay, because they are for Flask itself.

    `own` is the project's dotenv file. Raises ValueError when a variable may come from
    `flask --env-file` or from the file of another project.
    """
    context = click.get_current_context(silent=True)
    flask = context and context.find_object(ScriptInfo)
    if not (context and flask and flask.load_dotenv_defaults and get_load_dotenv()):
        return
    if STARTED_BY_FLASK not in os.environ:  # a test that invokes a command
        return
    names = list(os.environ)
    later = names[names.index(STARTED_BY_FLASK) + 1 :]
    removed = {name: os.environ.pop(name) for name in later if not name.startswith("FLASK_")}
    files = [path for name in (".flaskenv", ".env") if (path := find_dotenv(name, usecwd=True))]
    in_files: dict[str, str | None] = {}
    for path in files:
        in_files |= dotenv_values(path, encoding="utf-8")  # exactly as Flask reads it
    loaded = {name for name, value in removed.items() if in_files.get(name) == value}
    os.environ.update({name: value for name, value in removed.items() if name not in loaded})
    os.environ["FLASK_SKIP_DOTENV"] = "1"  # for the process that `flask run --debug` starts

    chosen = context.find_root().get_parameter_source("env_file")
    foreign = [path for path in files if Path(path).resolve() != own.resolve()]
    if loaded and foreign and chosen in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        raise ValueError(
            f"{', '.join(sorted(loaded))} may come from --env-file or from {foreign[-1]}, which "
            "Flask loads as well: set FLASK_SKIP_DOTENV=1 and run this again"
        )
