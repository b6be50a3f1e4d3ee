"""`flask db compatible`: use the models of the release before on a database of this release."""

import sys

from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.config import ROOT, load_config
from migrator.database import database
from migrator.messages import tell


def compatible(config: AlembicConfig, revision: str) -> None:
    """Check that the models of an earlier release can use a database with these revisions.

    `revision` is a name for git, such as a tag; "" is the release before this one.
    Raises CommandError with what they cannot do.
    """
    # Imported here, so that the start of the service does not wait for them.
    from migrator.proof.compatible import TRIAL, Release, try_release
    from migrator.proof.releases import checked_out, release_before

    name = revision or release_before(ROOT)
    if name is None:
        return tell(
            "There is no release before this one: no tag, and no branch that this one began on"
        )
    section = config.config_ini_section
    bind = None if section == "alembic" else section
    with checked_out(ROOT, name) as folder:
        ini = folder / "alembic.ini"
        if not ini.is_file():
            return tell(f"{name} has no alembic.ini, so it used no database")
        old = AlembicConfig(ini, ini_section=section)
        if not old.file_config.has_section(section):
            return tell(f"{name} has no database {section}")
        heads = ScriptDirectory.from_config(old).get_heads()
        program = [sys.executable, ROOT / "migrations/trial.py", TRIAL, bind or ""]
        release = Release(name, heads, folder, [*map(str, program)])
        verdict = try_release(config, database(*load_config().migration_database(bind)), release)
    for fault in verdict.untried:
        tell(f"Not tried: {fault.action} of {fault.table}, because {fault.reason}")
    faults = [f"{path.name}: {text}" for path, texts in verdict.findings.items() for text in texts]
    if faults:
        raise CommandError("\n".join(faults))
    return tell(f"{name} can read and write all its tables after {len(verdict.findings)} revisions")
