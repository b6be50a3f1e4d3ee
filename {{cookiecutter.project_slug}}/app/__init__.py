"""The service: `create_app()` puts its parts together."""

from flask import Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DataError
from werkzeug.exceptions import BadRequest, HTTPException

from app.config import Config, load_config
from app.db import db, import_all, import_models


def create_app(config: Config | None = None) -> Flask:
    """Return the service, with the configuration given or else that of APP_ENV's environment.

    Raises ConfigError when the configuration cannot work.
    """
    # Here, for Alembic imports this package too, and waits for none of these.
    from alembic_support.cli import alembic_command
    from app import health, start

    config = config or load_config()
    app = Flask(__name__, static_folder=None)
    app.config.from_object(config)
    app.logger.setLevel(config.LOG_LEVEL)

    import_models()
    db.init_app(app)
    app.cli.add_command(alembic_command)
    app.register_error_handler(HTTPException, json_error)
    app.register_error_handler(DataError, no_column_holds)
    app.register_blueprint(health.blueprint)
    for views in import_all("views"):
        app.register_blueprint(views.blueprint)
    if config.NAME == "development":
        app.register_blueprint(start.blueprint)
    return app


def json_error(error: HTTPException) -> ResponseReturnValue:
    """Answer an error as JSON: the status's name and what was wrong."""
    if error.response is not None:
        return error.response
    return jsonify(error=error.name, detail=error.description), error.code or 500


def no_column_holds(error: DataError) -> ResponseReturnValue:
    """Answer 400 for a value that was sent and is too long, too large or no text for its column."""
    current_app.logger.warning("A request was refused: %s", error.orig)
    return json_error(BadRequest("A value does not fit into its column."))
