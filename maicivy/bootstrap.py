"""The composition root: the only place that makes engines, clients and adapters and plugs them together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
import sqlalchemy as sa

from maicivy import faults
from maicivy.aggregation import Aggregation
from maicivy.config import Settings
from maicivy.enrichment import lists
from maicivy.geo.atlas import Atlas
from maicivy.ingest import Ingest
from maicivy.queries import Queries
from maicivy.queue import CeleryDoorbell, celery_app
from maicivy.reports import Reports
from maicivy.seentics import Seentics
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.bell import Bell
from maicivy.storage.buckets import Buckets
from maicivy.storage.connections import postgres_engine
from maicivy.storage.counters import RedisCounters
from maicivy.storage.event_queries import PostgresEventQueries
from maicivy.storage.event_samples import PostgresEventSamples
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.expiry import Expiry
from maicivy.storage.guesses import Guesses
from maicivy.storage.heartbeats import Heartbeats
from maicivy.storage.inbox import RedisInbox
from maicivy.storage.live import RedisLiveFeed
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.storage.redis_clients import blocking_redis, fast_redis
from maicivy.storage.refusals import Refusals
from maicivy.storage.rollups import Rollups
from maicivy.storage.salts import RedisSaltBox
from maicivy.storage.silence import Silence
from maicivy.storage.site_rows import SiteRows
from maicivy.storage.sites import BOOK_TIMEOUT_S, PostgresSites, SiteDirectory
from maicivy.storage.visit_queries import PostgresVisitQueries
from maicivy.storage.worker_metrics import WorkerMetrics


@dataclass(frozen=True, slots=True)
class Maicivy:
    """One wired installation: settings, connections, and an adapter behind each port of `core/ports.py`."""

    settings: Settings
    engine: sa.Engine
    redis: redis.Redis
    inbox: RedisInbox
    store: PostgresEventStore
    aggregates: RedisAggregates
    aggregation: Aggregation
    expiry: Expiry
    ingest: Ingest
    counters: RedisCounters
    reports: Reports
    queries: Queries
    samples: PostgresEventSamples
    guesses: Guesses
    seentics: Seentics
    live: RedisLiveFeed
    refusals: Refusals
    salts: RedisSaltBox
    atlas: Atlas
    sites: PostgresSites
    site_directory: SiteDirectory
    site_rows: SiteRows
    buckets: Buckets
    heartbeats: Heartbeats
    worker_metrics: WorkerMetrics
    bell: Bell
    doorbell: CeleryDoorbell

    def now(self) -> datetime:
        """The time, aware and UTC: where every request and task gets it from."""
        return _now()

    def close(self) -> None:
        """Write what still waits in this process, and let go of every connection."""
        self.refusals.close()
        self.engine.dispose()
        self.redis.close()


def build(settings: Settings) -> Maicivy:
    """Everything wired. Opens no connection: the first use does, so a process starts while a server is still away."""
    faults.arm(settings.faults_dir)
    lists.adopt(settings.data_dir)
    fast = fast_redis(settings.redis_url)
    blocking = blocking_redis(settings.redis_url)
    engine = postgres_engine(settings.database_url, settings.db_pool)
    store = PostgresEventStore(engine, settings.timezone)
    aggregates = RedisAggregates(fast, settings.timezone)
    aggregation = Aggregation(store, aggregates, _now)
    inbox = RedisInbox(fast, blocking, settings.inbox_max_bytes)
    silence = Silence()
    counters = RedisCounters(fast, settings.timezone, silence)
    live = RedisLiveFeed(fast, blocking)
    sites = PostgresSites(engine, fast)
    rollups = Rollups(aggregates, settings.timezone)
    cache = RedisQueryCache(fast, silence)
    queries = Queries(PostgresVisitQueries(engine, settings.timezone), cache, settings.timezone)
    samples = PostgresEventSamples(engine)
    bell = Bell(fast)
    return Maicivy(
        settings=settings,
        engine=engine,
        redis=fast,
        inbox=inbox,
        store=store,
        aggregates=aggregates,
        aggregation=aggregation,
        expiry=Expiry(engine, store.partitions, rollups),
        ingest=Ingest(inbox, store, counters, aggregation, live, settings.ingest_batch),
        counters=counters,
        reports=Reports(counters, PostgresEventQueries(engine), settings.timezone),
        queries=queries,
        samples=samples,
        guesses=Guesses(fast),
        seentics=Seentics(queries, counters, samples, settings.timezone),
        live=live,
        refusals=Refusals(fast),
        salts=RedisSaltBox(fast, settings.secret_key),
        atlas=Atlas(settings.geo_db),
        sites=sites,
        site_directory=SiteDirectory(fast_redis(settings.redis_url, BOOK_TIMEOUT_S), sites, _now),
        site_rows=SiteRows(engine, fast, store.partitions, rollups),
        buckets=Buckets(engine, settings.timezone),
        heartbeats=Heartbeats(fast),
        worker_metrics=WorkerMetrics(fast),
        bell=bell,
        doorbell=CeleryDoorbell(celery_app(settings), bell),
    )


def _now() -> datetime:
    return datetime.fromtimestamp(time.time() + faults.clock_shift_s(), UTC)
