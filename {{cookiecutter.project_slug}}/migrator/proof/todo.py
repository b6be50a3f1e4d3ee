"""Write what is wrong with a revision into it, as comments that begin with TODO."""

import ast
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path

from migrator.proof.finding import Finding

WIDTH = 90  # of a comment, in characters


def write_todos(path: Path, findings: Iterable[Finding]) -> None:
    """Write each finding as a TODO at the top of the function that it is about.

    `path` is the file of the revision. It is replaced in one step, so that no failure can leave
    half a revision.
    """
    lines = path.read_text("utf-8").splitlines()
    places = functions("\n".join(lines))
    comments: dict[int, list[str]] = {}
    for finding in findings:
        name = "downgrade" if finding.subject == "downgrade()" else "upgrade"
        if name in places:
            first = places[name].body[0]
            indent = " " * first.col_offset
            comments.setdefault(first.lineno - 1, []).extend(todo(finding, indent))
    for line, texts in sorted(comments.items(), reverse=True):
        lines[line:line] = texts
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    os.replace(new, path)


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """Return the functions in the source of a revision, by name."""
    body = ast.parse(source).body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def todo(finding: Finding, indent: str) -> list[str]:
    """Return the lines of the comment for a finding, each with an indent."""
    text = " ".join(f"TODO: {finding.text}".split())
    return [f"{indent}# {line}" for line in textwrap.wrap(text, WIDTH, break_long_words=False)]


def does_nothing(path: Path) -> bool:
    """Tell whether the functions of a revision have only `pass` in them.

    A person has still to write it, or it only merges other revisions.
    """
    found = functions(path.read_text("utf-8")).values()
    return all(isinstance(item, ast.Pass) for function in found for item in function.body)
