"""Installations to ask pages of: one per file that nobody changes, and an empty one per test."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import redis
from sqlalchemy import Engine

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from tests.conftest import _beside
from tests.dashboard.visited import visit_a_little


@pytest.fixture
def empty(settings: Settings, engine: Engine, redis_client: redis.Redis) -> Iterator[Maicivy]:
    """An installation that has seen nothing."""
    parts = build(settings)
    yield parts
    parts.close()


@pytest.fixture(scope="module")
def parts(
    postgres_url: str, database_template: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Maicivy]:
    """One with a handful of visits, which the tests of a file share."""
    directory = tmp_path_factory.mktemp("dashboard")
    name = f"dashboard_{directory.name}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy")
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    parts = build(
        Settings.from_env(
            {
                "MAICIVY_ENV": "test",
                "MAICIVY_DATA_DIR": str(directory),
                "DATABASE_URL": _beside(postgres_url, name),
                "REDIS_URL": valkey_url,
                "SECRET_KEY": "0123456789abcdef0123456789abcdef",
            }
        )
    )
    visit_a_little(parts)
    yield parts
    parts.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
