"""A page that is followed word for word: each block is done as the text before it says.

- ```sh is run; `uv run` is left out, because the tests have an environment already
- ```diff changes the file that is named: its old lines become its new ones
- ```sql shows what a reader's database holds, and is left to the test
- functions are written "in the place of" those with their names, where the text says so; and it may
  say which to delete
- another block is a file: added to one after "at the end of `path`", else all of it
"""

import ast
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?ms)^( *)```(\w+)\n(.*?)^\1```$")
TITLE = re.compile(r"(?m)^(#+) (.+)$")
NAME = re.compile(r"`([\w./-]+)`")


@dataclass(frozen=True)
class Step:
    """A block of a page: what is said before it, its language and its text."""

    said: str
    language: str
    text: str

    @property
    def deleted(self) -> list[str]:
        """The functions that are to go, after the block is done."""
        return re.findall(r"`(\w+)\(\)`", self.said.partition("delete ")[2])

    @property
    def path(self) -> str:
        """The file that is named first in the last sentence that names one."""
        sentences = re.split(r"(?<=\.)\s+", self.said)
        named = [str(found[1]) for found in map(NAME.search, sentences) if found]
        return named[-1]


def section(page: str, title: str) -> str:
    """Return what is under a title of a page, up to the next title of its rank or a higher one."""
    blocks = [(block.start(), block.end()) for block in FENCE.finditer(page)]
    titles = [
        heading
        for heading in TITLE.finditer(page)
        if not any(start < heading.start() < end for start, end in blocks)  # a comment of Python
    ]
    (found,) = (heading for heading in titles if heading[2] == title)
    ends = [heading.start() for heading in titles if len(heading[1]) <= len(found[1])]
    return page[found.end() : min((end for end in ends if end > found.start()), default=None)]


def steps(text: str) -> Iterator[Step]:
    """Yield the blocks of a section; one without a sentence of its own has that of the last."""
    said, end = "", 0
    for block in FENCE.finditer(text):
        before = text[end : block.start()].strip()
        end = block.end()
        if before:
            said = re.split(r"\n\n|^\d+\. ", before, flags=re.MULTILINE)[-1]
        yield Step(said, block[2], textwrap.dedent(block[3]))


def follow(
    text: str, folder: Path, sh: Callable[[str], str], values: Mapping[str, str] | None = None
) -> list[str]:
    """Do each step of a section in a folder; return what the commands printed.

    `sh` runs a command, and `values` are what a reader puts in the place of `<…>`.
    """
    printed = []
    for step in steps(text):
        block = step.text
        for name, value in (values or {}).items():
            block = block.replace(name, value)
        if step.language == "sh":
            printed.append(sh(block.replace("uv run ", "")))
        elif step.language == "sql":
            continue
        elif step.language == "diff":
            change(folder / step.path, block)
        elif "in the place of" in step.said:
            replace_functions(folder / step.path, block)
        elif re.search(r"[Aa]t the end of", step.said):
            with (folder / step.path).open("a", encoding="utf-8") as file:
                file.write(("\n\n" if step.language == "python" else "\n") + block)
        else:
            (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.path).write_text(block, "utf-8")
        for name in step.deleted:
            delete_function(folder / step.path, name)
    return printed


def lines_of(path: Path, name: str) -> tuple[list[str], slice]:
    """Return the lines of a Python file, and which of them are a function's."""
    text = path.read_text("utf-8")
    named = [node for node in ast.parse(text).body if getattr(node, "name", None) == name]
    assert len(named) == 1, f"{path} does not have exactly one {name}()"
    (node,) = named
    assert isinstance(node, ast.FunctionDef)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return text.splitlines(keepends=True), slice(first - 1, node.end_lineno)


def replace_functions(path: Path, block: str) -> None:
    """Put the functions of a block in the place of those with the same names."""
    for new in re.split(r"\n\n\n", block):
        ((name,),) = [re.findall(r"(?m)^def (\w+)", new)]
        lines, own = lines_of(path, name)
        lines[own] = [new.rstrip("\n") + "\n"]
        path.write_text("".join(lines), "utf-8")


def delete_function(path: Path, name: str) -> None:
    """Delete a function and the empty lines before it."""
    lines, own = lines_of(path, name)
    before, after = "".join(lines[: own.start]), "".join(lines[own.stop :])
    path.write_text("\n\n\n".join([before.rstrip("\n"), after.lstrip("\n")]), "utf-8")


def change(path: Path, diff: str) -> None:
    """Replace the lines that begin with - or a space by those that begin with + or a space."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in "- ")
    new = "".join(line[1:] for line in lines if line[0] in "+ ")
    text = path.read_text("utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, f"{path} does not have exactly once:\n{old}"
    path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], "utf-8")


def shell(folder: Path, env: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that runs a command in a folder, which succeeds; it returns the output."""

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=folder,
            env={**env, "PWD": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    return run
