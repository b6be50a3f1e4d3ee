"""`flask db compatible`: try the models of the release before on a database of this release."""

import sys

from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.config import ROOT, load_config
from migrator.database import database
from migrator.messages import tell


def compatible(config: AlembicConfig, revision: str) -> None:
    """Check that the models of an earlier release can use a database with these revisions.

    `config` has the section of alembic.ini for one database. `revision` is a commit or a tag of
    git; "" is the release before this one. Raises CommandError with what the models cannot do.
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
        real = database(*load_config().migration_database(bind))
        verdict = try_release(config, real, release)
    for fault in verdict.untried:
        tell(f"Not tried: {fault.action} of {fault.table}, because {fault.reason}")
    problems: list[str] = []
    for path, findings in verdict.findings.items():
        problems += [f"{path.name}: {finding}" for finding in findings]
    if problems:
        raise CommandError("\n".join(problems))
    return tell(f"{name} can read and write all its tables after {len(verdict.findings)} revisions")
