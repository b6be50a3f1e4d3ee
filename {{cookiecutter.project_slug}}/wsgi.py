"""What `flask` loads: the service, and commands that work when the service does not."""

import sys
from importlib import import_module
from pathlib import Path

import click
from flask import Flask

import doctor


def create_app() -> Flask:
    """Return the service; for `flask doctor` and developers' tools, an app with only that command.

    A tool is a folder with a `development.py`, and its command has the folder's name.
    """
    word = first_word()
    if word == doctor_command.name:
        app = Flask(__name__, static_folder=None)
    elif is_tool(word):
        app = Flask(__name__, static_folder=None)
        import_module(f"{word}.development").register(app)
    else:
        from app import create_app as create_service  # here, because the service may be broken

        app = create_service()
    app.cli.add_command(doctor_command)
    return app


def first_word() -> str:
    """Return the command in the command line of `flask`, or "" where something else runs."""
    context = click.get_current_context(silent=True)
    if context is None:  # a server, or a test, makes the app
        return ""
    _, words, _ = context.command.make_parser(context).parse_args(sys.argv[1:])
    return words[0] if words else ""


def is_tool(word: str) -> bool:
    """Tell whether a word is the command of a tool, which there are in development only."""
    folder = Path(__file__).parent / word
    if not word.isidentifier() or not (folder / "development.py").is_file():
        return False
    from app.config import environment_name, load_variables  # here, for the same reason as above

    return environment_name(load_variables()) == "development"


@click.command("doctor", help="Say what is wrong with this project, and what to do next.")
def doctor_command() -> None:
    sys.exit(doctor.main())
