"""Prove revisions on clean databases: see migrator/proof/spot.py.

A hook in alembic.ini does so for every revision that autogenerate writes. To stop that, remove
`prove` from `hooks` there. `flask db prove` proves revisions at any time.
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
from migrator.proof.new import new_revisions
from migrator.proof.spot import prove_on_the_spot
from migrator.proof.stage import Progress
from migrator.proof.todo import does_nothing, write_todos


def prove(config: AlembicConfig, revision: str) -> None:
    """Print for each revision whether it is proven or wrong; exit with 1 if one is wrong.

    `revision` is a name for Alembic, such as "head". If it is "", all revisions after
    `judged_after` of alembic.ini are proven.
    """
    script = ScriptDirectory.from_config(config)
    chosen = [*script.get_revisions(revision)] if revision else new_revisions(config, script)
    findings_by_path = prove_revisions(config, script, chosen, lambda _: None)
    for path, findings in findings_by_path.items():
        print(f"{path.name}: {'wrong' if findings else 'proven'}")
        for finding in findings:
            print(f"  {finding}")
    if any(findings_by_path.values()):
        sys.exit(1)


def prove_revisions(
    config: AlembicConfig, script: ScriptDirectory, revisions: list[Script], progress: Progress
) -> dict[Path, list[Finding]]:
    """Return what is wrong with revisions of a database, by file; call `progress` at each step."""
    import_models()
    section = config.config_ini_section
    bind = None if section == "alembic" else section
    real = database(*load_config().migration_database(bind))
    return prove_on_the_spot(config, script, real, db.metadatas[bind], revisions, progress)


def prove_new(path: Path) -> None:
    """Prove a new revision, and write a TODO into it for everything that is wrong."""
    if does_nothing(path):
        return  # a person will write its functions, and can run `flask db prove` then
    print(f"  Proving {path.name}:", end="", file=sys.stderr, flush=True)
    try:
        findings = prove_file(path)
    except ScratchRefusedError as refusal:
        return tell(f" nothing was proven.\n{refusal}")
    if not findings:
        return tell(" upgrade and downgrade do what the models say.")
    tell(" something is wrong.")
    write_todos(path, findings)
    for finding in findings:
        tell(f"TODO in the revision: {finding}")


def prove_file(path: Path) -> list[Finding]:
    """Return what is wrong with the revision in a file, which may be of any database.

    Raises LookupError if the file is in no folder that alembic.ini names.
    """
    for section in ("alembic", *BINDS):
        config = AlembicConfig(ROOT / "alembic.ini", ini_section=section)
        script = ScriptDirectory.from_config(config)
        for revision in script.walk_revisions():
            if Path(revision.path) == path:
                return prove_revisions(config, script, [revision], show)[path]
    raise LookupError(f"{path} is in no folder that alembic.ini names")


def show(step: str) -> None:
    """Add a step to the line in the terminal that says what is being done."""
    print(f" {step},", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":  # Alembic runs this file as a post-write hook
    try:
        prove_new(Path(sys.argv[1]).resolve())
    except Exception as error:  # the revision is written in any case, and can be proven later
        tell(f" nothing was proven: {type(error).__name__}: {error}")
