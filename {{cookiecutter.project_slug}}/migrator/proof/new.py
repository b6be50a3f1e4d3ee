"""Which revisions are new, and so are judged: those after the history that `judged_after` names."""

from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError


def new_revisions(config: AlembicConfig, script: ScriptDirectory) -> list[Script]:
    """Return the revisions after those that `judged_after` of alembic.ini names, oldest first.

    `script` has the revisions of `config`. One line serves all databases and branches: a name that
    another database has says nothing about this one.

    Raises CommandError if no database has a revision of that name.
    """
    named = (config.get_main_option("judged_after") or "").replace(",", " ").split()
    known = [name for name in named if has_revision(script, name)]
    for name in named:
        if name not in known and not any(has_revision(each, name) for each in histories(config)):
            raise CommandError(
                f"judged_after in {config.config_file_name} names {name}, which is no revision: "
                "name the newest that is deployed (alembic history), or none"
            )
    old = {each.revision for name in known for each in script.iterate_revisions(name, "base")}
    return [each for each in script.walk_revisions() if each.revision not in old][::-1]


def has_revision(script: ScriptDirectory, name: str) -> bool:
    try:
        return script.get_revision(name) is not None
    except CommandError:
        return False


def histories(config: AlembicConfig) -> list[ScriptDirectory]:
    """Return the revisions of each database that alembic.ini has a section for."""
    ini = config.file_config
    sections = [name for name in ini.sections() if "version_locations" in ini[name]]
    configs = [AlembicConfig(config.config_file_name, ini_section=name) for name in sections]
    return [ScriptDirectory.from_config(each) for each in configs]
