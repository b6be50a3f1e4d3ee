"""Cookiecutter runs this in the new project: tidy the project, and set it up.

If a step fails, for example without a network, a warning says what to run later.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

# JSON in a raw string, because an answer may contain quotation marks or Python code.
ANSWERS = dict(json.loads(r"""{{ cookiecutter.items()|list|tojson }}"""))
NEEDED = [".env.example", "alembic.ini", "migrations/env.py", "migrations/script.py.mako"]
PLACEHOLDER = "\nSECRET_KEY=change-me\n"
# The variables of the user's shell that a step gets, by purpose; a star matches the rest of a name.
# Others, such as DATABASE_URL, could set up another project or migrate another database.
PASSED = {
    "find programs, and what starts them": "PATH PATHEXT COMSPEC SHELL LD_LIBRARY_PATH "
    "DYLD_LIBRARY_PATH DYLD_FALLBACK_LIBRARY_PATH NIX_LD* PYENV_ROOT ASDF_DIR ASDF_DATA_DIR "
    "MISE_DATA_DIR MISE_CONFIG_DIR",
    "find the user's folders": "HOME HOMEDRIVE HOMEPATH USERPROFILE APPDATA LOCALAPPDATA USER "
    "USERNAME LOGNAME XDG_*",
    "find the system's folders": "SYSTEMROOT SYSTEMDRIVE WINDIR PROGRAMDATA PROGRAMFILES* "
    "COMMONPROGRAMFILES* NUMBER_OF_PROCESSORS PROCESSOR_* OS",
    "write temporary files": "TMPDIR TEMP TMP",
    "speak to a person": "LANG LANGUAGE LC_* TZ TERM COLORTERM NO_COLOR FORCE_COLOR COLUMNS CI "
    "PYTHONUTF8 PYTHONIOENCODING",
    "reach the network": "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY NETRC",
    "trust certificates": "SSL_CERT_FILE SSL_CERT_DIR SSL_CLIENT_CERT REQUESTS_CA_BUNDLE "
    "CURL_CA_BUNDLE NIX_SSL_CERT_FILE PIP_CERT PIP_CLIENT_CERT UV_SYSTEM_CERTS UV_NATIVE_TLS",
    "find packages by pip": "PIP_CONFIG_FILE PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX "
    "PIP_FIND_LINKS PIP_TRUSTED_HOST PIP_PROXY PIP_RETRIES PIP_TIMEOUT PIP_DEFAULT_TIMEOUT "
    "PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_KEYRING_PROVIDER PIP_DISABLE_PIP_VERSION_CHECK",
    "find packages by uv": "UV_CONFIG_FILE UV_INDEX* UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL "
    "UV_FIND_LINKS UV_NO_INDEX UV_KEYRING_PROVIDER UV_INSECURE_HOST UV_HTTP_* UV_OFFLINE "
    "UV_CACHE_DIR UV_NO_CACHE UV_LINK_MODE UV_CONCURRENT_*",
    "find Python by uv": "UV_PYTHON UV_PYTHON_DOWNLOADS UV_PYTHON_PREFERENCE UV_PYTHON_INSTALL_* "
    "UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON",
}
JUDGED_AFTER = re.compile(r"(?m)^(?:# )?judged_after\b.*$")
REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[(?P<extras>[\w,\s-]+)\])?\s*(?P<versions>[^;]*)"
    r"(?:;\s*sys_platform\s*(?P<sign>[=!]=)\s*['\"](?P<platform>\w+)['\"])?"
)


class Step(NamedTuple):
    """One command of the set-up, and what it is for."""

    title: str
    command: list[str]


class Plan(NamedTuple):
    """How this project is set up: the steps in order, and how its programs are started."""

    steps: list[Step]
    python: list[str]
    serve: list[str]

    @property
    def migrate(self) -> Step:
        return self.steps[-1]


def main() -> None:
    tidy()
    require_files()
    if is_compared_by_cruft():
        carry_forward(Path(os.environ.get("PWD", "")))
        return say("Rendered to be compared: nothing is set up.")
    is_new = write_env()
    is_started = start_repository()
    plan = make_plan()
    left = set_up(plan, is_new)
    if is_started and ANSWERS["workshop"]:
        commit_first()  # after the set-up, so that it has the lock file
    report(plan, left)


# --- Remove what does not belong in the project


def tidy() -> None:
    """Remove what was declined, caches that came from the template's folder, and empty folders."""
    if not ANSWERS["workshop"]:
        # Cookiecutter can leave out a file by its name, but puts the files of a folder without a
        # name into the folder above.
        shutil.rmtree("workshop", ignore_errors=True)
    if source := template_folder():
        remove_caches(source)
    for empty in (".github/workflows", ".github"):
        remove(Path(empty))


def remove_caches(source: Path) -> None:
    """Remove what Cookiecutter copied from the caches in the template's folder."""
    for cache in (*source.rglob("__pycache__"), *source.glob(".*_cache")):
        for path in sorted(cache.rglob("*"), reverse=True):  # a folder after its files
            remove(path.relative_to(source))
        remove(cache.relative_to(source))


def template_folder() -> Path | None:
    """Return the folder that was rendered, or None if it is no longer on this machine."""
    if "_repo_dir" not in ANSWERS:
        return None
    name = "{" * 2 + "cookiecutter.project_slug" + "}" * 2
    # Cookiecutter hands on the folder as it was typed, perhaps relative to where it was started.
    folder = Path(os.environ.get("PWD", ""), ANSWERS["_repo_dir"], name)
    return folder if folder.is_absolute() and folder.is_dir() else None


def remove(path: Path) -> None:
    """Remove a file or an empty folder, but nothing that a symbolic link leads to."""
    if path.parent.resolve() != Path.cwd().resolve() / path.parent:
        return
    with suppress(OSError):  # not there, or not empty
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


# --- Do what `alembic init` and a person would do first


def require_files() -> None:
    """Exit if a file of the template is missing, or the placeholder in .env.example."""
    missing = [name for name in NEEDED if not Path(name).is_file()]
    if missing or PLACEHOLDER not in Path(".env.example").read_text("utf-8"):
        wrong = ", ".join(missing) or "SECRET_KEY=change-me in .env.example"
        sys.exit(f"The template is incomplete: {wrong} is missing. Use another version of it.")


def write_env() -> bool:
    """Copy .env.example to .env with a new secret, readable by its owner only.

    Return False, and write nothing, if there is a .env already.
    """
    if os.path.lexists(".env"):
        return False
    text = Path(".env.example").read_text("utf-8")
    file = os.open(".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w", encoding="utf-8", newline="\n") as env:
        env.write(text.replace(PLACEHOLDER, f"\nSECRET_KEY={os.urandom(32).hex()}\n"))
    return True


def variables_of_env() -> dict[str, str]:
    """Return the variables of .env, without dotenv's escapes and references."""
    try:
        text = Path(".env").read_text("utf-8-sig")
    except (OSError, ValueError):  # the service's own commands report that
        return {}
    lines = re.findall(r"^\s*(?:export\s+)?(\w+)[ \t]*=[ \t]*(.*)$", text, re.MULTILINE)
    return {name: value.partition(" #")[0].strip().strip("'\"") for name, value in lines}


def environment_of_env() -> str:
    return variables_of_env().get("APP_ENV", "development")


def start_repository() -> bool:
    """Run `git init` if git is installed, unless a repository around the project has its files.

    Tell whether there is a new repository.
    """
    here = Path.cwd()
    if not shutil.which("git") or (here / ".git").exists():
        return False
    if any((up / ".git").exists() for up in here.parents):
        ignored = ["git", "check-ignore", "--quiet", "."]
        if subprocess.run(ignored, env=passed(), capture_output=True).returncode != 0:
            return False
        say("The repository around this folder ignores it, so the project gets one of its own.")
    init = ["git", "-c", "init.defaultBranch=main", "init", "--quiet"]
    return run("Starting a git repository", init)


def commit_first() -> None:
    """Commit all files, because the labs of the workshop begin with a commit.

    Where git does not know who commits, give this repository a neutral identity, and say so.
    """
    ident = ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]
    if subprocess.run(ident, env=passed(), capture_output=True).returncode != 0:
        say(
            "git does not know who you are, so commits in this project are by Somebody, until: "
            "git config user.name <you>, and git config user.email <address>"
        )
        run("Naming somebody", ["git", "config", "user.name", "Somebody"])
        run("Naming an address", ["git", "config", "user.email", "somebody@example.org"])
    run("Staging all files", ["git", "add", "--all"])
    # Neither a hook of the user's nor a signature, which may ask for a password.
    commit = ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify"]
    run("Making the first commit", [*commit, "-m", "First"])


# --- The set-up


def make_plan() -> Plan:
    """Return how to set up the project: by uv if it is installed, or else by venv and pip."""
    if shutil.which("uv"):
        python, alembic, flask = (["uv", "run", name] for name in ("python", "alembic", "flask"))
        steps = [Step("Installing into .venv", ["uv", "sync"])]
    else:
        folder = Path(".venv", "Scripts" if os.name == "nt" else "bin")
        python, alembic, flask = ([str(folder / name)] for name in ("python", "alembic", "flask"))
        pip = [*python, "-m", "pip", "install", "--quiet", "-e", ".", "--group", "dev"]
        venv = [sys.executable, "-m", "venv", "--upgrade-deps", ".venv"]
        steps = [
            Step("Making .venv", venv),
            Step("Installing into .venv, perhaps for a minute", pip),
        ]
    steps.append(Step("Migrating the development database", [*alembic, "upgrade", "head"]))
    return Plan(steps, python, [*flask, "run"])


def set_up(plan: Plan, is_new: bool) -> list[list[str]]:
    """Run the steps of the set-up, if it is wanted; return the commands that are left to run.

    `is_new` tells whether .env was just written. It is safe to run each step again, so all of them
    are left where one failed.
    """
    every = [step.command for step in plan.steps]
    if not ANSWERS["setup"]:
        return every
    if not is_new and (environment := environment_of_env()) != "development":
        say(f"\nWARNING: .env says APP_ENV={environment}: nothing is installed or migrated.")
        return every
    if not all(run(*step, beside=compiling(plan, step)) for step in plan.steps):
        return every
    return commands_left(plan)


def compiling(plan: Plan, step: Step) -> list[str]:
    """Return a command to run beside the last step, or [].

    It compiles the packages, which uv, unlike pip, does not do when it installs them.
    """
    by_uv = step == plan.migrate and plan.python[0] == "uv"
    return ["uv", "run", "-q", "python", "-c", "import app"] if by_uv else []


def passed() -> dict[str, str]:
    """Return the variables that a step gets: those of the user's shell that PASSED names."""
    patterns = " ".join(PASSED.values()).replace("*", ".*").split()
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return {name: text for name, text in os.environ.items() if pattern.fullmatch(name)}


def run(title: str, command: list[str], beside: list[str] | None = None) -> bool:
    """Announce a step, run it with the command `beside` it, and tell whether it succeeded.

    Warn if it did not.
    """
    try:
        say(f"{title}: {show(command)}")
        with ExitStack() as stack:
            if beside:
                process = subprocess.Popen(beside, env=passed(), stdin=subprocess.DEVNULL)
                stack.enter_context(process)  # waits for its end
            done = subprocess.run(command, env=passed(), stdin=subprocess.DEVNULL)
        reason = f"exit status {done.returncode}, for the reason above" if done.returncode else ""
    except OSError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "interrupted"
    if reason:
        say(f"\nWARNING: {title} failed: {reason}")
    return not reason


# --- Check the set-up


def commands_left(plan: Plan) -> list[list[str]]:
    """Check the set-up and warn about problems; return the commands to run again, or none."""
    # The project's own Python runs verify() in this file, to see its packages and its database.
    command = [*plan.python, __file__, "--verify"]
    try:
        done = subprocess.run(command, env=passed(), stdin=subprocess.DEVNULL, capture_output=True)
        problems: list[str] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, KeyboardInterrupt) as error:
        problems = [f"{show(plan.python)} cannot check the set-up: {type(error).__name__}"]
    for problem in problems:
        say(f"\nWARNING: {problem}")
    return [step.command for step in plan.steps] if problems else []


def verify() -> list[str]:
    """Return what is wrong with the environment that runs this, or with the database of .env."""
    overridden = sorted(variables_of_env().keys() & os.environ.keys())
    if overridden:
        names = ", ".join(overridden)
        return [f"The environment overrides {names} of .env: unset {names}, and migrate again."]
    if lacking := [why for each in requirements() if (why := lacks(each))]:
        return [f"The environment is not what pyproject.toml asks for: {'; '.join(lacking)}."]
    check = [sys.executable, "-m", "alembic", "current", "--check-heads"]
    done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        last = (done.stdout + done.stderr).decode(errors="replace").strip().rpartition("\n")[2]
        return [f"The database that .env names is not at the newest revision: {last}"]
    return []


def requirements() -> list[str]:
    """Return what pyproject.toml asks for, with the tools of the group dev."""
    import tomllib  # here, because the Python that runs Cookiecutter may be too old to have it

    text = Path("pyproject.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return [*table["project"]["dependencies"], *table["dependency-groups"]["dev"]]


def lacks(requirement: str) -> str | None:
    """Return what is wrong with the installed package of a requirement, or None."""
    match = REQUIREMENT.match(requirement)
    if match is None:
        return None
    if match["sign"] and (match["sign"] == "==") != (sys.platform == match["platform"]):
        return None  # it is not for this machine
    try:
        version = metadata.version(match["name"])
    except metadata.PackageNotFoundError:
        return f"{match['name']} is missing"
    for sign, bound in re.findall(r"(>=|<)\s*([\d.]+)", match["versions"]):
        if (numbers(version) >= numbers(bound)) != (sign == ">="):
            return f"{match['name']} is {version}, not {match['versions'].strip()}"
    for extra in re.findall(r"[\w-]+", match["extras"] or ""):
        if not has_extra(match["name"], extra):
            return f"{match['name']}[{extra}] is missing"
    return None


def numbers(version: str) -> list[int]:
    """Return the numbers of a release, so that 3.1 and 3.1.0 are the same; no letters count."""
    release = re.match(r"[\d.]*", version)
    found = [int(number) for number in re.findall(r"\d+", release[0] if release else "")]
    while found and not found[-1]:
        found.pop()
    return found


def has_extra(name: str, extra: str) -> bool:
    """Tell whether a package of an extra is installed; True if the extra has no packages."""
    marker = re.compile(rf"extra\s*==\s*['\"]{extra}['\"]")
    needed = [line for line in metadata.requires(name) or [] if marker.search(line)]
    names = [re.split(r"[^\w.-]", line)[0] for line in needed]
    return not names or any(list(metadata.distributions(name=each)) for each in names)


# --- Print messages


def report(plan: Plan, left: list[list[str]]) -> None:
    """Say what was made and what to type next; `left` are commands of the set-up to run again."""
    here = Path.cwd()
    near = Path(os.environ.get("PWD", "")).resolve() == here.parent
    lines = [show(["cd", here.name if near else str(here)])]
    if overridden := sorted(variables_of_env().keys() & os.environ.keys()):
        # The set-up did not get them, but the commands that follow will.
        names = ", ".join(overridden)
        lines.append(f"# your shell sets {names}, which comes before .env: unset it")
    if left and ANSWERS["database"] != "sqlite":
        compose = "docker compose up -d --wait db, or " if ANSWERS["container"] else ""
        lines.append(f"# start the database: {compose}write the address of yours in .env")
    state = "is made; to set it up and run it" if left else "is ready; to run it"
    say("\n  ".join([f"\n{here.name} {state}:\n", *lines, *map(show, [*left, plan.serve])]) + "\n")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(command: list[str]) -> str:
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def is_compared_by_cruft() -> bool:
    """Tell whether `cruft update` renders this, only to compare it with another rendering."""
    parent = Path.cwd().parent
    if "_commit" not in ANSWERS or not re.fullmatch(r"tmp\w{8}", parent.name):
        return False
    import tempfile  # here, so that only cruft waits for it

    return parent.parent.samefile(tempfile.gettempdir())


def carry_forward(project: Path) -> None:
    """Have `cruft update` write the newest revisions of a project into its judged_after.

    They are green by the tests that the project has, and those of a newer release may be stricter.
    Only the rendering is changed: that of the project's own release gets the line that the project
    has, and that of a newer release gets the line that the project shall have.
    """
    try:
        state = json.loads((project / ".cruft.json").read_text("utf-8"))
        line = JUDGED_AFTER.search((project / "alembic.ini").read_text("utf-8"))
        heads = newest_revisions([*project.glob("migrations/*/*.py")])
    except (OSError, ValueError):  # cruft was started in another folder, with --project-dir
        return
    if line is None or state["context"]["cookiecutter"]["project_slug"] != Path.cwd().name:
        return
    if not line[0].startswith("#") and not (project / "migrator").is_dir():
        return  # a release before 0.1.0 carried nothing, so a line of the project's would conflict
    text = line[0]
    if state["commit"] != ANSWERS["_commit"] and heads and judges_differently(project):
        text = f"judged_after = {' '.join(heads)}"
    ini = Path("alembic.ini")
    changed = JUDGED_AFTER.sub(lambda _: text, ini.read_text("utf-8"), count=1)
    ini.write_text(changed, "utf-8", newline="\n")


def judges_differently(project: Path) -> bool:
    """Tell whether what judges revisions here is not what judges them in a project."""
    files = [*Path("migrator").rglob("*.py"), Path("tests/test_migrations.py")]
    # By words, because git may have written other line ends into the project.
    return any(
        not (project / file).is_file()
        or (project / file).read_bytes().split() != file.read_bytes().split()
        for file in files
    )


def newest_revisions(files: list[Path]) -> list[str]:
    """Return the ids in revisions that none of the others follows, in order.

    Raises ValueError if a file is not Python in UTF-8.
    """
    ids, followed = set(), set()
    for path in files:
        names = assigned(path)
        ids |= names.get("revision", set())
        followed |= names.get("down_revision", set())
    return sorted(map(str, ids - followed))


def assigned(path: Path) -> dict[str, set[object]]:
    """Return the constants that a Python file assigns to each name, also in a tuple."""
    import ast  # here, so that only cruft waits for it

    try:
        tree = ast.parse(path.read_text("utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{path} is not Python: {error}") from None
    found: dict[str, set[object]] = {}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            parts = ast.walk(node.value)
            found[ast.unparse(target)] = {
                part.value for part in parts if isinstance(part, ast.Constant)
            }
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--verify"]:
        print(json.dumps(verify()))
    else:
        main()
