"""What Celery workers observe, handed to `/metrics` through Redis.

A worker process has no port that Prometheus could ask. It adds what it has observed since the last time to one hash
in Redis; the web adds the hash to what its own processes observed and shows one family of each name. A field of the
hash is a sample, `["maicivy_celery_tasks","_total",{"outcome":"failed","task":"maicivy.sweep"}]`. Buckets of
histograms are kept apart (each event in one bucket only), so that versions with other bounds add up as well.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec
import redis
from prometheus_client import Metric, values
from prometheus_client.metrics import MetricWrapperBase

from maicivy.metrics import RELAYED, Told
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

BUCKET: Final = "_bucket"


class Sample(msgspec.Struct, frozen=True):
    """One number of a family.

    `suffix` is `_total`, `_bucket` (not cumulative, with a label `le`), `_sum`, or empty for gauges.
    """

    family: str
    suffix: str
    labels: Mapping[str, str]
    value: float


class WorkerMetrics:
    """The counts of this process and of all others. One per process, made before its first task; safe for threads.

    A process that forks takes its counts with it into the child; only the parent hands those over.
    """

    def __init__(self, client: redis.Redis, observed: Iterable[MetricWrapperBase] = RELAYED) -> None:
        self._client = client
        self._observed = tuple(observed)
        self._lock = threading.Lock()
        self._flushed = self._observations()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _start_over(this))

    def flush(self) -> None:
        """Add to Redis what was observed since the last flush; one call, none when there is nothing.

        When Redis does not answer, nothing is forgotten: the next flush adds it. Should Redis have done its work and
        only the answer been lost, a few durations count twice. No number of the ledger travels this way.

        Raises:
            Unavailable: Redis does not answer.
        """
        if values.ValueClass is not values.MutexValue:
            return  # PROMETHEUS_MULTIPROC_DIR is set: the web reads this process's files there
        with self._lock:
            observed = self._observations()
            news = {field: value - self._flushed.get(field, 0.0) for field, value in observed.items()}
            if not any(news.values()):
                return
            with redis_errors():
                pipe = self._client.pipeline(transaction=True)
                for field, value in news.items():
                    if value:
                        pipe.hincrbyfloat(keys.WORKER_METRICS, field, value)
                pipe.execute()
            self._flushed = observed

    def gauge(self, metric: Told, value: float, **labels: str) -> None:
        """Set a gauge that some process works out now and then, for all.

        Raises:
            Unavailable: Redis does not answer.
        """
        with redis_errors():
            self._client.hset(keys.WORKER_METRICS, _field(metric.name, "", labels), repr(float(value)))

    def read(self) -> list[Sample]:
        """What all workers have handed over so far.

        Raises:
            Unavailable: Redis does not answer.
        """
        with redis_errors():
            return relayed(cast("dict[bytes, bytes]", self._client.hgetall(keys.WORKER_METRICS)))

    def start_over(self) -> None:
        """Forget what was observed until now. For a process that begins as a copy of another."""
        self._lock = threading.Lock()  # the copy may have been made while a thread of the parent held it
        self._flushed = self._observations()

    def _observations(self) -> dict[str, float]:
        return {
            _field(sample.family, sample.suffix, sample.labels): sample.value
            for metric in self._observed
            for family in metric.collect()
            for sample in samples_of(family)
        }


def samples_of(family: Metric) -> list[Sample]:
    """The samples of one family, buckets apart instead of cumulative, without what follows from others."""
    found = []
    below: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in sorted(family.samples, key=_bound):
        suffix = sample.name.removeprefix(family.name)
        value = sample.value
        if suffix == "_created" or (suffix == "_count" and family.type == "histogram"):
            continue
        if suffix == BUCKET:
            series = tuple(sorted((name, text) for name, text in sample.labels.items() if name != "le"))
            value, below[series] = value - below.get(series, 0.0), value
        found.append(Sample(family.name, suffix, sample.labels, value))
    return found


def relayed(fields: Mapping[bytes, bytes]) -> list[Sample]:
    """The samples in the hash `keys.WORKER_METRICS`; fields that no version of ours wrote are passed over."""
    found = []
    for field, value in fields.items():
        parsed = _parsed(field)
        if parsed is not None:
            found.append(Sample(*parsed, float(value)))
    return found


def _bound(sample: Any) -> float:
    return float(sample.labels.get("le", "0"))


def _field(family: str, suffix: str, labels: Mapping[str, str]) -> str:
    return json.dumps([family, suffix, labels], sort_keys=True, separators=(",", ":"))


@functools.lru_cache(maxsize=4096)
def _parsed(field: bytes) -> tuple[str, str, dict[str, str]] | None:
    try:
        return msgspec.json.decode(field, type=tuple[str, str, dict[str, str]])
    except msgspec.DecodeError:
        return None


def _start_over(this: weakref.ref[WorkerMetrics]) -> None:
    metrics = this()
    if metrics is not None:
        metrics.start_over()
