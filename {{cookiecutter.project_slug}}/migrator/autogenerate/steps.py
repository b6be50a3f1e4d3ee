"""Operations of a revision that Alembic does not have."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.sql.elements import conv


class SQL(ops.MigrateOperation):
    """SQL statements, and those that undo them.

    `phase` is an `arrange.Phase`, which says when they run in an upgrade. `question` is what a
    person has to decide first, or "".
    """

    def __init__(
        self, statements: Sequence[str], undo: Sequence[str], phase: int, question: str = ""
    ) -> None:
        self.statements = list(statements)
        self.undo = list(undo)
        self.phase = phase
        self.question = question

    def reverse(self) -> "SQL":
        return SQL(self.undo, self.statements, self.phase)

    def to_diff_tuple(self) -> tuple[str, ...]:
        return ("execute", *self.statements)


class Comment(ops.MigrateOperation):
    """Lines for whoever reads the revision.

    `alone` says that the function has no other operation, so that it needs a `pass`.
    """

    def __init__(self, lines: Sequence[str], alone: bool = False) -> None:
        self.lines = [f"# {line}" for line in lines]
        self.alone = alone

    def reverse(self) -> "Comment":
        return Comment([])

    def to_diff_tuple(self) -> tuple[str, ...]:
        return ("comment", *self.lines)


class AlterColumn(ops.AlterColumnOp):
    """A change of a column, with arguments of `op.alter_column()` that Alembic does not write.

    `written` has the source of each such argument by its name: `{"postgresql_using": "'n::text'"}`.
    """

    def __init__(self, op: ops.AlterColumnOp, written: dict[str, str]) -> None:
        super().__init__(
            op.table_name,
            op.column_name,
            schema=op.schema,
            existing_type=op.existing_type,
            existing_server_default=op.existing_server_default,
            existing_nullable=op.existing_nullable,
            existing_comment=op.existing_comment,
            modify_nullable=op.modify_nullable,
            modify_comment=op.modify_comment,
            modify_server_default=op.modify_server_default,
            modify_name=op.modify_name,
            modify_type=op.modify_type,
            **op.kw,
        )
        self.written = written


class PrimaryKey(ops.MigrateOperation):
    """The primary key of a table is dropped if `drops`, or else created.

    `name` is None for a key without a name. `fallback` is the name that such a key gets when it is
    created.
    """

    def __init__(
        self, table: sa.Table, name: object, fallback: object, columns: list[str], drops: bool
    ) -> None:
        self.table = table
        self.table_name, self.schema = table.name, table.schema
        self.name = conv(str(name)) if name else None
        self.fallback = conv(str(fallback)) if fallback else None
        self.columns = columns
        self.drops = drops

    def reverse(self) -> "PrimaryKey":
        return PrimaryKey(self.table, self.name, self.fallback, self.columns, not self.drops)

    def to_diff_tuple(self) -> tuple[object, ...]:
        what = "remove_primary_key" if self.drops else "add_primary_key"
        return (what, self.schema, self.table_name, self.columns)


class EitherName(ops.MigrateOperation):
    """Something is dropped that has another name in another database: see adopted.py.

    `drops` are the operations that do so, and `question` is what a person has to decide.
    """

    def __init__(self, drops: Sequence[ops.MigrateOperation], question: str) -> None:
        self.drops = [*drops]
        self.question = question

    def to_diff_tuple(self) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.drops[-1].to_diff_tuple()
        return found
