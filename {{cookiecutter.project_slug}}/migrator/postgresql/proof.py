"""What the proof needs to know of PostgreSQL."""

import re
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from migrator.proof.special import Special as Base
from migrator.proof.values import Type, Value, python_type, tame_value, values_in, wild_values

ESCAPED = re.compile(r'["\\]')  # in an element of an array


class Special(Base):
    """What the proof needs to know of PostgreSQL."""

    TEXTS: ClassVar[tuple[str, ...]] = (
        *("1", "a", "10.0.0.1", "08:00:2b:01:02:03", "08:00:2b:01:02:03:04:05", "<a/>"),
        *("(1,2)", "(1,2),(3,4)", "((1,2),(3,4))", "<(1,2),3>", "{1,2,3}", "[1,2]"),
        *("[1,2)", "[2001-02-03,2001-02-04)", "{[1,2)}", "{}", "[1,2,3]", '"a"=>"b"', "$.a"),
    )
    # All of squawk's rules except those of style, and those that ask for a limit or a transaction,
    # which the migrator sets itself.
    LOCK_RULES: ClassVar[re.Pattern[str]] = re.compile(
        "(?!prefer-|require-(lock|statement|enum)|ban-(char|concurrent)|trans)"
    )

    def squawk_dialect(self, dialect: sa.Dialect) -> sa.Dialect:
        return dialect

    def schemas(self, inspector: sa.Inspector) -> list[str | None]:
        usual = {inspector.default_schema_name, "information_schema"}
        return [None, *sorted(set(inspector.get_schema_names()) - usual)]

    def values(self, type_: Type, number: int) -> list[Value] | None:
        if isinstance(type_, postgresql.ARRAY):
            return self.arrays(type_.item_type, number)
        if isinstance(type_, postgresql.DOMAIN):
            return self.of_domain(type_, number)
        if isinstance(type_, postgresql.BIT):
            length = type_.length or 1
            return ["1" * length, "0" * length]
        return None

    def arrays(self, item: Type, number: int) -> list[Value] | None:
        """Return arrays with one element, with several, with NULL, and an empty one."""
        elements = self.of_any(item, number)
        if elements is None:
            return None
        quoted = ['"' + ESCAPED.sub(r"\\\g<0>", str(element)) + '"' for element in elements]
        several = ",".join([*quoted, "NULL", quoted[0]])
        return ["{" + quoted[0] + "}", "{" + several + "}", "{}"]

    def of_domain(self, type_: postgresql.DOMAIN, number: int) -> list[Value] | None:
        """Return values of the type that a domain is of, and those that its CHECKs name."""
        found = self.of_any(type_.data_type, number)
        if found is None:
            return None
        check = "" if type_.check is None else str(type_.check)
        return [*found, *values_in(check, type_.data_type)]

    def of_any(self, type_: Type, number: int) -> list[Value] | None:
        """Return texts of any known type, or None."""
        own = self.values(type_, number)
        if own is None and python_type(type_) is not None:
            own = [tame_value(type_, number), *wild_values(type_)]
        return own and [value for value in own if not isinstance(value, bytes)]
