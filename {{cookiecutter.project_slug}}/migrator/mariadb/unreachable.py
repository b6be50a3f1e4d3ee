"""What to do when a connection to MariaDB or MySQL fails."""

import socket
from collections.abc import Mapping

import sqlalchemy as sa

from migrator.database import Code
from migrator.mariadb import errors

LOGIN = (
    "The server refuses this user or this password: correct them in {variable}, with % @ : / in "
    "the password as %25 %40 %3A %2F. An administrator makes a user: "
    "CREATE USER {user} IDENTIFIED BY '…'. The server also refuses a user with REQUIRE SSL that "
    "connects without TLS."
)
TAKEN = (
    "All connections are taken: end those that nobody needs, set a smaller pool_size in "
    "DATABASE_ENGINE_OPTIONS, or raise the server's max_connections or the user's limit."
)
CURES: Mapping[Code, str] = {
    errors.BAD_DB_ERROR: "The server has no such database. Make it: flask db create. Or correct "
    "the name at the end of {variable}.",
    errors.ACCESS_DENIED_ERROR: LOGIN,
    errors.ACCESS_DENIED_NO_PASSWORD_ERROR: LOGIN,
    errors.DBACCESS_DENIED_ERROR: "This user may not use that database, or it does not exist. An "
    "administrator permits it: GRANT ALL ON `{database}%`.* TO {user}. Or correct the name at the "
    "end of {variable}.",
    errors.CON_COUNT_ERROR: TAKEN,
    errors.TOO_MANY_USER_CONNECTIONS: TAKEN,
    errors.USER_LIMIT_REACHED: TAKEN,
    errors.SECURE_TRANSPORT_REQUIRED: "The server wants TLS: write "
    "?ssl_ca=/path/of/the/provider's/ca.pem at the end of {variable}, or ?ssl_verify_cert=false "
    "to encrypt without checking the server's certificate.",
    errors.CR_SSL_CONNECTION_ERROR: "The server has no TLS, or its certificate is not trusted: "
    "correct or remove what begins with ssl_ in {variable}.",
    errors.HOST_NOT_PRIVILEGED: "The server takes no connection from this machine: let an "
    "administrator make the user for it, or correct the host in {variable}.",
    errors.HOST_IS_BLOCKED: "The server has blocked this machine after many errors: "
    "mariadb-admin flush-hosts lets it in again.",
    errors.CR_SERVER_LOST: "What listens there does not answer as a MariaDB or MySQL server does: "
    "correct host and port in {variable}, or try again.",
}
NO_HOST = "No host has this name: correct it in {variable}."
REFUSED = "Nothing listens there: start the server, or correct host and port in {variable}."
SILENT = (
    "The server does not answer: start it, let this machine through its firewall, or correct host "
    "and port in {variable}."
)
OTHER_KIND = "Begin {variable} with mysql://."
NO_CRYPTOGRAPHY = (
    "Add cryptography to the dependencies in pyproject.toml, and install them again "
    "(uv sync, or pip install -e .)."
)
GENERAL = "Start the server, or correct user, password, host, port and name in {variable}."


def cure(error: BaseException, code: Code, variable: str, url: sa.URL) -> str:
    """Return what to do about a connection that failed with this code.

    `variable` is the name of the variable to correct.
    """
    text = CURES.get(code) or cure_of_network(error) or GENERAL
    if isinstance(error, sa.exc.InvalidRequestError):  # MySQL answered, instead of MariaDB
        text = OTHER_KIND
    elif "cryptography" in str(error):
        text = NO_CRYPTOGRAPHY
    user = f"`{url.username or '…'}`"
    return text.format(variable=variable, user=user, database=url.database)


def cure_of_network(error: BaseException) -> str | None:
    """Return what to do about an error of the operating system, which the driver wraps."""
    reason = getattr(error, "original_exception", None) or error
    if isinstance(reason, socket.gaierror):
        return NO_HOST
    if isinstance(reason, ConnectionRefusedError | FileNotFoundError):
        return REFUSED
    return SILENT if isinstance(reason, OSError) else None
