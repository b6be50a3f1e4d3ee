"""The container and CI files: valid, safe, in agreement, and their commands do what they say.

No container engine is asked for. Each file passes its schema and a linter, and the commands that
it would run are taken out of it and run here, in a rendered service, against a real database.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from dotenv import dotenv_values
from support import database as empty_database
from support import free_port

Render = Callable[..., Path]
Run = Callable[..., str]

WORKFLOW = ".github/workflows/ci.yml"
SECRET = "0123456789abcdef" * 4


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(render: Render, database: str) -> Path:
    return render(database=database)


@pytest.fixture(scope="module")
def gitlab_file(render: Render, database: str) -> Path:
    return render(database=database, ci="gitlab") / ".gitlab-ci.yml"


@pytest.fixture(scope="module")
def gitlab_job(gitlab_file: Path) -> dict[str, Any]:
    job: dict[str, Any] = load(gitlab_file)["check"]
    return job


@pytest.fixture(scope="module")
def github_job(service: Path) -> dict[str, Any]:
    job: dict[str, Any] = load(service / WORKFLOW)["jobs"]["check"]
    return job


@pytest.fixture
def address(database: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the chosen kind, dropped at the end."""
    with empty_database(database, tmp_path) as url:
        yield url


def commands(job: dict[str, Any]) -> list[str]:
    """Return a job's commands: of GitHub's steps, or of GitLab's script."""
    return job.get("script") or [step["run"] for step in job["steps"] if "run" in step]


def interpolate(value: Any, env: Mapping[str, str]) -> Any:
    """Fill in `${NAME:-default}` as compose does: the default also for an empty variable."""
    if isinstance(value, dict):
        return {key: interpolate(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, env) for item in value]
    if not isinstance(value, str):
        return value
    filled = re.sub(r"\$\{(\w+):-([^${}]*)\}", lambda m: env.get(m[1]) or m[2], value)
    assert "$" not in filled, f"{value}: this form of interpolation is not understood here"
    return filled


def compose(service: Path, **env: str) -> dict[str, Any]:
    services: dict[str, Any] = interpolate(load(service / "compose.yaml")["services"], env)
    return services


def instructions(service: Path) -> list[tuple[str, str]]:
    """Return the lines of the Dockerfile: each instruction with what follows it."""
    text = re.sub(r"^#.*\n", "", (service / "Dockerfile").read_text("utf-8"), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line]


def argv(instruction: str) -> list[str]:
    """Return the words of an instruction's JSON form."""
    words: list[str] = json.loads(instruction[instruction.index("[") :])
    return words


@pytest.mark.parametrize("name", ["compose.yaml", ".gitlab-ci.yml", WORKFLOW])
def test_files_are_yaml_before_rendering(root: Path, name: str) -> None:
    """An option's answer is in the names of its files: what is declined is not rendered at all."""
    folder, own = root / "{{cookiecutter.project_slug}}", name.rpartition("/")[2]
    (path,) = [path for path in folder.rglob("{% if *") if path.name.split("%")[2] == f"}}{own}{{"]
    assert isinstance(load(path), dict)


def test_files_meet_their_schemas(run: Run, service: Path, gitlab_file: Path, root: Path) -> None:
    for schema, paths in {
        "compose-spec": [service / "compose.yaml"],
        "github-workflows": [service / WORKFLOW, root / WORKFLOW],
        "gitlab-ci": [gitlab_file],
    }.items():
        run(["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths], root)


def test_dockerfile_passes_hadolint(run: Run, service: Path) -> None:
    run(["hadolint", "Dockerfile"], service)


def test_workflow_passes_zizmor(run: Run, service: Path, database: str) -> None:
    """Its pedantic persona finds only that the server's image is named by version."""
    words = ["zizmor", "--offline", "--quiet", "--no-exit-codes", "--persona=pedantic"]
    findings = json.loads(run([*words, "--format=json", WORKFLOW], service))
    expected = [] if database == "sqlite" else ["unpinned-images"]
    assert [finding["ident"] for finding in findings] == expected


def test_the_workflow_of_the_template_is_safe(run: Run, service: Path, root: Path) -> None:
    run(["zizmor", "--offline", "--quiet", WORKFLOW], root)
    assert commands(load(root / WORKFLOW)["jobs"]["check"])[-1] == "bash .ci/run"
    texts = [(folder / WORKFLOW).read_text("utf-8") for folder in (root, service)]
    assert len({re.findall("uses: actions/checkout@.+", text)[0] for text in texts}) == 1


def test_image_has_no_secret_and_no_root(service: Path) -> None:
    lines = instructions(service)
    assert not re.search("secret|password|token|change-me", str(lines), re.I)
    assert "ARG" not in dict(lines)
    users = [rest for word, rest in lines if word == "USER"]
    assert users == ["10001:10001"]


def test_image_holds_what_is_named_and_nothing_else(service: Path) -> None:
    rules = (service / ".dockerignore").read_text("utf-8").splitlines()
    named = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source.rstrip("*")
        for word, rest in instructions(service)
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert [rule for rule in rules if rule[0] not in "#!"] == ["*", "**/__pycache__"]
    assert named == copied
    assert ".env" not in named


def test_the_image_is_readable_whatever_the_umask_was(service: Path, tmp_path: Path) -> None:
    folder = image_folder(service, tmp_path / "srv")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (words,) = [rest for word, rest in instructions(service) if rest.startswith("chmod ")]

    subprocess.run(shlex.split(words), cwd=folder, check=True)

    files = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    assert {mode for path, mode in files.items() if path.is_file()} == {0o644}
    assert {mode for path, mode in files.items() if path.is_dir()} == {0o755}


def test_sqlite_lives_on_a_volume_of_the_image_user(service: Path, database: str) -> None:
    lines = instructions(service)
    prepared = ("RUN", "install --directory --owner=10001 --group=10001 /data")
    assert (prepared in lines) is (database == "sqlite")
    assert (("VOLUME", "/data") in lines) is (database == "sqlite")
    if database == "sqlite":
        assert lines.index(prepared) < lines.index(("VOLUME", "/data"))
        for name in ("migrate", "web"):
            described = compose(service)[name]
            assert described["volumes"] == ["data:/data"]
            assert described["environment"]["DATABASE_URL"] == "sqlite:////data/service.db"


def test_compose_migrates_once_before_it_serves(service: Path, database: str) -> None:
    services = compose(service)
    migrate, web = services["migrate"], services["web"]
    assert migrate["command"] == ["alembic", "upgrade", "head"]
    assert migrate["restart"] == "no"
    assert web["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert web["image"] == migrate["image"]
    assert web["environment"] == migrate["environment"]
    # Built once: two builds that export one name at the same time fail on a new machine.
    assert [name for name in services if "build" in services[name]] == ["migrate"]
    if database != "sqlite":
        assert migrate["depends_on"] == {"db": {"condition": "service_healthy"}}
        assert services["db"]["healthcheck"]["test"][0] == "CMD"
    assert set(services) == {"migrate", "web"} | ({"db"} if database != "sqlite" else set())


def test_compose_publishes_to_this_machine_only(service: Path) -> None:
    ports = [port for each in compose(service).values() for port in each.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_declares_the_volumes_that_it_mounts(service: Path) -> None:
    mounted = {
        volume.partition(":")[0]
        for described in compose(service).values()
        for volume in described.get("volumes", [])
    }
    assert mounted == set(load(service / "compose.yaml")["volumes"])


def test_compose_hands_over_every_variable_of_the_example(service: Path) -> None:
    example = dotenv_values(service / ".env.example")
    assert set(compose(service)["web"]["environment"]) == set(example)


def served_at(image: str, env: Mapping[str, str], host: str) -> str:
    """Return the URL of the database that a server's container offers."""
    if image.startswith("postgres:"):
        return f"postgresql://postgres:{env['POSTGRES_PASSWORD']}@{host}:5432/{env['POSTGRES_DB']}"
    return f"mariadb://root:{env['MARIADB_ROOT_PASSWORD']}@{host}:3306/{env['MARIADB_DATABASE']}"


def test_every_file_names_the_same_database(
    service: Path, database: str, github_job: dict[str, Any], gitlab_job: dict[str, Any]
) -> None:
    example = dotenv_values(service / ".env.example")["DATABASE_URL"]
    if database == "sqlite":
        assert github_job["env"]["DATABASE_URL"] == example
        assert gitlab_job["variables"]["DATABASE_URL"] == example
        assert "services" not in github_job | gitlab_job
        return
    for given in ({"DATABASE_PASSWORD": "s3cret"}, {}):
        services = compose(service, **given)
        db, url = services["db"], services["web"]["environment"]["DATABASE_URL"]
        assert url == served_at(db["image"], db["environment"], "db")
    assert example == served_at(db["image"], db["environment"], "localhost")
    assert db["ports"] == [f"127.0.0.1:{sa.make_url(example).port}:{sa.make_url(example).port}"]

    server = github_job["services"]["db"]
    assert server["image"] == db["image"]
    assert github_job["env"]["DATABASE_URL"] == served_at(
        server["image"], server["env"], "127.0.0.1"
    )
    (server,) = gitlab_job["services"]
    assert server["name"] == db["image"]
    assert gitlab_job["variables"]["DATABASE_URL"] == served_at(
        server["name"], server["variables"], server["alias"]
    )


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({}, []),
        ({"APP_ENV": "production"}, ["DATABASE_URL", "SECRET_KEY"]),
        ({"APP_ENV": "production", "SECRET_KEY": SECRET, "DATABASE_PASSWORD": "s3cret"}, []),
    ],
    ids=["nothing", "strict-nothing", "strict-complete"],
)
def test_compose_starts_as_it_is_and_is_strict_where_told(
    run: Run, service: Path, database: str, given: dict[str, str], problems: list[str]
) -> None:
    if database == "sqlite":
        problems = [problem for problem in problems if problem == "SECRET_KEY"]
    variables = compose(service, **given)["web"]["environment"]
    words = ["python", "-B", "-c", "from app.config import load_config; load_config()"]
    said = run(words, service, status=1 if problems else 0, **variables)
    assert re.findall(r"^  - (\w+)", said, re.M) == problems


CHECKS = [
    *["uv run ruff check .", "uv run ruff format --check .", "uv run mypy"],
    *["uv run flask db upgrade", "uv run flask db check", "uv run pytest -n auto"],
]


def test_both_kinds_of_ci_run_the_same_commands(
    github_job: dict[str, Any], gitlab_job: dict[str, Any]
) -> None:
    """Except those that show the SQL of what a branch adds: other tests run these."""
    always = [step for step in github_job["steps"] if "if" not in step]
    wanted = ['pip install "uv>=0.13,<0.14"', "uv sync", *CHECKS]
    assert commands({"steps": always}) == wanted
    assert [command for command in commands(gitlab_job) if command in wanted] == wanted


@pytest.fixture
def shell(run: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run lines in bash as CI does; `uv run` uses what this environment already has."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text('#!/bin/sh\ntest "$1" = run && shift && exec "$@"\n', "utf-8")
    uv.chmod(0o755)
    cache = str(tmp_path_factory.getbasetemp() / "mypy")  # the libraries are read once

    def shell(lines: str, cwd: Path, options: str = "-eo pipefail", **variables: str) -> str:
        path = (
            f"{uv.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        variables |= {"CI": "true", "MYPY_CACHE_DIR": cache, "PATH": path}
        return run(["bash", *options.split(), "-c", lines], cwd, **variables)

    return shell


@pytest.fixture
def origin(
    service: Path, shell: Callable[..., str], database: str, address: str, tmp_path: Path
) -> Path:
    """A repository with a branch that adds a revision, and its merge with what main is by now."""
    folder = shutil.copytree(service, tmp_path / "origin")
    model = "    id: Mapped[int] = mapped_column(primary_key=True)\n    name: Mapped[str]\n"
    if database == "mariadb":
        model = model.replace("[str]", "[str] = mapped_column(sa.String(100))")
    imports = "import sqlalchemy as sa\nfrom sqlalchemy.orm import Mapped, mapped_column\n"
    imports = imports if "sa." in model else imports.partition("\n")[2]
    (folder / "app/things").mkdir()
    (folder / "app/things/models.py").write_text(
        f"{imports}\nfrom app.db import db\n\n\nclass Thing(db.Model):\n{model}", "utf-8"
    )
    lines = """
        test -d .git || git init --quiet
        git checkout --quiet -B main
        git add --all
        git rm --quiet -r --cached app/things
        git commit --quiet --message Start
        git checkout --quiet -b branch
        alembic revision --autogenerate -m "Add things"
        git add --all
        git commit --quiet --message Branch
        git checkout --quiet main
        git commit --quiet --allow-empty --message "Main goes on"
        git checkout --quiet --detach
        git merge --quiet --no-ff branch
        git update-ref refs/pull/1/merge HEAD
        git checkout --quiet main
    """
    shell(lines, folder, DATABASE_URL=address)
    return folder


def assert_of_the_branch_alone(sql: str) -> None:
    assert re.search(r"^-- main: \d{14}_\w{12} -> \d{14}_\w{12}$", sql, re.M), sql
    assert "CREATE TABLE thing" in sql
    assert "CREATE TABLE note" not in sql


def test_github_shows_what_a_pull_request_adds(
    shell: Callable[..., str],
    github_job: dict[str, Any],
    origin: Path,
    address: str,
    database: str,
    tmp_path: Path,
) -> None:
    """Run all commands but the first two, which install, in a checkout as complete as GitHub's."""
    assert github_job["steps"][0]["with"]["fetch-depth"] == 0
    folder, summary = tmp_path / "my-service", tmp_path / "summary"
    fetch = f"git fetch --quiet 'file://{origin}' refs/pull/1/merge"
    shell(f"git init --quiet {folder}", tmp_path)
    shell(f"{fetch}; git checkout --quiet FETCH_HEAD", folder)
    sha = shell("git rev-parse HEAD", folder).strip()
    given = {"DATABASE_URL": address, "GITHUB_SHA": sha, "GITHUB_STEP_SUMMARY": str(summary)}

    said = ""
    for step in [step for step in github_job["steps"] if "run" in step][2:]:
        options = "-eo pipefail" if step.get("shell") == "bash" else "-e"  # as their runner does
        said += shell(step["run"], folder, options, **given)

    text = summary.read_text("utf-8")
    assert_of_the_branch_alone(text)
    assert "HEAD^1 can read and write all its tables after 1 revisions" in said
    assert text.startswith("```sql\n")
    assert text.count("```") == (4 if database == "postgresql" else 2)
    if database == "postgresql":
        assert "warning[prefer-identity]: " in text
        assert "timeout" not in text
        assert "\x1b" not in text
    conditions = [step["if"] for step in github_job["steps"] if "if" in step]
    assert set(conditions) == {"github.event_name == 'pull_request'", "github.ref_type == 'tag'"}


def test_gitlab_shows_what_a_branch_adds(
    shell: Callable[..., str],
    gitlab_job: dict[str, Any],
    origin: Path,
    address: str,
    database: str,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "my-service"
    shell(f"git clone --quiet --branch=branch 'file://{origin}' {folder}", tmp_path)
    shell("git checkout --quiet --detach", folder)
    sha = shell("git rev-parse HEAD", folder).strip()
    given = {"DATABASE_URL": address, "CI_COMMIT_SHA": sha, "CI_DEFAULT_BRANCH": "main"}

    said = shell("\n".join(commands(gitlab_job)[2:]), folder, **given)

    assert_of_the_branch_alone((folder / gitlab_job["artifacts"]["paths"][0]).read_text("utf-8"))
    assert "can read and write all its tables after 1 revisions" in said
    assert ("prefer-identity" in said) is (database == "postgresql")
    assert gitlab_job["variables"]["GIT_DEPTH"] == "0"
    assert not gitlab_job["image"].endswith("-slim"), "it has no git"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_tag_is_tried_with_the_models_of_the_tag_before(
    shell: Callable[..., str],
    github_job: dict[str, Any],
    gitlab_job: dict[str, Any],
    origin: Path,
    address: str,
) -> None:
    shell("git tag v1 branch~1; git checkout --quiet branch; git tag v2", origin)
    github = [step for step in github_job["steps"] if "ref_type == 'tag'" in step.get("if", "")]
    gitlab = [command for command in commands(gitlab_job) if "flask db compatible" in command]
    for command in (*commands({"steps": github}), *gitlab):
        said = shell(command, origin, DATABASE_URL=address, CI_COMMIT_TAG="v2")
        assert "v1 can read and write all its tables after 1 revisions" in said


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_revision_that_others_have_is_not_edited(
    shell: Callable[..., str],
    github_job: dict[str, Any],
    gitlab_job: dict[str, Any],
    origin: Path,
) -> None:
    looks = [
        next(command for command in commands(job) if "--diff-filter" in command)
        for job in (github_job, gitlab_job)
    ]
    revision = "migrations/versions/*_create_note.py"
    shell("git checkout --quiet refs/pull/1/merge; git fetch --quiet . main", origin)
    for look in looks:
        shell(look, origin)
        for edit in (f"echo '# edited' >> {revision}", f"git rm -q {revision}"):
            shell(edit, origin)
            said = shell(f"if ({look}\n); then exit 9; fi", origin)
            assert "create_note.py" in said
            assert "write another revision" in said
            shell("git reset --quiet --hard", origin)


@contextmanager
def started(words: list[str], cwd: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    """Start a server, and stop it as a container engine does: it must end by itself, in order."""
    with log.open("w") as output:
        process = subprocess.Popen(words, cwd=cwd, env=env, stdout=output, stderr=output)
        try:
            yield
            process.terminate()
            assert process.wait(timeout=30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def image_folder(service: Path, folder: Path) -> Path:
    """Make the working folder of the final stage: what is copied into it, and nothing else."""
    folder.mkdir()
    final = (service / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    for source in re.findall(r"^COPY (\S+) \S+$", final, re.M):
        path = service / source
        if path.is_dir():
            shutil.copytree(path, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder)
    return folder


def wait_for(port: int) -> None:
    """Return when something listens; give up, silently, after a minute: the next step tells."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def test_the_commands_of_the_container_serve(
    run: Run, env: dict[str, str], service: Path, address: str, tmp_path: Path
) -> None:
    """Strict, alive at once, ready when `migrate` has run, and ended by one SIGTERM."""
    port = free_port()

    def here(words: list[str]) -> list[str]:
        moved = [re.sub(r"(0\.0\.0\.0|127\.0\.0\.1):8000", f"127.0.0.1:{port}", w) for w in words]
        assert moved != words
        return [word.replace("/dev/shm", str(tmp_path)) for word in moved]  # noqa: S108 (the image's)

    image, services = dict(instructions(service)), compose(service)
    server, alive = here(argv(image["CMD"])), here(argv(image["HEALTHCHECK"]))
    ready = here(services["web"]["healthcheck"]["test"][1:])
    migrate = services["migrate"]["command"]
    variables = dict(word.split("=", 1) for word in image["ENV"].split())
    assert variables.pop("PATH") == "/srv/.venv/bin:$PATH"
    # The image's user has no home that it could write to; nobody has this one.
    variables |= {"DATABASE_URL": address, "HOME": os.devnull}

    folder, log = image_folder(service, tmp_path / "srv"), tmp_path / "log"
    assert "SECRET_KEY" in run(migrate, folder, status=255, **variables)
    variables |= {"SECRET_KEY": SECRET}
    with started(server, folder, env | variables, log):
        wait_for(port)
        run(alive, folder)
        assert "503" in run(ready, folder, status=1)
        assert "production" in run(migrate, folder, **variables)
        run(ready, folder)
    output = log.read_text()
    assert '"GET /readyz HTTP/1.1" 200' in output
    assert "ERROR" not in output
    assert address not in output
