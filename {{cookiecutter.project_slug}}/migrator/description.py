"""How a database describes itself, and how two such descriptions differ.

`Database.describe()` returns a description. `describe.py` in the folder of each kind of database
reads it from the catalogue.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# What Alembic and this package keep in a database for themselves.
OWN_TABLES = ("alembic_version", "alembic_log", "alembic_journal")
# The kinds of objects that people write into revisions by hand, because a model cannot have them.
BY_HAND = frozenset(
    {
        *("view", "materialized view", "function", "procedure", "package", "package body"),
        *("trigger", "rule", "event", "policy", "extension", "partition", "statistics"),
        *("database", "schema"),
    }
)
OWNERS = ("table", "partition", "foreign table")  # the kinds of objects that others belong to
EXISTENCE = ""  # the attribute of a difference if only one of two databases has the object


class Name(NamedTuple):
    """The name of an object: its kind, the table that it belongs to, and its own name.

    `table` is "" for an object that belongs to none. `own` is "" for a primary key, because a table
    has only one. If the server has made a name up, `own` has the columns of the object in brackets
    instead.
    """

    kind: str
    table: str
    own: str

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(filter(None, self[1:]))}"


Attributes = Mapping[str, str]
Description = Mapping[Name, Attributes]


class Difference(NamedTuple):
    """An attribute of an object that is not as it should be.

    `there` is None if the database does not have it, and `wanted` is None if it should not have it.
    With the attribute EXISTENCE, they are about the object, and have all its attributes as text.
    """

    name: Name
    attribute: str
    there: str | None
    wanted: str | None

    def __str__(self) -> str:
        if self.attribute == EXISTENCE:
            if self.there is None:
                return f"{self.name} is missing{in_brackets(self.wanted)}"
            return f"{self.name} is there, and should not be{in_brackets(self.there)}"
        there = "is not there" if self.there is None else f"is {self.there}"
        wanted = "should not be there" if self.wanted is None else f"should be {self.wanted}"
        return f"{self.name}: {self.attribute} {there}, and {wanted}"


def in_brackets(attributes: str | None) -> str:
    return f" ({attributes})" if attributes else ""


def described(items: Iterable[tuple[Name, Attributes]]) -> Description:
    """Return a description of objects. If several have the same name, it gets a number."""
    found: dict[Name, Attributes] = {}
    for name, attributes in items:
        unique, number = name, 1
        while unique in found:
            number += 1
            unique = Name(name.kind, name.table, f"{name.own} #{number}")
        found[unique] = attributes
    return found


def differences(there: Description, wanted: Description) -> list[Difference]:
    """Return the differences between two descriptions, sorted by name.

    If only one of them has a table, there is one difference for it and none for its columns.
    """
    found: list[Difference] = []
    for name in sorted(there.keys() | wanted.keys()):
        if not belongs_to_a_difference(name, there, wanted):
            found += differences_of(name, there.get(name), wanted.get(name))
    return found


def belongs_to_a_difference(name: Name, there: Description, wanted: Description) -> bool:
    """Tell whether an object belongs to a table that only one of two descriptions has."""
    owners = {Name(kind, "", name.table) for kind in OWNERS}
    return bool(owners & there.keys()) != bool(owners & wanted.keys())


def differences_of(
    name: Name, there: Attributes | None, wanted: Attributes | None
) -> Iterator[Difference]:
    """Yield the differences between the attributes of an object; None is a missing object."""
    if there is None or wanted is None:
        yield Difference(name, EXISTENCE, as_text(there), as_text(wanted))
        return
    for attribute in sorted(there.keys() | wanted.keys()):
        old, new = there.get(attribute), wanted.get(attribute)
        if old != new:
            yield Difference(name, attribute, old, new)


def as_text(attributes: Attributes | None) -> str | None:
    """Return the attributes of an object on one line, or None for a missing object."""
    if attributes is None:
        return None
    texts = [f"{name}: {text}" for name, text in attributes.items()]
    return re.sub(r"\s+", " ", "; ".join(texts))


def is_by_hand(difference: Difference) -> bool:
    """Tell whether the difference is an object that no model can have, such as a view.

    Revisions create such objects by hand.
    """
    return (
        difference.attribute == EXISTENCE
        and difference.wanted is None
        and difference.name.kind in BY_HAND
    )
