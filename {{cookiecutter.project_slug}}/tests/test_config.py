import pytest

from app.config import BINDS, ENVIRONMENTS, ROOT, ConfigError, Development, Production, load_config
from app.url import describe

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
    url = Development({"DATABASE_URL": "mysql://me:a%25b%40c%3Ad%2Fe@db/x?ssl_ca=f"})

    assert url.SQLALCHEMY_DATABASE_URI.password == "a%b@c:d/e"  # noqa: S105
    assert describe(url.SQLALCHEMY_DATABASE_URI) == "mysql+pymysql://me:***@db/x"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec@ret@db/x",
        "me:secret",
        "nosuch://me:secret@db/x",
        "mysql://me:s/e@x:y/z",
    ],
)
def test_an_unreadable_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="%40") as caught:
        Development({"DATABASE_URL": url})

    assert "sec" not in caught.value.message


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

    assert config.SQLALCHEMY_ENGINE_OPTIONS == {
        "pool_pre_ping": True,
        "pool_size": 3,
        "connect_args": {"connect_timeout": 5, "sslmode": "require"},
    }


def test_a_further_database_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.config.BINDS", ("analytics",))

    with pytest.raises(ConfigError, match="ANALYTICS_DATABASE_URL is not set"):
        Development(GOOD)
    with pytest.raises(ConfigError, match="ANALYTICS_DATABASE_URL is the database of DATABASE_URL"):
        Development(GOOD | {"ANALYTICS_DATABASE_URL": GOOD["DATABASE_URL"]})

    config = Development(GOOD | {"ANALYTICS_DATABASE_URL": "mysql://me@db/analytics"})
    assert config.SQLALCHEMY_BINDS["analytics"]["url"].database == "analytics"


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "prod")

    with pytest.raises(ConfigError, match=", ".join(ENVIRONMENTS)):
        load_config()


def test_the_example_lists_every_variable_read_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Recorder(dict[str, str]):
        def get(self, key: str, default: object = None) -> None:  # type: ignore[override]
            read.add(key)

    read = {"APP_ENV"}
    monkeypatch.setattr("app.config.BINDS", BINDS)
    with pytest.raises(ConfigError):
        Production(Recorder())

    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    assert read == {line.partition("=")[0] for line in lines if line and line[0] != "#"}
