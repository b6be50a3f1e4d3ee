"""Alembic migrations that are complete, locked and tested. README.md here lists the modules."""

from migrator.database import Database, ScratchRefusedError, UnsupportedDatabaseError, database
from migrator.run import Run

__all__ = ["Database", "Run", "ScratchRefusedError", "UnsupportedDatabaseError", "database"]
