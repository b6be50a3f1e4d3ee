"""Histories of revisions that mix DDL and data, for the tests that interrupt and repeat them."""

import subprocess
import sys
import textwrap
from typing import Any

import sqlalchemy as sa
from support import Service

# Each pair is what a revision's upgrade() and downgrade() do.
MIXED = (
    (
        """
        account = op.create_table(
            "account",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("owner", sa.String(50), nullable=False),
            sa.Column("balance", sa.Integer, nullable=False),
        )
        rows = [{"id": n, "owner": f"o{n}", "balance": 100 * n} for n in range(1, 6)]
        op.bulk_insert(account, rows)
        op.create_table("applied", sa.Column("revision", sa.String(20)))
        op.execute("INSERT INTO applied VALUES ('first')")
        """,
        'op.drop_table("applied")\nop.drop_table("account")',
    ),
    (
        """
        op.execute("UPDATE account SET balance = balance * 2")
        op.add_column("account", sa.Column("note", sa.String(50)))
        op.execute("UPDATE account SET note = owner, balance = balance + 1")
        op.create_index("ix_account_note", "account", ["note"])
        op.execute("INSERT INTO applied VALUES ('second')")
        """,
        'op.drop_index("ix_account_note", "account")\nop.drop_column("account", "note")',
    ),
    (
        """
        connection = op.get_bind()
        connection.execute(sa.text("UPDATE account SET balance = balance * :by"), {"by": 3})
        connection.exec_driver_sql("CREATE TABLE entry (id INTEGER PRIMARY KEY, moved INTEGER)")
        connection.exec_driver_sql("INSERT INTO entry SELECT id, balance FROM account")
        connection.execute(sa.text("UPDATE entry SET moved = moved * 2"))
        connection.exec_driver_sql("INSERT INTO applied VALUES ('third')")
        """,
        'op.drop_table("entry")',
    ),
    (
        """
        again = op.get_context().dialect.name == "postgresql"  # MySQL takes no IF NOT EXISTS
        with op.get_context().autocommit_block():
            op.create_index(
                "ix_account_owner", "account", ["owner"], postgresql_concurrently=True,
                if_not_exists=again,
            )
        """,
        'op.drop_index("ix_account_owner", "account")',
    ),
    (
        """
        op.execute("UPDATE entry SET moved = moved * 2 WHERE id > 2")
        op.rename_table("entry", "movement")
        op.execute("DELETE FROM movement WHERE id = 1")
        op.drop_index("ix_account_note", "account")
        with op.batch_alter_table("account") as batch:
            batch.alter_column("owner", type_=sa.String(80), existing_nullable=False)
            batch.drop_column("note")
        op.execute("UPDATE account SET balance = balance * 2")
        op.execute("INSERT INTO applied VALUES ('fifth')")
        """,
        """
        op.rename_table("movement", "entry")
        with op.batch_alter_table("account") as batch:
            batch.alter_column("owner", type_=sa.String(50), existing_nullable=False)
        op.add_column("account", sa.Column("note", sa.String(50)))
        op.create_index("ix_account_note", "account", ["note"])
        """,
    ),
)
# Every step leaves a row behind, so a step that is applied twice leaves two.
COUNTED = (
    ('op.create_table("applied", sa.Column("step", sa.Integer))', 'op.drop_table("applied")'),
    *(
        (
            """
            op.execute("INSERT INTO applied (step) VALUES (NUMBER)")
            op.create_table("tNUMBER", sa.Column("id", sa.Integer, primary_key=True))
            op.execute("INSERT INTO applied (step) SELECT NUMBER")
            """.replace("NUMBER", str(number)),
            """
            op.drop_table("tNUMBER")
            op.execute("DELETE FROM applied WHERE step = NUMBER")
            """.replace("NUMBER", str(number)),
        )
        for number in range(2, 7)
    ),
)
REVISION = '''\
"""Step {number}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''

# Runs in the service's folder: the given number of processes run one command at once. They are
# forked from a process that has imported the libraries, so that they start at the same moment.
TOGETHER = """
import os
import sys
import traceback

import flask_sqlalchemy
from alembic.config import main

children = []
for _ in range(int(sys.argv[1])):
    if child := os.fork():
        children.append(child)
        continue
    status = 99
    try:
        main(sys.argv[2:])
        status = 0
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def together(service: Service, count: int, *words: str, **variables: Any) -> None:
    """Run `alembic …` in this many processes at once; all succeed."""
    if not (service.folder / "together.py").exists():
        service.write("together.py", TOGETHER)
    printed = service.run("together", str(count), *words, **variables)
    assert printed.splitlines()[-1] == str([0] * count), printed


def write_history(service: Service, *steps: tuple[str, str]) -> None:
    """Replace the service's revisions by these steps, named r1, r2 and so on."""
    for path in service.revisions():
        path.unlink()
    for number, (upgrade, downgrade) in enumerate(steps, 1):
        text = REVISION.format(
            number=number,
            revision=f"r{number}",
            down=f"r{number - 1}" if number > 1 else None,
            upgrade=textwrap.indent(textwrap.dedent(upgrade).strip() or "pass", "    "),
            downgrade=textwrap.indent(textwrap.dedent(downgrade).strip() or "pass", "    "),
        )
        service.write(f"migrations/versions/r{number}.py", text)


def start(service: Service, *words: str, **variables: str) -> subprocess.Popen[str]:
    """Start `alembic …` and return its process."""
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *words],
        cwd=service.folder,
        env=service.environ(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def execute(service: Service, *statements: str) -> None:
    """Execute SQL on the service's database, as somebody else would."""
    with service.engine().begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def rows(service: Service, query: str) -> list[tuple[object, ...]]:
    with service.engine().connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]
