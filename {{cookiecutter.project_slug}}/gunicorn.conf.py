"""gunicorn reads this file from the folder where it starts."""

import sys
from typing import Any


def on_starting(_server: Any) -> None:
    """Stop with one message, before a worker starts, if the settings cannot work.

    Without this, each worker prints a traceback that ends with the message.
    """
    from app.config import ConfigError, load_config  # gunicorn has set sys.path only by now

    try:
        load_config().require_drivers()
    except ConfigError as error:
        sys.exit(error.message)
