"""What `alembic revision --autogenerate` and `alembic check` look at and write.

describe.py   what a database says of a table and of a model; the interface to the databases
compare.py    what Alembic does not compare
steps.py      operations that Alembic does not have
sequences.py  sequences that models name
arrange.py    the order of operations
questions.py  what a person has to decide
leaving.py    columns that are on their way out
render.py     types and operations as source
write.py      the last hand on a revision
ours.py       which tables are this project's
"""

from typing import Any

from alembic.runtime.plugins import Plugin

from migrator.autogenerate import arrange, compare, sequences
from migrator.autogenerate.ours import Comparing, Ours, leave_views
from migrator.autogenerate.render import render_item
from migrator.autogenerate.write import writer


def options(run: Comparing) -> dict[str, Any]:
    """Return what context.configure() needs to know for a command that compares."""
    database = run.database.part("autogenerate")
    return {
        "autogenerate_plugins": ["alembic.autogenerate.*", "migrator.*"],
        "compare_server_default": True,
        "include_name": Ours(run).include_name,
        "include_object": leave_views,
        "include_schemas": True,
        "process_revision_directives": writer(database.rewriter),
        "render_item": render_item,
    }


Plugin.setup_plugin_from_module(compare, "migrator.compare")
Plugin.setup_plugin_from_module(sequences, "migrator.sequences")
Plugin.setup_plugin_from_module(arrange, "migrator.arrange")
