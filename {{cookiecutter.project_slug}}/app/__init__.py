"""The service: `create_app()` puts its parts together."""

from importlib import import_module
from types import ModuleType

from flask import Blueprint, Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import BadRequest, HTTPException

from app.config import BINDS, ROOT, Config, ConfigError, load_config
from app.db import db, import_all, import_models


def create_app(config: Config | None = None) -> Flask:
    """Return the service with this configuration, by default the one that APP_ENV names.

    Raises ConfigError when the configuration cannot work.
    """
    # Imported here, so that Alembic, which imports this package, does not wait for them.
    from app import health, start
    from migrations.compatible import compatible
    from migrations.draw import draw
    from migrations.prove import prove
    from migrator.flask_cli import db_command

    config = config or load_config()
    config.require_drivers()
    app = Flask(__name__, static_folder=None)
    app.config.from_object(config)
    app.logger.setLevel(config.LOG_LEVEL)

    import_models()
    db.init_app(app)
    app.cli.add_command(db_command(ROOT / "alembic.ini", BINDS, draw, prove, compatible))
    app.register_error_handler(HTTPException, json_error)
    app.register_error_handler(DataError, bad_value)
    app.register_error_handler(DBAPIError, health.no_database)
    app.register_blueprint(health.blueprint)
    for views in import_all("views"):
        app.register_blueprint(blueprint_of(views))
    if config.NAME == "development":
        app.register_blueprint(start.blueprint)
        for tool in development_tools():
            tool.register(app)
    return app


def development_tools() -> list[ModuleType]:
    """Import the `development.py` of each folder beside app/ that has one, sorted by path.

    Such a folder is found by being there, so that it can be deleted and leaves nothing behind. Its
    `register(app)` adds commands and pages for developers.
    """
    paths = sorted(ROOT.glob("*/development.py"))
    return [import_module(f"{path.parent.name}.development") for path in paths]


def blueprint_of(views: ModuleType) -> Blueprint:
    """Return the blueprint of a views.py. Raises ConfigError where there is none."""
    found = getattr(views, "blueprint", None)
    if isinstance(found, Blueprint):
        return found
    name = views.__name__.split(".")[-2]
    raise ConfigError(
        f"{views.__file__} has no blueprint to register. Write into it: "
        f'blueprint = Blueprint("{name}", __name__, url_prefix="/{name}")'
    )


def json_error(error: HTTPException) -> ResponseReturnValue:
    """Answer an HTTP error as JSON: the name of the status, and the details."""
    if error.response is not None:
        return error.response
    return jsonify(error=error.name, detail=error.description), error.code or 500


def bad_value(error: DataError) -> ResponseReturnValue:
    """Answer 400 if a value of a request does not fit into its column."""
    current_app.logger.warning("A request was refused: %s", error.orig)
    return json_error(BadRequest("A value does not fit into its column."))
