"""What the proof needs to know of SQLite."""

import sqlalchemy as sa

from migrator.proof.special import Special as Base

# Indexes, triggers and views are texts, in which renaming a table puts its name into quotes. Of a
# table's text, the words that SQLAlchemy does not reflect, so that a copy of the table loses them.
OTHERS = """
    SELECT type, name, replace(sql, '"' || tbl_name || '"', tbl_name) FROM sqlite_master
    WHERE type <> 'table' AND sql IS NOT NULL
    UNION ALL SELECT 'table', name, column1 FROM sqlite_master,
        (VALUES ('AUTOINCREMENT'), ('COLLATE'), ('ON CONFLICT'), ('STRICT'), ('WITHOUT ROWID'))
    WHERE type = 'table' AND sql LIKE '% ' || column1 || '%'"""


class Special(Base):
    """What the proof needs to know of SQLite."""

    def others(self, connection: sa.Connection) -> list[str]:
        rows = connection.exec_driver_sql(OTHERS)
        return [", ".join(map(repr, row)) for row in rows]
