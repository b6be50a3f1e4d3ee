"""Tier 1, in place: the unrendered service is valid and linted, and keeps its rules."""

import ast
import re
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

# The folders of migrator/ that are about a kind of database, and the words that name it.
KINDS = {
    "mariadb": "mariadb|mysql|pymysql|galera|wsrep",
    "mysql": "mariadb|mysql|pymysql",
    "postgresql": "postgres|psycopg|pg_|plpgsql",
    "sqlite": "sqlite|pragma",
}
# Files of the app that are about addresses and drivers, and so name databases.
NAMES_DATABASES = {"app/url.py", "app/db.py", "app/driver.py"}


@pytest.fixture(scope="session")
def service(template: Path) -> Path:
    return template / "{{cookiecutter.project_slug}}"


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def test_python_has_no_jinja(service: Path) -> None:
    for path in python_files(service):
        text = path.read_text("utf-8")
        ast.parse(text, path.name)
        assert not [mark for mark in ("{{", "{%", "{#", "#%") if mark in text], path


@pytest.mark.parametrize("where", ["service", "template"])
@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_tools_have_no_complaint(
    where: str,
    command: str,
    request: pytest.FixtureRequest,
    run: Callable[..., str],
    tmp_path: Path,
) -> None:
    folder: Path = request.getfixturevalue(where)
    caches = {"RUFF_CACHE_DIR": str(tmp_path / "ruff"), "MYPY_CACHE_DIR": str(tmp_path / "mypy")}
    run([sys.executable, "-m", *command.split()], folder, **caches)


def test_the_workshop_is_typed(service: Path, run: Callable[..., str], tmp_path: Path) -> None:
    """pyproject.toml does not name the workshop, so that the folder can be deleted."""
    command = [sys.executable, "-m", "mypy", "workshop", "--exclude", "/files/"]
    run(command, service, MYPY_CACHE_DIR=str(tmp_path / "mypy"))


def test_the_workshop_does_not_need_the_app(service: Path) -> None:
    """A student's error in the app must not stop the workshop."""
    allowed = {"development.py", "pages.py"}
    for path in python_files(service / "workshop"):
        if path.name not in allowed and "files" not in path.parts:
            assert not roots(path) & {"app", "flask", "migrations", "tests"}, path


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, or names in import_module()."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            yield from (arg.value for arg in node.args if is_text(arg))  # type: ignore[attr-defined]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def words(path: Path) -> Iterator[str]:
    """Yield all that code says: names, attributes, imports and texts; no comment or docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.alias):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def roots(path: Path) -> set[str]:
    """Return the first words of the modules that a file imports."""
    return {name.lstrip(".").partition(".")[0] for name in imports(path)}


def test_hooks_need_only_the_standard_library(template: Path) -> None:
    for path in python_files(template / "hooks"):
        assert roots(path) - {""} <= sys.stdlib_module_names, path


def test_migrator_knows_nothing_of_the_app(service: Path) -> None:
    files = python_files(service / "migrator")
    assert len(files) > 20
    for path in files:
        assert not roots(path) & {"app", "migrations", "tests"}, path


def test_only_the_command_line_knows_flask(service: Path) -> None:
    web = {"flask", "flask_sqlalchemy", "werkzeug", "click"}
    users = {path.name for path in python_files(service / "migrator") if roots(path) & web}
    assert users == {"flask_cli.py"}


def test_a_database_is_named_in_its_own_folder_only(service: Path) -> None:
    files = python_files(service / "migrator", service / "migrations", service / "app")
    found: dict[str, set[str]] = {}
    for path in files:
        name = path.relative_to(service).as_posix()
        own = KINDS.get(path.parent.name, "(?!)")  # (?!) matches nothing
        if name in NAMES_DATABASES or "/versions/" in name or path.name == "models.py":
            continue
        for word in words(path):
            foreign = re.sub(own, "", word.lower())
            named = re.findall("|".join(KINDS.values()), foreign)
            if named:
                found.setdefault(name, set()).update(named)
    assert found == {}


def test_each_kind_of_database_has_the_same_parts(service: Path) -> None:
    parts = {
        kind: {path.name for path in (service / "migrator" / kind).glob("*.py")} for kind in KINDS
    }
    assert parts["sqlite"] & parts["postgresql"] & parts["mariadb"] & parts["mysql"] >= {
        "__init__.py",
        "autogenerate.py",
        "proof.py",
    }
    folders = {path.parent.name for path in (service / "migrator").glob("*/proof.py")}
    assert folders == KINDS.keys()


def test_migrator_has_no_circle_of_imports(service: Path) -> None:
    folder = service / "migrator"
    modules = {module_name(path, service): path for path in python_files(folder)}
    needs = {name: {*needed(path, modules.keys())} - {name} for name, path in modules.items()}
    while ready := [name for name, others in needs.items() if not others]:
        for name in ready:
            del needs[name]
        needs = {name: others - {*ready} for name, others in needs.items()}
    assert needs == {}


def needed(path: Path, modules: Collection[str]) -> Iterator[str]:
    """Yield which of these modules a file imports: of `from a import b`, a.b where that is one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in inner]
        yield from (name for name in names if name in modules)


def module_name(path: Path, service: Path) -> str:
    name = ".".join(path.relative_to(service).with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_a_private_name_of_alembic_is_used_in_one_place_at_most(service: Path) -> None:
    places: dict[str, list[str]] = {}
    for path in python_files(service / "migrator", service / "migrations", service / "app"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and roots(path) & {"alembic", "sqlalchemy"}:
                for alias in node.names:
                    if alias.name.startswith("_"):
                        places.setdefault(alias.name, []).append(path.name)
            elif isinstance(node, ast.Attribute) and is_private_of_another(node):
                places.setdefault(node.attr, []).append(path.name)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def is_private_of_another(node: ast.Attribute) -> bool:
    if node.attr in ("_asdict", "_fields", "_replace"):  # the public names of a named tuple
        return False
    return bool(re.match("_[a-z]", node.attr)) and ast.unparse(node.value) not in ("self", "cls")


def test_env_py_is_read_at_a_glance(service: Path) -> None:
    text = (service / "migrations/env.py").read_text("utf-8")
    assert len(text.splitlines()) <= 60
    functions = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert functions == ["run_migrations_offline", "run_migrations_online"]
    for seen in ("url, engine_options = settings.migration_database(bind)", "closed at the end"):
        assert seen in text
