"""Wrong ways and right ways through the labs. Each wrong way has words of the hint that it gets.

A way writes its revision itself, which is what autogenerate would write, only faster.
"""

from collections.abc import Callable

from course import Student

MODELS = "app/notes/models.py"
LAST = "    created_at: Mapped[datetime]"
Way = Callable[[Student], None]
REVISION = '''"""Change"""

import sqlalchemy as sa
from alembic import op

revision = "20261201090000_0123456789ab"
down_revision = "{down}"
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


def add_column(student: Student, line: str) -> None:
    student.edit(MODELS, LAST, f"    {line}\n{LAST}")


def revise(student: Student, upgrade: str, downgrade: str) -> None:
    """Write a revision after the newest one, or write it again."""
    name = "migrations/versions/20261201090000_0123456789ab_change.py"
    old = (student.folder / "migrations/versions").glob("202611*.py")
    down = max(path.stem[:27] for path in old)
    student.write(name, REVISION.format(down=down, upgrade=upgrade, downgrade=downgrade))


def upgrade(student: Student) -> None:
    student.must("uv run alembic upgrade head")


def there_and_back(student: Student) -> None:
    for words in ("upgrade head", "downgrade -1", "upgrade head"):
        student.must(f"uv run alembic {words}")


PINNED = "pinned: Mapped[bool] = mapped_column(server_default=sa.false())"
ADD = '    op.add_column("note", sa.Column("pinned", sa.Boolean(), {}))'
ADD_PINNED = ADD.format('server_default=sa.text("0"), nullable=False')
DROP_PINNED = '    op.drop_column("note", "pinned")'


# --- Lab 1


def only_the_model(student: Student) -> None:
    add_column(student, PINNED)


def by_hand(student: Student) -> None:
    only_the_model(student)
    student.sql("ALTER TABLE note ADD COLUMN pinned BOOLEAN DEFAULT 0 NOT NULL")


def the_old_revision(student: Student) -> None:
    only_the_model(student)
    name = "migrations/versions/20261122090000_3632c1f107b5_create_note.py"
    column = 'sa.Column("pinned", sa.Boolean(), server_default=sa.false(), nullable=False),\n'
    key = '        sa.PrimaryKeyConstraint("id"'
    student.edit(name, key, f"        {column}{key}")


def never_back(student: Student) -> None:
    only_the_model(student)
    revise(student, ADD_PINNED, DROP_PINNED)
    upgrade(student)


def no_way_back(student: Student) -> None:
    only_the_model(student)
    revise(student, ADD_PINNED, "    pass")


def no_default(student: Student) -> None:
    add_column(student, "pinned: Mapped[bool] = mapped_column()")
    todo = "    # TODO: note.pinned is NOT NULL and has no server_default\n"
    revise(student, todo + ADD.format("nullable=False"), DROP_PINNED)


def another_column(student: Student) -> None:
    only_the_model(student)
    revise(student, ADD.format("nullable=True"), DROP_PINNED)


def a_number(student: Student) -> None:
    add_column(student, "pinned: Mapped[int] = mapped_column(server_default='0')")


def no_python(student: Student) -> None:
    add_column(student, "pinned: Mapped[bool = mapped_column()")


def pinned_by_hand(student: Student) -> None:
    """Another right way: nullable, and a revision without autogenerate."""
    add_column(student, "pinned: Mapped[bool | None] = mapped_column()")
    revise(student, ADD.format("nullable=True"), DROP_PINNED)
    there_and_back(student)


# --- Lab 2

TAGS = """\
    op.create_table(
        "tag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("name", name=op.f("uq_tag_name")),
    )"""


def stamped(student: Student) -> None:
    student.must("git mv app/tags/tag.py app/tags/models.py")
    student.must("uv run alembic stamp head")


def tag_deleted(student: Student) -> None:
    student.must("git rm -q app/tags/tag.py")


def tag_elsewhere(student: Student) -> None:
    student.must("git mv app/tags/tag.py app/tags/tags.py")


def only_found(student: Student) -> None:
    student.must("git mv app/tags/tag.py app/tags/models.py")


def created_by_hand(student: Student) -> None:
    only_found(student)
    upgrade(student)
    student.sql("CREATE TABLE tag (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL)")


def colleague_edited(student: Student) -> None:
    only_found(student)
    upgrade(student)
    name = "migrations/versions/20261123090000_a1d2c3b4e5f6_add_pinned.py"
    student.write(name, student.read(name) + "# and the table tag\n")


def not_applied(student: Student) -> None:
    only_found(student)
    upgrade(student)
    revise(student, TAGS, '    op.drop_table("tag")')


def imported_in_one(student: Student) -> None:
    """Another right way: the file stays, and a models.py imports it."""
    student.write("app/tags/models.py", 'from app.tags.tag import Tag\n\n__all__ = ["Tag"]\n')
    revise(student, TAGS, '    op.drop_table("tag")')
    upgrade(student)


# --- Lab 3


def renamed(student: Student) -> None:
    student.edit(MODELS, "    autor: Mapped", "    author: Mapped")


def as_autogenerated(student: Student) -> None:
    renamed(student)
    todo = "    # TODO: note.autor is dropped with all that it holds, and note.author is added\n"
    revise(student, todo + LOST.format(new="author", old="autor"), "    pass")


def without_thinking(student: Student) -> None:
    renamed(student)
    there = LOST.format(new="author", old="autor")
    revise(student, there, LOST.format(new="autor", old="author"))


def only_the_attribute(student: Student) -> None:
    student.edit(
        MODELS,
        "autor: Mapped[str] = mapped_column(",
        'author: Mapped[str] = mapped_column("autor", ',
    )


LOST = """\
    column = sa.Column("{new}", sa.String(80), server_default="", nullable=False)
    op.add_column("note", column)
    op.drop_column("note", "{old}")"""
COPIED = LOST.replace("    op.drop", '    op.execute("UPDATE note SET {new} = {old}")\n    op.drop')


def lost_on_the_way_back(student: Student) -> None:
    renamed(student)
    there = COPIED.format(new="author", old="autor")
    revise(student, there, LOST.format(new="autor", old="author"))


def applied_too_early(student: Student) -> None:
    without_thinking(student)
    upgrade(student)
    revise(
        student,
        '    op.alter_column("note", "autor", new_column_name="author")',
        '    op.alter_column("note", "author", new_column_name="autor")',
    )


def copied(student: Student) -> None:
    """Another right way: add, copy, drop; both ways."""
    renamed(student)
    there = COPIED.format(new="author", old="autor")
    revise(student, there, COPIED.format(new="autor", old="author"))
    upgrade(student)


# --- Lab 4

AUTHOR = "author: Mapped[str] = mapped_column(sa.String(80){})"


def may_be_null(student: Student) -> None:
    add_column(student, "author: Mapped[str | None] = mapped_column(sa.String(80))")


def no_value(student: Student) -> None:
    add_column(student, AUTHOR.format(""))
    column = 'sa.Column("author", sa.String(80), nullable=False)'
    revise(student, f'    op.add_column("note", {column})', '    op.drop_column("note", "author")')


FILLED = """\
    op.add_column("note", sa.Column("author", sa.String(80), nullable=True))
    op.execute("UPDATE note SET author = 'unknown'"){}"""
STRICT = """
    with op.batch_alter_table("note") as batch_op:
        batch_op.alter_column("author", existing_type=sa.String(80), nullable=False{})"""


EMPTIED = '    op.execute("DELETE FROM note")'


def steps_of(student: Student, there: str, default: str = "") -> None:
    add_column(student, AUTHOR.format(default))
    revise(student, there, '    op.drop_column("note", "author")')


def filled_only(student: Student) -> None:
    steps_of(student, FILLED.format(""))


def default_of_python(student: Student) -> None:
    steps_of(student, FILLED.format(STRICT.format("")), ', default="unknown"')


def rows_deleted(student: Student) -> None:
    steps_of(student, f"{EMPTIED}\n{FILLED.format(STRICT.format(''))}")


def in_steps(student: Student) -> None:
    """Another right way: nullable, filled, then NOT NULL with a server_default."""
    default = ', server_default="unknown"'
    steps_of(student, FILLED.format(STRICT.format(default)), default)
    upgrade(student)


# --- Lab 5

COLOR = "migrations/versions/20261123090000_c3d4e5f6a7b8_add_color.py"


def write_downgrade(student: Student, lines: str) -> None:
    text = student.read(COLOR).partition("def downgrade()")[0]
    student.write(COLOR, f"{text}def downgrade() -> None:\n{lines}\n")


BATCH = '    with op.batch_alter_table("note", schema=None) as batch_op:\n'
ALLOW = "        # allow loss of note.color: it is new in this revision\n"


def still_pass(student: Student) -> None:
    pass


def only_the_index(student: Student) -> None:
    write_downgrade(student, f'{BATCH}        batch_op.drop_index("ix_note_color")')


def only_the_column(student: Student) -> None:
    write_downgrade(student, '    op.drop_column("note", "color")')


def swallowed(student: Student) -> None:
    student.edit(COLOR, "unique=False)", "unique=False, if_not_exists=True)")


def one_way(student: Student) -> None:
    write_downgrade(student, "    # allow one-way: nobody goes back\n    pass")


def revision_deleted(student: Student) -> None:
    student.must(f"git rm -q {COLOR}")


def written_not_tried(student: Student) -> None:
    lines = '        batch_op.drop_index("ix_note_color")\n'
    write_downgrade(student, f'{BATCH}{lines}{ALLOW}        batch_op.drop_column("color")')


def stuck_half_way(student: Student) -> None:
    student.must("uv run alembic downgrade -1")  # by the old downgrade()
    written_not_tried(student)


def without_batch(student: Student) -> None:
    """Another right way: no batch, and the database was never taken back by the old downgrade()."""
    write_downgrade(
        student,
        '    op.drop_index("ix_note_color", "note")\n'
        "    # allow loss of note.color: it is new in this revision\n"
        '    op.drop_column("note", "color")',
    )
    there_and_back(student)


# --- Lab 6

PICTURE = "migrations/versions/README.md"


def merge(student: Student) -> None:
    assert student.type("git merge lab6-colleague")[0] == 1


def without_marks(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line[:7] not in ("<<<<<<<", "=======", ">>>>>>>"))


def solve(student: Student) -> None:
    merge(student)
    student.write(MODELS, without_marks(student.read(MODELS)))


def not_merged(student: Student) -> None:
    pass


def marks_committed(student: Student) -> None:
    merge(student)
    student.must("git commit -qam Merged")


def mine_only(student: Student) -> None:
    merge(student)
    student.must(f"git checkout --ours {MODELS} {PICTURE}")
    student.must("git commit -qam Merged")


def git_only(student: Student) -> None:
    solve(student)
    student.write(PICTURE, without_marks(student.read(PICTURE)))
    student.must("git commit -qam Merged && uv run alembic upgrade heads")


def colleague_deleted(student: Student) -> None:
    solve(student)
    student.must("git rm -qf migrations/versions/*_add_color.py && uv run flask db draw")
    student.must("git add --all && git commit -qm Merged")


def not_committed(student: Student) -> None:
    solve(student)
    student.must("uv run alembic merge heads -m Merge && git add --all")


def not_migrated(student: Student) -> None:
    not_committed(student)
    student.must("git commit -q --no-edit")


def put_after(student: Student) -> None:
    """Another right way: the own revision is taken back, and follows the colleague's."""
    student.must("uv run alembic downgrade -1")
    put_after_at_once(student)
    upgrade(student)


def put_after_at_once(student: Student) -> None:
    solve(student)
    (mine,) = (student.folder / "migrations/versions").glob("*_add_pinned.py")
    down = 'down_revision = "20261122090000_3632c1f107b5"'
    student.edit(
        str(mine.relative_to(student.folder)), down, 'down_revision = "20261123090000_d4e5f6a7b8c9"'
    )
    student.must("uv run flask db draw && git add --all && git commit -q --no-edit")


# --- Each wrong way with words of its hint, and a right way that the solution does not show

WRONG: dict[int, dict[Way, str]] = {
    1: {
        no_python: f"{MODELS}, line",
        a_number: "`Mapped[bool]` makes a BOOLEAN",
        only_the_model: "a revision says how a database gets there",
        by_hand: "somebody changed the database by hand",
        the_old_revision: "Alembic never runs it there again",
        no_default: "A TODO is left",
        another_column: "do not make what the models say",
        no_way_back: "What `upgrade()` adds, `downgrade()` drops",
        never_back: "Your database has never gone back",
    },
    2: {
        tag_deleted: "The model `Tag` is gone",
        tag_elsewhere: "app/tags/tags.py, and nothing imports that file",
        only_found: "Your colleague's revision is in the code, and not in your database",
        stamped: "`stamp` writes down a number and runs nothing",
        created_by_hand: "but no revision creates it",
        colleague_edited: "Bring it back, and write a new revision",
        not_applied: "Your database is at 20261123090000_a1d2c3b4e5f6",
    },
    3: {
        only_the_attribute: "but the column is still `autor`",
        renamed: "No new revision",
        as_autogenerated: "A TODO is left",
        without_thinking: "so the names go with the first",
        lost_on_the_way_back: "the way back loses them",
        applied_too_early: "an earlier version of your revision ran on it",
    },
    4: {
        may_be_null: "`author` may be NULL in the model",
        no_value: "say which value they get",
        filled_only: "Filling it is not enough",
        default_of_python: "A value in Python",
        rows_deleted: "Rows are not in the way",
    },
    5: {
        revision_deleted: "is gone",
        swallowed: "hides what is left over",
        one_way: "is for a change that cannot be undone",
        still_pass: "undo both",
        only_the_index: "the column color is still there",
        only_the_column: "The index is on the column, so it goes first",
        written_not_tried: "Your own database has not gone back yet",
        stuck_half_way: "Say where it really is",
    },
    6: {
        not_merged: "Your colleague's branch is not in yours yet",
        merge: "has both versions",
        marks_committed: "marks of a conflict",
        mine_only: "lost your colleague's column",
        colleague_deleted: "Databases have it already",
        git_only: "now join the revisions",
        not_committed: "The merge is prepared, and not committed",
        not_migrated: "alembic upgrade head",
        put_after_at_once: "the order of the revisions changed beneath it",
    },
}
RIGHT: dict[int, Way] = {
    1: pinned_by_hand,
    2: imported_in_one,
    3: copied,
    4: in_steps,
    5: without_batch,
    6: put_after,
}
