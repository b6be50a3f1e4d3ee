"""Test the settings: what is read, what is refused, and what the messages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import (
    BINDS,
    ENVIRONMENTS,
    ROOT,
    ConfigError,
    Development,
    Production,
    load_config,
    prefix,
)
from app.url import describe
from app.variables import Variables, read_variables
from migrator.database import kind_of

GOOD = {"DATABASE_URL": "postgresql://me:secret@db/shop", "SECRET_KEY": "k" * 32}


@pytest.fixture(autouse=True)
def _one_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.config.BINDS", ())


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgres://db/shop", "postgresql+psycopg"),
        ("postgresql://db/shop", "postgresql+psycopg"),
        ("postgresql+psycopg2://db/shop", "postgresql+psycopg2"),
        ("mysql://db/shop", "mysql+pymysql"),
        ("mariadb://db/shop", "mariadb+pymysql"),
    ],
)
def test_the_driver_is_named(given: str, driver: str) -> None:
    config = Development({"DATABASE_URL": given})

    assert config.SQLALCHEMY_DATABASE_URI.drivername == driver


def test_a_relative_sqlite_path_starts_at_the_project() -> None:
    config = Development({"DATABASE_URL": "sqlite:///instance/some.db"})

    assert config.SQLALCHEMY_DATABASE_URI.database == str(ROOT / "instance" / "some.db")


def test_a_password_may_hold_anything_and_is_never_shown() -> None:
    config = Development({"DATABASE_URL": "mysql://me:a%25b%40c%3Ad%2Fe@db/x?charset=utf8mb4"})

    assert config.SQLALCHEMY_DATABASE_URI.password == "a%b@c:d/e"  # noqa: S105
    assert describe(config.SQLALCHEMY_DATABASE_URI) == "mysql+pymysql://me:***@db/x"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec@ret@db/x",
        "me:secret",
        "me:secret@db://x",
        "mysql://me:s/e@x:y/z",
    ],
)
def test_an_unreadable_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="%40") as caught:
        Development({"DATABASE_URL": url})

    assert "sec" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("nosuch://me:secret@db/x", "use mariadb, mysql, postgresql, sqlite"),
        ("cockroachdb://me:secret@db/x", "use mariadb, mysql, postgresql, sqlite"),
        ("postgresql+nosuch://me:secret@db/x", "begin with postgresql://"),
        ("postgresql+asyncpg://me:secret@db/x", "begin with postgresql://"),
        ("mysql+aiomysql://me:secret@db/x", "begin with mysql://"),
        ("jdbc:postgresql://db/x?password=secret", "remove jdbc:"),
        ("'postgresql://me:secret@db/x'", "quotation marks"),
        ("host=db dbname=x password=secret", "as a URL"),
        ("Server=tcp:db,1433;Password=secret", "as a URL"),
        (
            "postgresql://me:secret@h1:1,h2:2/x",
            r"user:password@/x\?host=h1:1&host=h2:2&target_session_attrs=read-write: write it like "
            "that or name one",
        ),
        ("postgresql://h1,h2:2/x?password=secret", r"///x\?host=h1&host=h2:2&.* your other arg"),
        ("postgresql://me:secret@[::1]:1,[::2]:2/x", "cannot be read"),
        ("mysql://me:secret@h1:1,h2:2/x", "its driver takes one"),
        ("mariadb://me:secret@h1,h2/x", "its driver takes one"),
        ("postgresql://me:secret@db", "name at the end"),
        ("mysql://me:secret@db/?charset=utf8mb4", "name at the end"),
        ("mysql://me:secret@db:99999/x", "between 1 and 65535"),
        ("sqlite://instance/x.db", "sqlite:///instance/x.db"),
        ("sqlite:///~/x.db", "whole path"),
        ("sqlite://", "in-memory"),
        ("sqlite:///file::memory:?uri=true", "in-memory"),
        ("sqlite:///file:x.db?uri=true", "file:/"),
    ],
)
def test_another_form_is_refused_with_the_form_that_works(url: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=cure) as caught:
        Development({"DATABASE_URL": url})

    assert "secret" not in caught.value.message


def test_several_hosts_are_read_in_the_form_that_is_advised() -> None:
    config = Development({"DATABASE_URL": "postgresql://me:p@/x?host=h1:1&host=h2:2"})

    assert config.SQLALCHEMY_DATABASE_URI.query["host"] == ("h1:1", "h2:2")
    config = Development({"DATABASE_URL": "postgresql://me:p@h1,h2/x"})
    assert config.SQLALCHEMY_DATABASE_URI.host == "h1,h2"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ('{"no_such": 1, "nor_this": 2}', "'no_such','nor_this'"),
        ('{"isolation_level": "LOOSE"}', "SERIALIZABLE"),
        ('{"execution_options": {"isolation_level": "LOOSE"}}', "SERIALIZABLE"),
        ('{"connect_args": {"no_such": 1}}', "no_such"),
        ('{"poolclass": "NullPool"}', "create_engine"),
        ('[["pool_size", 3]]', "JSON object"),
        ('{"connect_args": null}', "JSON object"),
        ("{", "JSON object"),
    ],
)
def test_engine_options_that_cannot_work_are_named(options: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"- DATABASE_ENGINE_OPTIONS .*{named}"):
        Development({"DATABASE_URL": "sqlite:///x.db", "DATABASE_ENGINE_OPTIONS": options})


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    config = Development({"DATABASE_URL": "postgresql+psycopg2://db/shop"})

    with pytest.raises(ConfigError, match=r"DATABASE_URL .*'psycopg2-binary'.*postgresql://"):
        config.require_drivers()


def test_production_names_all_its_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Production(
            {
                "DATABASE_URL": "mariadb://root:change-me@db/shop",
                "DATABASE_ENGINE_OPTIONS": "[1]",
                "SECRET_KEY": "change-me",
                "LOG_LEVEL": "loud",
            }
        )

    for name in ("DATABASE_URL", "DATABASE_ENGINE_OPTIONS", "SECRET_KEY", "LOG_LEVEL"):
        assert f"- {name} " in caught.value.message


@pytest.mark.parametrize("missing", GOOD)
def test_production_refuses_what_is_missing(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        Production({key: value for key, value in GOOD.items() if key != missing})


def test_production_refuses_a_database_inside_the_release() -> None:
    with pytest.raises(ConfigError, match="absolute"):
        Production(GOOD | {"DATABASE_URL": "sqlite:///instance/production.db"})


def test_engine_options_join_the_defaults() -> None:
    options = '{"pool_size": 3, "connect_args": {"sslmode": "require"}}'
    config = Production(GOOD | {"DATABASE_ENGINE_OPTIONS": options})
    limits = kind_of(config.SQLALCHEMY_DATABASE_URI).CONNECT_ARGS

    arguments = {**limits, "sslmode": "require"}
    wanted = {"pool_pre_ping": True, "pool_size": 3, "connect_args": arguments}

    assert limits["connect_timeout"] == 5
    assert wanted == config.SQLALCHEMY_ENGINE_OPTIONS


def test_a_time_limit_in_the_address_replaces_the_default() -> None:
    url = GOOD["DATABASE_URL"] + "?connect_timeout=30"
    limits = Production(GOOD | {"DATABASE_URL": url}).SQLALCHEMY_ENGINE_OPTIONS["connect_args"]

    assert "connect_timeout" not in limits  # an argument would override that of the address
    assert limits["keepalives_idle"] > 0


def test_migrations_may_have_a_login_of_their_own() -> None:
    login = "postgresql://owner:other@pooler:6432/shop"
    config = Production(GOOD | {"MIGRATION_DATABASE_URL": login})

    assert config.migration_database(None)[0].username == "owner"
    assert config.database(None)[0].username == "me"
    with pytest.raises(ConfigError, match="MIGRATION_DATABASE_URL is not the database of"):
        Production(GOOD | {"MIGRATION_DATABASE_URL": login + "_copy"})


def test_by_default_migrations_have_the_login_of_the_service() -> None:
    config = Production(GOOD | {"MIGRATION_DATABASE_URL": ""})

    assert config.migration_database(None) == config.database(None)


def test_a_further_database_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.config.BINDS", ("analytics",))

    with pytest.raises(ConfigError, match="ANALYTICS_DATABASE_URL is not set"):
        Development(GOOD)
    with pytest.raises(ConfigError, match="ANALYTICS_DATABASE_URL is the database of DATABASE_URL"):
        Development(GOOD | {"ANALYTICS_DATABASE_URL": GOOD["DATABASE_URL"]})

    config = Development(GOOD | {"ANALYTICS_DATABASE_URL": "mysql://me@db/analytics"})
    assert config.SQLALCHEMY_BINDS["analytics"]["url"].database == "analytics"


def test_a_section_that_is_no_bind_is_refused() -> None:
    config = Development(GOOD)

    assert config.database(None) == config.databases[None]
    with pytest.raises(ConfigError, match=r"\[archive\] of alembic.ini.*BINDS"):
        config.database("archive")


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "prod")

    with pytest.raises(ConfigError, match=", ".join(ENVIRONMENTS)):
        load_config()


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_environment_is_not_development(
    monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    monkeypatch.setenv("APP_ENV", empty)

    with pytest.raises(ConfigError, match=r"APP_ENV is empty \[set in the environment"):
        load_config()


def test_a_problem_says_where_the_variable_was_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.config.ROOT", tmp_path)
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / ".env").write_text("DATABASE_URL=oracle://db/x\nLOG_LEVEL=INFO\n", "utf-8")

    with pytest.raises(ConfigError) as caught:
        load_config("testing")

    assert re.search(r"- DATABASE_URL .* \[set in \.env\]", caught.value.message)
    assert re.search(r"- LOG_LEVEL .* \[set in the environment", caught.value.message)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_dotenv_file_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text("FIRST=süß # of two\nexport SECOND='a b'\n", encoding)

    variables = read_variables(tmp_path / ".env", {"SECOND": "given"})

    assert (variables["FIRST"], variables["SECOND"]) == ("süß", "given")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_named_with_what_corrects_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / ".env"
    file.write_text("FIRST=süß\n", encoding)

    with pytest.raises(ValueError, match=f"{re.escape(str(file))} .*{encoding}") as caught:
        read_variables(file, {})
    code = str(caught.value).partition(' -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 (the code is our own)

    assert read_variables(file, {})["FIRST"].endswith("süß")


def test_a_dotenv_file_that_cannot_be_understood_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        read_variables(tmp_path, {})
    (tmp_path / ".env").write_text("FIRST=1\nSECOND='open\n", "utf-8")
    with pytest.raises(ValueError, match=r"\.env, line 2"):
        read_variables(tmp_path / ".env", {})


def test_a_reference_is_replaced_or_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    lines = ["USED=b", "FIRST=a${USED}${OTHER:-c}", "SECRET_KEY=a${MISSING_HERE}b"]
    file.write_text("\n".join(lines), "utf-8")

    variables = read_variables(file, {"DATABASE_URL": "sqlite:///x.db"})
    variables["DATABASE_ENGINE_OPTIONS"] = "{}"

    assert variables["FIRST"] == "abc"
    assert read_variables(file, {"USED": "given"})["FIRST"] == "agivenc"
    with pytest.raises(ConfigError, match=r"SECRET_KEY refers to \$\{MISSING_HERE\}"):
        Development(variables)
    assert Development({**variables, "SECRET_KEY": "a$"}).SECRET_KEY.endswith("a$")


def test_the_example_lists_every_variable_read_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = {"APP_ENV"}  # load_config() reads it, before the other variables

    class Recorder(Variables):
        def get(self, key: str, default: object = None) -> None:  # type: ignore[override]
            read.add(key)

    monkeypatch.setattr("app.config.BINDS", BINDS)
    with pytest.raises(ConfigError):
        Production(Recorder())

    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    listed = {line.partition("=")[0] for line in lines if line and line[0] != "#"}
    # A second login of a bind need not be listed: the main one's is.
    optional = {f"{prefix(bind)}MIGRATION_DATABASE_URL" for bind in BINDS}
    assert read - optional <= listed <= read
