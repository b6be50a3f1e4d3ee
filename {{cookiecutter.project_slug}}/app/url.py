"""Reading database URLs, for app/config.py: no password is ever part of a message."""

import sqlalchemy as sa

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


def read_url(text: str) -> sa.URL:
    """Return the SQLAlchemy URL for a text, with its driver named.

    Raises ValueError, with the cure, for a text that cannot work as a database's address.
    """
    if not text:
        raise ValueError("is not set: set it, or copy .env.example to .env")
    try:
        url = sa.make_url(text)
        if "@" in (url.host or ""):
            raise ValueError
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(
            "cannot be read: write driver://user:password@host:port/database, "
            "with % @ : / in the password as %25 %40 %3A %2F"
        ) from None
    if is_sqlite(url) and url.database in (None, "", ":memory:"):
        raise ValueError(
            "is an in-memory database, empty again for every connection: "
            "name a file, such as sqlite:///instance/development.db"
        )
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def is_sqlite(url: sa.URL) -> bool:
    """Tell whether a URL is SQLite's, without importing a driver."""
    return url.drivername.partition("+")[0] == "sqlite"


def describe(url: sa.URL) -> str:
    """Return a URL as it may be shown: without password and query."""
    return url.set(query={}).render_as_string(hide_password=True)
