"""Settings: defaults, aliases, and that every problem is told at once."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
import redis
from kombu import Connection
from sqlalchemy import make_url

from maicivy.config import Settings, celery_broker_url, sqlalchemy_url
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


def test_embedded_urls_survive_a_path_with_anything_in_it(tmp_path: Path) -> None:
    home = tmp_path / "a b%20c?d#é"
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
