"""What the proof needs to know of SQLite: nothing that it does not know of any database."""

from migrator.proof.special import Special

__all__ = ["Special"]
