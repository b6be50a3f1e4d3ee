"""The proof on the spot, when a revision is written: it needs no rows.

A revision is applied to a clean database, taken back and applied again. The database describes
itself each time, so what the downgrade leaves behind is seen. After the last revision, the
description has to equal that of another clean database, in which `create_all()` has created the
tables of the models.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config as AlembicConfig
from alembic.script import Script, ScriptDirectory

from migrator.database import Database
from migrator.description import Description, Difference, differences, is_by_hand
from migrator.proof.finding import Finding, not_allowed, waivers
from migrator.proof.new import new_revisions
from migrator.proof.stage import NOTHING, ONE_WAY, Progress, Stage, leave_a_trace

Found = dict[Path, list[Finding]]  # by the file of the revision


def prove_on_the_spot(
    config: AlembicConfig,
    script: ScriptDirectory,
    database: Database,
    metadata: sa.MetaData,
    revisions: Sequence[Script],
    progress: Progress,
) -> Found:
    """Return the findings about revisions that no comment in them allows, by file.

    - `config` and `script` have all revisions
    - `database` is not touched: clean ones like it are created for the purpose, and dropped again
    - `metadata` is that of the models
    - `revisions` are judged, the oldest first
    - `progress` is called with what is done next

    The proof ends with the first revision that cannot be applied or leaves a trace, because the
    database is not what the next one expects.

    Raises ScratchRefusedError if the user of `database` may not create a database, and whatever an
    older revision raises when it is applied.
    """
    found: Found = {}
    with database.scratch("proof") as clean, clean.engine().connect() as connection:
        stage = Proof(config, script, clean, connection)
        for revision in revisions:
            path = Path(revision.path)
            findings = [*stage.judge(revision, ONE_WAY in waivers(path), progress)]
            if not findings and script.get_heads() == [revision.revision]:
                progress("compare with the models")
                findings = stage.compare_with_models(database, metadata)
            found[path] = not_allowed(findings, path)
            if leave_a_trace(findings):
                break
    return found


class Proof(Stage):
    """A stage without rows, on which revisions are compared with the models."""

    def __init__(
        self,
        config: AlembicConfig,
        script: ScriptDirectory,
        database: Database,
        connection: sa.Connection,
    ) -> None:
        super().__init__(config, script, database, connection)
        self.applied: set[str] = set()

    def judge(self, revision: Script, is_one_way: bool, progress: Progress) -> Iterator[Finding]:
        """Yield what is wrong with a revision, and leave the database with the revision applied.

        A revision that `is_one_way` is not taken back.
        """
        progress("prepare")
        self.apply_before(revision)
        before = self.look()
        progress("apply")
        if failure := self.attempt("upgrade", revision, NOTHING):
            yield failure
        elif not is_one_way:
            yield from self.take_back(revision, before, progress)

    def apply_before(self, revision: Script) -> None:
        """Apply the revisions that a revision needs and that have not been applied yet."""
        needed = self.script.iterate_revisions(revision.revision, (), implicit_base=True)
        missing = [each for each in needed if each.revision not in self.applied]
        self.apply([each for each in missing[::-1] if each is not revision])
        self.applied |= {each.revision for each in missing}  # judge() applies `revision` itself

    def compare_with_models(self, real: Database, metadata: sa.MetaData) -> list[Finding]:
        """Return what differs from the models' tables, unless a comment in a revision allows it.

        Another database like `real` is created for those tables, and dropped again.
        """
        try:
            wanted = description_of_models(real, metadata)
        except sa.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error)).strip()
            text = f"the models cannot be compared, because create_all() fails: {reason}"
            return [Finding("difference", "create_all()", "difference of create_all()", text)]
        return model_findings(self.script, self.differences(wanted))


def model_findings(script: ScriptDirectory, found: Iterable[Difference]) -> list[Finding]:
    """Return findings for what differs from the models.

    Left out are what a comment in any revision allows, and what revisions create by hand, such as
    views.
    """
    allowed: set[str] = set()
    for revision in script.walk_revisions():
        allowed |= waivers(Path(revision.path))
    findings = [difference_finding(each) for each in found if not is_by_hand(each)]
    return [finding for finding in findings if finding.waiver not in allowed]


def difference_finding(difference: Difference) -> Finding:
    name = str(difference.name)
    return Finding("difference", name, f"difference of {name}", str(difference))


def description_of_models(database: Database, metadata: sa.MetaData) -> Description:
    """Return the description of a clean database in which `create_all()` has created the tables.

    A database like `database` is created for that, and dropped again. Raises ScratchRefusedError if
    the user may not create a database, and SQLAlchemyError if the database refuses the models.
    """
    with database.scratch("models") as clean, clean.engine().connect() as connection:
        create_models(database, metadata, database.ready_for_models(connection))
        connection.commit()
        return clean.describe(connection)


def create_models(database: Database, metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Create the tables of the models, except those that are in another database.

    That is so for tables with a schema where a schema is another database.
    """
    if not database.SCHEMAS_WITHIN:
        own = [table for table in metadata.tables.values() if table.schema is None]
        metadata.create_all(connection, own)
        return
    for schema in sorted(schemas_of(metadata)):
        connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    metadata.create_all(connection)


def schemas_of(metadata: sa.MetaData) -> set[str]:
    """Return the schemas of the models' tables and of their types."""
    found: set[str | None] = set()
    for table in metadata.tables.values():
        found.add(table.schema)
        found |= {getattr(column.type, "schema", None) for column in table.columns}
    return {schema for schema in found if schema}


def differences_from_models(
    config: AlembicConfig, database: Database, metadata: sa.MetaData
) -> list[Finding]:
    """Return how a database at head differs from the tables that `create_all()` creates.

    A comment `# allow difference of <object>: <reason>` in a revision allows a difference. If no
    revision is newer than `judged_after` of alembic.ini, nothing is compared.

    Raises what description_of_models() raises.
    """
    script = ScriptDirectory.from_config(config)
    if not new_revisions(config, script):
        return []
    with database.engine().connect() as connection:
        return compared_with_models(script, database, metadata, connection)


def compared_with_models(
    script: ScriptDirectory, database: Database, metadata: sa.MetaData, connection: sa.Connection
) -> list[Finding]:
    """Return what in the connected database is not as `create_all()` makes it, nor allowed.

    The clean database for the models is made beside `database`.
    Raises what description_of_models() raises.
    """
    wanted = description_of_models(database, metadata)
    found = differences(database.describe(connection), wanted)
    return model_findings(script, database.settled(connection, found))
