"""Cookiecutter runs this in the new project: take away what was declined, set up the rest.

What needs a network or a tool may fail without harm: a warning says what to run later.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

# As JSON, an answer stays text, whatever it holds.
ANSWERS = dict(json.loads(r"""{{ cookiecutter.items()|list|tojson }}"""))
# The files of an option stay only when its question got this answer.
OPTIONS = {
    ("container", True): [".dockerignore", "Dockerfile", "compose.yaml"],
    ("ci", "github"): [".github/workflows/ci.yml"],
    ("ci", "gitlab"): [".gitlab-ci.yml"],
}
NEEDED = [".env.example", "alembic.ini", "migrations/env.py", "migrations/script.py.mako"]
PLACEHOLDER = "\nSECRET_KEY=change-me\n"
# What of the user's shell would have us set up, or migrate, something else than this project.
FOREIGN = (
    "ALEMBIC_CONFIG APP_ENV DATABASE_ENGINE_OPTIONS DATABASE_URL GIT_DIR GIT_WORK_TREE LOG_LEVEL "
    "PIP_USER SECRET_KEY UV_FROZEN UV_LOCKED UV_NO_DEV UV_PROJECT_ENVIRONMENT VIRTUAL_ENV"
)


def take_away() -> None:
    """Remove the files of declined options, and what work in the template's folder left there."""
    for (question, answer), files in OPTIONS.items():
        for path in map(Path, files if ANSWERS[question] != answer else []):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                os.removedirs(path.parent)
    for cache in [*Path().glob("[a-z]*/**/__pycache__"), *Path().glob(".*_cache")]:
        shutil.rmtree(cache)


def initialise() -> None:
    """Do what `alembic init` would: have its files in place."""
    missing = [name for name in NEEDED if not Path(name).is_file()]
    if missing or PLACEHOLDER not in Path(".env.example").read_text("utf-8"):
        wrong = ", ".join(missing) or "SECRET_KEY=change-me in .env.example"
        sys.exit(f"The template is not whole: {wrong} is missing. Take a newer or older version.")


def write_env() -> None:
    """Copy .env.example to .env, for its owner only and with a secret; leave one that exists."""
    text = Path(".env.example").read_text("utf-8")
    if not Path(".env").exists():
        file = os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="utf-8", newline="\n") as env:
            env.write(text.replace(PLACEHOLDER, f"\nSECRET_KEY={os.urandom(32).hex()}\n"))


def start_repository() -> None:
    """Run `git init` where git is there and no repository surrounds the project."""
    here = Path.cwd()
    if shutil.which("git") and not any((up / ".git").exists() for up in (here, *here.parents)):
        run("Starting a git repository", ["git", "-c", "init.defaultBranch=main", "init", "-q"])


def run(title: str, command: list[str]) -> bool:
    """Announce a step, run it, and tell whether it succeeded; warn when it did not."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN.split()}
    try:
        say(f"{title}: {show(command)}")
        with ExitStack() as stack:
            if command[:2] == ["uv", "run"]:
                # uv, unlike pip, leaves compiling to the first import: two processes share it.
                second = ["uv", "run", "-q", "python", "-c", "import app"]
                stack.enter_context(subprocess.Popen(second, env=env, stdin=subprocess.DEVNULL))
            subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=True)
        return True
    except (OSError, subprocess.CalledProcessError, KeyboardInterrupt) as error:
        say(f"\nWARNING: {title} failed: {str(error) or 'interrupted'}")
        return False


def plan() -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Return the steps of the set-up, by uv or else by venv and pip, and how to run the service."""
    if shutil.which("uv"):
        alembic, flask = ["uv", "run", "alembic"], ["uv", "run", "flask"]
        steps = [("Installing into .venv", ["uv", "sync"])]
    else:
        folder = Path(".venv", "Scripts" if os.name == "nt" else "bin")
        python, alembic, flask = ([str(folder / name)] for name in ("python", "alembic", "flask"))
        pip = [*python, "-m", "pip", "install", "--quiet", "-e", ".", "--group", "dev"]
        venv = [sys.executable, "-m", "venv", "--upgrade-deps", ".venv"]
        steps = [("Making .venv", venv), ("Installing into .venv, perhaps for a minute", pip)]
    steps.append(("Migrating the development database", [*alembic, "upgrade", "head"]))
    return steps, [*flask, "run"]


def report(left: list[list[str]], serve: list[str]) -> None:
    """Say what was made and what to type next: the set-up first, where it is left to do."""
    here = Path.cwd()
    near = Path(os.environ.get("PWD", "")).resolve() == here.parent
    lines = [show(["cd", here.name if near else str(here)])]
    if left and ANSWERS["database"] != "sqlite":
        compose = "docker compose up -d --wait db, or " if ANSWERS["container"] else ""
        lines.append(f"# start the database: {compose}give the address of yours in .env")
    state = "is made, and whole; to set it up and run it" if left else "is ready; to run it"
    say("\n  ".join([f"\n{here.name} {state}:\n", *lines, *map(show, [*left, serve])]) + "\n")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(command: list[str]) -> str:
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def is_compared_by_cruft() -> bool:
    """Tell whether this is a throwaway rendering: `cruft update` compares two of them."""
    parent = Path.cwd().parent
    if "_commit" not in ANSWERS or not re.fullmatch(r"tmp\w{8}", parent.name):
        return False
    import tempfile  # here, for only cruft has to wait for it

    return parent.parent.samefile(tempfile.gettempdir())


def main() -> None:
    take_away()
    initialise()
    if is_compared_by_cruft():
        return say("Rendered to be compared: nothing is set up.")
    write_env()
    start_repository()
    steps, serve = plan()
    done = ANSWERS["setup"] and all(run(*step) for step in steps)
    # Each step may be run again; after a failure all of them are told, so that none is forgotten.
    report([] if done else [command for _, command in steps], serve)


if __name__ == "__main__":
    main()
