"""The composition root: the only place that makes engines, clients and adapters and plugs them together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
import sqlalchemy as sa

from maicivy.config import Settings
from maicivy.queue import CeleryDoorbell, celery_app
from maicivy.reports import Reports
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.bell import Bell
from maicivy.storage.connections import postgres_engine
from maicivy.storage.counters import RedisCounters
from maicivy.storage.event_queries import PostgresEventQueries
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.inbox import RedisInbox
from maicivy.storage.live import RedisLiveFeed
from maicivy.storage.redis_clients import blocking_redis, fast_redis
from maicivy.storage.refusals import Refusals
from maicivy.storage.salts import RedisSaltBox


@dataclass(frozen=True, slots=True)
class Maicivy:
    """One wired installation: settings, connections, and an adapter behind each port of `core/ports.py`."""

    settings: Settings
    engine: sa.Engine
    redis: redis.Redis
    inbox: RedisInbox
    store: PostgresEventStore
    aggregates: RedisAggregates
    counters: RedisCounters
    reports: Reports
    live: RedisLiveFeed
    refusals: Refusals
    salts: RedisSaltBox
    bell: Bell
    doorbell: CeleryDoorbell

    def now(self) -> datetime:
        """The time, aware and UTC: where every request and task gets it from."""
        return datetime.fromtimestamp(time.time(), UTC)

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()
        self.redis.close()


def build(settings: Settings) -> Maicivy:
    """Everything wired. Opens no connection: the first use does, so a process starts while a server is still away."""
    fast = fast_redis(settings.redis_url)
    blocking = blocking_redis(settings.redis_url)
    engine = postgres_engine(settings.database_url, settings.db_pool)
    counters = RedisCounters(fast, settings.timezone)
    return Maicivy(
        settings=settings,
        engine=engine,
        redis=fast,
        inbox=RedisInbox(fast, blocking, settings.inbox_max_bytes),
        store=PostgresEventStore(engine, settings.timezone),
        aggregates=RedisAggregates(fast, settings.timezone),
        counters=counters,
        reports=Reports(counters, PostgresEventQueries(engine), settings.timezone),
        live=RedisLiveFeed(fast, blocking),
        refusals=Refusals(fast),
        salts=RedisSaltBox(fast, settings.secret_key),
        bell=Bell(fast),
        doorbell=CeleryDoorbell(celery_app(settings), Bell(fast)),
    )
