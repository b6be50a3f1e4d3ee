"""`flask db …`: Alembic's own commands, under the name that Flask developers know."""

import sys

import click
from alembic.config import CommandLine

from app.config import BINDS, ROOT

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
# What is asked of every database, where app/config.py has BINDS.
EACH = {"branches", "check", "current", "draw", "heads", "history", "sql", "upgrade"}


@click.command(
    "db",
    help="Migrate with Alembic's commands (`flask db --help` lists them). Without `-n <bind>`, "
    f"{', '.join(sorted(EACH))} go through all databases.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def alembic_command(args: tuple[str, ...]) -> None:
    """Run Alembic's commands, and exit with the status of the first that failed."""
    words = list(args) or ["--help"]
    commands = command_line().subparsers.choices
    binds: tuple[str, ...] = ()
    for place, word in enumerate(words):
        if word in ALIASES or word in commands:  # what follows is the command's own
            words[place : place + 1] = ALIASES.get(word, [word])
            named = {"-n", "--name"} & set(words[:place])
            binds = BINDS if word in EACH and not named else ()
            break
    failed = [run(words), *(run(["-n", bind, *words]) for bind in binds)]
    sys.exit(next(filter(None, failed), 0))


def run(words: list[str]) -> int:
    """Run one Alembic command; return its exit status."""
    try:
        command_line().main(["-c", str(ROOT / "alembic.ini"), *words])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def command_line() -> CommandLine:
    """Return Alembic's command line, with two commands more and Flask-Migrate's defaults."""
    from alembic_support import review  # which imports the app

    cli = CommandLine(prog="flask db")
    for command in (review.draw, review.sql):
        cli.register_command(command)
    for name, default in DEFAULTS.items():
        for action in cli.subparsers.choices[name]._actions:
            if not action.option_strings:
                action.nargs = "?" if isinstance(default, str) else "*"
                action.default = default
    return cli
