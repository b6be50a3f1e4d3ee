"""Wrong ways and right ways through the second half of the workshop, as in ways.py."""

import textwrap

from course import Student
from ways import MODELS, Way, revise, upgrade

# --- Lab 7

FIRST = "20261122090000_3632c1f107b5"
FEATURE = "migrations/versions/20261124090000_a7b8c9d0e1f2_add_pinned.py"


def nothing_done(student: Student) -> None:
    pass


def stamped_away(student: Student) -> None:
    student.must("uv run alembic stamp --purge head")


def file_copied(student: Student) -> None:
    student.must(f"git checkout lab7-feature -- {FEATURE}")


def left_there(student: Student) -> None:
    student.must("git switch -q lab7-feature")
    student.must(f"uv run alembic downgrade {FIRST}")


def only_back(student: Student) -> None:
    left_there(student)
    student.must("git switch -q lab7")


def column_by_hand(student: Student) -> None:
    """The feature's column is dropped, and the one of the release is not added."""
    student.sql("ALTER TABLE note DROP COLUMN pinned")
    student.must("uv run alembic stamp --purge head")


def database_deleted(student: Student) -> None:
    student.must("rm instance/workshop.db*")
    upgrade(student)


def feature_deleted(student: Student) -> None:
    left_there(student)
    student.must(f"git rm -q {FEATURE} && git commit -qm Back && git switch -q lab7")
    upgrade(student)


def with_the_file_for_a_moment(student: Student) -> None:
    """Another right way: the file comes, takes its revision back, and goes."""
    student.must(f"git show lab7-feature:{FEATURE} > {FEATURE}")
    student.must(f"uv run alembic downgrade {FIRST} && rm {FEATURE}")
    upgrade(student)


# --- Lab 8

WORDS = {"S": "small", "M": "medium", "L": "large"}
UPDATE = """    op.execute("UPDATE note SET size = '{}' WHERE size = '{}'")"""
THERE = "\n".join(UPDATE.format(word, letter) for letter, word in WORDS.items())
BACK = "\n".join(UPDATE.format(letter, word) for letter, word in WORDS.items())
CASE = """\
    op.execute(
        "UPDATE note SET size = CASE size"
        " WHEN 'S' THEN 'small' WHEN 'M' THEN 'medium' WHEN 'L' THEN 'large'{} END"
    )"""
LOOP = """\
    words = {"S": "small", "M": "medium", "L": "large"}
    connection = op.get_bind()
    for id_, size in connection.execute(sa.text("SELECT id, size FROM note")).all():
        new = {"word": words.get(size, size), "id": id_}
        connection.execute(sa.text("UPDATE note SET size = :word WHERE id = :id"), new)"""
ONLY_ONLINE = f"    if not op.get_context().as_sql:\n{textwrap.indent(LOOP, '    ')}"
WITH_THE_MODEL = """\
    from app.notes.models import Note

    for letter, word in {"S": "small", "M": "medium", "L": "large"}.items():
        op.execute(sa.update(Note).where(Note.size == letter).values(size=word))"""


def one_letter(student: Student) -> None:
    revise(student, UPDATE.format("small", "S"), BACK)


def case_without_else(student: Student) -> None:
    revise(student, CASE.format(""), BACK)


def case_that_guesses(student: Student) -> None:
    revise(student, CASE.format(" ELSE 'large'"), BACK)


def rows_in_python(student: Student) -> None:
    revise(student, LOOP, BACK)


def rows_in_python_online(student: Student) -> None:
    revise(student, ONLY_ONLINE, BACK)


def with_the_model(student: Student) -> None:
    revise(student, WITH_THE_MODEL, BACK)


def no_letters_again(student: Student) -> None:
    revise(student, THERE, "    pass")


def words_not_applied(student: Student) -> None:
    revise(student, THERE, BACK)


def applied_before_it_was_ready(student: Student) -> None:
    one_letter(student)
    upgrade(student)
    revise(student, THERE, BACK)


def by_case(student: Student) -> None:
    """Another right way: one statement with CASE, and one with SQLAlchemy's own words."""
    back = """\
    note = sa.table("note", sa.column("size", sa.String))
    letters = {"small": "S", "medium": "M", "large": "L"}
    size = sa.case(letters, value=note.c.size, else_=note.c.size)
    op.execute(sa.update(note).values(size=size))"""
    revise(student, CASE.format(" ELSE size"), back)
    upgrade(student)


# --- Lab 9

SERVER = "uv run python -m workshop.labs.lab09_postgresql.server"
COPY = "uv run python -m workshop.labs.lab09_postgresql.copy_notes"
SQLITE = "sqlite:///instance/workshop.db"
OLD_KEY = "SECRET_KEY=change-me"
ESCAPED = "30%25fee%40home"


def printed(student: Student) -> dict[str, str]:
    """Have the database made; return what its address is made of."""
    lines = (line.split() for line in student.must(SERVER).splitlines())
    return {line[0]: line[1] for line in lines if len(line) == 2}


def name_database(student: Student, **others: str) -> None:
    """Write the address at the end of .env, with other parts than those that were printed."""
    parts = {**printed(student), "password": ESCAPED, **others}
    place = "{user}:{password}@{host}:{port}/{database}".format(**parts)
    student.edit(".env", f"DATABASE_URL={SQLITE}", f"DATABASE_URL=postgresql://{place}")


def copied(student: Student) -> None:
    name_database(student)
    upgrade(student)
    student.must(COPY)


def in_service(student: Student, code: str) -> None:
    """Run statements on the session of the service."""
    start = "from app import create_app; from app.db import db; import sqlalchemy as sa"
    student.write("instance/typed.py", f"{start}\nwith create_app().app_context():\n{code}")
    student.must("PYTHONPATH=. uv run python instance/typed.py && rm instance/typed.py")


def only_the_server(student: Student) -> None:
    student.must(SERVER)


def nothing_escaped(student: Student) -> None:
    name_database(student, **{"password": "30%fee@home"})


def only_the_at_sign_escaped(student: Student) -> None:
    name_database(student, **{"password": "30%fee%40home"})


def escaped_twice(student: Student) -> None:
    name_database(student, **{"password": "30%2525fee%2540home"})


def another_database(student: Student) -> None:
    name_database(student, database="postgres")


def another_user(student: Student) -> None:
    name_database(student, user="postgres")


def another_port(student: Student) -> None:
    name_database(student, port="1")


def not_migrated(student: Student) -> None:
    name_database(student)


def stamped_only(student: Student) -> None:
    name_database(student)
    student.must("uv run alembic stamp head")


def made_by_the_models(student: Student) -> None:
    name_database(student)
    in_service(student, "    db.create_all()")


def notes_left_behind(student: Student) -> None:
    name_database(student)
    upgrade(student)


def copied_with_their_numbers(student: Student) -> None:
    name_database(student)
    upgrade(student)
    insert_notes(student, "id, ", "{id}, ")


def insert_notes(student: Student, name: str, value: str) -> None:
    titles = ("Buy milk", "Call the bank", "Water the plants")
    into = " ".join(["INSERT INTO note", f"({name}title, body, created_at)", "VALUES "])
    rows = [f"({value.format(id=id_)}'{title}', '', now())" for id_, title in enumerate(titles, 1)]
    lines = f"    db.session.execute(sa.text({into + ', '.join(rows)!r}))\n    db.session.commit()"
    in_service(student, lines)


def secret_left(student: Student) -> None:
    copied(student)


def sqlite_deleted(student: Student) -> None:
    copied(student)
    student.edit(".env", OLD_KEY, f"SECRET_KEY={'5' * 64}")
    student.must("rm instance/workshop.db*")


def typed_again_and_a_line_more(student: Student) -> None:
    """Another right way: new lines at the end of .env, another spelling, and SQL by hand."""
    parts = {**printed(student), "password": "%330%25%66ee%40home"}
    place = "{user}:{password}@{host}:{port}/{database}".format(**parts)
    lines = f"DATABASE_URL=postgresql+psycopg://{place}\nSECRET_KEY={'6' * 40}\n"
    student.write(".env", student.read(".env") + lines)
    upgrade(student)
    insert_notes(student, "", "")


# --- Lab 10

SLUGGED = "migrations/versions/20261123090000_a2b3c4d5e6f7_add_slug.py"
INDEX_SLUG = '    op.create_index("ix_note_slug", "note", ["slug"], unique=True)\n'
OF_THE_SECOND = " WHERE id NOT IN (SELECT min(id) FROM note GROUP BY title)"
REPLICAS = "uv run python -m workshop.labs.lab10_trouble.replicas"


def of_the_second(statement: str) -> str:
    """Return a statement for the second note of a title alone."""
    return statement + OF_THE_SECOND


def before_the_index(student: Student, statement: str) -> None:
    line = f"    op.execute({statement!r})\n" if statement else ""
    student.edit(SLUGGED, INDEX_SLUG, line + INDEX_SLUG)


def one_note_less(student: Student) -> None:
    before_the_index(student, of_the_second("DELETE FROM note"))


def another_title(student: Student) -> None:
    before_the_index(student, of_the_second("UPDATE note SET title = title || id, slug = id"))


def without_a_slug(student: Student) -> None:
    before_the_index(student, of_the_second("UPDATE note SET slug = NULL"))


def not_unique(student: Student) -> None:
    student.edit(SLUGGED, INDEX_SLUG, INDEX_SLUG.replace(", unique=True", ""))


def revision_gone(student: Student) -> None:
    student.must(f"git rm -q {SLUGGED}")


def committed_in_between(student: Student) -> None:
    before_the_index(student, "COMMIT")


def never_back(student: Student) -> None:
    before_the_index(student, of_the_second("UPDATE note SET slug = slug || id"))
    text = student.read(SLUGGED).partition("def downgrade()")[0]
    student.write(SLUGGED, f"{text}def downgrade() -> None:\n    pass\n")


def not_deployed(student: Student) -> None:
    before_the_index(student, of_the_second("UPDATE note SET slug = slug || id"))


def with_each_id(student: Student) -> None:
    """Another right way: each slug ends with the id of its note."""
    before_the_index(student, "UPDATE note SET slug = slug || '-' || id")
    student.must(REPLICAS)


# --- Lab 11

REVIEWED = "migrations/versions/20261123090000_f1a2b3c4d5e6_check_notes.py"
MAKE = '    op.create_index("ix_note_created_at", "note", ["created_at"]{})\n'
TAKE = '    op.drop_index("ix_note_created_at", "note"{})\n'
BLOCK = "    with op.get_context().autocommit_block():\n    "
CONCURRENTLY, AGAIN = ", postgresql_concurrently=True", ", if_not_exists=True"
MAKE_AGAIN = BLOCK + MAKE.format(CONCURRENTLY + AGAIN)
TAKE_AGAIN = BLOCK + TAKE.format(f"{CONCURRENTLY}, if_exists=True")


def make_otherwise(student: Student, lines: str) -> None:
    """Replace the statement of the index in the colleague's revision."""
    student.edit(REVIEWED, MAKE.format(""), lines)


def move_index(student: Student, there: str, back: str = TAKE_AGAIN) -> None:
    make_otherwise(student, "")
    student.edit(REVIEWED, TAKE.format(""), "")
    revise(student, there.rstrip(), back.rstrip())


def waved_through(student: Student) -> None:
    waiver = "    # allow require-concurrent-index-creation: it takes a moment\n"
    make_otherwise(student, waiver + MAKE.format(""))


def no_index(student: Student) -> None:
    make_otherwise(student, "")
    student.edit(REVIEWED, TAKE.format(""), "")


def not_on_this_database(student: Student) -> None:
    condition = '    if op.get_context().dialect.name == "sqlite":\n    '
    make_otherwise(student, condition + MAKE.format(""))


def in_a_transaction(student: Student) -> None:
    make_otherwise(student, MAKE.format(CONCURRENTLY + AGAIN))


def not_alone(student: Student) -> None:
    make_otherwise(student, MAKE_AGAIN)


def only_once(student: Student) -> None:
    move_index(student, BLOCK + MAKE.format(CONCURRENTLY))


def index_stays(student: Student) -> None:
    move_index(student, MAKE_AGAIN, "    pass")


def reviewed_only(student: Student) -> None:
    move_index(student, MAKE_AGAIN)


def column_moves(student: Student) -> None:
    """Another right way: the index stays in the colleague's revision, and the column moves."""
    column = """\
    op.add_column(
        "note", sa.Column("checked", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
"""
    drop = """\
    # allow loss of note.checked: it is new in this revision
    op.drop_column("note", "checked")
"""
    student.edit(REVIEWED, column, "")
    student.edit(REVIEWED, drop, "")
    make_otherwise(student, MAKE_AGAIN)
    student.edit(REVIEWED, TAKE.format(""), TAKE_AGAIN)
    revise(student, column.rstrip(), drop.rstrip())
    upgrade(student)


# --- Lab 12

COLOR = "    color: Mapped[str | None] = mapped_column(sa.String(20))\n"
CLASS = "class Note(db.Model):"
LEAVING = '@leaving(sa.Column("color", sa.String(20)))\n'
IMPORT = "from migrator.leaving import leaving\n"
DB = "from app.db import UTCDateTime, db\n"
DROP = """\
    with op.batch_alter_table("note") as batch_op:
        # allow loss of note.color: nobody wants it any more
        batch_op.drop_column("color")"""
ADD = """\
    with op.batch_alter_table("note") as batch_op:
        batch_op.add_column(sa.Column("color", sa.String(20)))"""


def let_go(student: Student) -> None:
    student.edit(MODELS, COLOR, "")
    student.edit(MODELS, DB, DB + IMPORT)
    student.edit(MODELS, CLASS, LEAVING + CLASS)


def drop(student: Student) -> None:
    if LEAVING in student.read(MODELS):
        student.edit(MODELS, DB + IMPORT, DB)
        student.edit(MODELS, LEAVING, "")
    revise(student, DROP, ADD)


def commit(student: Student, branch: str = "") -> None:
    student.must("git add --all && git commit --quiet --message Release")
    if branch:
        student.must(f"git branch --force {branch}")


def marked_at_once(student: Student) -> None:
    student.must("git branch lab12-one")


def marked_elsewhere(student: Student) -> None:
    student.must("git branch lab12-one lab12-early")


def still_mapped(student: Student) -> None:
    student.edit(MODELS, CLASS, f"# The color is going to leave\n{CLASS}")
    commit(student, "lab12-one")


def at_once(student: Student) -> None:
    student.edit(MODELS, COLOR, "")
    drop(student)
    commit(student, "lab12-one")


def without_a_word(student: Student) -> None:
    student.edit(MODELS, COLOR, "")
    commit(student, "lab12-one")


def release_one_only(student: Student) -> None:
    let_go(student)
    commit(student, "lab12-one")


def for_ever(student: Student) -> None:
    """Release two has a revision that does nothing, because the decorator is still there."""
    release_one_only(student)
    revise(student, "    pass", "    pass")


def never_applied(student: Student) -> None:
    release_one_only(student)
    drop(student)
    commit(student)


def left_uncommitted(student: Student) -> None:
    release_one_only(student)
    drop(student)
    upgrade(student)


def by_hand_and_marked_later(student: Student) -> None:
    """Another right way: the revision is written by hand, and the branch is made at the end."""
    let_go(student)
    commit(student)
    drop(student)
    commit(student)
    student.must("git branch lab12-one HEAD~1")
    upgrade(student)


# --- Each wrong way with words of its hint, and a right way that the solution does not show

WRONG: dict[int, dict[Way, str]] = {
    7: {
        nothing_done: "whose file only lab7-feature has",
        stamped_away: "still has the column `pinned`",
        file_copied: "the feature would be released half done",
        left_there: "You are on lab7-feature",
        only_back: f"Your database is at {FIRST}",
        column_by_hand: "but no `upgrade()` has run there",
        database_deleted: "is gone from your database",
        feature_deleted: "has lost its revision",
    },
    8: {
        nothing_done: "No new revision changes the rows",
        with_the_model: "imports something of `app`",
        case_without_else: "has None after `upgrade()`",
        case_that_guesses: "has 'large' after `upgrade()`",
        one_letter: "'Call the bank' has the size 'M', not 'medium'",
        rows_in_python: "cannot be written as SQL",
        rows_in_python_online: "leaves the rows as they are",
        no_letters_again: "The way back makes letters of the words again",
        words_not_applied: "alembic upgrade head",
        applied_before_it_was_ready: "it ran as it was before",
    },
    9: {
        nothing_done: "There is no PostgreSQL database for you yet",
        only_the_server: "The service still works with SQLite",
        nothing_escaped: "What does @ mean in an address?",
        only_the_at_sign_escaped: "How is % itself written?",
        escaped_twice: "is '30%25fee%40home', not '30%fee@home'",
        another_user: "The service logs in as 'postgres'",
        another_database: "The address ends with the database 'postgres'",
        another_port: "With your address, nobody can log in",
        not_migrated: "Your PostgreSQL database is empty",
        made_by_the_models: "but no revision made it",
        stamped_only: "`stamp` writes down a number and runs nothing",
        notes_left_behind: "carries no rows from one database to another",
        copied_with_their_numbers: "its number is taken",
        secret_left: "SECRET_KEY is missing, a placeholder",
        sqlite_deleted: "is gone from your database",
    },
    10: {
        nothing_done: "Two notes have one title",
        revision_gone: "20261123090000_a2b3c4d5e6f7 is gone",
        one_note_less: "3 of 4 notes are left",
        another_title: "Only the slug has to differ",
        without_a_slug: "a note has no slug",
        not_unique: "nothing keeps two notes from having one slug",
        committed_in_between: "A revision tried to end its transaction",
        never_back: "the column `slug` is still there",
        not_deployed: "Start the replicas",
    },
    11: {
        nothing_done: "While this runs, PostgreSQL lets nobody write",
        waved_through: "says that the lock is allowed",
        no_index: "Without it, the page of the newest notes",
        not_on_this_database: "Is there a branch on the database?",
        in_a_transaction: "between BEGIN and COMMIT",
        not_alone: "The index needs a revision of its own",
        only_once: "lets the next run pass",
        index_stays: "the index ix_note_created_at is still there",
        reviewed_only: "alembic upgrade head",
    },
    12: {
        nothing_done: "Release one is not there yet",
        marked_at_once: "is the stage itself",
        marked_elsewhere: "is not in your branch",
        still_mapped: "Release one still maps `color`",
        at_once: "while the stage's code is still running",
        without_a_word: "nor a word about it",
        release_one_only: "Release one is complete",
        for_ever: "the column is still in the database",
        never_applied: "alembic upgrade head",
        left_uncommitted: "Release two is not committed yet",
    },
}
RIGHT: dict[int, Way] = {
    7: with_the_file_for_a_moment,
    8: by_case,
    9: typed_again_and_a_line_more,
    10: with_each_id,
    11: column_moves,
    12: by_hand_and_marked_later,
}
