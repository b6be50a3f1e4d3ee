"""From SQLite to PostgreSQL, and a production that refuses to start."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from workshop.checks import has_its_notes
from workshop.labs.lab09_postgresql import production, server
from workshop.labs.lab09_postgresql.server import DRIVER, PASSWORD, Made, read_made, run_on
from workshop.notes import FIRST, TITLES, add_notes
from workshop.project import BrokenError, Project

MINUTES = 30
clean = server.clean
AGAIN = "  uv run python -m workshop.labs.lab09_postgresql.server"
INSERT = "INSERT INTO note (title, body, created_at) VALUES ('One more', '', :now)"
# How the service reads .env. It prints the address, or what the configuration says is wrong.
READ = """
import json

import click
from app.config import load_config

try:
    url, _ = load_config("development").database(None)
    print(json.dumps({"url": url.render_as_string(hide_password=False)}))
except click.ClickException as error:
    print(json.dumps({"problem": error.format_message()}))
"""


def stage(project: Project) -> None:
    """Three notes in SQLite, and the secret of .env.example."""
    project.database.upgrade(FIRST)
    add_notes(project)
    project.write(".env", project.read(".env") + "SECRET_KEY=change-me\n")


def made_by(project: Project) -> Made:
    """Return what the lab made. Raises BrokenError where there is nothing yet."""
    made = read_made(project)
    if made is None:
        raise BrokenError(f"There is no PostgreSQL database for you yet. Have it made:\n{AGAIN}")
    return made


def address(project: Project) -> sa.URL:
    """Return the address that the service reads. Raises BrokenError where it refuses it."""
    done = project.run_code(READ)
    if done.status:
        raise BrokenError(done.last_line)
    found: dict[str, str] = json.loads(done.last_line)
    if "problem" in found:
        raise BrokenError(
            f"The service cannot read what .env says:\n  {found['problem']}\n"
            "What does @ mean in an address? And what does % mean?"
        )
    return sa.make_url(found["url"])


def has_server(project: Project) -> str | None:
    made = made_by(project)
    try:
        run_on(made.admin, "SELECT 1")
    except sa.exc.SQLAlchemyError as error:
        return f"The server does not answer: {server.sentence(error)}\nStart it again:\n{AGAIN}"
    return None


def is_named(project: Project) -> str | None:
    url, wanted = address(project), made_by(project).url
    if url.get_backend_name() == "sqlite":
        return (
            "The service still works with SQLite. Of two lines with one name in .env, the last one "
            "counts: change the DATABASE_URL at its end."
        )
    if url.drivername != DRIVER:
        return f"The address begins with {url.drivername}://. PostgreSQL's is postgresql://"
    if url.username != wanted.username:
        return (
            f"The service logs in as {url.username!r}. Your database belongs to "
            f"{wanted.username!r}, and a service gets no role that may do more."
        )
    if url.password != PASSWORD:
        return (
            f"The password that arrives at the server is {url.password!r}, not {PASSWORD!r}. In an "
            "address, % and the two signs after it stand for another sign. How is % itself written?"
        )
    if url.database != wanted.database:
        return (
            f"The address ends with the database {url.database!r}. Yours is {wanted.database!r}; "
            "the server may have many."
        )
    return None


def answers(project: Project) -> str | None:
    url = address(project)
    try:
        ((name,),) = run_on(url, "SELECT current_database()")
    except sa.exc.SQLAlchemyError as error:
        return (
            f"With your address, nobody can log in: {server.sentence(error)}\n"
            f"Compare host and port:\n{AGAIN}"
        )
    return None if name == made_by(project).name else f"The address leads to {name!r}."


def is_migrated(project: Project) -> str | None:
    url, heads = address(project), {*project.heads()}
    tables = {name for (name,) in run_on(url, "SELECT tablename FROM pg_tables")}
    if "alembic_version" not in tables:
        if "note" in tables:
            return (
                "Your PostgreSQL database has the table `note`, but no revision made it, so nobody "
                "can change it by a revision either. Drop the table, and let Alembic make it."
            )
        return (
            "Your PostgreSQL database is empty. Who makes tables in a database that is new?\n"
            "  uv run alembic upgrade head"
        )
    current = {revision for (revision,) in run_on(url, "SELECT version_num FROM alembic_version")}
    if "note" not in tables:
        return (
            "Your PostgreSQL database says that it has revisions, but it has no table `note`: "
            "`stamp` writes down a number and runs nothing. Go back by `uv run alembic stamp "
            "--purge base`, and upgrade."
        )
    if current != heads:
        here = ", ".join(sorted(current)) or "no revision"
        return f"Your PostgreSQL database is at {here}:\n  uv run alembic upgrade head"
    return None


def has_the_notes(project: Project) -> str | None:
    titles = {title for (title,) in run_on(address(project), "SELECT title FROM note")}
    if lost := [title for title in TITLES if title not in titles]:
        return (
            f"The note {lost[0]!r} is not in PostgreSQL. A revision makes tables, and carries no "
            "rows from one database to another:\n"
            "  uv run python -m workshop.labs.lab09_postgresql.copy_notes"
        )
    return None


def takes_one_more(project: Project) -> str | None:
    """Write a note and take it back."""
    engine = sa.create_engine(address(project), poolclass=sa.NullPool)
    with engine.connect() as connection:
        try:
            connection.execute(sa.text(INSERT), {"now": datetime.now(UTC)})
        except sa.exc.IntegrityError:
            return (
                "The next note cannot be written: its number is taken. The notes came with the "
                "numbers that they had in SQLite, and PostgreSQL's counter has not heard of them. "
                "Copy them without, or set the counter by setval()."
            )
        finally:
            connection.rollback()
    return None


def starts_in_production(project: Project) -> str | None:
    done = production.start(project)
    if done.status == 0:
        return None
    said = "\n  ".join(production.refusals(done.output) or [done.last_line])
    return (
        f"Production refuses to start:\n  {said}\n"
        "Whoever knows the secret can sign a session as anybody, and everybody has read "
        ".env.example."
    )


STEPS = [
    ("a PostgreSQL server has a database for you", has_server),
    (".env names it, with its password", is_named),
    ("the service can log in", answers),
    ("your revisions made its tables", is_migrated),
    ("your notes are in it", has_the_notes),
    ("it can take one more", takes_one_more),
    ("production starts", starts_in_production),
    ("your SQLite file still has the notes", has_its_notes),
]
