"""What the proof needs to know of a kind of database."""

import re
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.engine.default import StrCompileDialect

from migrator.proof.values import Type, Value


class Special:
    """What the proof needs to know of a kind of database.

    The `proof.py` in the folder of each kind has a subclass of this name.
    """

    # Only those of squawk's rules that hold on every database: for changes that copy the table, and
    # for those that remove something which a running release still uses.
    LOCK_RULES: ClassVar[re.Pattern[str]] = re.compile(
        "adding-(field|foreign|required)|ban-drop-(column|table)|changing-|constraint-|disallowed-"
        "|renaming-"
    )

    def squawk_dialect(self, dialect: sa.Dialect) -> sa.Dialect:
        """Return the dialect in which squawk reads revisions, instead of the database's own."""
        return StrCompileDialect()  # it knows any type, and has no quotes that squawk rejects

    # What is tried for a column of a type that nobody knows.
    TEXTS: ClassVar[tuple[str, ...]] = ("1", "a")

    def schemas(self, inspector: sa.Inspector) -> list[str | None]:
        """Return the schemas whose tables are compared; None is the default one."""
        return [None]

    def values(self, type_: Type, number: int) -> list[Value] | None:
        """Return values of a type that only this kind of database has, or None for another one.

        The first one is tame and differs from that of another number.
        """
        return None
