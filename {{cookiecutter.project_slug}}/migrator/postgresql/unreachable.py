"""What to do when a connection to PostgreSQL fails.

The drivers do not hand on the SQLSTATE of a failed connection, only the server's text. For a text
in another language than English, there is only general advice.
"""

import re

# What to do, by a regular expression for the text. The first one that matches counts.
CURES = {
    'database ".*" does not exist': "The server has no such database. Make it: flask db create. "
    "Or correct the name at the end of {variable}.",
    'role ".*" does not exist': "The server has no such user. An administrator makes one: "
    "CREATE ROLE {user} LOGIN CREATEDB PASSWORD '…'; or correct the user in {variable}.",
    "is not permitted to log in": "An administrator permits it: ALTER ROLE {user} LOGIN; or name "
    "another user in {variable}.",
    "no password supplied": "The server wants a password: write user:password@host in {variable}.",
    "authentication failed": "The server refuses this user or this password: correct them in "
    "{variable}, with % @ : / in the password as %25 %40 %3A %2F. An administrator sets it: "
    "ALTER ROLE {user} PASSWORD '…'.",
    "does not support SSL": "The server has no TLS: remove sslmode from {variable}, or switch TLS "
    "on there.",
    "pg_hba.conf.*no encryption|sslmode=require|SSL.*required|insecure": "The server wants TLS: "
    "write ?sslmode=require at the end of {variable}.",
    "pg_hba.conf": "The server takes no connection of this user from this machine: let an "
    "administrator add it to pg_hba.conf, or correct {variable}.",
    "certificate": "The server's certificate is not trusted: write sslrootcert=<file> in "
    "{variable}, with the certificate that your provider hands out.",
    "too many (clients|connections)|connection slots": "All connections are taken: end those that "
    "nobody needs, set a smaller pool_size in DATABASE_ENGINE_OPTIONS, or raise max_connections "
    "of the server or the CONNECTION LIMIT of the role.",
    "permission denied for database": "An administrator permits it: GRANT CONNECT ON "
    "DATABASE … TO {user}.",
    "session is read-only|server is in hot standby": "None of these hosts can be written to: "
    "after a failover, wait until one is promoted, and run this again; or name the primary in "
    "{variable}.",
    "(starting up|shutting down|recovery)": "Wait until it is up, and try again.",
    "resolve host|translate host": "No host has this name: correct it in {variable}.",
    "refused|No such file": "Nothing listens there: start the server, or correct host and port in "
    "{variable}.",
    "terminating connection|closed the connection": "The server ended the connection before it was "
    "of use, as one that stops does: wait until it is up, and run this again. If it never is, its "
    "log has the reason.",
    "invalid response|expected authentication": "Another program than PostgreSQL listens there: "
    "correct host and port in {variable}.",
    "time|route|unreachable": "The server does not answer: start it, let this machine through its "
    "firewall, or correct host and port in {variable}.",
}
GENERAL = "Start the server, or correct user, password, host, port and name in {variable}."


def cure(error: BaseException, variable: str, user: str | None) -> str:
    """Return what to do about a failed connection; `variable` is the name of the one to correct."""
    text = str(error)
    matching = (advice for pattern, advice in CURES.items() if re.search(pattern, text, re.DOTALL))
    return next(matching, GENERAL).format(variable=variable, user=user or "…")
