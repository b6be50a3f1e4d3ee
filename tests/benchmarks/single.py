"""The least that a service of notes can be, in one file: the floor of what ours may cost."""

import os
from datetime import datetime

import sqlalchemy as sa
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class Base(DeclarativeBase):
    pass


app = Flask(__name__, static_folder=None)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": "PING" in os.environ}
db = SQLAlchemy(app, model_class=Base)


# Flask-SQLAlchemy makes the base class at run time, where no type checker sees it.
class Note(db.Model):  # type: ignore[name-defined,misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(200), index=True)
    body: Mapped[str] = mapped_column(sa.Text, default="")
    created_at: Mapped[datetime] = mapped_column(MOMENT)


@app.get("/notes")
def notes() -> dict[str, object]:
    query = sa.select(Note).order_by(Note.id.desc()).limit(20)
    if before := request.args.get("before", type=int):
        query = query.where(Note.id < before)
    return {
        "notes": [
            {
                "id": note.id,
                "title": note.title,
                "body": note.body,
                "created_at": note.created_at.isoformat(),
            }
            for note in db.session.scalars(query)
        ]
    }


@app.get("/readyz")
def readyz() -> dict[str, object]:
    query = sa.text("SELECT version_num FROM alembic_version")
    return {"status": "ready", "current": list(db.session.scalars(query)), "reason": ""}
