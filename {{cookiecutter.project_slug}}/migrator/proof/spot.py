"""The proof on the spot: what revisions make, held against what the database makes of the models.

A revision is applied to a clean database, taken back and applied again, and each time the database
describes itself. After the last revision, that description has to be the one of another clean
database, in which `create_all()` has made the tables of the models. No rows are needed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory

from migrator.database import Database
from migrator.description import Description, Difference, differences, is_by_hand
from migrator.proof.finding import Finding, not_allowed, waivers
from migrator.proof.rehearsal import ONE_WAY
from migrator.proof.running import run_steps
from migrator.steps import downgrade_step, upgrade_step

Progress = Callable[[str], None]
Found = dict[Path, list[Finding]]


def new_revisions(config: AlembicConfig, script: ScriptDirectory) -> list[Script]:
    """Return the revisions after `judged_after` of alembic.ini, the oldest first."""
    known = config.get_main_option("judged_after") or "base"
    return [*script.iterate_revisions("heads", known)][::-1]


def prove_on_the_spot(
    config: AlembicConfig,
    script: ScriptDirectory,
    database: Database,
    metadata: sa.MetaData,
    revisions: Sequence[Script],
    progress: Progress,
) -> Found:
    """Return what is wrong with these revisions, by file, and no comment in them allows.

    `script` has the revisions of `config`, of which `revisions` are some, the oldest first.
    `database` is one of the kind that they run on: clean ones like it are made for the purpose.
    `metadata` is that of the models, and `progress` is told what is being done. After a revision
    that cannot be applied, or leaves a trace, nothing can be said of the next.

    Raises ScratchRefusedError when the user of `database` may not create one, and what a revision
    raises that is older than these.
    """
    found: Found = {}
    with database.scratch("proof") as clean, clean.engine().connect() as connection:
        stage = Stage(config, script, clean, connection)
        for revision in revisions:
            path = Path(revision.path)
            findings = [*stage.judge(revision, ONE_WAY in waivers(path), progress)]
            if not findings and script.get_heads() == [revision.revision]:
                progress("compare with the models")
                findings = stage.compare_with_models(database, metadata)
            found[path] = not_allowed(findings, path)
            if any(finding.kind == "trace" for finding in findings):
                break
    return found


class Stage:
    """A clean database, on which revisions are tried; `connection` is connected to it."""

    def __init__(
        self,
        config: AlembicConfig,
        script: ScriptDirectory,
        database: Database,
        connection: sa.Connection,
    ) -> None:
        self.config, self.script = config, script
        self.database, self.connection = database, connection
        self.applied: set[str] = set()

    def judge(self, revision: Script, is_one_way: bool, progress: Progress) -> Iterator[Finding]:
        """Yield what is wrong with a revision; the database is left with it applied, if it can."""
        progress("prepare")
        self.apply_before(revision)
        before = self.look()
        progress("apply")
        if error := self.attempt("upgrade", revision):
            yield error
            return
        if not is_one_way:
            yield from self.take_back(revision, before, progress)

    def apply_before(self, revision: Script) -> None:
        """Apply the revisions that come before one."""
        known = self.script.iterate_revisions(revision.revision, (), implicit_base=True)
        missing = [each for each in known if each.revision not in self.applied]
        steps = [upgrade_step(self.script, each) for each in missing if each is not revision]
        run_steps(self.config, self.script, self.connection, steps[::-1])
        self.applied |= {each.revision for each in missing}

    def take_back(
        self, revision: Script, before: Description, progress: Progress
    ) -> Iterator[Finding]:
        """Yield what is not as before when a revision is taken back, or applied again."""
        after = self.look()
        for way, wanted in (("downgrade", before), ("upgrade", after)):
            progress("take back" if way == "downgrade" else "apply again")
            if error := self.attempt(way, revision):
                yield error
                return
            if found := [each for each in self.differences(wanted) if not is_given(each)]:
                # What is left may well keep the next step from being done: that is no other fault.
                yield from (trace_finding(way, difference) for difference in found)
                return

    def attempt(self, way: str, revision: Script) -> Finding | None:
        """Upgrade to a revision or downgrade from it; return what is wrong if that fails."""
        step = upgrade_step if way == "upgrade" else downgrade_step
        try:
            run_steps(self.config, self.script, self.connection, [step(self.script, revision)])
        except Exception as error:  # a revision may raise any
            self.connection.rollback()
            reason = str(getattr(error, "orig", error)).strip()
            return Finding("trace", f"{way}()", ONE_WAY, f"{way}() fails: {reason}")
        return None

    def look(self) -> Description:
        """Return what the database says it has."""
        found = self.database.describe(self.connection)
        self.connection.rollback()
        return found

    def differences(self, wanted: Description) -> list[Difference]:
        """Return what the database has and should not, or has not and should."""
        found = self.database.settled(self.connection, differences(self.look(), wanted))
        self.connection.rollback()
        return found

    def compare_with_models(self, real: Database, metadata: sa.MetaData) -> list[Finding]:
        """Return what is not as `create_all()` makes it, unless a revision allows it."""
        try:
            wanted = description_of_models(real, metadata)
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).strip()
            text = f"the models cannot be compared, because create_all() fails: {reason}"
            return [Finding("difference", "create_all()", "difference of create_all()", text)]
        return model_findings(self.script, self.differences(wanted))


def trace_finding(way: str, difference: Difference) -> Finding:
    when = "after downgrade()" if way == "downgrade" else "after downgrade() and another upgrade()"
    return Finding("trace", f"{way}()", ONE_WAY, f"{when}, {difference}")


def is_given(difference: Difference) -> bool:
    """Tell whether this is no fault of a downgrade.

    It may drop an extension that a clean database came with, like the real one, because the
    revision would have made it. And it leaves a schema, where somebody else may have tables.
    """
    if difference.name.kind == "extension":
        return difference.there is None
    return difference.name.kind == "schema" and difference.wanted is None


def model_findings(script: ScriptDirectory, found: Iterable[Difference]) -> list[Finding]:
    """Return what differs from the models, without what a revision has made or allows by hand."""
    allowed: set[str] = set()
    for revision in script.walk_revisions():
        allowed |= waivers(Path(revision.path))
    findings = [difference_finding(each) for each in found if not is_by_hand(each)]
    return [finding for finding in findings if finding.waiver not in allowed]


def difference_finding(difference: Difference) -> Finding:
    name = str(difference.name)
    return Finding("difference", name, f"difference of {name}", str(difference))


def description_of_models(database: Database, metadata: sa.MetaData) -> Description:
    """Return what a clean database says it has once `create_all()` has made the models' tables.

    Raises ScratchRefusedError where the user may not create a database, and SQLAlchemyError where
    the database does not take the models.
    """
    with database.scratch("models") as clean, clean.engine().connect() as connection:
        create_models(database, metadata, connection)
        connection.commit()
        return clean.describe(connection)


def create_models(database: Database, metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Create the models' tables, but for those that are in another database than this one."""
    if not database.SCHEMAS_WITHIN:
        own = [table for table in metadata.tables.values() if table.schema is None]
        metadata.create_all(connection, own)
        return
    for schema in sorted(schemas_of(metadata)):
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    metadata.create_all(connection)


def schemas_of(metadata: sa.MetaData) -> set[str]:
    """Return the schemas that the tables of the models and their types are in."""
    tables = metadata.tables.values()
    found = {table.schema for table in tables}
    found |= {getattr(column.type, "schema", None) for table in tables for column in table.columns}
    return {schema for schema in found if schema}


def differences_from_models(
    config: AlembicConfig, database: Database, metadata: sa.MetaData
) -> list[Finding]:
    """Return what in a database at head is not as `create_all()` makes it, nor allowed.

    `# allow difference of <object>: <reason>` in a revision allows it. Where all revisions are
    older than `judged_after` of alembic.ini, nothing is judged.
    Raises what description_of_models() raises.
    """
    script = ScriptDirectory.from_config(config)
    if not new_revisions(config, script):
        return []
    wanted = description_of_models(database, metadata)
    with database.engine().connect() as connection:
        found = differences(database.describe(connection), wanted)
        found = database.settled(connection, found)
    return model_findings(script, found)
