"""The log of what ran: in the database, on each kind, by command line and by SQL."""

import re
import subprocess

import pytest
from histories import rows
from support import Service

FIRST = "20261122090000_3632c1f107b5"


def log(service: Service) -> list[tuple[object, ...]]:
    """Return what was done to which revision, by which release, and the file's checksum."""
    return rows(service, "SELECT * FROM alembic_log ORDER BY id")


def test_it_says_what_ran_and_by_which_release(service: Service) -> None:
    service.run("alembic", "upgrade", "head", RELEASE="v1")
    service.run("alembic", "upgrade", "head")  # nothing to do, nothing to log
    service.run("alembic", "check")
    service.run("alembic", "revision", "--autogenerate", "-m", "Nothing")
    assert len(service.revisions()) == 1  # the log is no change of the models
    service.run("alembic", "downgrade", "base", RELEASE="v2")
    service.run("alembic", "stamp", "head")

    printed = service.run("flask", "db", "log")

    lines = [line for line in printed.splitlines() if FIRST in line]
    assert [line.split()[2] for line in lines] == ["stamp", "downgrade", "upgrade"]  # newest first
    assert "by release v1" in lines[2]
    assert "by release v2" in lines[1]
    assert all(re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)


def test_an_edited_revision_is_told_and_not_refused(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    path = service.revisions()[0]
    said = f"{path.name} was edited after it was applied"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as git does on Windows
    for command in ("check", "current --verbose"):
        assert said not in service.run("alembic", *command.split())

    path.write_text(path.read_text("utf-8") + "\n# One more thought\n", "utf-8")

    for command in ("check", "current --verbose"):
        assert said in service.run("alembic", *command.split())
    assert said in service.run("flask", "db", "log")
    assert said not in service.run("alembic", "current")
    with service.serve() as get:
        assert "edited after" in get("/")[1]


def test_a_database_without_a_log_works(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    with service.engine().begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_log")

    assert "empty" in service.run("flask", "db", "log")
    service.run("alembic", "check")
    service.run("alembic", "current", "--verbose")
    with service.serve() as get:
        assert get("/readyz")[0] == 200
        assert get("/")[0] == 200
    service.run("alembic", "downgrade", "base")
    assert FIRST in service.run("flask", "db", "log")


def test_sql_that_is_written_offline_logs_as_well(service: Service) -> None:
    sql = service.run("alembic", "upgrade", "head", "--sql", RELEASE="v3")
    text = "\n".join(line for line in sql.splitlines() if not line.startswith("development:"))

    assert text.count("CREATE TABLE IF NOT EXISTS alembic_log") == 1
    with service.engine().begin() as connection:
        for statement in text.split(";\n"):
            words = re.sub(r"(?m)^--.*$", "", statement).strip()
            if words and words not in ("BEGIN", "COMMIT", "COMMIT;"):
                connection.exec_driver_sql(words.rstrip(";").replace("%", "%%"))

    printed = service.run("flask", "db", "log")
    assert re.search(rf"upgrade +{FIRST} +offline +by release v3", printed)
    service.run("alembic", "check")


@pytest.mark.parametrize("service", ["sqlite"], indirect=True)
def test_a_revision_that_fails_is_not_in_the_log(service: Service) -> None:
    path = service.revisions()[0]
    text = path.read_text("utf-8")
    broken = text.replace("    op.create_index(", "    raise RuntimeError\n    op.create_index(", 1)
    path.write_text(broken, "utf-8")
    done = subprocess.run(
        ["alembic", "upgrade", "head"],
        cwd=service.folder,
        env=service.environ(),
        capture_output=True,
        encoding="utf-8",
    )
    assert "RuntimeError" in done.stderr
    path.write_text(text, "utf-8")

    service.run("alembic", "upgrade", "head")

    assert [row[2] for row in log(service)] == ["upgrade"]
