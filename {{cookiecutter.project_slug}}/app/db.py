"""The database: `db`, the names of its constraints, and the discovery of its models."""

import sqlite3
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

from app.config import BINDS, ConfigError


class Base(DeclarativeBase):
    # A constraint without a name cannot be dropped by a later revision.
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment, aware and in UTC on every database; a naive datetime is refused."""

    impl = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: use datetime.now(UTC)")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


def import_models() -> None:
    """Import every model; the factory and migrations/env.py share it, so that none is overlooked.

    Raises ConfigError for the models of a bind that is not known, which nothing would migrate.
    """
    import_all("models")
    if unknown := db.metadatas.keys() - {None, *BINDS}:
        raise ConfigError(f"Models have the __bind_key__ {unknown}: add it to BINDS, app/config.py")
    for bind in BINDS:  # one without a model yet
        empty = sa.MetaData(naming_convention=db.metadata.naming_convention)
        db.metadatas.setdefault(bind, empty)


def import_all(name: str) -> list[ModuleType]:
    """Import every `app/**/<name>.py` and return the modules, sorted by path."""
    folder = Path(__file__).parent
    paths = sorted(path.relative_to(folder.parent) for path in folder.rglob(f"{name}.py"))
    return [import_module(".".join(path.with_suffix("").parts)) for path in paths]


@sa.event.listens_for(sa.Engine, "connect")
def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Have SQLite check foreign keys, and let readers go on while one writes."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_mode=WAL")
