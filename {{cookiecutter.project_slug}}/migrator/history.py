"""Whether the revisions can be read at all: Alembic shows a traceback where they cannot."""

import warnings
from pathlib import Path

from alembic.script import ScriptDirectory

GONE = "Revision .* is not present"  # Alembic's warning before its KeyError


def problem_of(script: ScriptDirectory) -> str | None:
    """Return in a sentence what keeps the revisions from being read, with what helps; or None."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", GONE, UserWarning)
            for _ in script.walk_revisions():
                pass
    except KeyError as error:
        return (
            f"The revision {error.args[0]} has no file, and others follow it: bring the file back "
            "(git log --diff-filter=D -- migrations), or correct the down_revision of what follows"
        )
    except SyntaxError as error:
        return f"{Path(error.filename or '').name}, line {error.lineno}, is no Python: {error.msg}"
    except Exception as error:  # whatever a file raises while it is imported
        return f"The revisions cannot be read: {type(error).__name__}: {error}"
    return None
