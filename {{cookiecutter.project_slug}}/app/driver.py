"""Check the arguments of SQLAlchemy and of a database's driver, before anything connects.

SQLAlchemy and the driver themselves check them where possible, because each version accepts others.
"""

import sqlite3
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

import sqlalchemy as sa

from app.url import is_sqlite

PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
TLS = (
    "write ssl_ca=/path/of/the/provider's/ca.pem for a connection that is encrypted and checked, "
    "or ssl_verify_cert=false for one that is only encrypted"
)
# What to do about arguments that hosting services write for drivers of other languages. Others are
# refused as well, with the advice "correct or remove it".
CURES = {
    "ssl-mode": TLS,
    "ssl_mode": TLS,
    "sslmode": TLS,
    "sslaccept": TLS,
    "ssl": TLS,
    "usessl": TLS,
    "tls": TLS,
    "reconnect": "remove it, because each connection is tested before it is used",
    "pgbouncer": "remove it, and where the pooler hands out transactions set "
    'DATABASE_ENGINE_OPTIONS={"connect_args": {"prepare_threshold": null}}',
    "connection_limit": 'remove it, and set DATABASE_ENGINE_OPTIONS={"pool_size": ...}',
    "pool_timeout": 'remove it, and set DATABASE_ENGINE_OPTIONS={"pool_timeout": ...}',
    "schema": "write options=-csearch_path%3D<schema>",
    "currentschema": "write options=-csearch_path%3D<schema>",
    "password": "give this user another one, of ASCII characters",
}


def missing_driver(url: sa.URL) -> str | None:
    """Return what is wrong if the driver of an address cannot be imported, or else None."""
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        module = (error.name or "").partition(".")[0] or url.get_driver_name()
        package = PACKAGES.get(module, module)
        return (
            f"wants a driver that cannot be imported ({error}): add '{package}' to the "
            "dependencies in pyproject.toml and install them again (uv sync, or pip install -e .), "
            f"or begin with {url.get_backend_name()}://"
        )
    return None


def refused_options(url: sa.URL, options: Mapping[str, Any]) -> list[str]:
    """Return why create_engine() refuses these arguments, without connecting."""
    if not options:
        return []
    try:
        engine = sa.create_engine(url, **options)
        levels = {options.get("isolation_level")}
        levels |= {engine.get_execution_options().get("isolation_level")}
        known = url.get_dialect()().get_isolation_level_values(None)  # type: ignore[arg-type]
    except (ImportError, NotImplementedError):
        return []  # no driver can check them; create_app() and migrations report a missing driver
    except Exception as error:  # a wrong value can raise anything in SQLAlchemy
        reason = str(error).partition(", using")[0]
        return [f"is refused by create_engine() ({reason}): correct or remove it"]
    return [
        f"has the isolation_level {level!r}: use one of {', '.join(known)}"
        for level in levels - {None}
        if str(level).upper().replace("_", " ") not in {*known, "AUTOCOMMIT"}
    ]


def refused_arguments(url: sa.URL, connect_args: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the arguments of an address or of `connect_args` that its driver refuses, and why.

    The name is "" if it is not known which argument is wrong. A driver that is not installed, or
    that does not tell its arguments, refuses nothing here.
    """
    if is_sqlite(url):
        url = url.set(query={})  # SQLAlchemy itself warns about these
    if not url.query and not connect_args and (url.password or "").isascii():
        return []
    dialect = url.get_dialect()()
    try:
        driver: Any = dialect.import_dbapi()
        arguments = {**dialect.create_connect_args(url)[1], **connect_args}
    except ImportError:
        return []
    except (sa.exc.ArgumentError, ValueError):
        return [("", "has arguments after its ? that cannot be used: correct or remove them")]
    name, known = driver.__name__, known_arguments(driver)
    if known is not None and (unknown := sorted(arguments.keys() - known)):
        return [
            (argument, f"has {argument}, which {name} does not know: {cure(argument, known)}")
            for argument in unknown
        ]
    error = error_of_preparing(driver, arguments)
    if error is None:
        return []
    wrong = wrong_argument(driver, arguments)
    why = f" ({error.strerror})" if isinstance(error, OSError) else ""
    problem = f"has a value of {wrong} that {name} cannot use{why}: {cure(wrong, known or set())}"
    return [(wrong, problem)]


def known_arguments(driver: Any) -> set[str] | None:
    """Return the names of the arguments of a driver's connect(), or None if it does not tell."""
    try:
        parameters = signature(driver.connect).parameters.values()
    except ValueError:  # written in C
        return None
    names = {each.name for each in parameters}
    if all(each.kind is not Parameter.VAR_KEYWORD for each in parameters):
        return names
    if hasattr(driver, "pq"):  # psycopg passes the others to libpq, which lists its own
        return names | {each.keyword.decode() for each in driver.pq.Conninfo.get_defaults()}
    return None


def error_of_preparing(driver: Any, arguments: Mapping[str, Any]) -> Exception | None:
    """Let a driver prepare a connection without connecting; return the error, or None."""
    if driver.connect is sqlite3.connect:
        harmless: dict[str, Any] = {"database": ":memory:"}
    elif "defer_connect" in (known_arguments(driver) or ()):
        harmless = {"defer_connect": True}
    else:
        return None
    try:
        driver.connect(**arguments, **harmless).close()
    except Exception as error:  # a wrong value can raise anything
        return error
    return None


def wrong_argument(driver: Any, arguments: Mapping[str, Any]) -> str:
    """Return the argument without which a driver can prepare a connection."""
    for name in arguments:
        others = {other: value for other, value in arguments.items() if other != name}
        if not error_of_preparing(driver, others):
            return name
    return "several arguments"


def cure(argument: str, known: set[str]) -> str:
    """Return what to do about an argument; `known` are the names that the driver accepts."""
    advice = CURES.get(argument.lower(), "correct or remove it")
    if advice == TLS and "sslmode" in known:
        return "write sslmode=require"
    return advice
