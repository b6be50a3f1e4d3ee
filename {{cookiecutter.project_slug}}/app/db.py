"""The database: `db`, how constraints are named, and how models are found."""

import sqlite3
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

from app.config import BINDS, ConfigError
from app.faulty import complete_models, faults_explained
from app.unseen import module_name, unseen_models

APP = Path(__file__).parent
MODELS = ("model", "models")  # what the files, and the folders, of models are called


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
    """A moment with its time zone, UTC on every database. A naive datetime is refused."""

    impl = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: use datetime.now(UTC)")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


def import_models() -> None:
    """Import every model. The factory and migrations/env.py both use it, so they see the same.

    These are the files models.py and model.py, and those in a folder of such a name, anywhere in
    app/. Raises ConfigError if SQLAlchemy does not take a model, or if one names a bind that is not
    in BINDS: nothing would migrate it.
    """
    with faults_explained(APP, Base, unseen_now):
        import_all(*MODELS)
        for name in MODELS:
            import_all("*", folder=name)
        complete_models([*db.metadatas.values()])
    if unknown := db.metadatas.keys() - {None, *BINDS}:
        raise ConfigError(f"Models have the __bind_key__ {unknown}: add it to BINDS, app/config.py")
    for bind in BINDS:  # a bind may have no model yet
        empty = sa.MetaData(naming_convention=db.metadata.naming_convention)
        db.metadatas.setdefault(bind, empty)


@cache
def unseen() -> list[str]:
    """Return a sentence for each file in app/ with models that import_models() does not import.

    Call it before anything else imports models, such as views: the answer stays the same.
    """
    return unseen_now()


def unseen_now() -> list[str]:
    mapped = {mapper.class_.__name__ for mapper in Base.registry.mappers}
    return unseen_models(APP, mapped)


def import_all(*names: str, folder: str = "") -> list[ModuleType]:
    """Import every `app/**/<folder>/**/<name>.py` and return the modules, sorted by path."""
    found: set[Path] = set()
    for start in APP.rglob(folder) if folder else [APP]:
        for name in names:
            found.update(start.rglob(f"{name}.py"))
    return [import_module(module_name(path, APP.parent)) for path in sorted(found)]


@sa.event.listens_for(sa.Engine, "connect")
def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Have SQLite check foreign keys, and let others read while one process writes."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_mode=WAL")
