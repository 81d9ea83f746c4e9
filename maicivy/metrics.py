"""Every Prometheus metric of maicivy: name, meaning, unit, labels.

Three kinds live here. Histograms and counters of this process, which prometheus_client adds up over processes in
`PROMETHEUS_MULTIPROC_DIR`. `TOLD`: numbers that Redis and Postgres hold and `/metrics` reads at scrape time, so that
they are right whatever process counted them and survive restarts; they are only named here and filled in by
`web/exposition.py`. And `RELAYED`: what Celery workers observe, which reaches Redis through
`storage/worker_metrics.py` and comes out of `/metrics` added to what the web processes observed themselves.

Labels have a closed set of values; whatever comes from outside is reduced before it becomes one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter, Histogram, values

if values.ValueClass is not values.MutexValue:  # several processes share their metrics in files
    # prometheus_client asks the system for the process's id twice per observation, to notice a fork.
    _process = [os.getpid()]
    os.register_at_fork(after_in_child=lambda: _process.__setitem__(0, os.getpid()))
    values.ValueClass = values.MultiProcessValue(lambda: _process[0])  # type: ignore[no-untyped-call]

REQUEST_DURATION = Histogram(
    "maicivy_analytics_request_duration_seconds",
    "Time from the arrival of a request to its answer, WebSockets apart. endpoint is the route's rule.",
    ["endpoint", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
REDIS_DURATION = Histogram(
    "maicivy_redis_operation_duration_seconds",
    "Time of one call to Redis: append, pipeline, apply, and so on.",
    ["operation"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
DATABASE_DURATION = Histogram(
    "maicivy_database_query_duration_seconds",
    "Time of one query or transaction in Postgres.",
    ["query_type"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0),
)
CELERY_TASKS = Counter(
    "maicivy_celery_tasks_total",
    "Tasks that Celery workers have ended. outcome is succeeded or failed.",
    ["task", "outcome"],
)
CELERY_TASK_DURATION = Histogram(
    "maicivy_celery_task_duration_seconds",
    "Time that a Celery task took, whatever its outcome.",
    ["task"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0),
)
REQUESTS_SHED = Counter(
    "maicivy_requests_shed_total",
    "Requests answered 503 unread, because there were too many: how many events were in them, nobody knows.",
)
QUERY_DURATION = Histogram(
    "analytics_query_duration_seconds",
    "Time in which a web process answered a question, out of the cache or not. kind is of a closed set.",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
CACHE_HITS = Counter("analytics_cache_hits_total", "Questions that were answered out of the cache.")
CACHE_MISSES = Counter("analytics_cache_misses_total", "Questions that had to be computed.")

OBSERVED: Final = (
    *(REQUEST_DURATION, REQUESTS_SHED, REDIS_DURATION, DATABASE_DURATION, CELERY_TASKS, CELERY_TASK_DURATION),
    *(QUERY_DURATION, CACHE_HITS, CACHE_MISSES),
)
"""What processes observe."""

RELAYED: Final = (REDIS_DURATION, DATABASE_DURATION, CELERY_TASKS, CELERY_TASK_DURATION)
"""The part of it that Celery workers hand over through Redis."""


@dataclass(frozen=True, slots=True)
class Told:
    """A metric whose value is read where it is kept, when it is asked for."""

    kind: Literal["counter", "gauge"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()


VISITORS: Final = Told("counter", "maicivy_visitors_total", "Visitors ever stored; a new one per person and day.")
LETTERS: Final = Told("counter", "maicivy_letters_generated_total", "Letters that name their type.", ("type",))
EVENTS: Final = Told(
    "counter", "maicivy_events_total", "Events stored, by type: the first 100 types, then other.", ("event_type",)
)
PAGE_VIEWS: Final = Told(
    "counter", "maicivy_page_views_total", "Page views stored, by path: the first 100 paths, then other.", ("path",)
)
CURRENT_VISITORS: Final = Told("gauge", "maicivy_current_visitors", "Visitors seen in the last five minutes.")
WEBSOCKETS: Final = Told("gauge", "maicivy_websocket_connections", "Live viewers connected, to all processes together.")
CONVERSION_RATE: Final = Told(
    "gauge", "maicivy_conversion_rate", "Letters of today divided by unique visitors of today; 0 when there are none."
)
THEME_VIEWS: Final = Told(
    "gauge", "maicivy_cv_theme_views", "Views of the 50 most viewed themes, since the beginning.", ("theme",)
)
REJECTED: Final = Told(
    "counter", "maicivy_events_rejected_total", "Events refused for good, by reason (docs/api.md).", ("reason",)
)
RECEIVED: Final = Told(
    "counter",
    "maicivy_events_received_total",
    "Events that arrived: stored + duplicate + quarantined + rejected + shed, but for those in the inbox.",
)
STORED: Final = Told("counter", "maicivy_events_stored_total", "Events stored in Postgres.")
DUPLICATE: Final = Told("counter", "maicivy_events_duplicate_total", "Events whose id had been stored before.")
QUARANTINED: Final = Told(
    "counter", "maicivy_events_quarantined_total", "Events that the database refused; they are in table quarantine."
)
SHED: Final = Told("counter", "maicivy_events_shed_total", "Events answered 503: inbox full, or Redis not answering.")
COLLECTED: Final = Told("counter", "analytics_events_collected_total", "The same as maicivy_events_received_total.")
PROCESSED: Final = Told("counter", "analytics_events_processed_total", "The same as maicivy_events_stored_total.")
STORAGE_WRITES: Final = Told(
    "counter", "analytics_storage_writes_total", "Transactions that stored events; left out while Postgres is down."
)
SITE_EVENTS: Final = Told("counter", "maicivy_site_events_total", "Events stored, by number of the site.", ("site",))
SITE_PAGE_VIEWS: Final = Told("counter", "maicivy_site_page_views_total", "Page views stored, by site.", ("site",))
SITE_VISITORS: Final = Told("counter", "maicivy_site_visitors_total", "Visitors ever stored, by site.", ("site",))
SITE_CURRENT_VISITORS: Final = Told(
    "gauge", "maicivy_site_current_visitors", "Visitors seen in the last five minutes, by site.", ("site",)
)
INBOX_EVENTS: Final = Told("gauge", "maicivy_inbox_events", "Events accepted and not yet stored.")
INBOX_BYTES: Final = Told("gauge", "maicivy_inbox_bytes", "Bytes that they take.")
INBOX_MAX_BYTES: Final = Told("gauge", "maicivy_inbox_max_bytes", "MAICIVY_INBOX_MAX_BYTES.")
INBOX_OLDEST: Final = Told("gauge", "maicivy_inbox_oldest_seconds", "Age of the oldest of them; 0 when there are none.")
OUTBOX_LAG: Final = Told(
    "gauge", "maicivy_outbox_lag_rows", "Transactions stored in Postgres that the aggregates in Redis do not hold yet."
)
LAST_SEEN: Final = Told(
    "gauge",
    "maicivy_process_last_seen_timestamp_seconds",
    "When a process of this kind last showed that it lives; kind is worker or beat.",
    ("kind",),
)
UP: Final = Told("gauge", "maicivy_up", "1 when the part answers in time, else 0.", ("part",))
BUILD: Final = Told("gauge", "maicivy_build_info", "Always 1.", ("version", "python"))
DRIFT: Final = Told(
    "gauge",
    "maicivy_aggregates_drift",
    "Sum of the differences between the counters in Redis and a recount in Postgres, as the last check found it.",
)

TOLD: Final = (
    *(VISITORS, LETTERS, EVENTS, PAGE_VIEWS, CURRENT_VISITORS, WEBSOCKETS, CONVERSION_RATE, THEME_VIEWS, REJECTED),
    *(RECEIVED, STORED, DUPLICATE, QUARANTINED, SHED, INBOX_EVENTS, INBOX_BYTES, INBOX_MAX_BYTES, INBOX_OLDEST),
    *(OUTBOX_LAG, LAST_SEEN, UP, BUILD, DRIFT, COLLECTED, PROCESSED, STORAGE_WRITES),
    *(SITE_EVENTS, SITE_PAGE_VIEWS, SITE_VISITORS, SITE_CURRENT_VISITORS),
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def method_label(method: str) -> str:
    """The method, or `other` for one that HTTP does not know."""
    return method if method in METHODS else "other"


@contextmanager
def timed(histogram: Histogram, label: str) -> Iterator[None]:
    """Observes the block's wall-clock seconds in `histogram` under its one label, whatever the block raises."""
    start = time.perf_counter()
    try:
        yield
    finally:
        histogram.labels(label).observe(time.perf_counter() - start)


@contextmanager
def counted_task(name: str) -> Iterator[None]:
    """Counts the block as one run of the Celery task `name`, with its time and whether it raised."""
    outcome = "failed"
    try:
        with timed(CELERY_TASK_DURATION, name):
            yield
        outcome = "succeeded"
    finally:
        CELERY_TASKS.labels(name, outcome).inc()
