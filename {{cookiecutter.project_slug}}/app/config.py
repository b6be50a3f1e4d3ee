"""Configuration: one class per environment, and the only place that knows the database URI."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from click import ClickException
from dotenv import dotenv_values

from app.url import is_sqlite, read_url

ROOT = Path(__file__).resolve().parent.parent
# Further databases by name; that of "analytics" is at ANALYTICS_DATABASE_URL. README.md, "Add a
# database", has the steps.
BINDS: tuple[str, ...] = ()
PLACEHOLDER = "change-me"  # what .env.example holds where a secret belongs
PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}  # of an address that names none


class ConfigError(ClickException):
    """The configuration cannot work; the message names every problem and its cure."""


class Config:
    """What all environments share, read from the variables given when an instance is made.

    Raises ConfigError when any is missing or cannot work, with all problems in one message.
    """

    NAME: ClassVar[str]
    STRICT: ClassVar[bool] = False  # refuse what is missing or left at its default
    TESTING = False

    def __init__(self, env: Mapping[str, str | None]) -> None:
        self._env = env
        self._problems: list[str] = []
        self.SECRET_KEY = self._env.get("SECRET_KEY") or ("" if self.STRICT else self.NAME)
        self.LOG_LEVEL = (self._env.get("LOG_LEVEL") or "INFO").upper()
        # The address and the arguments of create_engine(), by bind; None is the main database.
        self.databases = {bind: self._database(prefix(bind)) for bind in (None, *BINDS)}
        self.SQLALCHEMY_DATABASE_URI, self.SQLALCHEMY_ENGINE_OPTIONS = self.databases[None]
        self.SQLALCHEMY_BINDS = {
            bind: {"url": url, **options} for bind, (url, options) in self.databases.items() if bind
        }
        self._refuse_one_database_twice()
        if self.LOG_LEVEL not in logging.getLevelNamesMapping():
            self._problems.append("LOG_LEVEL is unknown: set DEBUG, INFO, WARNING or ERROR")
        if self.STRICT:
            self._refuse_defaults()
        if self._problems:
            lines = [f"The {self.NAME} configuration cannot work:", *self._problems]
            raise ConfigError("\n  - ".join(lines))

    def _database(self, prefix: str) -> tuple[sa.URL, dict[str, Any]]:
        try:
            url = read_url(
                self._env.get(f"{prefix}DATABASE_URL") or "", None if self.STRICT else ROOT
            )
        except ValueError as error:
            self._problems.append(f"{prefix}DATABASE_URL {error}")
            url = sa.make_url("sqlite://")
        if self.STRICT and url.password == PLACEHOLDER:
            self._problems.append(
                f"{prefix}DATABASE_URL has the password of .env.example: set the real one"
            )
        return url, self._engine_options(f"{prefix}DATABASE_ENGINE_OPTIONS", url)

    def _engine_options(self, variable: str, url: sa.URL) -> dict[str, Any]:
        try:
            options = dict(json.loads(self._env.get(variable) or "{}"))
            connect_args = dict(options.get("connect_args", {}))
        except (ValueError, TypeError):
            self._problems.append(
                f"{variable} is not a JSON object of create_engine() arguments, "
                'such as {"pool_size": 10, "connect_args": {"sslmode": "require"}}'
            )
            return {}
        # Seconds: no request waits for ever on a locked file or a silent server.
        waits = {"timeout": 15} if is_sqlite(url) else {"connect_timeout": 5}
        return {"pool_pre_ping": True, **options, "connect_args": {**waits, **connect_args}}

    def _refuse_one_database_twice(self) -> None:
        names: dict[tuple[Any, ...], str] = {}
        for bind, (url, _) in self.databases.items():
            name = f"{prefix(bind)}DATABASE_URL"
            port = url.port or PORTS.get(url.get_backend_name())
            other = names.setdefault((url.host, port, url.database), name)
            if other != name and url.database:
                self._problems.append(
                    f"{name} is the database of {other}: give it one of its own, for two histories "
                    "cannot share its alembic_version table"
                )

    def _refuse_defaults(self) -> None:
        if len(self.SECRET_KEY) < 32 or PLACEHOLDER in self.SECRET_KEY:
            self._problems.append(
                "SECRET_KEY is missing, a placeholder or shorter than 32 characters: set what "
                'this prints: python -c "import secrets; print(secrets.token_hex())"'
            )


class Development(Config):
    NAME = "development"


class Testing(Config):
    NAME = "testing"
    TESTING = True


class Staging(Config):
    NAME = "staging"
    STRICT = True


class Production(Staging):
    NAME = "production"


def prefix(bind: str | None) -> str:
    """Return what the variables of a bind begin with: nothing for the main database's."""
    return f"{bind.upper()}_" if bind else ""


ENVIRONMENTS = {kind.NAME: kind for kind in (Development, Testing, Staging, Production)}


def load_config(name: str | None = None, given: Mapping[str, str] | None = None) -> Config:
    """Return an environment's configuration: of the name given, else of APP_ENV, else development.

    Variables that are `given` come before the process's own, and those before .env. Raises
    ConfigError when the name is unknown or the configuration cannot work.
    """
    env = {**dotenv_values(ROOT / ".env"), **os.environ, **(given or {})}
    name = name or env.get("APP_ENV") or "development"
    if name not in ENVIRONMENTS:
        raise ConfigError(f"APP_ENV is {name!r}: set it to one of {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name](env)
