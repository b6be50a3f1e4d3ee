"""Models that nobody would find. The source of app/ is read for that, and nothing is imported."""

import ast
import sys
from collections.abc import Collection
from pathlib import Path

ADVICE = (
    "No migration sees that. Move it into a models.py, or into a package models/, "
    "or import it in one"
)


def unseen_models(folder: Path, mapped: Collection[str]) -> list[str]:
    """Return a sentence for each file below a folder that defines models and was not imported.

    `mapped` are the names of the classes that are models already.
    """
    found = []
    for path in sorted(folder.rglob("*.py")):
        name = module_name(path, folder.parent)
        names = [] if name in sys.modules else defined(path, mapped)
        if names:
            file = path.relative_to(folder.parent).as_posix()
            found.append(f"{file} defines {', '.join(names)}, and is not imported. {ADVICE}")
    return found


def module_name(path: Path, root: Path) -> str:
    """Return the name that a file below `root` is imported by."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def defined(path: Path, mapped: Collection[str]) -> list[str]:
    """Return the names of the models and tables that a file defines; none if it is not Python."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    known, found = {*mapped}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and is_mapped(node, known):
            known.add(node.name)
            found += [] if "__abstract__" in assigned(node) else [node.name]
        elif isinstance(node, ast.Call) and is_table(node):
            found.append(ast.unparse(node.args[0]))
    return found


def is_mapped(node: ast.ClassDef, known: Collection[str]) -> bool:
    """Tell whether a class derives from db.Model or from a model, or says which table it maps."""
    bases = [ast.unparse(base) for base in node.bases]
    return "__tablename__" in assigned(node) or any(
        base.endswith(".Model") or base.rpartition(".")[2] in known for base in bases
    )


def assigned(node: ast.ClassDef) -> set[str]:
    """Return the names that a class assigns in its body."""
    targets: list[ast.expr] = []
    for line in node.body:
        if isinstance(line, ast.Assign):
            targets += line.targets
        elif isinstance(line, ast.AnnAssign):
            targets.append(line.target)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def is_table(node: ast.Call) -> bool:
    """Tell whether a call is `db.Table("name", …)`, or `sa.Table("name", db.metadata, …)`."""
    function, *arguments = map(ast.unparse, (node.func, *node.args))
    if not arguments or function.rpartition(".")[2] != "Table":
        return False
    return function == "db.Table" or any("metadata" in argument for argument in arguments[1:2])
