"""The proof on the spot and `flask db drift`, in a rendered service, as a developer meets them."""

import pytest
from support import Service, server

# Autogenerate writes no triggers, but create_all() makes this one.
MODEL = """

class Thing(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
"""
TRIGGER = """
sa.event.listen(
    Thing.__table__,
    "after_create",
    sa.DDL({trigger!r}),
)
"""
TRIGGERS = {
    "sqlite": "CREATE TRIGGER noted BEFORE DELETE ON thing BEGIN SELECT 1; END",
    "postgresql": "CREATE TRIGGER noted BEFORE UPDATE ON thing FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "mariadb": "CREATE TRIGGER noted BEFORE UPDATE ON thing FOR EACH ROW SET @a = 1",
}
NEW = ("alembic", "revision", "--autogenerate", "-m", "Add thing")


def add_model(service: Service, text: str) -> None:
    with (service.folder / "app/notes/models.py").open("a", encoding="utf-8") as models:
        models.write(text)


def test_what_autogenerate_writes_is_proven_in_one_line(service: Service) -> None:
    add_model(service, MODEL)
    before = service.databases()

    out = service.run(*NEW)

    (line,) = (line for line in out.splitlines() if "Proving" in line)
    assert "upgrade and downgrade do what the models say" in line
    assert "TODO" not in service.newest().read_text("utf-8")
    assert service.databases() <= before | {"service.db"}
    assert "proven" in service.run("flask", "db", "prove")


def test_what_it_cannot_write_becomes_a_todo(service: Service) -> None:
    add_model(service, MODEL + TRIGGER.format(trigger=TRIGGERS[service.kind]))

    out = service.run(*NEW)

    assert "trigger thing.noted is missing" in out
    text = service.newest().read_text("utf-8")
    upgrade, downgrade = text.split("def downgrade")
    assert "    # TODO: trigger thing.noted is missing" in upgrade
    assert "TODO" not in downgrade
    said = service.run("flask", "db", "prove", "head", fails=True)
    assert "# allow difference of trigger thing.noted: <reason>" in said

    allowed = upgrade.replace(
        "# TODO", "# allow difference of trigger thing.noted: it is a test\n    #"
    )
    service.newest().write_text(f"{allowed}def downgrade{downgrade}", "utf-8")
    service.run("flask", "db", "prove", "head")


def test_a_downgrade_that_leaves_something_is_named(service: Service) -> None:
    """A revision that is written by hand is not judged when it is made, but afterwards."""
    assert "Proving" not in service.run("alembic", "revision", "-m", "By hand")
    path = service.newest()
    text = path.read_text("utf-8")
    make = 'op.create_index("ix_by_hand", "note", ["created_at"])'
    path.write_text(text.replace("    pass", f"    {make}", 1), "utf-8")

    out = service.run("flask", "db", "prove", "head", fails=True)

    assert "after downgrade(), index note.ix_by_hand is there, and should not be" in out
    assert "# allow one-way: <reason>" in out


def test_a_hook_that_fails_keeps_the_revision(service: Service) -> None:
    add_model(service, MODEL)
    prove = service.folder / "migrations/prove.py"
    prove.write_text(prove.read_text("utf-8").replace("prove_file(path)", "1 / 0", 1), "utf-8")

    out = service.run(*NEW)

    assert "nothing was proven: ZeroDivisionError" in out
    assert '"thing"' in service.newest().read_text("utf-8")


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_user_who_may_not_create_a_database_is_told(service: Service) -> None:
    add_model(service, MODEL)
    role = f"role_{service.url.rpartition('_')[2]}"
    service.run("alembic", "upgrade", "head")
    name = service.url.rpartition("/")[2]
    with server(service.kind).connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        connection.exec_driver_sql(f"GRANT pg_read_all_data TO {role}")
        try:
            url = service.engine().url.set(username=role, password="x", database=name)  # noqa: S106
            address = url.render_as_string(hide_password=False)
            out = service.run(*NEW, DATABASE_URL=address)
        finally:
            connection.exec_driver_sql(f"DROP ROLE {role}")

    assert "nothing was proven" in out
    assert "CREATEDB" in out
    assert '"thing"' in service.newest().read_text("utf-8")


def test_drift_is_what_somebody_did_by_hand(service: Service) -> None:
    service.run("alembic", "upgrade", "head")
    assert "is what its revisions make" in service.run("flask", "db", "drift")
    with service.engine().begin() as connection:
        connection.exec_driver_sql(TRIGGERS[service.kind].replace("thing", "note"))

    service.run("flask", "db", "check")
    out = service.run("flask", "db", "drift", fails=True)

    assert "trigger note.noted is there, and should not be" in out
