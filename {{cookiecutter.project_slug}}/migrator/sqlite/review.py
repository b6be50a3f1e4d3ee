"""What `flask db sql` needs to know of SQLite, where a revision may need to see the tables."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

# What only reads; `PRAGMA foreign_keys` does not.
LOOKED = re.compile(r"\s*(SELECT|PRAGMA (?!foreign_keys))", re.IGNORECASE)


@contextmanager
def recorded(connection: sa.Connection) -> Iterator[list[str]]:
    """Collect the statements that change a database, with their values, while the block lasts.

    SQLAlchemy's events have the values beside the statement; the driver's have them within.
    """
    statements: list[str] = []

    def trace(text: str) -> None:
        if not LOOKED.match(text):
            statements.append(f"{text.strip()};")

    driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(trace)
    try:
        yield statements
    finally:
        driver.set_trace_callback(None)
