"""Settings: defaults, aliases, and that every problem is told at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from sqlalchemy import make_url

from maicivy.config import Settings, celery_broker_url, npm_registry, sqlalchemy_url
from maicivy.errors import SettingsError


def settings(home: Path, **environ: str) -> Settings:
    return Settings.from_env({"MAICIVY_DATA_DIR": str(home), **environ})


def test_an_empty_environment_is_enough(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert (found.host, found.port, found.web_concurrency, found.retention_days) == ("127.0.0.1", 8080, 1, 90)
    assert (found.embedded_postgres, found.embedded_redis) == (True, True)
    assert found.timezone == ZoneInfo("UTC")
    assert found.inbox_max_bytes == 256 << 20


def test_empty_means_absent(tmp_path: Path) -> None:
    assert settings(tmp_path, PORT="", DATABASE_URL=" ").port == 8080


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("PORT", "65535", "port", 65535),
        ("RETENTION_DAYS", "30", "retention_days", 30),
        ("BATCH_SIZE", "10", "ingest_batch", 10),
        ("BATCH_TIMEOUT", "2s", "ingest_linger_s", 2.0),
        ("WORKER_COUNT", "4", "worker_concurrency", 4),
        ("MAX_DB_CONNECTIONS", "20", "db_pool", 20),
        ("JWT_SECRET", "s" * 32, "secret_key", "s" * 32),
        ("MAICIVY_INBOX_MAX_BYTES", "64MiB", "inbox_max_bytes", 64 << 20),
        ("MAICIVY_EVENT_RATE_LIMIT", "0", "event_rate_limit", 0),
        ("MAICIVY_TIMEZONE", "Europe/Paris", "timezone", ZoneInfo("Europe/Paris")),
        ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
        (
            "MAICIVY_CORS_ORIGINS",
            "https://a.example, https://b.example",
            "cors_origins",
            ("https://a.example", "https://b.example"),
        ),
    ],
)
def test_a_value_is_read(tmp_path: Path, name: str, value: str, field: str, expected: object) -> None:
    assert getattr(settings(tmp_path, **{name: value}), field) == expected


def test_the_own_name_wins_over_its_alias(tmp_path: Path) -> None:
    assert settings(tmp_path, MAICIVY_RETENTION_DAYS="60", RETENTION_DAYS="30").retention_days == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "٨٠"),
        ("PORT", "-1"),
        ("WEB_CONCURRENCY", "auto"),
        ("MAICIVY_TIMEZONE", "Mars/Olympus"),
        ("MAICIVY_TIMEZONE", "../etc/passwd"),
        ("MAICIVY_INBOX_MAX_BYTES", "1"),
        ("MAICIVY_INGEST_LINGER", "nan"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "localhost:6379"),
        ("HOST", "a\nb"),
        ("MAICIVY_INGEST_TOKEN", "short"),
        ("MAICIVY_ADMIN_TOKEN", "short"),
        ("MAICIVY_GEO_DB", "a\0b"),
        ("MAICIVY_GEO_DB", "\ud800"),
        ("MAICIVY_COUNTRY_HEADER", "CF IPCountry"),
        ("MAICIVY_COUNTRY_HEADER", "Länd"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, **{name: value})
    [problem] = refused.value.problems
    assert problem.startswith(name)


def test_all_problems_are_told_at_once_and_no_password(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, PORT="x", LOG_LEVEL="y", DATABASE_URL="mysql://u:sekret@h/d")
    assert len(refused.value.problems) == 3
    assert "sekret" not in str(refused.value)


@pytest.mark.parametrize("secret", ["short", "change-me-change-me", "your-secret-key-here", "password123456789"])
def test_production_refuses_a_weak_secret(tmp_path: Path, secret: str) -> None:
    assert settings(tmp_path, SECRET_KEY=secret).secret_key == secret
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        settings(tmp_path, SECRET_KEY=secret, MAICIVY_ENV="production")


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = settings(tmp_path / "new").secret_key
    assert len(first) == 64
    assert settings(tmp_path / "new").secret_key == first
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret_key"]
    assert (tmp_path / "new" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_an_empty_secret_file_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(SettingsError, match="secret_key"):
        settings(tmp_path)


def test_a_data_directory_that_cannot_be_written_is_named() -> None:
    with pytest.raises(SettingsError, match="MAICIVY_DATA_DIR /dev/null is not writable"):
        settings(Path("/dev/null"))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for that of a unix socket, which `tmp_path` need not."""
    with tempfile.TemporaryDirectory(prefix="mv-", dir="/tmp") as name:
        yield Path(name)


def test_embedded_urls_survive_a_path_with_anything_in_it(short_path: Path) -> None:
    home = short_path / "a b%20c?d#é"
    found = settings(home)
    run = str(home / "run")
    assert make_url(found.database_url).query["host"] == run
    assert psycopg.conninfo.conninfo_to_dict(found.database_url.replace("+psycopg", ""))["host"] == run
    with redis.Redis.from_url(found.redis_url) as client:
        assert client.connection_pool.connection_kwargs["path"] == f"{run}/valkey.sock"
    assert Connection(found.broker_url).as_uri().endswith("valkey.sock")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_postgres_urls_are_spelled_for_sqlalchemy(given: str, expected: str) -> None:
    assert sqlalchemy_url(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("amqp://h", "amqp://h"),
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3"),
    ],
)
def test_broker_urls_are_spelled_for_celery(given: str, expected: str) -> None:
    assert celery_broker_url(given) == expected


NUMBERS = {
    "PORT": (1, 65_535),
    "WEB_CONCURRENCY": (1, 64),
    "MAICIVY_WORKER_CONCURRENCY": (1, 64),
    "MAICIVY_DB_POOL": (1, 1000),
    "MAICIVY_TRUSTED_PROXIES": (0, 16),
    "MAICIVY_EVENT_RATE_LIMIT": (0, 1_000_000),
    "MAICIVY_WS_MAX_CLIENTS": (0, 100_000),
    "MAICIVY_WS_MAX_PER_ADDRESS": (0, 100_000),
    "MAICIVY_RETENTION_DAYS": (1, 36_500),
    "MAICIVY_INBOX_MAX_BYTES": (1 << 20, 1 << 40),
    "MAICIVY_INGEST_BATCH": (1, 10_000),
    "MAICIVY_INGEST_LINGER": (0, 60),
}
WORDS = [
    "MAICIVY_ENV",
    "HOST",
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "SECRET_KEY",
    "MAICIVY_INGEST_TOKEN",
    "MAICIVY_ADMIN_TOKEN",
    "LOG_LEVEL",
    "MAICIVY_TIMEZONE",
    "MAICIVY_CORS_ORIGINS",
    "MAICIVY_QUERY_PARAMS",
    "MAICIVY_GEO_DB",
    "MAICIVY_COUNTRY_HEADER",
]


@pytest.mark.parametrize(("name", "limits"), NUMBERS.items(), ids=NUMBERS)
def test_numbers_have_limits_and_are_taken_up_to_them(tmp_path: Path, name: str, limits: tuple[int, int]) -> None:
    for inside in limits:
        settings(tmp_path, **{name: str(inside)})
    for outside in (limits[0] - 1, limits[1] + 1, "9" * 5000):
        with pytest.raises(SettingsError, match=f"^{name} is ") as refused:
            settings(tmp_path, **{name: str(outside)})
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "value", ["+1", "1.0", "1_0", "0x1", "1e0", "1 1", "\u0661", "\u00b2", "one", "1\n1", "\udcff"]
)
def test_a_whole_number_is_written_in_digits(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"^WEB_CONCURRENCY is "):
        settings(tmp_path, WEB_CONCURRENCY=value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("1048576", 1 << 20),
        ("1024k", 1 << 20),
        ("1m", 1 << 20),
        ("1MB", 1 << 20),
        ("1 mib", 1 << 20),
        ("1024GiB", 1 << 40),
        ("1025g", None),
        ("1.5g", None),
        ("1t", None),
        ("m", None),
        ("1 m b", None),
        ("-1m", None),
    ],
)
def test_sizes_have_units(tmp_path: Path, value: str, size: int | None) -> None:
    if size is not None:
        assert settings(tmp_path, MAICIVY_INBOX_MAX_BYTES=value).inbox_max_bytes == size
        return
    with pytest.raises(SettingsError, match=r"^MAICIVY_INBOX_MAX_BYTES is "):
        settings(tmp_path, MAICIVY_INBOX_MAX_BYTES=value)


@pytest.mark.parametrize(
    "value", ["Europe", "Europe/", "..", "/etc/passwd", "zone.tab", "europe/paris", "A" * 300, "a\udcff"]
)
def test_a_time_zone_is_one_of_the_database(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"^MAICIVY_TIMEZONE is "):
        settings(tmp_path, MAICIVY_TIMEZONE=value)


@pytest.mark.parametrize("url", ["postgres://u:sekret@[::1/d", "sekret", "http://u:sekret@h/", "redis://u:sekret@h"])
def test_a_url_that_is_refused_is_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, DATABASE_URL=url)
    assert str(refused.value).startswith("DATABASE_URL must be")
    assert "sekret" not in str(refused.value)


values = st.text(st.characters(exclude_categories=(), exclude_characters="\0"), max_size=20) | st.sampled_from(
    [
        "production",
        "redis://h",
        "postgres://h/d",
        "amqp://h",
        "unix:///s",
        "1",
        "0",
        "Europe/Paris",
        "s" * 32,
        "://",
        "[::1",
    ]
)


@given(st.dictionaries(st.sampled_from([*NUMBERS, *WORDS]), values))
def test_any_environment_is_settings_or_a_list_of_problems(environ: dict[str, str]) -> None:
    environ.setdefault("SECRET_KEY", "fedcba9876543210fedcba9876543210")
    if not environ["SECRET_KEY"].strip():
        return  # one would be made, and written
    problems: list[str] = []
    try:
        found = settings(Path("/nonexistent"), **environ)
    except SettingsError as refused:
        problems = refused.problems
    else:
        assert 1 <= found.port <= 65_535
        assert 1 << 20 <= found.inbox_max_bytes <= 1 << 40
        assert 0 <= found.ingest_linger_s <= 60
    assert all(any(problem.startswith(name) for name in environ) for problem in problems)
    assert len(problems) <= len(environ)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"MAICIVY_DATA_DIR": "~nobody-of-this-name/x"}, "MAICIVY_DATA_DIR names a home directory"),
        ({"MAICIVY_DATA_DIR": "/tmp/\udcff"}, "MAICIVY_DATA_DIR names a home directory"),
        ({"DATABASE_URL": "postgres:h"}, "DATABASE_URL must be a URL"),
        ({"REDIS_URL": "redis://h:x/0"}, "REDIS_URL must be a URL"),
        ({"MAICIVY_INGEST_LINGER": "1_0"}, "MAICIVY_INGEST_LINGER is '1_0'"),
        ({"MAICIVY_INGEST_LINGER": "\u0661"}, "MAICIVY_INGEST_LINGER is"),
        ({"MAICIVY_INGEST_TOKEN": "é" * 20}, "MAICIVY_INGEST_TOKEN must be"),
        ({"RETENTION_DAYS": "many"}, "RETENTION_DAYS is 'many'"),
    ],
)
def test_what_is_wrong_is_told_under_the_name_it_was_given(
    environ: dict[str, str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path)} | environ)
    assert [found for found in refused.value.problems if found.startswith(problem)]


def test_a_scheme_may_be_shouted(tmp_path: Path) -> None:
    settings = Settings.from_env({"MAICIVY_DATA_DIR": str(tmp_path), "DATABASE_URL": "POSTGRES://u@h/d"})
    assert settings.database_url == "postgresql+psycopg://u@h/d"


def test_places_are_looked_up_in_the_data_directory_unless_another_path_is_given(tmp_path: Path) -> None:
    assert settings(tmp_path).geo_db == settings(tmp_path).data_dir / "geo"
    given = settings(tmp_path, MAICIVY_GEO_DB="/srv/geo.mmdb", MAICIVY_COUNTRY_HEADER="CF-IPCountry")
    assert (given.geo_db, given.country_header) == (Path("/srv/geo.mmdb"), "CF-IPCountry")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://registry.npmjs.org"),
        ({"npm_config_registry": " "}, "https://registry.npmjs.org"),
        ({"npm_config_registry": "http://npm.example/"}, "http://npm.example/"),
    ],
)
def test_packages_come_from_where_npm_gets_them(environ: dict[str, str], url: str) -> None:
    assert npm_registry(environ) == url
