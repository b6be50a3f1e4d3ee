"""Configuration: one class for each environment, and the only place that reads database URLs."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from click import ClickException

from app.driver import missing_driver, refused_arguments, refused_options
from app.url import UNUSABLE, read_url
from app.variables import Variables, read_variables
from migrator.database import kind_of

ROOT = Path(__file__).resolve().parent.parent
# Further databases by name; that of "analytics" is at ANALYTICS_DATABASE_URL. README.md, "Add a
# database", has the steps.
BINDS: tuple[str, ...] = ()
PLACEHOLDER = "change-me"  # what .env.example holds where a secret belongs


class ConfigError(ClickException):
    """The configuration cannot work; the message names every problem and its cure."""


class Config:
    """The settings that all environments share. `env` holds the variables that they come from.

    Raises ConfigError, with all problems in one message, when the settings cannot work.
    """

    NAME: ClassVar[str]
    STRICT: ClassVar[bool] = False  # refuse what is missing or left at its default
    TESTING = False

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env if isinstance(env, Variables) else Variables(env)
        self._problems: list[str] = []
        self.SECRET_KEY = self._read("SECRET_KEY") or ("" if self.STRICT else self.NAME)
        self.RELEASE = self._read("RELEASE")
        self.LOG_LEVEL = (self._read("LOG_LEVEL") or "INFO").upper()
        # The address and the arguments of create_engine(), by bind; None is the main database.
        self.databases = {bind: self._read_database(prefix(bind)) for bind in (None, *BINDS)}
        self.SQLALCHEMY_DATABASE_URI, self.SQLALCHEMY_ENGINE_OPTIONS = self.databases[None]
        self.SQLALCHEMY_BINDS = {
            bind: {"url": url, **options} for bind, (url, options) in self.databases.items() if bind
        }
        # The same databases, with the login of the migrations if they have their own.
        self.migration_databases = {bind: self._read_login(bind) for bind in self.databases}
        self._refuse_one_database_twice()
        if self.LOG_LEVEL not in logging.getLevelNamesMapping():
            self._refuse("LOG_LEVEL", "is unknown: set DEBUG, INFO, WARNING or ERROR")
        if self.STRICT:
            self._refuse_defaults()
        if self._problems:
            lines = [f"The {self.NAME} configuration cannot work:", *self._problems]
            raise ConfigError("\n  - ".join(lines))

    def database(self, bind: str | None) -> tuple[sa.URL, dict[str, Any]]:
        """Return the address of a bind and its arguments of create_engine().

        None is the main database.
        Raises ConfigError for a name that is not in BINDS.
        """
        if bind not in self.databases:
            raise ConfigError(
                f"[{bind}] of alembic.ini is no database: add it to BINDS, app/config.py"
            )
        return self.databases[bind]

    def migration_database(self, bind: str | None) -> tuple[sa.URL, dict[str, Any]]:
        """Return the same as database(), but with the address in MIGRATION_DATABASE_URL, if set.

        Raises ConfigError for a name that is not in BINDS.
        """
        self.database(bind)  # raises ConfigError
        return self.migration_databases[bind]

    def migration_variable(self, bind: str | None) -> str:
        """Return the name of the variable that has the address of migration_database()."""
        variable = f"{prefix(bind)}MIGRATION_DATABASE_URL"
        return variable if self._read(variable) else f"{prefix(bind)}DATABASE_URL"

    def require_drivers(self) -> None:
        """Raise ConfigError when the driver of a database is not installed, naming its package.

        __init__() does not call it, because migrations can be written as SQL without a driver.
        """
        found = {prefix(bind): missing_driver(url) for bind, (url, _) in self.databases.items()}
        for name, missing in found.items():
            if missing:
                self._refuse(f"{name}DATABASE_URL", missing)
        if self._problems:
            raise ConfigError("\n".join(self._problems))

    def _read(self, variable: str) -> str:
        """Return a variable's value, or "" if it is not set; note what is wrong with it."""
        text = self._env.get(variable) or ""
        if variable in self._env.problems:
            self._refuse(variable, self._env.problems[variable])
        return text

    def _refuse(self, variable: str, problem: str) -> None:
        source = self._env.sources.get(variable)
        self._problems.append(f"{variable} {problem}" + (f" [set in {source}]" if source else ""))

    def _read_database(self, prefix: str) -> tuple[sa.URL, dict[str, Any]]:
        variable = f"{prefix}DATABASE_URL"
        url = self._read_url(variable)
        options = self._engine_options(f"{prefix}DATABASE_ENGINE_OPTIONS", variable, url)
        return url or UNUSABLE, options

    def _read_login(self, bind: str | None) -> tuple[sa.URL, dict[str, Any]]:
        """Return the address that migrations use; note if it is not the service's database."""
        variable = f"{prefix(bind)}MIGRATION_DATABASE_URL"
        service, options = self.databases[bind]
        url = self._read_url(variable) if self._read(variable) else None
        if url is None:
            return service, options
        if (url.get_backend_name(), url.database) != (service.get_backend_name(), service.database):
            self._refuse(
                variable,
                f"is not the database of {prefix(bind)}DATABASE_URL: it may have another user, "
                "password, host and port, but no other name or kind",
            )
        return url, options

    def _read_url(self, variable: str) -> sa.URL | None:
        """Return the address in a variable; if it cannot be used, note why and return None."""
        text = self._read(variable)
        if variable in self._env.problems:
            return None
        try:
            url = read_url(text, None if self.STRICT else ROOT)
        except ValueError as error:
            self._refuse(variable, str(error))
            return None
        if self.STRICT and url.password == PLACEHOLDER:
            self._refuse(variable, "has the password of .env.example: set the real one")
        return url

    def _engine_options(self, variable: str, address: str, url: sa.URL | None) -> dict[str, Any]:
        """Return the arguments of create_engine() for an address; note those that cannot work.

        `variable` has the arguments, and `address` is the variable that has the address.
        """
        try:
            options = json.loads(self._read(variable) or "{}")
            connect_args = {**options.get("connect_args", {})}
        except (ValueError, TypeError, AttributeError):
            self._refuse(
                variable,
                "is not a JSON object of create_engine() arguments, "
                'such as {"pool_size": 10, "connect_args": {"sslmode": "require"}}',
            )
            return {}
        if url is None:  # without it, no driver can check the arguments
            return {}
        for problem in refused_options(url, options):
            self._refuse(variable, problem)
        for name, problem in refused_arguments(url, connect_args):
            self._refuse(variable if name in connect_args else address, problem)
        # Without these time limits, a request can wait for ever on a locked file or silent server.
        limits = kind_of(url).CONNECT_ARGS.items()
        unless_set = {name: value for name, value in limits if name not in url.query}
        return {"pool_pre_ping": True, **options, "connect_args": {**unless_set, **connect_args}}

    def _refuse_one_database_twice(self) -> None:
        names: dict[tuple[Any, ...], str] = {}
        for bind, (url, _) in self.databases.items():
            name = f"{prefix(bind)}DATABASE_URL"
            port = url.port or kind_of(url).PORT
            hosts = [url.query.get(key) for key in ("host", "port", "unix_socket")]
            other = names.setdefault((url.host, port, url.database, *hosts), name)
            if other != name and url.database:
                self._refuse(
                    name,
                    f"is the database of {other}: give it one of its own, because two histories "
                    "cannot share its alembic_version table",
                )

    def _refuse_defaults(self) -> None:
        if len(self.SECRET_KEY) < 32 or PLACEHOLDER in self.SECRET_KEY:
            self._refuse(
                "SECRET_KEY",
                "is missing, a placeholder or shorter than 32 characters: set what "
                'this prints: python -c "import secrets; print(secrets.token_hex())"',
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
    """Return what the names of a bind's variables begin with: "" for the main database."""
    return f"{bind.upper()}_" if bind else ""


ENVIRONMENTS = {kind.NAME: kind for kind in (Development, Testing, Staging, Production)}


def load_config(name: str | None = None, given: Mapping[str, str] | None = None) -> Config:
    """Return the configuration of an environment: `name`, or else APP_ENV, or else development.

    The variables in `given` override those of the process, which override those in .env. Raises
    ConfigError when APP_ENV is unknown or the configuration cannot work.
    """
    if "%" in str(ROOT):
        raise ConfigError(
            f"{ROOT} has a % in its path, which Alembic's configuration cannot hold: move the "
            "project to another folder"
        )
    variables = load_variables(given)
    return ENVIRONMENTS[name or environment_name(variables)](variables)


def load_variables(given: Mapping[str, str] | None = None) -> Variables:
    """Return the variables in `given`, of the process and in .env, in this order of precedence.

    The `flask` command, Alembic and gunicorn all get the same ones. Raises ConfigError when .env
    cannot be read.
    """
    try:
        return read_variables(ROOT / ".env", given or {})
    except ValueError as error:
        raise ConfigError(str(error)) from None


def environment_name(variables: Variables) -> str:
    """Return the environment that APP_ENV names, or development if it is not set.

    Raises ConfigError when it is empty or unknown. Tools pass an empty variable where somebody
    forgot to set it, and that must not switch a production server to development.
    """
    name = variables.get("APP_ENV", "development")
    if name in ENVIRONMENTS and "APP_ENV" not in variables.problems:
        return name
    problem = variables.problems.get("APP_ENV") or f"is {repr(name) if name.strip() else 'empty'}"
    raise ConfigError(
        f"APP_ENV {problem} [set in {variables.sources['APP_ENV']}]: "
        f"set it to one of {', '.join(ENVIRONMENTS)}, or remove it for development"
    )
