"""What migrator.proof needs to know about MariaDB and MySQL."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrator.proof.special import Special as Base

# Everything in the schema that is not a table.
OTHERS = """
    SELECT 'trigger', trigger_name, event_object_table, action_statement
    FROM information_schema.triggers WHERE trigger_schema = DATABASE()
    UNION ALL SELECT 'view', table_name, '', view_definition
    FROM information_schema.views WHERE table_schema = DATABASE()
    UNION ALL SELECT LOWER(routine_type), routine_name, '', routine_definition
    FROM information_schema.routines WHERE routine_schema = DATABASE()
    UNION ALL SELECT 'event', event_name, '', event_definition
    FROM information_schema.events WHERE event_schema = DATABASE()
    UNION ALL SELECT 'sequence', table_name, '', ''
    FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'"""


class Special(Base):
    def others(self, connection: sa.Connection) -> list[str]:
        rows = connection.exec_driver_sql(OTHERS)
        return [", ".join(map(repr, row)) for row in rows]

    def samples(self, kind: sa.types.TypeEngine[Any], number: int) -> list[str]:
        # BOOL is TINYINT here. A CHECK may allow only 0 and 1.
        return [str(number % 2)] if isinstance(kind, mysql.TINYINT) else []
