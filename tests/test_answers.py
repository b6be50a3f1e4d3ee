"""Tier 2, hostile answers: each is refused with nothing made, or comes out as the same text."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException

TEXTS = {
    "quotes": """ "double", 'single', ''two'' and `tick` """,
    "quotes at the ends": "''quoted''",
    "triple": 'three """ quotes',
    "backslash": r"back\slash \n \u0041 \N{DASH} at the end \ ".rstrip(),
    "emoji": "rocket 🚀 family 👩‍👩‍👧 é ß 日本語",
    "right to left": "خدمة עברית",
    "braces": "{ one } {} }}",
    "shell": "${HOME} $(id) `id` %PATH% !history & | ; > <",
    "format": "%(here)s %s {0} {name!r}",
    "dash": "--help -x",
    "path": "../../etc/passwd C:\\Windows /",
    "markup": "<b>&amp;</b> [red]rich[/] # *star* _line_ | - : @",
    "yaml": "yes: no # - [1, 2] !!tag &a *b",
    "long": "x" * 300,
    "empty comment": "#",
}
BAD_TEXTS = {
    "newline": "two\nlines",
    "return": "two\r\nlines",
    "tab": "a\ttab",
    "null-like": "a\x01b\x7f\x85",
    "escape": "\x1b[31mred",
    "separators": "a\u2028b\u2029c",
    "not UTF-8": "a\udcffb",
    "triple": "it's '''three'''",
}
BAD_SLUGS = {
    "": "my-service",
    " ": "my-service",
    ".": "my-service",
    "..": "my-service",
    "-": "my-service",
    "🚀": "my-service",
    "a/b": "a-b",
    "../x": "x",
    "/abs": "abs",
    "C:\\x": "c-x",
    "My-Service": "my-service",
    "my_service": "my-service",
    "my--service": "my-service",
    "-rf": "rf",
    "my-service-": "my-service",
    "my service": "my-service",
    "my-service\n": "my-service",
    "crème": "creme",
    "2048": "service-2048",
    "con": "service-con",
    "nul": "service-nul",
    "com1": "service-com1",
    "lpt0": "service-lpt0",
    "x" * 41: "x" * 40,
    "x" * 300: "x" * 40,
    "'; rm -rf ~": "rm-rf",
    "$(id)": "id",
}
GOOD_SLUGS = ["a", "api", "x" * 40, "a-1", "class", "con-1", "come", "refused-claims"]
Render = Callable[..., Path]
Run = Callable[..., str]
Refuse = Callable[..., str]


def literal(text: str) -> str:
    """Return a text as an answer given beforehand, which Cookiecutter takes for a template."""
    return "{{ " + ascii(text) + " }}"


def about(project: Path) -> dict[str, str]:
    """Return the table [project] of a service's pyproject.toml."""
    table: dict[str, str] = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return table


@pytest.fixture
def refuse(cookies: Any, template: Path, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Return a function that gives answers, sees them refused, and returns what was said."""

    def refuse(**answers: str) -> str:
        given = {name: literal(text) for name, text in answers.items()}
        result = cookies.bake(given, str(template))
        assert isinstance(result.exception, FailedHookException)
        said = capfd.readouterr().err
        assert not list(output_dir(said).iterdir())
        return said

    return refuse


def pasted(said: str) -> list[str]:
    """Return the words of the command line that is offered."""
    line = re.search(r"^Try:\n(.*)$", said, re.MULTILINE)
    assert line, said
    return shlex.split(line[1])


def output_dir(said: str) -> Path:
    words = pasted(said)
    return Path(words[words.index("--output-dir") + 1])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_comes_out_as_it_went_in(render: Render, text: str) -> None:
    project = render(project_name=literal(text), project_slug="odd", description=literal(text))
    assert about(project)["description"] == text
    readme = (project / "README.md").read_text("utf-8").splitlines()
    assert readme[:3] == [f"# {text}", "", text]
    for path in (*project.glob("*.y*ml"), *project.glob(".github/**/*.yml")):
        assert isinstance(yaml.safe_load(path.read_text("utf-8")), dict)


def test_an_empty_description_is_fine(render: Render) -> None:
    assert about(render(description=""))["description"] == ""


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_text_that_no_file_can_hold_is_refused(refuse: Refuse, text: str) -> None:
    said = refuse(project_name=text, description=text, project_slug="fine")
    assert "project_name is" in said
    assert "description is" in said
    assert "without control characters" in said
    assert "project_slug is" not in said


@pytest.mark.parametrize(("slug", "cure"), BAD_SLUGS.items(), ids=map(ascii, BAD_SLUGS))
def test_a_slug_that_cannot_be_a_folder_is_refused(refuse: Refuse, slug: str, cure: str) -> None:
    said = refuse(project_slug=slug)
    assert "project_slug is" in said
    assert f"project_slug={cure}" in pasted(said)


@pytest.mark.parametrize("slug", GOOD_SLUGS)
def test_a_good_slug_is_the_folder(render: Render, slug: str) -> None:
    assert render(project_slug=slug).name == slug


@pytest.mark.parametrize("slug", ["flask", "click", "alembic", "sqlalchemy", "ruff"])
def test_a_project_is_never_named_like_what_it_needs(render: Render, slug: str) -> None:
    needed = {item.metadata["Name"].lower().replace("_", "-") for item in distributions()}
    assert slug in needed
    assert about(render(project_slug=slug))["name"] not in needed


def test_all_problems_come_at_once_and_the_offered_command_works(
    refuse: Refuse, run: Run, tmp_path: Path
) -> None:
    said = refuse(project_name=" ", project_slug="a/b", description="it's {{ so }}\n'''odd'''")
    assert said.count("\n  - ") == 3
    words = pasted(said)
    assert words[:3] == [sys.executable, "-m", "cookiecutter"]  # not on PATH here
    run([*words, "setup=no"], tmp_path)
    assert about(output_dir(said) / "a-b")["description"] == """it's {{ so }} "odd\""""
    assert (output_dir(said) / "a-b" / "README.md").read_text("utf-8").startswith("# My Service\n")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("2048 Game", "service-2048-game"),
        ("3", "service-3"),
        ("Con", "service-con"),
        ("🚀", "my-service"),
        ("...", "my-service"),
        ("日本語", "ri-ben-yu"),
        ("Crème brûlée", "creme-brulee"),
        ("9" * 60, f"service-{'9' * 32}"),
        ("word " * 20, "word-word-word-word-word-word-word-word"),
    ],
)
def test_the_slug_that_is_offered_is_taken(render: Render, name: str, slug: str) -> None:
    assert render(project_name=name).name == slug


@pytest.fixture
def monorepo(template: Path, tmp_path: Path, run: Run) -> Path:
    """A git repository with this template in a folder."""
    whole = tmp_path / "whole-git"
    ignore = shutil.ignore_patterns(".git")
    shutil.copytree(template, whole / "templates" / "flask", ignore=ignore)
    run(["git", "init", "--quiet"], whole)
    run(["git", "add", "--all"], whole)
    run(["git", "commit", "--quiet", "--message", "Whole"], whole)
    return whole


@pytest.mark.parametrize("named", ["by its path", "relatively", "by an address", "as an archive"])
def test_the_offered_command_finds_a_template_in_a_folder(
    monorepo: Path, tmp_path: Path, run: Run, named: str
) -> None:
    archive = shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path, "whole-git")
    template = {
        "by its path": str(monorepo),
        "relatively": "whole-git",
        "by an address": f"file://{monorepo}",
        "as an archive": archive,
    }[named]
    given = [template, "--no-input", "--directory", "templates/flask", "setup=no"]
    said = run(
        [sys.executable, "-m", "cookiecutter", *given, "project_slug=A_B"], tmp_path, status=1
    )
    words = pasted(said)
    assert words[words.index("--directory") + 1] == "templates/flask"
    run(words, tmp_path)
    assert (tmp_path / "a-b" / "pyproject.toml").is_file()


def test_the_offered_command_overwrites_where_that_was_asked_for(
    template: Path, tmp_path: Path, run: Run
) -> None:
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input", "setup=no"]
    run(command, tmp_path)
    said = run([*command, "-f", "description=two\nlines"], tmp_path, status=1)
    run(pasted(said), tmp_path)
    assert about(tmp_path / "my-service")["description"] == "two lines"


def test_the_offered_command_begins_as_the_program_was_started(
    template: Path, tmp_path: Path, run: Run
) -> None:
    given = [template, "--no-input", "project_slug=A_B", "setup=no"]
    said = run(["cookiecutter", *given], tmp_path, status=1)
    assert pasted(said)[0] == "cookiecutter"
    run(pasted(said), tmp_path)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux tells a command")
@pytest.mark.parametrize(
    ("given", "problems", "cure"),
    [
        (["databse=postgresql"], ["databse is no question: did you mean database?"], "postgresql"),
        (["-o", "a=b", "container=no"], [], None),
        (["-f", "Database=mariadb"], ["did you mean database?"], "mariadb"),
        (["databse=oracle"], ["did you mean database?"], "sqlite"),
        (["contaner=maybe"], ["did you mean container?"], "sqlite"),
        (["xyz=1"], ["xyz is no question: there are project_name, "], "sqlite"),
        (["sluug=x", "projct_name=y"], ["sluug is no", "did you mean project_name?"], "sqlite"),
    ],
)
def test_an_answer_that_no_question_has_is_told(
    template: Path,
    tmp_path: Path,
    run: Run,
    given: list[str],
    problems: list[str],
    cure: str | None,
) -> None:
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input", "setup=no", *given]
    said = run(command, tmp_path, status=1 if problems else 0)
    assert [problem for problem in problems if problem not in said] == []
    if cure:
        assert not (tmp_path / "my-service").exists()
        assert f"database={cure}" in pasted(said)
        run(pasted(said), tmp_path)


def test_a_python_that_is_too_old_is_told_before_the_project_is_made(template: Path) -> None:
    text = (template / "hooks" / "pre_gen_project.py").read_text("utf-8")
    answers = json.dumps([["setup", True]])
    hook: dict[str, Any] = {"__name__": "hook"}
    exec(text.replace("{{ cookiecutter.items()|list|tojson }}", answers), hook)  # noqa: S102 (ours)
    refuse_machine = hook["refuse_machine"]

    refuse_machine((3, 11), None, template)
    refuse_machine((3, 10), "/bin/uv", template)
    with pytest.raises(SystemExit, match=r"Python 3\.10 runs this.*Install uv.*setup=no"):
        refuse_machine((3, 10), None, template)


def test_answers_given_beforehand_are_templates(render: Render, refuse: Refuse) -> None:
    """That is Cookiecutter's doing; what it cannot render, it refuses."""
    project = render(description="{{ 6 * 7 }} and {{ cookiecutter.project_slug }}")
    assert "\n42 and my-service\n" in (project / "README.md").read_text("utf-8")


@pytest.mark.parametrize("text", ["{{ 6 * 7 }}", "{{ nope", "{% if %}", "{# x", "#% if x"])
def test_what_is_typed_stays_text(
    template: Path, env: dict[str, str], tmp_path: Path, text: str
) -> None:
    typed = [text, "typed", text, "1", "1", "1", "yes", "no"]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template)],
        cwd=tmp_path,
        env=env,
        input="\n".join(typed) + "\n",
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert about(tmp_path / "typed")["description"] == text


def test_each_question_is_a_sentence(template: Path) -> None:
    context = json.loads((template / "cookiecutter.json").read_text("utf-8"))
    questions = [name for name in context if not name.startswith("_")]
    assert len(questions) <= 8
    assert sorted(context["__prompts__"]) == sorted(questions)
    assert all(isinstance(context[name], str | bool | list) for name in questions)


@pytest.mark.parametrize("word", ["database=oracle", "ci=jenkins", "container=maybe"])
def test_a_choice_that_is_not_offered_is_refused(
    template: Path, run: Run, tmp_path: Path, word: str
) -> None:
    command = [sys.executable, "-m", "cookiecutter", template, "--no-input", word]
    assert f"{word.partition('=')[2]} provided for" in run(command, tmp_path, status=1)
    assert not list(tmp_path.iterdir())
