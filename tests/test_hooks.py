"""The hooks, driven by the real command: with and without tools, network and patience."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

Run = Callable[..., str]
UV_STEPS = ["sync", "run alembic upgrade head"]
BESIDE = "run -q python -c import app"  # with the last of them, in any order
VERIFY = "run python (this hook) --verify"
# A uv that has nothing to install: it runs what it is told with the packages of these tests. It
# notes each call, and does with one call what ACTS says, instead.
UV = """#!PYTHON
import json, os, sys, time
words = [os.path.basename(word).startswith("tmp") and "(this hook)" or word for word in sys.argv]
call = " ".join(words[1:])
with open("CALLS", "a") as calls:
    json.dump({"call": call, "parent": os.getppid(), "env": dict(os.environ)}, calls)
    calls.write(os.linesep)
act, flags = {ACTS}.get(call, ""), []
if act == "fail":
    sys.exit(3)
if act == "wait":
    time.sleep(600)
if act == "nothing":
    sys.exit()
if act == "no packages":
    flags = ["-I", "-S"]
if act == "another database":
    os.environ["DATABASE_URL"] = "sqlite:////nowhere/some.db"
if call.startswith("run "):
    words = [word for word in sys.argv[2:] if word != "-q"]
    words = words[1:] if words[0] == "python" else ["-m", *words]
    os.execv("PYTHON", ["PYTHON", *flags, *words])
"""


class Shell:
    """A newcomer's shell in a folder of its own, with these tools on PATH and no others."""

    def __init__(self, folder: Path, template: Path, run: Run) -> None:
        """Take `run` of conftest.py to run commands in folder/work, with folder/bin as PATH."""
        self.bin, self.folder, self._run = folder / "bin", folder / "work", run
        self.bin.mkdir()
        self.folder.mkdir()
        self.project = self.folder / "my-service"
        self.command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
        self.variables = {"PATH": str(self.bin)}
        self.noted = folder / "calls"

    def add(self, name: str) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        found = shutil.which(name, path=path)
        assert found, f"{name} is needed on PATH"
        (self.bin / name).symlink_to(found)

    def add_uv(self, **acts: str) -> None:
        """Add a uv that fails, waits or does something else at the calls that are named."""
        calls = {"sync": UV_STEPS[0], "migrate": UV_STEPS[1], "verify": VERIFY}
        told = {calls[name]: act for name, act in acts.items()}
        text = UV.replace("{ACTS}", repr(told)).replace("CALLS", str(self.noted))
        (self.bin / "uv").write_text(text.replace("PYTHON", sys.executable), "utf-8")
        (self.bin / "uv").chmod(0o755)

    def render(self, *words: str, **variables: str) -> str:
        """Run the real command, with more variables, and return all that was said."""
        return self._run([*self.command, *words], self.folder, **self.variables, **variables)

    def fail(self, *words: str) -> str:
        """Run the real command, which fails, and return all that was said."""
        return self._run([*self.command, *words], self.folder, status=1, **self.variables)

    def calls(self) -> list[dict[str, Any]]:
        """Return the steps that uv was called for, in order, and what ran beside the last."""
        text = self.noted.read_text("utf-8")
        calls = [json.loads(line) for line in text.splitlines()]
        return sorted(calls, key=lambda call: call["call"] == BESIDE)

    def called(self) -> list[str]:
        """Return what uv was called with so far, in the order of calls()."""
        return [call["call"] for call in self.calls()] if self.noted.exists() else []


@pytest.fixture
def shell(tmp_path: Path, template: Path, run: Run) -> Shell:
    return Shell(tmp_path, template, run)


def is_whole(project: Path) -> bool:
    names = (".env", "app/__init__.py", "migrations/env.py", "compose.yaml", "tests/conftest.py")
    return all((project / name).is_file() for name in names)


def revisions(project: Path) -> list[str]:
    """Return the revisions that the development database is at."""
    engine = sa.create_engine(f"sqlite:///{project / 'instance' / 'development.db'}")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        names = list(found.scalars())
    engine.dispose()
    return names


def test_set_up_runs_each_step_and_announces_it_before(shell: Shell) -> None:
    shell.add_uv()
    said = shell.render()
    assert shell.called() == [*UV_STEPS, VERIFY, BESIDE]
    places = [said.index(f": uv {step}\n") for step in UV_STEPS]
    assert places == sorted(places)
    assert said.index("Migrating") < said.index("development: sqlite")
    assert said.endswith(
        "my-service is ready; to run it:\n\n  cd my-service\n  uv run flask run\n\n"
    )
    assert len(revisions(shell.project)) == 1


def test_what_the_shell_exports_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.add_uv()
    foreign = {
        "ALEMBIC_CONFIG": "/nowhere/alembic.ini",
        "APP_ENV": "production",
        "DATABASE_ENGINE_OPTIONS": "nonsense",
        "DATABASE_URL": f"sqlite:///{tmp_path}/precious.db",
        "LOG_LEVEL": "nonsense",
        "SECRET_KEY": "exported",
        "PIP_NO_DEPS": "1",
        "PIP_TARGET": str(tmp_path / "elsewhere"),
        "PYTHONPATH": str(tmp_path),
        "UV_ENV_FILE": str(tmp_path / "other.env"),
        "UV_NO_GROUP": "dev",
        "UV_PROJECT": str(tmp_path),
        "UV_PROJECT_ENVIRONMENT": str(tmp_path / "elsewhere"),
        "VIRTUAL_ENV": str(tmp_path / "active"),
        "WHATEVER_COMES_NEXT": "1",
    }
    needed = {
        "HTTPS_PROXY": "http://proxy.invalid",
        "LC_ALL": "C.UTF-8",
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "SSL_CERT_FILE": "/etc/certificates.pem",
        "TMPDIR": str(tmp_path),
        "UV_INDEX_MINE_USERNAME": "me",
        "no_proxy": "localhost",
    }
    said = shell.render(**foreign, **needed)
    assert "is ready" in said
    names = "APP_ENV, DATABASE_ENGINE_OPTIONS, DATABASE_URL, LOG_LEVEL, SECRET_KEY"
    assert f"  # your shell sets {names}, which comes before .env: unset it\n" in said
    for call in shell.calls():
        assert not foreign.keys() & call["env"].keys()
        assert call["env"].items() >= needed.items()
    assert len(revisions(shell.project)) == 1
    assert not (tmp_path / "precious.db").exists()


@pytest.mark.parametrize("failing", range(2))
def test_a_failing_step_leaves_the_project_and_the_commands_to_go_on(
    shell: Shell, failing: int
) -> None:
    shell.add_uv(**{["sync", "migrate"][failing]: "fail"})
    said = shell.render()
    assert "failed: exit status 3" in said
    assert "WARNING: " in said
    left = "".join(f"  uv {step}\n" for step in UV_STEPS)
    assert said.endswith(f"run it:\n\n  cd my-service\n{left}  uv run flask run\n\n")
    assert shell.called() == [*UV_STEPS, BESIDE][: 2 * failing + 1]
    assert is_whole(shell.project)


def test_a_tool_that_does_not_start_is_a_warning(shell: Shell) -> None:
    (shell.bin / "uv").write_text("#!/nowhere/python\n", "utf-8")
    (shell.bin / "uv").chmod(0o755)
    said = shell.render()
    assert "WARNING: Installing into .venv failed: [Errno 2]" in said
    assert is_whole(shell.project)


@pytest.mark.parametrize(
    ("acts", "said"),
    [
        ({"migrate": "nothing"}, "database that .env names is not at the newest revision"),
        ({"verify": "another database"}, "The environment overrides DATABASE_URL of .env"),
        ({"verify": "no packages"}, "not what pyproject.toml asks for: alembic is missing"),
        ({"verify": "fail"}, "uv run python cannot check the set-up"),
    ],
)
def test_what_is_not_so_is_not_called_ready(shell: Shell, acts: dict[str, str], said: str) -> None:
    shell.add_uv(**acts)
    out = shell.render()
    assert said in out.partition("WARNING: ")[2]
    assert "is ready" not in out
    assert out.endswith("  uv run alembic upgrade head\n  uv run flask run\n\n")


def test_what_pyproject_asks_for_is_compared(template: Path) -> None:
    text = (template / "hooks" / "post_gen_project.py").read_text("utf-8")
    hook: dict[str, Any] = {"__name__": "hook"}
    exec(text.replace("{{ cookiecutter.items()|list|tojson }}", "{}"), hook)  # noqa: S102 (ours)
    lacks = hook["lacks"]
    assert lacks("flask>=3.1,<4") is None
    assert "not >=99" in lacks("flask>=99")
    assert "not <1" in lacks("flask<1")
    assert lacks("no-such-package>=1") == "no-such-package is missing"
    assert lacks("psycopg[binary]>=3") is None
    assert lacks("psycopg[pool]>=3") == "psycopg[pool] is missing"
    assert lacks(f"no-such-package; sys_platform != '{sys.platform}'") is None
    assert lacks("no-such-package; sys_platform != 'elsewhere'") == "no-such-package is missing"


def test_a_production_project_is_not_migrated_again(shell: Shell) -> None:
    shell.add_uv()
    shell.render("setup=no")
    env = shell.project / ".env"
    env.write_text(env.read_text("utf-8").replace("=development", "=production"), "utf-8")
    said = shell.render("--overwrite-if-exists")
    assert "WARNING: .env says APP_ENV=production: nothing is installed or migrated." in said
    assert not shell.called()


def test_what_the_user_has_stays_when_the_folder_is_used_again(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "outside" / "__pycache__").mkdir(parents=True)
    mine = [
        ".my_cache/data",
        "app/mine/models.py",
        "app/__pycache__/mine.pyc",
        "migrations/versions/20990101_mine.py",
        "tests/test_mine.py",
        ".github/workflows/mine.yml",
        ".gitlab-ci.yml",
        "Dockerfile",
    ]
    for name in mine:
        (shell.project / name).parent.mkdir(parents=True, exist_ok=True)
        (shell.project / name).write_text("mine\n", "utf-8")
    (shell.project / "data").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "__pycache__" / "other.pyc").write_text("not ours", "utf-8")

    shell.render("setup=no", "container=no", "--overwrite-if-exists")

    assert [(shell.project / name).read_text("utf-8") for name in mine] == ["mine\n"] * len(mine)
    assert (tmp_path / "outside" / "__pycache__" / "other.pyc").is_file()
    assert (shell.project / ".github/workflows/ci.yml").is_file()


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_a_database_that_is_not_there_is_a_warning(shell: Shell, database: str) -> None:
    shell.add_uv()
    said = shell.render(f"database={database}", "project_slug=hook-test-without-database")
    assert "WARNING: Migrating the development database failed" in said
    assert "  # start the database: docker compose up -d --wait db, or write the address" in said
    assert said.index("  # start") < said.index("\n  uv run alembic upgrade head\n")
    assert is_whole(shell.folder / "hook-test-without-database")


def test_declined_set_up_is_only_told(shell: Shell) -> None:
    shell.add_uv()
    said = shell.render("setup=no")
    left = "".join(f"  uv {step}\n" for step in UV_STEPS)
    assert said.endswith(f"cd my-service\n{left}  uv run flask run\n\n")
    assert "WARNING" not in said
    assert not shell.called()


@pytest.mark.parametrize("whom", ["the hook", "everybody"])
def test_an_interrupt_leaves_the_project_and_the_commands_to_go_on(
    shell: Shell, env: dict[str, str], whom: str
) -> None:
    """Ctrl-C reaches Cookiecutter too, which stops with an exit status of its own."""
    shell.add_uv(migrate="wait")
    process = subprocess.Popen(
        shell.command,
        cwd=shell.folder,
        env=env | shell.variables | {"PWD": str(shell.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while UV_STEPS[1] not in shell.called():
        assert process.poll() is None
        time.sleep(0.05)
    if whom == "everybody":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(shell.calls()[1]["parent"], signal.SIGINT)
    said, _ = process.communicate()
    assert "WARNING: Migrating the development database failed: interrupted" in said
    assert "  uv run alembic upgrade head\n" in said
    assert process.returncode == (1 if whom == "everybody" else 0)
    assert is_whole(shell.project)


def test_twice_is_like_once(shell: Shell) -> None:
    shell.add("git")
    shell.add_uv()
    shell.render()
    secret, found = (shell.project / ".env").read_bytes(), sorted(shell.project.rglob("*"))
    (shell.project / ".git" / "mine").write_text("kept", "utf-8")
    said = shell.render("--overwrite-if-exists")
    assert "is ready" in said
    assert "git" not in said
    assert (shell.project / ".env").read_bytes() == secret
    assert [path for path in sorted(shell.project.rglob("*")) if path.name != "mine"] == found


def test_the_secret_is_for_its_owner_only(shell: Shell) -> None:
    old = os.umask(0)
    try:
        shell.render("setup=no")
    finally:
        os.umask(old)
    assert stat.S_IMODE((shell.project / ".env").stat().st_mode) == 0o600


def test_git_starts_a_repository_with_nothing_committed_or_secret(shell: Shell, run: Run) -> None:
    shell.add("git")
    shell.render("setup=no")
    assert run(["git", "status", "--short", "--branch"], shell.project).startswith(
        "## No commits yet on main\n?? "
    )
    run(["git", "add", "--all"], shell.project)
    assert ".env\n" not in run(["git", "ls-files"], shell.project).replace(".env.example", "")


def test_without_git_there_is_no_repository(shell: Shell) -> None:
    assert "git" not in shell.render("setup=no")
    assert not (shell.project / ".git").exists()


def test_a_surrounding_repository_that_ignores_the_project_is_not_its_own(
    shell: Shell, run: Run
) -> None:
    shell.add("git")
    run(["git", "init", "--quiet"], shell.folder.parent)
    (shell.folder.parent / ".gitignore").write_text("*\n", "utf-8")
    said = shell.render("setup=no")
    assert "The repository around this folder ignores it" in said
    assert (shell.project / ".git").is_dir()
    broken = shell.project / "app" / "broken.py"
    broken.write_text("import os\n", "utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    assert "app/broken.py" in run(ruff, shell.project, status=1)


def test_a_surrounding_repository_is_respected(shell: Shell, run: Run) -> None:
    shell.add("git")
    run(["git", "init", "--quiet"], shell.folder.parent)
    shell.render("setup=no")
    assert not (shell.project / ".git").exists()


@pytest.mark.parametrize(
    "name",
    ["with a space", "#1", "what?", "süß 日本", "a;b&c", "it's", "$HOME", "{braces}", "a+b=c"],
)
def test_any_folder_will_do(shell: Shell, tmp_path: Path, name: str) -> None:
    shell.add_uv()
    said = shell.render("--output-dir", str(tmp_path / name))
    assert "my-service is ready" in said
    project = tmp_path / name / "my-service"
    assert len(list((project / "instance").glob("development.db"))) == 1
    done = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"]
    assert " passed" in shell._run(done, project)


def test_a_folder_that_alembic_cannot_read_is_refused(shell: Shell, tmp_path: Path) -> None:
    said = shell.fail("--output-dir", str(tmp_path / "100%"))
    assert "has a % or a line break in its path" in said
    assert "--output-dir" in said
    assert not list((tmp_path / "100%").iterdir())


@pytest.mark.parametrize(
    ("answers", "brought"),
    [
        (["ci=none", "container=no"], set()),
        (["ci=gitlab"], {".gitlab-ci.yml", "Dockerfile", "compose.yaml", ".dockerignore"}),
    ],
)
def test_without_hooks_no_file_of_a_declined_option_is_there(
    shell: Shell, answers: list[str], brought: set[str]
) -> None:
    shell.render("--accept-hooks", "no", *answers)
    options = [".gitlab-ci.yml", "Dockerfile", "compose.yaml", ".dockerignore"]
    options.append(".github/workflows/ci.yml")
    assert {name for name in options if (shell.project / name).exists()} == brought
    assert "cp .env.example .env" in (shell.project / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["migrations/script.py.mako", "alembic.ini", ".env.example"])
def test_a_missing_file_is_an_error(tmp_path: Path, template: Path, run: Run, name: str) -> None:
    copy = tmp_path / "template"
    shutil.copytree(template, copy)
    (copy / "{{cookiecutter.project_slug}}" / name).unlink()
    shell = Shell(tmp_path, copy, run)
    assert f"{name} is missing" in shell.fail("setup=no")
    assert not shell.project.exists()


def test_an_env_file_without_a_place_for_the_secret_is_an_error(
    tmp_path: Path, template: Path, run: Run
) -> None:
    copy = tmp_path / "template"
    shutil.copytree(template, copy)
    example = copy / "{{cookiecutter.project_slug}}" / ".env.example"
    example.write_text(example.read_text("utf-8").replace("SECRET_KEY=", "KEY="), "utf-8")
    shell = Shell(tmp_path, copy, run)
    assert "SECRET_KEY=change-me in .env.example is missing" in shell.fail()
    assert not shell.project.exists()


def test_an_unwanted_folder_that_is_not_empty_stays(shell: Shell) -> None:
    mine = shell.project / ".github" / "workflows" / "mine.yml"
    mine.parent.mkdir(parents=True)
    mine.write_text("on: push\n", "utf-8")
    shell.render("setup=no", "ci=none", "--overwrite-if-exists")
    assert [path.name for path in mine.parent.iterdir()] == ["mine.yml"]


def test_elsewhere_the_whole_path_is_told(shell: Shell, tmp_path: Path) -> None:
    said = shell.render("setup=no", "--output-dir", str(tmp_path / "over there"))
    assert f"  cd '{tmp_path / 'over there' / 'my-service'}'\n" in said


def test_set_up_by_uv_for_real(shell: Shell) -> None:
    shell.add("uv")
    shell.variables["UV_NO_GROUP"] = "dev"
    said = shell.render(UV_PYTHON=sys.executable)  # nothing else is on this PATH
    assert (shell.project / ".venv" / "bin" / "pytest").is_file()
    assert said.endswith("is ready; to run it:\n\n  cd my-service\n  uv run flask run\n\n")
    assert len(revisions(shell.project)) == 1


def test_set_up_by_pip_for_real(shell: Shell) -> None:
    said = shell.render()
    assert said.endswith("is ready; to run it:\n\n  cd my-service\n  .venv/bin/flask run\n\n")
    assert len(revisions(shell.project)) == 1


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_without_network(shell: Shell, tmp_path: Path, tool: str) -> None:
    if tool == "uv":
        shell.add("uv")
    nowhere = "http://127.0.0.1:9/"
    said = shell.render(
        PIP_CONFIG_FILE=os.devnull,
        PIP_EXTRA_INDEX_URL=nowhere,
        PIP_FIND_LINKS="",
        PIP_INDEX_URL=nowhere,
        PIP_RETRIES="0",
        UV_CACHE_DIR=str(tmp_path / "cache"),
        UV_OFFLINE="1",
    )
    first = "uv sync" if tool == "uv" else f"{sys.executable} -m venv --upgrade-deps .venv"
    assert "WARNING: " in said
    assert f"run it:\n\n  cd my-service\n  {first}\n" in said
    assert is_whole(shell.project)
