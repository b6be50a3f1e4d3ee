"""Models are found in each layout that people have, and what is not found is named."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from support import Service

MODEL = """\
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
"""
FOUND = (
    "app/models.py",
    "app/model.py",
    "app/orders/models.py",
    "app/orders/model.py",
    "app/models/order.py",
    "app/models/__init__.py",
    "app/models/shop/order.py",
    "app/orders/models/order.py",
    "app/orders/model/order.py",
)
ELSEWHERE = "app/orders/entities.py"


@pytest.fixture
def service(render: Callable[..., Path], env: dict[str, str], tmp_path: Path) -> Service:
    folder = copytree(render(database="sqlite"), tmp_path / "my-service")
    return Service("sqlite", folder, f"sqlite:///{tmp_path / 'service.db'}", env)


def written(service: Service) -> str:
    service.run("alembic", "revision", "--autogenerate", "-m", "Add order")
    return service.newest().read_text("utf-8")


@pytest.mark.parametrize("path", FOUND)
def test_a_layout(service: Service, path: str) -> None:
    service.write(path, MODEL)

    assert '"order"' in written(service)


def test_a_layout_passes_the_checks(service: Service) -> None:
    service.write("app/models/order.py", MODEL)
    service.write("app/models/__init__.py", "from app.models.order import Order as Order\n")
    written(service)

    for command in ("mypy", "ruff check .", "pytest -q"):
        service.run(*command.split())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (MODEL, "Order"),
        (
            MODEL.replace("db.Model", "Note").replace("from app.db", "from app.notes.models"),
            "Order",
        ),
        ("from app.db import db\nodd = db.Table('odd', db.Column('id', db.Integer))", "'odd'"),
        (
            "import sqlalchemy as sa\nfrom app.db import db\nodd = sa.Table('odd', db.metadata)",
            "'odd'",
        ),
        ("from app.db import Base\nclass Odd(Base):\n    __tablename__ = 'odd'", "Odd"),
    ],
    ids=["model", "subclass", "db.Table", "sa.Table", "tablename"],
)
def test_what_is_not_found_is_named(service: Service, text: str, names: str) -> None:
    service.write(ELSEWHERE, text)
    said = f"{ELSEWHERE} defines {names}, and is not imported"

    for command in ("check", "revision --autogenerate -m Order"):
        assert said in service.run("alembic", *command.split(), fails=True)
    assert len(service.revisions()) == 1
    for command in ("upgrade head", "current", "downgrade base"):
        assert said not in service.run("alembic", *command.split())


def test_the_tests_name_it_although_a_view_imports_it(service: Service) -> None:
    service.write(ELSEWHERE, MODEL)
    view = "from flask import Blueprint\nfrom app.orders.entities import Order\n"
    service.write("app/orders/views.py", f"{view}blueprint = Blueprint('orders', __name__)\n")
    service.write("tests/test_orders.py", "from app.orders.entities import Order\n")

    said = service.run("pytest", "-q", "-k", "model", fails=True)

    assert f"{ELSEWHERE} defines Order, and is not imported" in said


def test_what_models_import_is_found(service: Service) -> None:
    service.write(ELSEWHERE, MODEL)
    service.write("app/orders/models.py", "from app.orders.entities import Order as Order\n")

    assert '"order"' in written(service)


@pytest.mark.parametrize(
    "text",
    [
        "class Money:\n    pass\n",
        "from app.db import db\nclass Own(db.Model):\n    __abstract__ = True\n",
        "def (:",  # not valid Python, and nothing imports it
        "class Table:\n    pass\nTable()\n",
    ],
)
def test_what_is_no_model_is_not_named(service: Service, text: str) -> None:
    service.write(ELSEWHERE, text)
    service.run("alembic", "upgrade", "head")

    service.run("alembic", "check")
