"""Run `alembic upgrade head` on the workshop's database, and kill it at its second change."""

import os

import sqlalchemy as sa
from alembic.config import main

CHANGES = ("ALTER TABLE note", "UPDATE note", "CREATE INDEX", "CREATE UNIQUE INDEX")
seen = 0


def die(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
    """End the process as a power failure would: nobody cleans up."""
    global seen
    seen += statement.startswith(CHANGES)
    if seen == 2:
        print(f"killed after: {statement}", flush=True)
        os._exit(9)


if __name__ == "__main__":
    sa.event.listen(sa.Engine, "after_cursor_execute", die)
    main(["upgrade", "head"])
