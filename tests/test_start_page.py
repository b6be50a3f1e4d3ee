"""The start page in each state: what it says, that it fits, and that axe-core finds no fault."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from browser import DARK, found_by_axe
from support import Service

FIRST = "20261122090000_3632c1f107b5"
REVISION = '''"""{message}"""

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''


@pytest.fixture
def service(render: Callable[..., Path], env: dict[str, str], tmp_path: Path) -> Service:
    folder = copytree(render(database="sqlite"), tmp_path / "my-service")
    (tmp_path / "data").mkdir()
    return Service("sqlite", folder, f"sqlite:///{tmp_path / 'data/service.db'}", env)


def write(service: Service, name: str, down: str | tuple[str, ...]) -> str:
    """Write an empty revision; return its id: a number in the place of the time, and the name."""
    number = len(service.revisions())
    revision = f"202612{number // 1000 + 1:02d}{number:06d}_{name}"
    text = REVISION.format(message=f"Added {name}", revision=revision, down=down)
    service.write(f"migrations/versions/{revision}.py", text)
    return revision


def chain(service: Service, length: int, down: str = FIRST) -> list[str]:
    """Write revisions that follow each other, and return their ids."""
    made = [down]
    for number in range(length):
        made.append(write(service, f"table{number}", made[-1]))
    return made[1:]


def page(service: Service, path: str = "/") -> str:
    """Return what a browser is answered, after its status."""
    return service.python(
        f"""
        from app import create_app

        answer = create_app().test_client().get({path!r}, headers={{"Accept": "text/html"}})
        print(answer.status_code, answer.text)
        """
    )


def visible(page: str) -> str:
    """Return what a page says, without markup, style and what is folded."""
    page = re.sub(r"(?s)<style>.*?</style>|(<details>.*?</summary>).*?</details>", r"\1", page)
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("text", [None, "def (:"], ids=["deleted", "no Python"])
def test_revisions_that_cannot_be_read(service: Service, text: str | None) -> None:
    """One sentence in the terminal, on the page, and from /readyz."""
    first, second, _ = chain(service, 3)
    service.run("alembic", "upgrade", "head")
    path = service.folder / f"migrations/versions/{second}.py"
    cure = f"{path.name}, line 1, is no Python"
    if text:
        path.write_text(text, "utf-8")
    else:
        path.unlink()
        cure = f"{second} has no file, and others follow it: bring the file back"

    for command in ("current", "check", "upgrade head", f"downgrade {first}"):
        said = service.run("alembic", *command.split(), fails=True)
        assert cure in said
        assert "Traceback" not in said
    said = visible(page(service))
    assert said.startswith("200 ")
    assert cure in said
    assert cure in page(service, "/readyz")


def two_heads(service: Service) -> list[str]:
    trunk = chain(service, 2)
    left = write(service, "left", trunk[-1])
    right = write(service, "right", trunk[-1])
    return [*trunk, left, right]


def test_what_to_type_comes_first(service: Service) -> None:
    chain(service, 40)

    said = visible(page(service))

    command = said.index("alembic upgrade head")
    assert command < said.index("Served here") < said.index("Revisions")
    assert "behind: 41 revisions to apply" in said
    assert said.count("Added table") == 10  # the newest
    assert "31 older, 31 of them pending" in said


def test_the_routes_of_the_service_are_links(service: Service) -> None:
    service.run("alembic", "upgrade", "head")

    text = page(service)

    assert '<a href="/notes"><code>/notes</code></a>' in text
    assert "<code>/notes/&lt;int:note_id&gt;</code>" in text
    assert text.count("<a href=") == 3  # /notes, /healthz and /readyz
    assert "List the newest 20 notes" in text


def test_words_say_what_colours_say(service: Service) -> None:
    revisions = chain(service, 3)
    service.run("alembic", "upgrade", revisions[1])

    said = visible(page(service))

    assert re.search("Added table2 pending", said)
    assert re.search("Added table1 the database is here", said)
    assert re.search("Added table0 applied", said)


def test_a_page_in_the_place_of_another_says_why(service: Service) -> None:
    said = visible(page(service, "/notes"))

    assert said.startswith("503 ")
    assert "You see this page instead of /notes" in said
    assert "because revisions are pending" in said
    assert "You see this page instead" not in page(service)


def test_nothing_is_claimed_of_a_database_that_does_not_answer(service: Service) -> None:
    chain(service, 2)
    (service.folder.parent / "data").rmdir()

    said = visible(page(service))

    assert "unreachable" in said
    assert "Which of them are applied is not known" in said
    for claim in ("pending", "applied 2", "the database is here"):
        assert claim not in said.partition("Revisions")[2]


@pytest.mark.parametrize("name", ["of_others", "20261231000000_3632c1f107b5"])
def test_nothing_is_claimed_beside_a_revision_that_is_unknown(service: Service, name: str) -> None:
    service.run("alembic", "revision", "-m", "Lost", "--rev-id", name)
    service.run("alembic", "upgrade", "head")
    service.newest().unlink()

    said = visible(page(service))

    assert "bring its file back if it was deleted" in said
    assert "Which of them are applied is not known" in said
    assert "pending" not in said


def test_an_edited_revision_is_named(service: Service) -> None:
    chain(service, 2)
    service.run("alembic", "upgrade", "head")
    with service.revisions()[1].open("a", encoding="utf-8") as file:
        file.write("# edited\n")

    said = visible(page(service))

    assert f"Edited after it was applied: {service.revisions()[1].name}" in said
    assert "Added table0 applied edited after it was applied" in said


def test_two_heads_are_joined(service: Service) -> None:
    """`upgrade head` would fail, so neither the page nor /readyz nor the guard says it first."""
    *_, left, right = two_heads(service)
    merge = "alembic merge heads -m Merge"

    said = visible(page(service))
    assert said.index(merge) < said.index("alembic upgrade head")
    assert said.count("newest of its branch") == 2
    assert "branches begin here" in said
    for path in ("/readyz", "/notes"):
        answer = service.python(
            f"""
            from app import create_app

            print(create_app().test_client().get({path!r}).text)
            """
        )
        assert merge in answer
        assert "upgrade head" not in answer

    service.run(*merge.split())
    service.run("alembic", "upgrade", "head")
    said = visible(page(service))
    assert "Type next Add a model" in said
    assert "joins branches" in said
    assert "State ready" in said
    service.run("alembic", "downgrade", left)
    assert "behind: 1 revision to apply" in visible(page(service))
    assert right in service.run("alembic", "current")


def test_both_heads_may_be_applied(service: Service) -> None:
    two_heads(service)
    service.run("alembic", "upgrade", "heads")

    said = visible(page(service))

    assert "State ready" in said
    assert "alembic merge heads -m Merge" in said
    assert said.count("the database is here") == 2


def lanes(service: Service) -> dict[str, list[Any]]:
    """Return of each revision its lane and its lines, as migrator.review.lanes has them."""
    found: dict[str, list[Any]] = json.loads(
        service.python(
            """
            import json
            from alembic.config import Config
            from alembic.script import ScriptDirectory
            from migrator.review.lanes import rows

            script = ScriptDirectory.from_config(Config("alembic.ini"))
            print(json.dumps({
                row.script.doc: [row.lane, sorted(f"{one.part} {one.lane}" for one in row.lines)]
                for row in rows(script.walk_revisions())
            }))
            """
        )
    )
    return found


def test_branches_are_drawn_as_branches(service: Service) -> None:
    *_, left, right = two_heads(service)
    write(service, "merge", (left, right))

    assert lanes(service) == {
        "Added merge": [0, ["across 1", "below 0", "below 1"]],
        "Added left": [0, ["above 0", "above 1", "below 0", "below 1"]],
        "Added right": [1, ["above 0", "above 1", "below 0", "below 1"]],
        "Added table1": [0, ["above 0", "above 1", "across 1", "below 0"]],
        "Added table0": [0, ["above 0", "below 0"]],
        "Create note": [0, ["above 0"]],
    }


def no_revision(service: Service) -> str:
    for path in service.revisions():
        path.unlink()
    return page(service)


def one_revision(service: Service) -> str:
    service.run("alembic", "upgrade", "head")
    return page(service)


def many_revisions(service: Service) -> str:
    service.run("alembic", "upgrade", chain(service, 399)[-5])
    return page(service)


def branches(service: Service) -> str:
    service.run("alembic", "upgrade", two_heads(service)[-2])
    return page(service, "/notes")


def ahead(service: Service) -> str:
    service.run("alembic", "revision", "-m", "Lost", "--rev-id", "20261231000000_3632c1f107b5")
    service.run("alembic", "upgrade", "head")
    service.newest().unlink()
    return page(service)


def unreachable(service: Service) -> str:
    (service.folder.parent / "data").rmdir()
    return page(service, "/notes")


STATES = (no_revision, one_revision, many_revisions, branches, ahead, unreachable)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_no_fault(
    service: Service,
    state: Callable[[Service], str],
    run: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Contrast, names, landmarks and order, in light and dark, with all that is folded opened."""
    text = state(service).partition(" ")[2]
    for flags in ([], [DARK]):
        assert found_by_axe(tmp_path, text, flags, run) == []
