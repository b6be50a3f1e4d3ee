"""Copy the notes from the workshop's SQLite file to the database that .env names."""

import sys

from workshop.project import Project

# The service's own models write, so each value has the type that the other database needs. The new
# database numbers the notes itself: with numbers from the file, its next one would be taken.
CODE = """
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import create_app
from app.db import db
from app.notes.models import Note

with create_app().app_context():
    with Session(sa.create_engine("sqlite:///instance/workshop.db")) as old:
        notes = old.scalars(sa.select(Note).order_by(Note.id)).all()
    if db.engine.dialect.name == "sqlite":
        raise SystemExit(".env still names a SQLite file.")
    there = {*db.session.scalars(sa.select(Note.title))}
    new = [note for note in notes if note.title not in there]
    for note in new:
        db.session.add(Note(title=note.title, body=note.body, created_at=note.created_at))
    db.session.commit()
print(f"{len(new)} notes are copied.")
"""

if __name__ == "__main__":
    done = Project().run_code(CODE)
    print(done.last_line)
    sys.exit(done.status)
