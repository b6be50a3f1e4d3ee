"""What the proof needs to know of a kind of database."""

import re
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine.default import StrCompileDialect

# What the inspector says of a table, by the names in its methods `get_multi_<part>`.
Parts = dict[str, list[dict[str, Any]]]


class Special:
    """What the proof needs to know of a kind of database.

    The `proof.py` of each kind's folder has a subclass of that name.
    """

    # squawk knows PostgreSQL. These are its rules that hold elsewhere, too: where a new type or a
    # new constraint copies the table, and where a release that is running misses what it maps.
    LOCK_RULES: ClassVar[re.Pattern[str]] = re.compile(
        "adding-(field|foreign|required)|ban-drop-(column|table)|changing-|constraint-|disallowed-"
        "|renaming-"
    )

    def squawk_dialect(self, dialect: sa.Dialect) -> sa.Dialect:
        """Return the dialect in which squawk reads revisions, instead of the database's own."""
        return StrCompileDialect()  # writes any type and leaves no quotes that squawk rejects

    def schemas(self, inspector: sa.Inspector) -> list[str | None]:
        """Return the schemas whose tables are compared; None is the usual one."""
        return [None]

    def others(self, connection: sa.Connection) -> list[str]:
        """Return what there is beside tables, such as views and triggers, each with its text."""
        raise NotImplementedError

    def settled(self, connection: sa.Connection, table: sa.TableClause, parts: Parts) -> Parts:
        """Return the parts of a table with expressions that stay the same when written again."""
        return parts

    def array(self, text: str) -> str:
        """Return an array with one element, as text."""
        raise NotImplementedError

    def samples(self, kind: sa.types.TypeEngine[Any], number: int) -> list[str]:
        """Return values, as text, of a type that only this kind of database has."""
        return []
