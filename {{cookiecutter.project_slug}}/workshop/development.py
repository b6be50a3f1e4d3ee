"""Add the workshop to the service in development: `flask workshop`, and the pages at /workshop."""

from flask import Flask

from workshop.commands import workshop
from workshop.pages import index, page


def register(app: Flask) -> None:
    """Add the command and the pages.

    They belong to no blueprint, because the start page stops those while a database is behind, and
    most labs begin with a database that is behind.
    """
    app.cli.add_command(workshop)
    app.add_url_rule("/workshop", view_func=index, endpoint="workshop")
    app.add_url_rule("/workshop/<int:number>", view_func=page, endpoint="workshop_lab")
