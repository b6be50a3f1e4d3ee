"""Print what the revisions of this lab would do on a PostgreSQL server; none is needed for that."""

import re

from workshop.notes import FIRST
from workshop.project import BrokenError, Project

ADDRESS = "postgresql://reviewer@localhost/shop"  # nobody connects to it
OUR_LOG = re.compile(r"(?s)(CREATE TABLE IF NOT EXISTS|INSERT INTO) alembic_log .*?;\n\n")


def sql_for_postgresql(project: Project) -> str:
    """Return the SQL of what comes after the first revision, without what the log adds.

    Raises BrokenError where it cannot be written.
    """
    words = ("alembic", "upgrade", f"{FIRST}:head", "--sql")
    done = project.run(*words, APP_ENV="development", DATABASE_URL=ADDRESS)
    if done.status:
        raise BrokenError(f"The revisions cannot be written as SQL:\n  {done.last_line}")
    _, found, text = done.output.partition("BEGIN;\n")
    return OUR_LOG.sub("", f"{found}{text[: text.rfind('COMMIT;')]}COMMIT;\n")


if __name__ == "__main__":
    print(sql_for_postgresql(Project()))
