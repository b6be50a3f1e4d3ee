"""What `alembic revision --autogenerate` and `alembic check` look at and write.

describe.py   what a database says of a table and of a model; the interface to the databases
compare.py    comparisons that Alembic does not make
steps.py      operations that Alembic does not have
sequences.py  sequences that models name
arrange.py    the order of operations
labels.py     labels of enums that a database does not know
adopted.py    other names in the real database
questions.py  what a person has to decide
leaving.py    why a column that a later release drops becomes nullable
render.py     types and operations as Python source
write.py      what is added to a revision before Alembic writes it
ours.py       which tables belong to this project
"""

from typing import Any

from alembic.runtime.plugins import Plugin

from migrator.autogenerate import arrange, compare, sequences
from migrator.autogenerate.ours import Comparing, OwnTables, leave_views
from migrator.autogenerate.render import render_item
from migrator.autogenerate.write import writer


def options(run: Comparing) -> dict[str, Any]:
    """Return the arguments of context.configure() that a command needs if it compares.

    `run` knows the database, and the metadata of the models that it is compared with.
    """
    database = run.database.part("autogenerate")
    return {
        "autogenerate_plugins": ["alembic.autogenerate.*", "migrator.*"],
        "compare_server_default": True,
        "include_name": OwnTables(run).include_name,
        "include_object": leave_views,
        "include_schemas": True,
        "process_revision_directives": writer(database.rewriter, run),
        "render_item": render_item,
    }


Plugin.setup_plugin_from_module(compare, "migrator.compare")
Plugin.setup_plugin_from_module(sequences, "migrator.sequences")
Plugin.setup_plugin_from_module(arrange, "migrator.arrange")
