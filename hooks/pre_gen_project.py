"""Cookiecutter runs this before it renders: refuse answers that cannot work, and suggest others."""

import difflib
import json
import os
import re
import shutil
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

# JSON in a raw string, because an answer may contain quotation marks or Python code.
ANSWERS = dict(json.loads(r"""{{ cookiecutter.items()|list|tojson }}"""))
WANTED = {
    "project_name": "a name on one line, without control characters and '''",
    "project_slug": "lower-case ASCII words joined by hyphens, a letter first, 40 characters at "
    "most, and no name that Windows keeps for itself (con, nul, ...)",
    "description": "one line, without control characters and '''",
}
# The options of `cookiecutter` without a value. After any other option, the next word is its value.
FLAGS = {"--no-input", "--verbose", "-v", "--replay", "--overwrite-if-exists", "-f"}
FLAGS |= {"--skip-if-file-exists", "-s", "--default-config", "--keep-project-on-failure"}


def corrected(name: str, text: str) -> str:
    """Return the good answer to the question `name` that is nearest to a text."""
    if name == "project_slug":
        return slugify(text)
    # TOML or UTF-8 cannot hold control characters, lone surrogates, line or paragraph separators.
    kept = [" " if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} else c for c in text]
    line = "".join(kept).replace("'''", '"')
    return "My Service" if name == "project_name" and not line.strip() else line


def slugify(text: str) -> str:
    """Return the nearest name that is good for a folder, a package and a database."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall("[a-z0-9]+", plain))[:40].strip("-")
    if slug and (slug in ANSWERS["_reserved"] or not slug[0].isalpha()):
        slug = f"service-{slug}"[:40].strip("-")
    return slug or "my-service"


def words_of_the_command() -> list[str]:
    """Return the words of the command that started this, or [] on systems other than Linux.

    Cookiecutter does not give a hook all of its options, nor the answers to unknown questions.
    Without the words of the command, these would go unnoticed.
    """
    try:
        line = Path(f"/proc/{os.getppid()}/cmdline").read_text("utf-8", "surrogateescape")
    except OSError:
        return []
    return line.split("\0")


def unknown_answers(questions: list[str]) -> dict[str, str]:
    """Return answers on the command line to unknown questions, which Cookiecutter ignores."""
    given = given_answers(words_of_the_command())
    return {name: text for name, text in given.items() if name not in questions and name[:1] != "_"}


def given_answers(words: list[str]) -> dict[str, str]:
    """Return the answers in the words of a Cookiecutter or cruft command."""
    if "--extra-context" in words[:-1]:  # cruft's
        try:
            return dict(json.loads(words[words.index("--extra-context") + 1]))
        except (ValueError, TypeError):
            return {}
    if ANSWERS["_template"] not in words:
        return {}
    start = words.index(ANSWERS["_template"])
    pairs = pairwise(words[start:])
    arguments = [  # not the words that are values of the options before them
        word for before, word in pairs if before[:1] != "-" or before in FLAGS or "=" in before
    ]
    answers = [word.partition("=") for word in arguments if re.match(r"[A-Za-z_]\w*=", word)]
    return {name: text for name, _, text in answers}


def nearest(name: str, questions: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, questions, 1)), None)


def accepts(question: str, text: str) -> bool:
    """Tell whether a question accepts an answer; True if the template cannot be read."""
    if isinstance(ANSWERS[question], bool):
        return str(text).lower() in {"true", "false", "yes", "no", "y", "n", "1", "0", "on", "off"}
    file = Path(os.environ.get("PWD", ""), ANSWERS.get("_repo_dir", ""), "cookiecutter.json")
    try:
        choices = json.loads(file.read_text("utf-8")).get(question)
    except (OSError, ValueError):
        return True
    return text in choices if isinstance(choices, list) else True


def command(answers: dict[str, str | bool]) -> str:
    """Return the command line that renders the template with these answers."""
    import shlex  # here, because good answers do not need it, and its import is slow
    import subprocess

    words = {name: as_word(value) for name, value in answers.items()}
    if "_commit" in ANSWERS:
        given = [*program("cruft"), "create", ANSWERS["_template"], "--no-input"]
        given += ["--overwrite-if-exists"] if any(Path().iterdir()) else []
        given += options_of_cruft(words_of_the_command())
        given += ["--extra-context", json.dumps(words)]
    else:
        given = [*program("cookiecutter"), ANSWERS["_template"], "--no-input"]
        given += ["--checkout", ANSWERS["_checkout"]] if ANSWERS["_checkout"] else []
        given += ["--directory", directory()] if directory() else []
        given += ["--overwrite-if-exists"] if any(Path().iterdir()) else []
        given += ["--output-dir", ANSWERS["_output_dir"], *(f"{n}={w}" for n, w in words.items())]
    return subprocess.list2cmdline(given) if os.name == "nt" else shlex.join(given)


def options_of_cruft(words: list[str]) -> list[str]:
    """Return the options of a cruft command that choose source and target; no hook gets them."""
    names = ("--directory", "--checkout", "-c", "--output-dir", "--config-file", "--skip")
    kept: list[str] = []
    for option, value in pairwise(words):
        if option in names:
            kept += [option, value]
    return kept + [word for word in words if word.partition("=")[0] in names and "=" in word]


def program(name: str) -> list[str]:
    """Return how to start the program that runs this: by its name, if PATH has the same one."""
    scripts = Path(sys.executable).parent
    found = shutil.which(name)
    if found and Path(found).parent == scripts:
        return [name]
    if "archive-v" in str(scripts) and shutil.which("uvx"):  # where uv keeps what uvx runs
        return ["uvx", name]
    return [sys.executable, "-m", name]


def directory() -> str:
    """Return the value of --directory: the template's folder within the repository, or "".

    Cookiecutter hands on the path of the template, but not which part of it is the repository.
    """
    import tempfile  # here, because good answers do not need it, and its import is slow

    folder = Path(ANSWERS["_repo_dir"])
    for base in (ANSWERS["_template"], *map(str, (folder, *folder.parents))):
        named = base == ANSWERS["_template"]
        if named or Path(base, ".git").exists():  # a folder on this machine, or a clone
            inside = relative(folder, base)
            if inside is not None:
                return "/".join(inside)
    inside = relative(folder, tempfile.gettempdir())  # of an archive: tmp.../its name/...
    return "/".join(inside[2:]) if inside else ""


def relative(folder: Path, base: str) -> tuple[str, ...] | None:
    """Return the parts of a folder's path relative to `base`, or None if it is not within that."""
    try:
        parts = Path(os.path.relpath(folder, base)).parts
    except ValueError:  # another drive of Windows
        return None
    return None if ".." in parts else parts


def as_word(value: str | bool) -> str:
    """Return an answer as text that stays the same when Cookiecutter renders it by Jinja."""
    text = str(value)
    return "{" * 2 + ascii(text) + "}" * 2 if re.search("[#{][%#{]", text) else text


def refuse_machine(version: tuple[int, ...], uv: str | None, folder: Path) -> None:
    """Exit if no answer can help: the Python is too old, or the folder cannot work."""
    if re.search(r"[%\n]", str(folder)):
        sys.exit(
            f"{folder} has a % or a line break in its path, which Alembic's configuration cannot "
            "hold. Give another folder: --output-dir <folder>"
        )
    # Not for cruft, because it also renders only to compare. There, the set-up itself warns.
    if ANSWERS["setup"] and version < (3, 11) and uv is None and "_commit" not in ANSWERS:
        sys.exit(
            f"Python {version[0]}.{version[1]} runs this, and the service needs 3.11 or newer. "
            "Install uv, run Cookiecutter by a newer Python, or add setup=no"
        )


def main() -> None:
    answers = {name: value for name, value in ANSWERS.items() if not name.startswith("_")}
    if answers["project_slug"].startswith("refused-"):  # cookiecutter.json put it aside
        answers["project_slug"] = ANSWERS["__slug"]
    good = answers | {name: corrected(name, answers[name]) for name in WANTED}
    lines = [
        f"{name} is {answers[name]!r}: give {WANTED[name]}"
        for name in WANTED
        if good[name] != answers[name]
    ]
    for name, text in unknown_answers(list(answers)).items():
        meant = nearest(name, list(answers))
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(answers)}"
        lines.append(f"{name} is no question: {hint}")
        if meant and accepts(meant, text):
            good[meant] = corrected(meant, text) if meant in WANTED else text
    if lines:
        sys.exit("\n  - ".join(["These answers cannot work:", *lines]) + f"\nTry:\n{command(good)}")
    refuse_machine(sys.version_info[:2], shutil.which("uv"), Path.cwd())


if __name__ == "__main__":
    main()
