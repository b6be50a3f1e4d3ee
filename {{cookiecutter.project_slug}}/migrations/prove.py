"""Prove revisions on clean databases: see migrator/proof/spot.py.

A hook in alembic.ini does that for every revision that autogenerate writes; to stop it, remove
`prove` from `hooks` there. `flask db prove` proves existing revisions.
"""

import sys
from pathlib import Path

from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory

from app.config import BINDS, ROOT, load_config
from app.db import db, import_models
from migrator.database import ScratchRefusedError, database
from migrator.messages import tell
from migrator.proof import Finding
from migrator.proof.spot import Progress, new_revisions, prove_on_the_spot
from migrator.proof.todo import does_nothing, write_todos


def prove(config: AlembicConfig, revision: str) -> None:
    """Prove a revision, or all that are judged if it is ""; exit with 1 if one is wrong."""
    script = ScriptDirectory.from_config(config)
    chosen = [*script.get_revisions(revision)] if revision else new_revisions(config, script)
    found = findings(config, script, chosen, lambda _: None)
    for path, faults in found.items():
        print(f"{path.name}: {'wrong' if faults else 'proven'}")
        for finding in faults:
            print(f"  {finding}")
    if any(found.values()):
        sys.exit(1)


def findings(
    config: AlembicConfig, script: ScriptDirectory, revisions: list[Script], progress: Progress
) -> dict[Path, list[Finding]]:
    """Return what is wrong with revisions of a database, by file; call `progress` at each step."""
    import_models()
    section = config.config_ini_section
    bind = None if section == "alembic" else section
    where = database(*load_config().migration_database(bind))
    return prove_on_the_spot(config, script, where, db.metadatas[bind], revisions, progress)


def prove_new(path: Path) -> None:
    """Prove a new revision, and write a TODO into it for everything that is wrong."""
    if does_nothing(path):
        return  # a person will fill it, and `flask db prove` can prove it then
    print(f"  Proving {path.name}:", end="", file=sys.stderr, flush=True)
    try:
        faults = faults_of(path)
    except ScratchRefusedError as refusal:
        return tell(f" nothing was proven.\n{refusal}")
    if not faults:
        return tell(" upgrade and downgrade do what the models say.")
    tell(" something is wrong.")
    write_todos(path, faults)
    for finding in faults:
        tell(f"TODO in the revision: {finding}")


def faults_of(path: Path) -> list[Finding]:
    """Return what is wrong with the revision in a file of any database.

    Raises LookupError if no database has that file.
    """
    for section in ("alembic", *BINDS):
        config = AlembicConfig(ROOT / "alembic.ini", ini_section=section)
        script = ScriptDirectory.from_config(config)
        for revision in script.walk_revisions():
            if Path(revision.path) == path:
                return findings(config, script, [revision], show)[path]
    raise LookupError(f"{path} is in no folder that alembic.ini names")


def show(step: str) -> None:
    print(f" {step},", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":  # Alembic runs it as a post-write hook
    try:
        prove_new(Path(sys.argv[1]).resolve())
    except Exception as error:  # the new revision stays, and can be proven later
        tell(f" nothing was proven: {type(error).__name__}: {error}")
