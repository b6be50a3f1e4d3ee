"""JSON for made-up rows, with the keys that a revision reads out of it.

A revision that moves what is in JSON into columns knows its keys. Where the objects have others, it
could only lose them.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

# A key in SQL or in Python: data ->> 'k', '$.k', '$."k"', data #>> '{k}', data["k"], data.get("k").
KEYS = re.compile(
    r"""->>?\s*\\?'(?P<arrow>[^'\\]+)\\?'
    | '\$\.(?P<path>\w+)
    | '\$\."(?P<quoted>[^"]+)
    | \#>>?\s*\\?'\{(?P<braces>\w+)
    | \[\s*["'](?P<bracket>[^"']+)["']\s*\]
    | \.get\(\s*["'](?P<get>[^"']+)["']""",
    re.VERBOSE,
)
NO_JSON = "no JSON"


def keys_in(source: str) -> list[str]:
    """Return the keys that a revision may read out of JSON, in its order."""
    found = [match[str(match.lastgroup)].removeprefix("$.") for match in KEYS.finditer(source)]
    return list(dict.fromkeys(found))


def is_json(values: Sequence[Any]) -> bool:
    """Tell whether the values of a column are JSON as text, and some of them objects."""
    there = [*map(read, values)]
    return NO_JSON not in there and any(isinstance(value, dict) for value in there)


def read(value: Any) -> Any:
    """Return a value as JSON is in Python, or NO_JSON; some drivers have read it already."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return NO_JSON


def document(keys: Sequence[str], number: int) -> str:
    """Return an object whose values are digits, so that they fit into any usual column."""
    return json.dumps({key: str(number + place) for place, key in enumerate(keys)})


def has_keys(value: Any, keys: Sequence[str]) -> bool:
    """Tell whether a value is an object with one of these keys, as real rows may have it."""
    there = read(value)
    return isinstance(there, dict) and not there.keys().isdisjoint(keys)
