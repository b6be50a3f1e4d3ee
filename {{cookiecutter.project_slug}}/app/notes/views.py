import sqlalchemy as sa
from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue

from app.db import db
from app.notes.models import Note

blueprint = Blueprint("notes", __name__, url_prefix="/notes")


@blueprint.get("")
def list_notes() -> ResponseReturnValue:
    """List the newest 20 notes, or with `?before=<id>` the newest 20 of those before it."""
    query = sa.select(Note).order_by(Note.id.desc()).limit(20)
    if before := request.args.get("before", type=int):
        query = query.where(Note.id < before)
    return {"notes": [note.to_dict() for note in db.session.scalars(query)]}


@blueprint.post("")
def create_note() -> ResponseReturnValue:
    """Create a note from `{"title": "…", "body": "…"}`."""
    data = request.get_json()
    title, body = (data.get("title"), data.get("body", "")) if isinstance(data, dict) else ("", "")
    if not (isinstance(title, str) and 0 < len(title) <= 200 and isinstance(body, str)):
        abort(400, "A note is a JSON object: a title of 1 to 200 characters, and a body of text.")
    note = Note(title=title, body=body)
    db.session.add(note)
    db.session.commit()
    return note.to_dict(), 201, {"Location": url_for("notes.show_note", note_id=note.id)}


@blueprint.get("/<int:note_id>")
def show_note(note_id: int) -> ResponseReturnValue:
    """Show one note, or answer 404."""
    return db.get_or_404(Note, note_id).to_dict()


@blueprint.delete("/<int:note_id>")
def delete_note(note_id: int) -> ResponseReturnValue:
    """Delete one note, or answer 404."""
    db.session.delete(db.get_or_404(Note, note_id))
    db.session.commit()
    return "", 204
