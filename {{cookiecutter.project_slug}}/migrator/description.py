"""What a database says it has, and how two such descriptions differ.

`Database.describe()` gives a description, which the `describe.py` of each kind's folder takes from
the database's own catalogue.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# What Alembic and this package keep in a database for themselves.
OWN_TABLES = ("alembic_version", "alembic_log", "alembic_journal")
# What revisions have written by hand, because a model cannot say it.
BY_HAND = frozenset(
    {
        *("view", "materialized view", "function", "procedure", "package", "package body"),
        *("trigger", "rule", "event", "policy", "extension", "partition", "statistics"),
        *("database", "schema"),
    }
)
OWNERS = ("table", "partition", "foreign table")  # which have columns and more
WHOLE = ""  # the attribute of a difference that is about the object itself


class Name(NamedTuple):
    """The name of an object: its kind, the table that it belongs to, and its own name.

    The table is empty for what belongs to none. One that got its own name from the server is known
    by its columns instead, in brackets; the only one of its kind in a table has none.
    """

    kind: str
    table: str
    own: str

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(filter(None, self[1:]))}"


Attributes = Mapping[str, str]
Description = Mapping[Name, Attributes]


class Difference(NamedTuple):
    """An attribute that is not as it was wanted; None where it is not there, or not wanted."""

    name: Name
    attribute: str
    there: str | None
    wanted: str | None

    def __str__(self) -> str:
        if self.attribute == WHOLE:
            if self.there is None:
                return f"{self.name} is missing{of(self.wanted)}"
            return f"{self.name} is there, and should not be{of(self.there)}"
        there = "is not there" if self.there is None else f"is {self.there}"
        wanted = "should not be there" if self.wanted is None else f"should be {self.wanted}"
        return f"{self.name}: {self.attribute} {there}, and {wanted}"


def of(attributes: str | None) -> str:
    return f" ({attributes})" if attributes else ""


def described(items: Iterable[tuple[Name, Attributes]]) -> Description:
    """Return a description of objects; those that have the same name are numbered."""
    found: dict[Name, Attributes] = {}
    for name, attributes in items:
        unique, number = name, 1
        while unique in found:
            number += 1
            unique = Name(name.kind, name.table, f"{name.own} #{number}")
        found[unique] = attributes
    return found


def differences(there: Description, wanted: Description) -> list[Difference]:
    """Return what differs, sorted by name; of a table that is missing, only the table."""
    return [
        difference
        for name in sorted(there.keys() | wanted.keys())
        if not is_part_of_another(name, there, wanted)
        for difference in differences_of(name, there.get(name), wanted.get(name))
    ]


def is_part_of_another(name: Name, there: Description, wanted: Description) -> bool:
    """Tell whether an object belongs to a table that only one of two databases has."""
    owners = {Name(kind, "", name.table) for kind in OWNERS}
    return bool(owners & there.keys()) != bool(owners & wanted.keys())


def differences_of(
    name: Name, there: Attributes | None, wanted: Attributes | None
) -> Iterator[Difference]:
    """Yield what differs in one object."""
    if there is None or wanted is None:
        yield Difference(name, WHOLE, as_text(there), as_text(wanted))
        return
    for attribute in sorted(there.keys() | wanted.keys()):
        old, new = there.get(attribute), wanted.get(attribute)
        if old != new:
            yield Difference(name, attribute, old, new)


def as_text(attributes: Attributes | None) -> str | None:
    """Return what an object is like, on one line."""
    if attributes is None:
        return None
    texts = [f"{name}: {text}" for name, text in attributes.items()]
    return re.sub(r"\s+", " ", "; ".join(texts))


def is_by_hand(difference: Difference) -> bool:
    """Tell whether this is an object that revisions have made beside those of the models."""
    return (
        difference.attribute == WHOLE
        and difference.wanted is None
        and difference.name.kind in BY_HAND
    )
