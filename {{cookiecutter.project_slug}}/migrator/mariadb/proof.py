"""What migrator.proof needs to know about MariaDB and MySQL."""

from typing import ClassVar
from uuid import UUID

from sqlalchemy.dialects import mysql

from migrator.proof.special import Special as Base
from migrator.proof.values import DOCUMENTS, ROOM, Type, Value, wild_values


class Special(Base):
    """What the proof needs to know of MariaDB and MySQL."""

    TEXTS: ClassVar[tuple[str, ...]] = ("1", "a", "2001", "::1", "10.0.0.1", str(UUID(int=1)))

    def values(self, type_: Type, number: int) -> list[Value] | None:
        if isinstance(type_, mysql.TINYINT):
            # BOOL is TINYINT(1) here.
            tame: list[Value] = [str(number % 2), str(1 - number % 2)]
            return tame if type_.display_width == 1 else [*tame, "120", "-120"]
        if isinstance(type_, mysql.MEDIUMINT):
            return [str(number), str(2**23 - ROOM), str(ROOM - 2**23), "0"]
        if isinstance(type_, mysql.LONGTEXT):
            # JSON is a long text with a CHECK here, which SQLAlchemy does not reflect.
            return [f'"Ab{number}"', *wild_values(type_), *DOCUMENTS]
        if isinstance(type_, mysql.SET):
            return [type_.values[number % len(type_.values)], ",".join(type_.values), ""]
        return None
