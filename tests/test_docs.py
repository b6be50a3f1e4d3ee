"""The pages of docs/ keep what they say: links lead somewhere, and settings work as printed."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import certifi
import pytest

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
# Runs in a rendered service: prints what its configuration says of each address, or None.
ASK = """
import json
import sys

from app.config import ConfigError, Production

answers = []
for address, options in json.load(sys.stdin):
    variables = {"DATABASE_URL": address, "DATABASE_ENGINE_OPTIONS": options}
    try:
        Production(variables | {"SECRET_KEY": "k" * 32})
    except ConfigError as error:
        answers.append(error.message)
    else:
        answers.append(None)
json.dump(answers, sys.stdout)
"""
# What a message says, by what the page says.
REFUSALS = {
    "the list of keywords": "is a list of keywords",
    "the quotation marks": "quotation marks",
    "the value of `ssl`": "a value of ssl that",
    "several hosts": "names several hosts",
    "the kind of database": "a kind of database that this service cannot migrate",
    "`jdbc:`": "remove jdbc:",
}


PAGE = (Path(__file__).parent.parent / "docs/settings.md").read_text("utf-8")


def providers() -> Iterator[tuple[str, str, str]]:
    """Yield what a provider hands out, what the service does with it, and what to write."""
    table = PAGE.partition("| Provider hands out |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        given, does, write = (cell.strip() for cell in line.strip("|").split("|"))
        quoted = re.findall("`([^`]+)`", given)  # the address is the last
        yield quoted[-1] if quoted else "", does, write.strip("`")


PROVIDERS = [*providers()]
OPTIONS = re.findall("^DATABASE_ENGINE_OPTIONS=(.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="session")
def ask(
    render: Callable[..., Path], env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str | None]:
    """Return a function that tells why the configuration refuses an address and options, or None.

    Where the page names a file of a provider's certificates, one that exists takes its place.
    """
    certificates = tmp_path_factory.mktemp("certificates") / "provider.pem"
    shutil.copy(certifi.where(), certificates)

    def with_certificates(address: str) -> str:
        return re.sub(r"/etc/ssl/[\w/.-]+", certificates.as_posix(), address)

    pairs = [(text, "{}") for given, _, write in PROVIDERS for text in (given, write)]
    pairs += [("postgresql://me:secret@db/shop", options) for options in OPTIONS]
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=render(),
        env=env | {"PYTHONDONTWRITEBYTECODE": "1"},  # other tests read this rendering, too
        input=json.dumps([(with_certificates(address), options) for address, options in pairs]),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    answers: dict[tuple[str, str], str | None]
    answers = dict(zip(pairs, json.loads(done.stdout), strict=True))
    return lambda address, options="{}": answers[address, options]


@pytest.mark.parametrize(("given", "does", "write"), PROVIDERS)
def test_an_address_of_a_cloud_is_taken_as_the_page_says(
    given: str, does: str, write: str, ask: Callable[..., str | None]
) -> None:
    assert given or write
    if given and does == "accepts it":
        assert ask(given) is None
        assert not write
    elif given:
        refused = does.removeprefix("refuses ")
        assert refused != does
        answer = ask(given)
        assert answer is not None
        assert REFUSALS.get(refused, f"has {refused.strip('`')}, which") in answer
        assert "secret" not in answer
    if write:
        assert ask(write) is None


def test_there_is_a_line_for_each_cloud() -> None:
    clouds = {"Heroku", "Railway", "Render", "Fly", "Azure", "RDS", "Supabase", "Neon"}
    clouds |= {"PlanetScale", "Aiven"}

    assert clouds <= set(re.findall(r"^[|] [*][*](\w+)[*][*]", PAGE, re.MULTILINE))


def test_the_engine_options_work(ask: Callable[..., str | None]) -> None:
    assert len(OPTIONS) == 3
    for options in OPTIONS:
        assert ask("postgresql://me:secret@db/shop", options) is None


def test_every_variable_is_listed_and_no_other(render: Callable[..., Path]) -> None:
    table = PAGE.partition("## The variables")[2].partition("\n\nAlembic uses")[0]
    listed = set(re.findall("^[|] `([A-Z_]+)`", table, re.MULTILINE))
    example = (render() / ".env.example").read_text("utf-8")
    assert listed - {"WEB_CONCURRENCY", "DATABASE_PASSWORD"} == set(
        re.findall("^([A-Z_]+)=", example, re.MULTILINE)
    )


def test_links_lead_somewhere(template: Path) -> None:
    pages = [*template.glob("*.md"), *template.glob("docs/*.md")]
    pages += [*(template / "{{cookiecutter.project_slug}}").rglob("*.md")]
    assert len(pages) > 8
    broken = [
        f"{path.relative_to(template)}: {target}"
        for path in pages
        for target, _ in LINK.findall(path.read_text("utf-8"))
        if not (path.parent / unquote(target)).exists()
    ]
    assert broken == []


def test_the_index_has_every_page(template: Path) -> None:
    pages = {path.name for path in (template / "docs").glob("*.md")} - {"README.md"}
    index = (template / "docs/README.md").read_text("utf-8")
    assert pages <= {target for target, _ in LINK.findall(index)}


def test_the_layout_is_what_is_there(template: Path) -> None:
    layout = (template / "README.md").read_text("utf-8").partition("## What you get\n")[2]
    paths = re.findall(r"(?m)^([a-z_]+/[\w./]*) ", layout.partition("```\n\n")[0])
    assert len(paths) > 8
    assert [
        path for path in paths if not (template / "{{cookiecutter.project_slug}}" / path).exists()
    ] == []


def test_old_names_are_only_in_what_tells_of_the_past(template: Path) -> None:
    past = {"CHANGELOG.md", "docs/decisions.md", "tests/test_docs.py", "tests/test_update.py"}
    for path in template.rglob("*"):
        name = path.relative_to(template).as_posix()
        if path.is_file() and not name.startswith(".git/") and name not in past:
            assert b"alembic_support" not in path.read_bytes(), name
