"""How long a migration waits for others, and how often it tries again."""

import math
import re
from dataclasses import dataclass

from alembic import context
from alembic.util import CommandError

# alembic.ini explains them and can set them; so can `-x name=value`.
DEFAULTS = {"lock_wait": 60.0, "lock_timeout": 3.0, "lock_tries": 10.0}


@dataclass(frozen=True)
class Limits:
    """The limits of a command.

    - `wait`: seconds to wait for another migration of the same database
    - `timeout`: seconds to wait for a table that is in use, and between two attempts
    - `tries`: how many attempts there are, before the command gives up
    """

    wait: float
    timeout: float
    tries: int


def read_limits() -> Limits:
    """Return the limits of the command that runs.

    Raises CommandError for a limit that is not a number above 0.
    """
    wait, timeout, tries = (read_limit(name) for name in DEFAULTS)
    return Limits(wait, timeout, math.ceil(tries))


def read_limit(name: str) -> float:
    """Return a limit from `-x`, or else from alembic.ini, or else the default."""
    default = f"{DEFAULTS[name]:g}"
    given = context.get_x_argument(as_dictionary=True).get(name)
    text = given or context.config.get_main_option(name, default)
    if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) > 0:
        return float(text)
    raise CommandError(f"{name} is {text!r}: give a number above 0, such as {default}")
