"""Reading database URLs, for app/config.py: no password is ever part of a message."""

from pathlib import Path

import sqlalchemy as sa

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "cockroachdb": "cockroachdb+psycopg",
}


def read_url(text: str, root: Path | None) -> sa.URL:
    """Return the SQLAlchemy URL for a text, with its driver named and a SQLite path absolute.

    A relative path starts at `root`, and is refused where there is none.
    Raises ValueError, with the cure, for a text that cannot work as a database's address.
    """
    if not text.strip():
        raise ValueError("is not set: set it, or copy .env.example to .env")
    try:
        url = sa.make_url(text.strip())
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect()
        if "@" in (url.host or ""):
            raise ValueError
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(
            "cannot be read: write driver://user:password@host:port/database, "
            "with % @ : / in the password as %25 %40 %3A %2F"
        ) from None
    if is_sqlite(url):
        return url.set(database=sqlite_path(url.database or ":memory:", root))
    return url


def sqlite_path(path: str, root: Path | None) -> str:
    """Return one file for every entry: Flask-SQLAlchemy and create_engine() start elsewhere."""
    if path == ":memory:":
        raise ValueError(
            "is an in-memory database, empty again for every connection: "
            "name a file, such as sqlite:///instance/development.db"
        )
    if path.startswith("file:") or Path(path).is_absolute():
        return path
    if root is None:
        raise ValueError(
            "is a relative path, lost with the next release: "
            "give an absolute one, such as sqlite:////var/lib/service/service.db"
        )
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    return str(root / path)


def is_sqlite(url: sa.URL) -> bool:
    """Tell whether a URL is SQLite's, without importing a driver."""
    return url.drivername.partition("+")[0] == "sqlite"


def describe(url: sa.URL) -> str:
    """Return a URL as it may be shown: without password and query."""
    return url.set(query={}).render_as_string(hide_password=True)
