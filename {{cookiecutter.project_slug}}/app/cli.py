"""`flask db …`: Alembic's own commands, under the name that Flask developers know."""

import click
from alembic.config import CommandLine

from app.config import ROOT

ALIASES = {"migrate": ["revision", "--autogenerate"], "list-templates": ["list_templates"]}
# What Flask-Migrate takes where nothing is named; Alembic asks for it.
DEFAULTS = {
    "init": "migrations",
    "upgrade": "head",
    "downgrade": "-1",
    "stamp": ["head"],
    "show": "head",
    "edit": "head",
    "merge": ["heads"],
}


@click.command(
    "db",
    help="Migrate the database with Alembic's commands (`flask db --help` lists them).",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def alembic_command(args: tuple[str, ...]) -> None:
    cli = CommandLine(prog="flask db")
    for name, default in DEFAULTS.items():
        for action in cli.subparsers.choices[name]._actions:
            if not action.option_strings:
                action.nargs = "?" if isinstance(default, str) else "*"
                action.default = default
    words = list(args) or ["--help"]
    for place, word in enumerate(words):
        if word in ALIASES or word in cli.subparsers.choices:  # what follows is the command's own
            words[place : place + 1] = ALIASES.get(word, [word])
            break
    cli.main(["-c", str(ROOT / "alembic.ini"), *words])
