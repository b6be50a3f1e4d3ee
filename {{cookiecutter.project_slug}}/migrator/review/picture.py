"""Draw the revisions and the models as Mermaid diagrams in Markdown."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import to_tuple

NEWEST = 20  # revisions in the picture
TOO_LONG = 50_000  # characters: Mermaid refuses longer texts


def picture(script: ScriptDirectory, metadata: sa.MetaData, title: str, about: str) -> str:
    """Return a Markdown page with a picture of the revisions and one of the models.

    `title` is the page's title and `about` a paragraph below it. The same revisions and models
    always give the same text. One line of it names the head, so that git reports a conflict there
    when two branches have added a revision each.
    """
    heads = ", ".join(f"`{head}`" for head in sorted(script.get_heads()))
    models = "\n".join(diagram(metadata, columns=True))
    if len(models) > TOO_LONG:
        models = "\n".join(diagram(metadata, columns=False))
    revisions = "\n".join(graph(script))
    pictures = [f"```mermaid\n{text}\n```" for text in (revisions, models)]
    return "\n\n".join([f"# {title}", f"Head: {heads or 'none'}", about, *pictures]) + "\n"


def graph(script: ScriptDirectory) -> Iterator[str]:
    """Yield the lines of a Mermaid flowchart of the newest revisions, the oldest at the bottom."""
    yield "flowchart BT"
    revisions = list(script.walk_revisions())
    newest = revisions[:NEWEST]
    names = {revision.revision: word(f"r_{revision.revision}") for revision in newest}
    if len(revisions) > NEWEST:
        yield f'    older(["{len(revisions) - NEWEST} older"])'
    for revision in newest:
        name = names[revision.revision]
        title = " ".join(revision.doc.split())[:100]
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
    """Return a column in Mermaid's syntax: its type, name and keys, and whether it is nullable."""
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
    """Return a text to write between Mermaid's quotation marks, with special characters escaped."""
    printable = filter(str.isprintable, text)
    return "".join(c if c.isalnum() or c in " ,_" else f"#{ord(c)};" for c in printable)


def word(text: str) -> str:
    """Return a text as an identifier of Mermaid, which must not be PK, FK or UK."""
    text = re.sub(r"[^\w()]+", "_", text, flags=re.ASCII)
    return text if re.match(r"(?![pfu]k\b)[a-z]", text, re.IGNORECASE) else f"_{text}"
