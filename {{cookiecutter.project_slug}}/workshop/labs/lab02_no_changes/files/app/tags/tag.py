import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Tag(db.Model):
    """A word that notes have in common."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), unique=True)
