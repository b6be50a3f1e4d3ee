"""What others review of a revision: its SQL, and a picture of the revisions and the models.

`flask db sql` and `flask db draw` are here; alembic.ini has every new revision drawn at once.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import to_tuple

from alembic_support.connection import bind_of, migration_engine, tell
from alembic_support.scratch import scratch_database
from app.config import BINDS, ROOT
from app.db import db, import_models
from app.url import is_sqlite

NEWEST = 20  # revisions; more would not be looked at
TOO_LONG = 50_000  # characters: Mermaid draws no more
LOOKED = re.compile(r"\s*(SELECT|PRAGMA (?!foreign_keys))", re.IGNORECASE)
ABOUT = """\
`flask db draw` draws this, and so does every new revision. Where git has a conflict in the line
above, two branches have added a revision each: `alembic merge heads` joins them and draws anew."""


def sql(config: AlembicConfig) -> None:
    """Print the SQL that the pending revisions will run on this environment's database."""
    script = ScriptDirectory.from_config(config)
    found: list[Any] = []

    def look(current: Any, context: Any) -> list[Any]:
        found.extend([to_tuple(current, ()), context.connection.engine.url])
        return []

    logging.getLogger("alembic").setLevel(logging.WARNING)  # nothing is "Running upgrade" here
    with EnvironmentContext(config, script, fn=look, dont_mutate=True):
        script.run_env()
    current, url = found
    if set(current) == set(script.get_heads()):
        return tell(f"Nothing is pending: the database is at {', '.join(current) or 'its start'}.")
    start = ", ".join(current) or "empty"
    print(f"-- {bind_of(config) or 'main'}: {start} -> {script.get_current_head()}")
    if is_sqlite(url):
        return print(*recorded(config, url, current), sep="\n")
    config.attributes["connection"] = None  # the database was announced already
    options = {"as_sql": True, "starting_rev": current, "destination_rev": "head"}
    options["fn"] = lambda revision, _: script._upgrade_revs("head", revision)
    with EnvironmentContext(config, script, **options):
        script.run_env()


def recorded(config: AlembicConfig, url: sa.URL, current: tuple[str, ...]) -> Iterator[str]:
    """Yield what SQLite executes, on a clean database: batch mode wants to see the tables."""
    yield "-- Recorded on an empty database: what depends on rows that are there is missing."
    seen: list[str] = []
    with scratch_database(url, {}, "sql") as new, migration_engine(new, {}).connect() as connection:
        config.attributes["connection"] = connection
        for revision in current:
            command.upgrade(config, revision)
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(seen.append)
        command.upgrade(config, "head")
    yield from (f"{text.strip()};" for text in seen if not LOOKED.match(text))


def draw(config: AlembicConfig) -> None:
    """Draw the revisions and the models, in the README.md beside the revisions."""
    path, text = drawing(config)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")


def drawing(config: AlembicConfig) -> tuple[Path, str]:
    """Return the file that shows a database's revisions and models, and what belongs in it."""
    import_models()
    script = ScriptDirectory.from_config(config)
    heads = ", ".join(f"`{head}`" for head in sorted(script.get_heads()))
    bind = bind_of(config)
    metadata = db.metadatas[bind]
    models = "\n".join(diagram(metadata, columns=True))
    if len(models) > TOO_LONG:
        models = "\n".join(diagram(metadata, columns=False))
    pictures = [f"```mermaid\n{text}\n```" for text in ("\n".join(graph(script)), models)]
    title = f"# Revisions and models of {bind or 'the database'}"
    page = [title, f"Head: {heads or 'none'}", ABOUT, *pictures]
    return Path(script.versions, "README.md"), "\n\n".join(page) + "\n"


def graph(script: ScriptDirectory) -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart of the newest revisions, the oldest at the bottom."""
    yield "flowchart BT"
    every = list(script.walk_revisions())
    names = {revision.revision: word(f"r_{revision.revision}") for revision in every[:NEWEST]}
    if len(every) > NEWEST:
        yield f'    older(["{len(every) - NEWEST} older"])'
    for revision in every[:NEWEST]:
        name, title = names[revision.revision], " ".join(revision.doc.split())[:100]
        yield f'    {name}["{escape(title)}<br>{escape(revision.revision)}"]'
        for down in to_tuple(revision.down_revision, ()):
            yield f"    {names.get(down, 'older')} --> {name}"


def diagram(metadata: sa.MetaData, columns: bool) -> Iterator[str]:
    """Yield the lines of a Mermaid entity-relationship diagram, with the tables' columns or not."""
    yield "erDiagram"
    for table in sorted(metadata.tables.values(), key=lambda table: table.fullname):
        name = escape(table.fullname)
        yield f'    "{name}" ' + "{"
        yield from map(attribute, table.columns if columns else ())
        yield "    }"
        for key in sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys)):
            one = "|o" if any(column.nullable for column in key.columns) else "||"
            many = "o|" if is_unique(key.columns) else "o{"
            parent, role = escape(key.referred_table.fullname), escape(", ".join(key.column_keys))
            yield f'    "{parent}" {one}--{many} "{name}" : "{role}"'


def attribute(column: sa.Column[Any]) -> str:
    """Return a column as Mermaid has it: type, name, keys and whether it may be empty."""
    kind = "ENUM" if isinstance(column.type, sa.Enum) else word(str(column.type))
    unique = is_unique([column]) and not column.primary_key
    keys = {"PK": column.primary_key, "FK": column.foreign_keys, "UK": unique}
    marks = ", ".join(key for key, found in keys.items() if found)
    text = f"        {kind} {word(column.name)} {marks}".rstrip()
    return f'{text} "nullable"' if column.nullable else text


def is_unique(columns: Iterable[sa.Column[Any]]) -> bool:
    """Tell whether no two rows have the same values in these columns of one table."""
    table = next(iter(columns)).table
    unique = sa.PrimaryKeyConstraint | sa.UniqueConstraint
    found = [key.columns for key in table.constraints if isinstance(key, unique)]
    found += [index.columns for index in table.indexes if index.unique]
    return any(set(key) == set(columns) for key in found)


def escape(text: str) -> str:
    """Return a text as Mermaid takes it between quotation marks: anybody may have written it."""
    kept = filter(str.isprintable, text)
    return "".join(c if c.isalnum() or c in " ,_" else f"#{ord(c)};" for c in kept)


def word(text: str) -> str:
    """Return a text as one of Mermaid's words, which are not its PK, FK and UK."""
    text = re.sub(r"[^\w()]+", "_", text, flags=re.ASCII)
    return text if re.match(r"(?![pfu]k\b)[a-z]", text, re.IGNORECASE) else f"_{text}"


if __name__ == "__main__":  # as a post-write hook
    for section in ("alembic", *BINDS):
        draw(AlembicConfig(ROOT / "alembic.ini", ini_section=section))
