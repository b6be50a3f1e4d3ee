"""What is wrong with models: what SQLAlchemy says, where it is, and what to write instead."""

import ast
import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, configure_mappers

from app.config import ConfigError

LIBRARIES = ("sqlalchemy", "flask_sqlalchemy")
MACHINERY = ("db.py", "faulty.py")  # these import models, and have none
UNNAMED = "requires that constraint is explicitly named"
# How SQLAlchemy names a model, or a table, with what is wrong in it.
ABOUT = re.compile(
    r"relationship '?(\w+)\.|column '(?:\w+\.)?(\w+)\.\w+'|on table '(\w+)'|Mapper\[(\w+)\("
)
# What to do, by a part of what SQLAlchemy says; it gives advice itself in many other cases.
CURES = {
    "could not find table": "Correct the name of the table, or write its model",
    "has no column named": "Correct the name of the column: it is 'table.column'",
    "no column named": "Correct the name of the column",
    "is already defined": "Two models have that table: give one of them another __tablename__",
    "any primary key columns": "Give it one: id: Mapped[int] = mapped_column(primary_key=True)",
    "failed to locate a name": "Correct the name of the class, or write that model",
    "has no property": "Write the other end of the relationship, or take back_populates out",
    "Additional arguments should be named": "Correct the name of the argument",
}
WARNED = (
    "This is a warning, and filterwarnings in pyproject.toml has made an error of it. Correct the "
    'model, or add "{}" there'
)


class Place(NamedTuple):
    """Where a model is: `node` is its class, or the statement that makes its table."""

    path: Path
    line: int
    node: ast.stmt | None


@contextmanager
def faults_explained(
    folder: Path, base: type[DeclarativeBase], unseen: Callable[[], Sequence[str]]
) -> Iterator[None]:
    """Raise ConfigError for whatever SQLAlchemy raises in this block about a model.

    The models are below `folder`, and `base` is what they derive from. `unseen` returns a sentence
    for each file whose models nobody imports: what is missing may be there.
    """
    try:
        yield
    except Exception as error:
        *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
        if innermost.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES:
            raise  # it is a mistake of Python, and its traceback says where
        raise ConfigError(explained(error, folder, base, unseen)) from None


def complete_models(metadatas: Sequence[sa.MetaData]) -> None:
    """Have SQLAlchemy look at relationships and foreign keys now, not at the first query.

    Raises what SQLAlchemy raises for one that cannot be.
    """
    configure_mappers()
    for metadata in metadatas:
        for table in metadata.tables.values():
            for key in table.foreign_keys:
                _ = key.column  # this looks for it


def explained(
    error: Exception,
    folder: Path,
    base: type[DeclarativeBase],
    unseen: Callable[[], Sequence[str]],
) -> str:
    """Return what is wrong, with the place and the cure where they are known."""
    text = " ".join(str(error.args[0] if error.args else error).split())
    place = place_in_traceback(error, folder) or place_of_model(text, base)
    cure = next((CURES[part] for part in CURES if part in text), "")
    if isinstance(error, Warning):
        cure = WARNED.format(f"ignore::{type(error).__module__}.{type(error).__qualname__}")
    if UNNAMED in text:
        text, cure = "A CheckConstraint has no name", "Give it one: CheckConstraint(…, name='…')"
        if check := unnamed_check(place):
            call = ast.unparse(check)
            text, cure = f"{call} has no name", f"Write {call[:-1]}, name={name_for(check)!r})"
            place = place and place._replace(line=check.lineno)
    found = f"{text.rstrip('.')}. {cure}" if cure else text
    lines = [f"{prefix(place, folder)}{found}"]
    if "could not find table" in text or "failed to locate a name" in text:
        lines += unseen()
    return "\n".join(lines)


def prefix(place: Place | None, folder: Path) -> str:
    """Return the file, the line and the name of a model as the beginning of a sentence."""
    if place is None:
        return "A model cannot be: "
    path = place.path.relative_to(folder.parent).as_posix()
    name = f" ({place.node.name})" if isinstance(place.node, ast.ClassDef) else ""
    return f"{path}:{place.line}{name}: "


def place_in_traceback(error: Exception, folder: Path) -> Place | None:
    """Return the last line of a model that was being executed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder) and path.name not in MACHINERY and frame.lineno:
            return place_at(path, frame.lineno)
    return None


def place_of_model(text: str, base: type[DeclarativeBase]) -> Place | None:
    """Return the model that a text of SQLAlchemy's is about, by its name or that of its table."""
    models = {mapper.class_.__name__: mapper.class_ for mapper in base.registry.mappers}
    models |= {
        mapper.local_table.name: mapper.class_
        for mapper in base.registry.mappers
        if isinstance(mapper.local_table, sa.Table)
    }
    for found in ABOUT.finditer(text):
        model = models.get(found[found.lastindex or 0])
        if model is not None:
            _, line = inspect.getsourcelines(model)
            return place_at(Path(inspect.getfile(model)), line)
    return None


def place_at(path: Path, line: int) -> Place:
    """Return the model at a line: the innermost class around it, or else the statement."""
    found = None
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        is_around = isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
        if is_around and (found is None or isinstance(node, ast.ClassDef)):
            found = node
    return Place(path, line, found)  # type: ignore[arg-type]


def unnamed_check(place: Place | None) -> ast.Call | None:
    """Return the first CHECK without a name in a model."""
    for node in ast.walk(place.node) if place and place.node else ():
        if isinstance(node, ast.Call) and is_unnamed(node):
            return node
    return None


def is_unnamed(call: ast.Call) -> bool:
    names = [keyword.arg for keyword in call.keywords]
    return ast.unparse(call.func).endswith("CheckConstraint") and "name" not in names


def name_for(check: ast.Call) -> str:
    """Return a name for a CHECK: that of the first column in it."""
    word = re.search(r"[A-Za-z_]\w*", ast.unparse(check.args[0])) if check.args else None
    return word[0] if word else "rule"
