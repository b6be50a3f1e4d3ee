"""`flask db …`: Alembic's own commands, under the name that Flask developers know."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from alembic import command
from alembic.config import CommandFunction, CommandLine, Config
from alembic.script import ScriptDirectory

from migrator.history import problem_of
from migrator.messages import tell

ALIASES = {"migrate": ["revision", "--autogenerate"], "list-templates": ["list_templates"]}
# Flask-Migrate's values for arguments that are left out. Alembic requires those arguments.
DEFAULTS: dict[str, str | list[str]] = {
    "init": "migrations",
    "upgrade": "head",
    "downgrade": "-1",
    "stamp": ["head"],
    "show": "head",
    "edit": "head",
    "merge": ["heads"],
    "prove": "",  # all revisions that are judged
    "compatible": "",  # the release before this one
}
# The commands that run once for each database, unless `-n` names one.
FOR_EACH = {
    "branches",
    "check",
    "create",
    "current",
    "drift",
    "heads",
    "history",
    "log",
    "sql",
    "upgrade",
}


def db_command(ini: Path, binds: Sequence[str], *commands: CommandFunction) -> click.Command:
    """Return the command `db` for `app.cli.add_command()`.

    - `ini` is the path of alembic.ini
    - `binds` are the names of its sections for further databases, beside [alembic]
    - `commands` are added to Alembic's and run for each database; like the functions of
      `alembic.command`, they take Alembic's Config
    """
    for_each = FOR_EACH | {function.__name__ for function in commands}

    @click.command(
        "db",
        help="Migrate with Alembic's commands (`flask db --help` lists them). Without `-n <bind>`, "
        f"{', '.join(sorted(for_each))} go through all databases.",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def db(args: tuple[str, ...]) -> None:
        """Run Alembic's commands, and exit with the status of the first that failed."""
        words, name = without_alias(args or ("--help",), command_line(commands))
        sections = binds if name in for_each and not {"-n", "--name"} & {*words} else ()
        lines = [words, *(["-n", section, *words] for section in sections)]
        statuses = [run(["-c", str(ini), *line], commands) for line in lines]
        sys.exit(next(filter(None, statuses), 0))

    return db


def without_alias(args: Sequence[str], cli: CommandLine) -> tuple[list[str], str]:
    """Return the words for Alembic, and the name of the command in them, or "" without one."""
    for position, word in enumerate(args):
        if word in ALIASES or word in cli.subparsers.choices:  # what follows are its arguments
            name, *options = ALIASES.get(word, [word])
            return [*args[:position], name, *options, *args[position + 1 :]], name
    return [*args], ""


def run(words: list[str], commands: Sequence[CommandFunction]) -> int:
    """Run one Alembic command; return its exit status."""
    cli = command_line(commands)
    try:
        cli.main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except Exception:
        # Commands that do not run env.py show a traceback if a revision cannot be read.
        options = cli.parser.parse_args(words)
        config = Config(options.config[0], ini_section=options.name)
        problem = problem_of(ScriptDirectory.from_config(config))
        if problem is None:
            raise
        tell(f"FAILED: {problem}")
        return 1
    return 0


def command_line(commands: Sequence[CommandFunction]) -> CommandLine:
    """Return Alembic's command line, with more commands and Flask-Migrate's defaults."""
    from migrator.create import create  # here, so that `flask run` does not wait for them
    from migrator.review.drift import drift
    from migrator.review.log import log
    from migrator.review.sql import sql

    cli = CommandLine(prog="flask db")
    own: list[CommandFunction] = [create, drift, log, sql]
    for each in (*commands, *own):
        cli.register_command(each)
    for function in (init, merge):
        parser = cli.subparsers.choices[function.__name__]
        _, positional, options = parser.get_default("cmd")
        parser.set_defaults(cmd=(function, positional, options))
    for name in DEFAULTS.keys() & cli.subparsers.choices.keys():
        # argparse has no public way to make a positional argument optional once it is added:
        # set_defaults() leaves it required. register_command() cannot replace Alembic's command.
        for action in cli.subparsers.choices[name]._actions:
            if not action.option_strings:
                action.nargs = "?" if isinstance(DEFAULTS[name], str) else "*"
                action.default = DEFAULTS[name]
    return cli


def init(config: Config, directory: str, **options: Any) -> None:
    """Say how to go on, because this project has its folder of migrations."""
    folder = Path(config.get_main_option("script_location") or directory)
    if not folder.is_dir():
        return command.init(config, directory, **options)
    tell(f"{folder} is here already. Go on with: flask db migrate -m 'What changed'")


def merge(config: Config, revisions: list[str], **options: Any) -> None:
    """Merge branches; where there is only one, say so instead of writing an empty revision."""
    found = {one.revision for one in ScriptDirectory.from_config(config).get_revisions(revisions)}
    if len(found) > 1:
        command.merge(config, revisions, **options)
    else:
        tell(f"There is nothing to merge: {', '.join(found) or 'no revision'} is the only head")
