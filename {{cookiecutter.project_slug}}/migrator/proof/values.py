"""Values for made-up rows: tame ones, and those that real rows hold and that break revisions.

All are what a driver sends as text, or bytes. So each database reads them as values of its own.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

Value = str | bytes | None
Type = sa.types.TypeEngine[Any]

# Fewer than the bits of a type allow, so that a revision may still add a little to a number.
ROOM = 700
BITS = {sa.SmallInteger: 15, sa.BigInteger: 63}  # of a type's numbers, without the sign
USUAL_BITS = 31
LONG = 1000  # characters of a text whose length nobody limits
# Digits of a decimal without a precision, before and after the point.
USUAL_DIGITS = (12, 5)
# What SQL, a shell and a driver could take for theirs, and characters that are not ASCII.
TEXTS = ("""O'Brien said "50 % of \\\\ is; -- /*\n:x {} ?""", "🦊 Ünïcode ß", "  MiXed Case  ", "")
DOCUMENTS = (
    """{"name": "O'Brien \\"x\\"", "price": -12.5, "tags": ["a", {"b": null}], "ok": true}""",
    '["🦊", -2.5, {"a": []}]',
    '"a text"',
    "-12.5",
    "true",
    "null",
    "{}",
    "[]",
)
LITERAL = re.compile(r"'((?:[^']|'')*)'|(\b\d+\b)")  # a text or a number within a CHECK
LONGEST = 255  # characters of a text that a number within a CHECK may be about
MOMENTS = (
    datetime(2024, 2, 29, 23, 59, 59, 999_999),
    datetime(1969, 12, 31, 23, 59, 58, 7),
    datetime(1001, 2, 3, 4, 5, 6, 700_000),
    datetime(9998, 12, 31, 23, 59, 59, 999_000),
    datetime(2026, 3, 29, 2, 30),  # which is not there, where clocks go forward
)


def tame_value(type_: Type, number: int) -> str:
    """Return a value of a known type, which differs from that of another number."""
    if isinstance(type_, sa.Enum):
        return type_.enums[number % len(type_.enums)]
    kind = python_type(type_)
    if kind is str:
        length = getattr(type_, "length", None)
        return f"Ab{number}"[-length:] if length else f"Ab{number}"
    moment = datetime(2001, 2, 3) + timedelta(hours=25 * number)
    values: dict[type | None, object] = {
        bool: number % 2,
        int: number,
        timedelta: number,
        float: number % 10,
        Decimal: number % 10,
        UUID: UUID(int=number),
        date: moment.date(),
        time: moment.time(),
        datetime: moment,
        bytes: f"Ab{number}",
        dict: json.dumps({"Ab": number}),
    }
    return str(values[kind])


def wild_values(type_: Type) -> list[Value]:
    """Return values of a known type that are seldom thought of."""
    if isinstance(type_, sa.Enum):
        return [*type_.enums]
    kind = python_type(type_)
    if kind is str:
        return [*texts(getattr(type_, "length", None) or LONG)]
    if kind is int:
        return [*map(str, numbers(type_))]
    if kind is Decimal:
        return decimals(getattr(type_, "precision", None), getattr(type_, "scale", None))
    values: dict[type | None, Sequence[object]] = {
        bool: (1, 0),
        float: (0.1, -1234.5678, 1.5e30, -2.5e-30, 0),
        bytes: (b"\x00\xff'\"\\%", b""),
        UUID: (UUID(int=2**128 - 1),),
        date: [moment.date() for moment in MOMENTS],
        time: [moment.time() for moment in MOMENTS],
        datetime: MOMENTS,
        timedelta: ("-1 day", "40 days 04:05:06.000007"),
        dict: DOCUMENTS,
    }
    return [value if isinstance(value, bytes) else str(value) for value in values[kind]]


def texts(length: int) -> list[str]:
    """Return texts of at most so many characters; one is as long as that."""
    longest = ("The quick brown fox's " * (length // 20 + 1))[: length - 1] + "!"
    return list(dict.fromkeys([*(text[:length] for text in TEXTS), longest]))


def numbers(type_: Type) -> list[int]:
    bits = next((bits for kind, bits in BITS.items() if isinstance(type_, kind)), USUAL_BITS)
    return [2**bits - ROOM, -(2**bits) + ROOM, 0, -1]


def decimals(precision: int | None, scale: int | None) -> list[Value]:
    """Return decimals that need all digits of a type."""
    after = USUAL_DIGITS[1] if precision is None and scale is None else scale or 0
    before = USUAL_DIGITS[0] if precision is None else max(precision - after, 0)
    fraction = "." + "76543210" * 5 if after else ""
    last = "0." + "0" * (after - 1) + "1" if after else "1"
    return [
        f"{'8' * before or 0}{fraction[: after + 1]}",
        f"-{'7' * before or 0}{fraction[: after + 1]}",
        last,
        f"-{last}",
        "0",
    ]


def values_in(check: str, type_: Type) -> Iterator[Value]:
    """Yield values of a type that a CHECK may be about: what it names, or a text of its length."""
    kind = python_type(type_)
    for text, number in LITERAL.findall(check):
        if not number:
            yield text.replace("''", "'")
            yield text.replace("%", "x").replace("_", "x")
        elif kind is not str:
            yield from map(str, (int(number), int(number) + 1, int(number) - 1, -int(number)))
        elif int(number) <= LONGEST:
            lengths = (int(number), int(number) + 1, max(int(number) - 1, 0))
            yield from (sign * length for sign in "A1a" for length in lengths)
    if kind is str:
        yield from DOCUMENTS


def python_type(type_: Type) -> type | None:
    """Return the type of Python whose values are made up for a column; None if it is unknown."""
    if isinstance(type_, sa.JSON):
        return dict
    try:
        found = type_.python_type
    except NotImplementedError:  # SQLAlchemy says so for some of the types that it does not know
        return None
    known = (str, bool, int, Decimal, float, bytes, UUID, date, time, datetime, timedelta)
    return found if found in known else None
