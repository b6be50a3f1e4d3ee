"""The start page: where a new developer's database is. Only development registers it."""

from flask import Blueprint, current_app, render_template

from app.config import ROOT
from app.health import migrations
from app.url import describe

blueprint = Blueprint("start", __name__)


@blueprint.get("/")
def page() -> str:
    """Show the environment, the database, the line of revisions and what to type next."""
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    return render_template(
        "start.html", name=ROOT.name, database=describe(url), migrations=migrations()
    )
