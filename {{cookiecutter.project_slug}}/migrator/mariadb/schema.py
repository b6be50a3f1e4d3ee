"""The definitions of what a DDL statement names. If they have changed, the statement has run."""

import hashlib
import re
from typing import Any

NUMBERING = re.compile(r" AUTO_INCREMENT=\d+")  # new rows change it, which is not DDL
# What is not a table, view or sequence. All of them are in a fingerprint, because they are few.
OTHERS = """
    SELECT 'trigger', trigger_name, event_object_table, action_timing, event_manipulation,
        action_statement FROM information_schema.triggers WHERE trigger_schema = DATABASE()
    UNION ALL SELECT 'routine', routine_name, routine_type, dtd_identifier, is_deterministic,
        routine_definition FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL SELECT 'event', event_name, status, interval_value, interval_field, event_definition
        FROM information_schema.events WHERE event_schema = DATABASE()"""
FUNCTIONS = """
    SELECT routine_name FROM information_schema.routines
    WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION'"""


def fingerprint(driver: Any, statement: str) -> str:
    """Return a SHA-256 digest of the definitions of all that a statement names.

    `driver` is a connection of the driver. A table, view or sequence counts as named if its name
    is anywhere in the text, because one too many does no harm.
    """
    text = statement.lower()
    with driver.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        names = sorted(name for (name,) in cursor.fetchall() if name.lower() in text)
        found = [definition(cursor, name) for name in names]
        cursor.execute(OTHERS)
        found += sorted(repr(row) for row in cursor.fetchall())
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def definition(cursor: Any, name: str) -> str:
    quoted = name.replace("`", "``")
    cursor.execute(f"SHOW CREATE TABLE `{quoted}`")
    return NUMBERING.sub("", str(cursor.fetchone()[1]))


def stored_functions(driver: Any) -> frozenset[str]:
    """Return the names of the database's stored functions, in upper case."""
    with driver.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        return frozenset(name.upper() for (name,) in cursor.fetchall())
