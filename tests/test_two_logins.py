"""docs/two-logins.md, word for word: the service's own login changes rows and no table."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support import DRIVERS, Service, server

MODEL = """\
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import db


class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20))
"""
LOGINS = ("shop_owner", "shop_service")


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs/two-logins.md").read_text("utf-8")


@pytest.fixture
def grant(service: Service, page: str) -> Iterator[Callable[[str], None]]:
    """Run a block of the page's SQL on the service's database, with its names made unique."""
    name = sa.make_url(service.url).database or ""
    owner = sa.make_url(service.url)
    engine = sa.create_engine(
        owner.set(drivername=DRIVERS.get(owner.drivername, owner.drivername)),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )

    def grant(title: str) -> None:
        found = re.search(rf"^<!-- {re.escape(title)} -->\n```sql\n(.*?)^```", page, re.S | re.M)
        assert found, title
        with engine.connect() as connection:
            for statement in ours(found[1], name).split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement.replace("%", "%%"))

    yield grant
    with server(service.kind).connect() as connection:
        for login in LOGINS:
            if service.kind == "postgresql":
                with engine.connect() as within:
                    within.exec_driver_sql(f"DROP OWNED BY {ours(login, name)} CASCADE")
                connection.exec_driver_sql(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
            connection.exec_driver_sql(f"DROP {role_or_user(service.kind)} {ours(login, name)}")


def ours(text: str, name: str) -> str:
    """Return SQL of the page with the names of this test's database and logins."""
    text = re.sub(r"shop_(owner|service)", rf"s{name[-8:]}_\1", text)
    return text.replace("DATABASE shop ", f"DATABASE {name} ").replace("`shop", f"`{name}")


def role_or_user(kind: str) -> str:
    return {"postgresql": "ROLE", "mariadb": "USER"}[kind]


def address(service: Service, login: str) -> str:
    url = sa.make_url(service.url)
    password = f"{login.removeprefix('shop_')}-secret"
    url = url.set(username=ours(login, url.database or ""), password=password)
    return url.render_as_string(hide_password=False)


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_the_page_is_followed(service: Service, grant: Callable[[str], None]) -> None:
    grant(service.kind)
    own: Any = {"DATABASE_URL": address(service, "shop_service")}
    both: Any = own | {"MIGRATION_DATABASE_URL": address(service, "shop_owner")}

    said = service.run("alembic", "upgrade", "head", fails=True, **own)
    assert "Traceback" not in said
    service.run("alembic", "upgrade", "head", **both)
    service.write("app/things/models.py", MODEL)
    service.run("alembic", "revision", "--autogenerate", "-m", "Added thing", **both)
    service.run("flask", "db", "upgrade", **both)
    service.run("alembic", "check", **both)
    service.run("pytest", "-q", "tests/test_notes.py", "tests/test_health.py", **both)

    with service.serve(**own) as get:
        assert get("/readyz")[1]["status"] == "ready"
        assert get("/notes", {"title": "Milk"})[0] == 201
    with service_engine(service).connect() as connection:
        connection.exec_driver_sql("INSERT INTO thing (name) VALUES ('new')")
        for statement in ("CREATE TABLE other (id INTEGER)", "DROP TABLE thing"):
            with pytest.raises(sa.exc.DBAPIError):
                connection.exec_driver_sql(statement)
            connection.rollback()


def service_engine(service: Service) -> sa.Engine:
    url = sa.make_url(address(service, "shop_service"))
    driver = DRIVERS.get(url.drivername, url.drivername)
    return sa.create_engine(url.set(drivername=driver), poolclass=sa.NullPool)


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_tables_that_were_there_first(service: Service, grant: Callable[[str], None]) -> None:
    service.run("alembic", "upgrade", "head")
    grant("postgresql")
    grant("postgresql: tables that are there")

    with service.serve(DATABASE_URL=address(service, "shop_service")) as get:
        assert get("/readyz")[1]["status"] == "ready"
        assert get("/notes", {"title": "Milk"})[0] == 201


@pytest.mark.parametrize("service", ["postgresql", "mariadb"], indirect=True)
def test_another_database_is_refused(service: Service) -> None:
    other = sa.make_url(service.url).set(database="other").render_as_string(hide_password=False)

    said = service.run("alembic", "current", fails=True, MIGRATION_DATABASE_URL=other)

    assert "MIGRATION_DATABASE_URL is not the database of DATABASE_URL" in said
