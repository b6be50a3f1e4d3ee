"""The same with Flask-Migrate, as its documentation adds it."""

from flask_migrate import Migrate
from single import app, db

migrate = Migrate(app, db)
