"""Cookiecutter runs this before it renders: refuse what cannot work, and say what would."""

import json
import os
import re
import sys
import unicodedata

# As JSON, an answer stays text, whatever it holds.
ANSWERS = dict(json.loads(r"""{{ cookiecutter.items()|list|tojson }}"""))
WANTED = {
    "project_name": "a name on one line, without control characters and '''",
    "project_slug": "lower-case ASCII words joined by hyphens, a letter first, 40 characters at "
    "most, and no name that Windows keeps for itself (con, nul, ...)",
    "description": "one line, without control characters and '''",
}


def mend(name: str, text: str) -> str:
    """Return the nearest good answer: the same text, when it is one."""
    if name == "project_slug":
        return slugify(text)
    # Controls, lone surrogates, line and paragraph separators: TOML or UTF-8 cannot hold them.
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


def command(answers: dict[str, str | bool]) -> str:
    """Return the command line that renders with these answers."""
    import shlex  # here, for importing takes a good answer longer than being checked
    import subprocess

    words = {name: as_word(value) for name, value in answers.items()}
    if "_commit" in ANSWERS:
        given = ["cruft", "create", ANSWERS["_template"], "--no-input"]
        given += ["--extra-context", json.dumps(words)]
    else:
        given = ["cookiecutter", ANSWERS["_template"], "--no-input"]
        given += ["--checkout", ANSWERS["_checkout"]] if ANSWERS["_checkout"] else []
        given += ["--output-dir", ANSWERS["_output_dir"], *(f"{n}={w}" for n, w in words.items())]
    return subprocess.list2cmdline(given) if os.name == "nt" else shlex.join(given)


def as_word(value: str | bool) -> str:
    """Return an answer as Cookiecutter reads it, which renders what looks like Jinja."""
    text = str(value)
    return "{" * 2 + ascii(text) + "}" * 2 if re.search("[#{][%#{]", text) else text


def main() -> None:
    answers = {name: value for name, value in ANSWERS.items() if not name.startswith("_")}
    if answers["project_slug"].startswith("refused-"):  # cookiecutter.json put it aside
        answers["project_slug"] = ANSWERS["__slug"]
    good = answers | {name: mend(name, answers[name]) for name in WANTED}
    if wrong := [name for name in WANTED if good[name] != answers[name]]:
        lines = [f"{name} is {answers[name]!r}: give {WANTED[name]}" for name in wrong]
        sys.exit("\n  - ".join(["These answers cannot work:", *lines]) + f"\nTry:\n{command(good)}")


if __name__ == "__main__":
    main()
