"""The picture of the revisions and the models, for those who review a change of the database."""

import pytest
from alembic.config import Config as AlembicConfig

from alembic_support.review import drawing
from app.config import ROOT


def test_the_picture_is_up_to_date(bind: str | None) -> None:
    path, text = drawing(AlembicConfig(ROOT / "alembic.ini", ini_section=bind or "alembic"))

    if not path.is_file() or path.read_text("utf-8") != text:
        pytest.fail(
            f"{path.relative_to(ROOT)} does not show the revisions and the models as they are.\n"
            "Did a model change? alembic revision --autogenerate -m 'What changed'\n"
            "Else draw it anew: flask db draw"
        )
