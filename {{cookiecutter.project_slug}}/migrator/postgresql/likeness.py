"""What makes a clean database like the real one: encoding, locale, settings, and extensions."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from migrator.messages import tell

UNUSED = """
    SELECT datname FROM pg_database d
    WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)"""
# The end of a CREATE DATABASE. Only template0 can be copied with another encoding or locale; where
# they are those of template1, what that has is wanted. The columns differ between versions.
OPTIONS = """
    SELECT CASE WHEN
            (d.encoding, d.datcollate, d.datctype, d.provider, d.locale) IS DISTINCT FROM
            (t.encoding, t.datcollate, t.datctype, t.provider, t.locale)
        THEN concat(format(' TEMPLATE template0 ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L',
                pg_encoding_to_char(d.encoding), d.datcollate, d.datctype),
            CASE d.provider WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %%L', d.locale)
                WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %%L', d.locale) END)
        ELSE '' END
    FROM databases d, databases t WHERE d.datname = %(name)s AND t.datname = 'template1'"""
DATABASES = """
    WITH databases AS (
        SELECT datname, encoding, datcollate, datctype,
            to_jsonb(p) ->> 'datlocprovider' AS provider,
            coalesce(to_jsonb(p) ->> 'datlocale', to_jsonb(p) ->> 'daticulocale') AS locale
        FROM pg_database p)"""
# Of the database, and then those of this role in it, which come before the others.
SETTINGS = """
    SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
    FROM pg_db_role_setting, unnest(setconfig) AS setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
    ORDER BY setrole"""
EXTENSIONS = """
    SELECT extname, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
    WHERE extname <> 'plpgsql' ORDER BY e.oid"""
CREATE_EXTENSION = re.compile(r"(\s*CREATE\s+EXTENSION\s+)(?!IF\s)", re.IGNORECASE)


def unused(connection: sa.Connection) -> Sequence[str]:
    """Return the names of the databases of a server to which nobody is connected."""
    return connection.exec_driver_sql(UNUSED).scalars().all()


def options(connection: sa.Connection, name: str | None) -> str | None:
    """Return the end of a CREATE DATABASE that makes one like another; None if that is not there.

    It is empty where a new database is like it by itself.
    """
    found: str | None = connection.exec_driver_sql(DATABASES + OPTIONS, {"name": name}).scalar()
    return found


def copy_settings(real: sa.Engine, clean: sa.Engine) -> None:
    """Copy what ALTER DATABASE … SET has set, the search path among it; say what cannot be."""
    with real.connect() as connection:
        settings = connection.exec_driver_sql(SETTINGS).fetchall()
    for name, value in settings:
        # FROM CURRENT, because a list such as a search path must not be quoted as one text.
        change = "ALTER DATABASE {} SET {} FROM CURRENT".format(
            *map(clean.dialect.identifier_preparer.quote, (clean.url.database or "", name))
        )
        try:
            with clean.begin() as connection:
                connection.execute(sa.select(sa.func.set_config(name, value, True)))
                connection.exec_driver_sql(change)
        except sa.exc.DBAPIError as error:
            tell_missing(f"the setting {name} = {value}", error)


def copy_extensions(real: sa.Engine, clean: sa.Engine) -> None:
    """Make the extensions of a database in another; say which cannot be made."""
    quote = clean.dialect.identifier_preparer.quote
    with real.connect() as connection:
        extensions = connection.exec_driver_sql(EXTENSIONS).fetchall()
    for name, schema in extensions:
        try:
            with clean.begin() as connection:
                if not schema.startswith("pg_"):  # those are there, and may not be made
                    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
                connection.exec_driver_sql(
                    f"CREATE EXTENSION IF NOT EXISTS {quote(name)} SCHEMA {quote(schema)} CASCADE"
                )
        except sa.exc.DBAPIError as error:
            tell_missing(f"the extension {name}", error)


def tell_missing(what: str, error: sa.exc.DBAPIError) -> None:
    reason = str(error.orig).strip()
    tell(f"A clean database differs from the real one, because {what} is missing there: {reason}")


def let_extensions_exist(engine: sa.Engine) -> None:
    """Have CREATE EXTENSION accept, on a clean database, an extension that it came with.

    The real database has it from a revision, or from an operator: nothing tells which.
    """

    def accept(
        _connection: sa.Connection, _cursor: Any, statement: str, parameters: Any, *_rest: object
    ) -> tuple[str, Any]:
        return CREATE_EXTENSION.sub(r"\1IF NOT EXISTS ", statement, count=1), parameters

    sa.event.listen(engine, "before_cursor_execute", accept, retval=True)
