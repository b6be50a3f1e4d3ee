"""Draw the revisions and the models of a database into the README.md beside its revisions.

A hook in alembic.ini does so for every new revision, and `flask db draw` does it at any time.
"""

from pathlib import Path

from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory

from app.config import BINDS, ROOT
from app.db import db, import_models
from migrator.review.picture import picture

ABOUT = """\
`flask db draw` draws this, and so does every new revision. Where git has a conflict in the line
above, two branches have added a revision each: `alembic merge heads` joins them and draws anew."""


def draw(config: AlembicConfig) -> None:
    """Draw the revisions and the models of a database into the README.md beside the revisions.

    `config` has the section of alembic.ini for that database.
    """
    path, text = drawing(config)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")


def drawing(config: AlembicConfig) -> tuple[Path, str]:
    """Return the path of the README.md beside the revisions of a database, and its text."""
    import_models()
    section = config.config_ini_section
    bind = None if section == "alembic" else section
    script = ScriptDirectory.from_config(config)
    title = f"Revisions and models of {bind or 'the database'}"
    return Path(script.versions, "README.md"), picture(script, db.metadatas[bind], title, ABOUT)


if __name__ == "__main__":  # Alembic runs this file as a post-write hook
    for section in ("alembic", *BINDS):
        draw(AlembicConfig(ROOT / "alembic.ini", ini_section=section))
