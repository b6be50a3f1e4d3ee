"""Tier 2, render only: which files come with which answers, and that all of them are sound."""

import ast
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

CONTAINER = {".dockerignore", "Dockerfile", "compose.yaml"}
GITHUB = {".github/workflows/ci.yml"}
GITLAB = {".gitlab-ci.yml"}
WORKSHOP = {"workshop/"}  # all that is in that folder
ALWAYS = """
    .env .env.example .gitattributes .gitignore AGENTS.md README.md alembic.ini doctor.py
    gunicorn.conf.py pyproject.toml wsgi.py
    app/__init__.py app/config.py app/db.py app/driver.py app/faulty.py app/health.py app/start.py
    app/unseen.py app/url.py app/variables.py
    app/notes/models.py app/notes/views.py app/templates/start.html
    migrations/compatible.py migrations/draw.py migrations/env.py migrations/script.py.mako
    migrations/prove.py migrations/trial.py migrations/versions/README.md
    migrations/versions/20261122090000_3632c1f107b5_create_note.py
    tests/conftest.py tests/test_config.py tests/test_health.py tests/test_migrations.py
    tests/test_notes.py
"""
# Each choice at least once, and each pair of choices that could meet in a file.
CASES = [
    pytest.param({}, CONTAINER | GITHUB, id="default"),
    pytest.param({"ci": "gitlab"}, CONTAINER | GITLAB, id="gitlab"),
    pytest.param({"ci": "none"}, CONTAINER, id="no-ci"),
    pytest.param({"container": False}, GITHUB, id="no-container"),
    pytest.param({"ci": "none", "container": False}, set(), id="nothing"),
    pytest.param({"database": "postgresql"}, CONTAINER | GITHUB, id="postgresql"),
    pytest.param({"database": "mariadb"}, CONTAINER | GITHUB, id="mariadb"),
    pytest.param({"database": "postgresql", "ci": "gitlab"}, CONTAINER | GITLAB, id="pg-gitlab"),
    pytest.param({"database": "mariadb", "ci": "gitlab"}, CONTAINER | GITLAB, id="maria-gitlab"),
    pytest.param({"database": "postgresql", "container": False}, GITHUB, id="pg-no-container"),
    pytest.param({"database": "mariadb", "container": False}, GITHUB, id="maria-no-container"),
    pytest.param({"workshop": True}, CONTAINER | GITHUB | WORKSHOP, id="workshop"),
    pytest.param({"workshop": True, "ci": "none", "container": False}, WORKSHOP, id="ws-nothing"),
]
KINDS = ("mariadb", "mysql", "postgresql", "sqlite")
Render = Callable[..., Path]
Run = Callable[..., str]


def manifest(project: Path) -> list[str]:
    """Return the names of all files, and of empty folders, without git's own."""
    paths = (path for path in project.rglob("*") if path.is_file() or not any(path.iterdir()))
    names = (path.relative_to(project).as_posix() for path in paths)
    return sorted(name for name in names if not name.startswith(".git/"))


def texts(project: Path) -> dict[str, str]:
    """Return what each file holds, by its name, line endings as they are."""
    return {name: (project / name).read_bytes().decode() for name in manifest(project)}


@pytest.mark.parametrize(("answers", "chosen"), CASES)
def test_the_manifest_is_exact(
    render: Render, template: Path, answers: dict[str, str], chosen: set[str]
) -> None:
    assert manifest(render(**answers)) == wanted(template, chosen)


def wanted(template: Path, chosen: set[str]) -> list[str]:
    """Return the names of the files that a project has, with those that were chosen.

    All of migrator/ is among them, whatever the database, so that DATABASE_URL can change.
    """
    service = template / "{{cookiecutter.project_slug}}"
    files = {*files_in(service, "migrator")}
    assert {f"migrator/{kind}/autogenerate.py" for kind in KINDS} < files
    if chosen >= WORKSHOP:
        files |= {*files_in(service, "workshop")}
    return sorted({*files, *(chosen - WORKSHOP), *ALWAYS.split()})


def files_in(service: Path, folder: str) -> list[str]:
    """Return the names of the files in a folder of the service."""
    paths = (service / folder).rglob("*.*")
    return [path.relative_to(service).as_posix() for path in paths]


@pytest.mark.parametrize(("answers", "chosen"), CASES)
def test_every_file_is_sound(render: Render, answers: dict[str, str], chosen: set[str]) -> None:
    for name, text in texts(render(**answers)).items():
        assert "cookiecutter" not in text.lower(), name
        if not name.endswith((".html", ".mako")):  # Flask's and Alembic's own templates
            assert not re.search(r"(?<!\$)\{\{|\{%|^\s*#%", text, re.MULTILINE), name
        assert "\r" not in text, name
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), name
        assert not re.search(r"^\n|[ \t]\n", text), name
        if not name.endswith((".py", ".mako")):
            prose = re.sub(r"^ *```.*?^ *```", "code", text, flags=re.DOTALL | re.MULTILINE)
            assert "\n\n\n" not in prose, name
        parse(name, text)


def parse(name: str, text: str) -> None:
    if name.endswith(".py"):
        ast.parse(text, name)
    elif name.endswith(".toml"):
        tomllib.loads(text)
    elif name.endswith((".yml", ".yaml")):
        assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_the_database_is_named_where_it_matters(render: Render, database: str) -> None:
    project = render(database=database)
    markers = {"sqlite": "sqlite:///", "postgresql": "postgresql://", "mariadb": "mariadb://"}
    url = re.search(r"^DATABASE_URL=(.*)$", texts(project)[".env"], re.MULTILINE)
    assert url
    assert url[1].startswith(markers[database])
    needed = tomllib.loads(texts(project)["pyproject.toml"])["project"]["dependencies"]
    drivers = {re.split(r"\W", item)[0] for item in needed} & {"psycopg", "pymysql"}
    assert drivers == {"sqlite": set(), "postgresql": {"psycopg"}, "mariadb": {"pymysql"}}[database]


def test_python_is_the_same_whatever_was_answered(render: Render, template: Path) -> None:
    source = template / "{{cookiecutter.project_slug}}"
    for project in (render(), render(database="mariadb", ci="none", container=False)):
        for name, text in texts(project).items():
            if name.endswith((".py", ".mako", ".html")):
                assert (source / name).read_bytes().decode() == text, name


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_the_workshop_goes_away_with_its_folder(
    render: Render, tmp_path: Path, database: str
) -> None:
    folder = tmp_path / "my-service"
    shutil.copytree(render(database=database, workshop=True), folder)
    shutil.rmtree(folder / "workshop")
    taken_away, declined = texts(folder), texts(render(database=database))
    assert {**taken_away, ".env": ""} == {**declined, ".env": ""}  # but for the secret


def test_the_secret_is_all_that_differs(render: Render) -> None:
    one, other = texts(render()), texts(render(project_name="My Service"))
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == [".env"]
    changed = set(one[".env"].splitlines()) ^ set(other[".env"].splitlines())
    assert len(changed) == 2
    assert all(re.fullmatch("SECRET_KEY=[0-9a-f]{64}", line) for line in changed)


def test_names_are_good_on_windows(render: Render) -> None:
    names = [part for name in manifest(render()) for part in name.split("/")]
    assert not [name for name in names if re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', name)]
    stems = {name.split(".")[0].lower() for name in names}
    assert not stems & {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{p}{n}" for p in ("com", "lpt") for n in "0123456789"),
    }


def test_replay_makes_the_same_again(template: Path, run: Run, tmp_path: Path) -> None:
    cookiecutter = [sys.executable, "-m", "cookiecutter", template]
    home = {"HOME": str(tmp_path / "home")}
    answers = ["--no-input", "setup=no", "ci=none", "project_name=Played Again"]
    run([*cookiecutter, *answers], tmp_path, **home)
    first = tmp_path / "first"
    shutil.move(tmp_path / "played-again", first)
    run([*cookiecutter, "--replay"], tmp_path, **home)
    one, other = texts(first), texts(tmp_path / "played-again")
    assert {**one, ".env": ""} == {**other, ".env": ""}


@pytest.mark.parametrize("named", ["absolute", "relative"])
def test_work_in_the_template_leaves_nothing_in_a_rendering(
    template: Path, run: Run, tmp_path: Path, named: str
) -> None:
    """CONTRIBUTING.md has the tests run in the template's own folder, where tools keep caches."""
    copy = tmp_path / "template"
    shutil.copytree(template, copy)
    for name in (".mypy_cache", ".pytest_cache", ".ruff_cache", "app/__pycache__"):
        cache = copy / "{{cookiecutter.project_slug}}" / name
        cache.mkdir(exist_ok=True)
        (cache / "cache.db").write_bytes(b"{{ text and \x8a\x00")
    place = copy if named == "absolute" else copy.name
    run([sys.executable, "-m", "cookiecutter", place, "--no-input", "setup=no"], tmp_path)
    files = manifest(tmp_path / "my-service")
    assert files == wanted(template, CONTAINER | GITHUB)


def test_an_existing_folder_is_refused_and_left_alone(
    template: Path, run: Run, tmp_path: Path
) -> None:
    mine = tmp_path / "my-service"
    mine.mkdir()
    (mine / "README.md").write_text("mine", "utf-8")
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input", "setup=no"]
    assert "already exists" in run(command, tmp_path, status=1)
    assert manifest(mine) == ["README.md"]
    assert (mine / "README.md").read_text("utf-8") == "mine"
