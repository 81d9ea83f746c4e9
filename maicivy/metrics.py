"""Every Prometheus metric of maicivy: name, meaning, unit, labels.

Three kinds live here. Histograms and counters of this process, which prometheus_client adds up over processes in
`PROMETHEUS_MULTIPROC_DIR`. Numbers that Redis holds and `/metrics` reads at scrape time, so that they are right
whatever process counted them and survive restarts: those are only named here and filled in by `web/ops.py`. And
samples of Celery workers, which reach Redis through `storage/worker_metrics.py`.

Labels have a closed set of values; whatever comes from outside is reduced before it becomes one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Histogram

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
