"""Read database URLs, for app/config.py. No message contains a password."""

import re
from pathlib import Path

import sqlalchemy as sa

from migrator.database import kind_named, kinds

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
FORM = "driver://user:password@host:port/database"
UNREADABLE = (
    f"cannot be read: write {FORM}, with % @ : / in the password as %25 %40 %3A %2F, or "
    "sqlite:///instance/development.db"
)
# A placeholder for an address that is refused, until the configuration raises its error.
UNUSABLE = sa.make_url("sqlite://")


def read_url(text: str, root: Path | None) -> sa.URL:
    """Return the SQLAlchemy URL for a text, with a driver and with an absolute SQLite path.

    A relative path starts at `root`; without a root, it is refused.
    Raises ValueError, which says what to do, for a text that cannot be a database's address. The
    message continues a sentence that begins with the name of the variable.
    """
    text = text.strip()
    refuse_other_forms(text)
    scheme, _, rest = text.partition("://")
    scheme = re.sub(r"^postgres\+", "postgresql+", scheme.lower())
    try:
        url = sa.make_url(f"{DRIVERS.get(scheme, scheme)}://{rest}")
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(several_hosts(scheme, rest) or UNREADABLE) from None
    takes_several = url.get_backend_name() == "postgresql"
    if "," in (url.host or "") and (url.port or not takes_several):  # the port would be all hosts'
        raise ValueError(several_hosts(scheme, rest) or UNREADABLE)
    if "@" in (url.host or ""):
        raise ValueError(UNREADABLE)
    refuse_drivers(url)
    if is_sqlite(url):
        if url.host:
            raise ValueError(
                f"takes {url.host!r} for a host: write three slashes before a path in the project, "
                f"sqlite:///{url.host}/{url.database}, and four before an absolute path"
            )
        return url.set(database=sqlite_path(url.database or ":memory:", root))
    if not url.database:
        raise ValueError(f"names no database: write its name at the end, {FORM}")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError(f"has the port {url.port}: give one between 1 and 65535")
    return url


def refuse_other_forms(text: str) -> None:
    """Raise ValueError for a text in another form, such as Java's, or of an unknown kind."""
    if not text:
        raise ValueError("is not set: set it, or copy .env.example to .env")
    if text[0] in "\"'`" or text[-1] in "\"'`":
        raise ValueError("has quotation marks around it: remove them")
    if text.lower().startswith("jdbc:"):
        raise ValueError(f"is Java's form: remove jdbc:, and write user and password as in {FORM}")
    scheme, found, _ = text.partition("://")
    if not found and "=" in text:
        raise ValueError(f"is a list of keywords: write it as a URL, {FORM}")
    kind = scheme.lower().partition("+")[0]
    if not found or not re.fullmatch("[a-z0-9_]+", kind):
        raise ValueError(UNREADABLE)
    if kind not in DRIVERS and kind_named(kind) is None:
        raise ValueError(
            f"begins with {kind}://, a kind of database that this service cannot migrate: "
            f"use {', '.join(kinds())}"
        )


def several_hosts(scheme: str, rest: str) -> str | None:
    """Return how to write a list of hosts for SQLAlchemy, or None if there is no list."""
    _, at, place = rest.rpartition("@")
    hosts, _, database = place.partition("/")
    if not re.fullmatch(r"[\w.-]+(:\d+)?(,[\w.-]+(:\d+)?)+", hosts):
        return None
    if scheme.partition("+")[0] not in ("postgres", "postgresql"):
        return "names several hosts, and its driver takes one: name one host"
    listed = "&".join(f"host={host}" for host in hosts.split(","))
    before = "user:password@" if at else ""
    name, _, arguments = database.partition("?")
    others = ", followed by your other arguments," if arguments else ""
    return (
        f"names several hosts, which PostgreSQL's driver takes as postgresql://{before}/"
        f"{name or 'database'}?{listed}&target_session_attrs=read-write: write it like "
        f"that{others} or name one host"
    )


def refuse_drivers(url: sa.URL) -> None:
    """Raise ValueError for a driver that SQLAlchemy does not have, or that is for asyncio."""
    usual = f"{url.get_backend_name()}://"
    try:
        dialect = url.get_dialect()
    except (sa.exc.ArgumentError, ImportError):
        driver = url.drivername.partition("+")[2]
        raise ValueError(
            f"names the driver {driver!r}, which SQLAlchemy does not have: begin with {usual}"
        ) from None
    if dialect.is_async:
        raise ValueError(f"names {dialect.driver}, a driver for asyncio: begin with {usual}")


def sqlite_path(path: str, root: Path | None) -> str:
    """Return the absolute path of a SQLite file; a `file:` URI stays as it is.

    Otherwise, Flask-SQLAlchemy and create_engine() would find different files, because they resolve
    a relative path against different folders.
    """
    if path == ":memory:" or path.startswith("file::memory:"):
        raise ValueError(
            "is an in-memory database, empty again for every connection: "
            "name a file, such as sqlite:///instance/development.db"
        )
    if path.startswith("~"):
        raise ValueError("begins with ~, which only a shell knows: write the whole path")
    if path.startswith("file:"):
        if not path.startswith("file:/"):
            raise ValueError("is a file: URI with a relative path: write file:/ and the whole path")
        return path
    if Path(path).is_absolute():
        return path
    if root is None:
        raise ValueError(
            "is a relative path, so the next release would not find the file: "
            "give an absolute one, such as sqlite:////var/lib/service/service.db"
        )
    folder = (root / path).parent
    if folder == root / "instance":  # others may be a typo, which the error of connecting explains
        make_folder(folder)
    return str(root / path)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"wants the folder {folder}, which cannot be made ({error.strerror}): "
            "let this user write there, or give the absolute path of a file in another folder"
        ) from None


def is_sqlite(url: sa.URL) -> bool:
    """Tell whether a URL is SQLite's, without importing a driver."""
    return url.drivername.partition("+")[0] == "sqlite"


def describe(url: sa.URL) -> str:
    """Return a URL as it may be shown: without password and query."""
    return url.set(query={}).render_as_string(hide_password=True)
