"""What tests/conftest.py promises to every other test."""

import redis
from sqlalchemy import Engine, inspect, text

from maicivy.config import Settings


def test_the_engine_sees_a_migrated_database(engine: Engine) -> None:
    assert {"analytics_events", "outbox", "alembic_version"} <= set(inspect(engine).get_table_names())


def test_each_test_has_a_database_of_its_own(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM outbox")) == 0


def test_settings_point_at_the_same_servers(settings: Settings, engine: Engine, redis_client: redis.Redis) -> None:
    assert str(engine.url).split("?")[0] in settings.database_url
    assert redis_client.ping()
