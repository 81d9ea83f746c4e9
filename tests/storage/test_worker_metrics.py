"""Samples of workers reach the web once each, whatever forks, fails or is retried."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry, Counter, Histogram

from maicivy import metrics
from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.storage.redis_clients import fast_redis
from maicivy.storage.worker_metrics import Sample, WorkerMetrics, relayed, samples_of

Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Process:
    """What one worker process observes."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.tasks = Counter("maicivy_celery_tasks_total", "", ["task", "outcome"], registry=registry)
        self.duration = Histogram(
            "maicivy_database_query_duration_seconds", "", ["query_type"], buckets=(0.1, 1.0), registry=registry
        )

    def relay(self, client: redis.Redis) -> WorkerMetrics:
        return WorkerMetrics(client, (self.tasks, self.duration))


@pytest.fixture
def process() -> Process:
    return Process()


def held(client: redis.Redis) -> dict[Key, float]:
    samples = WorkerMetrics(client, ()).read()
    return {(s.family, s.suffix, tuple(sorted(s.labels.items()))): s.value for s in samples}


def total(client: redis.Redis, outcome: str = "succeeded") -> float:
    return held(client).get(("maicivy_celery_tasks", "_total", (("outcome", outcome), ("task", "t"))), 0.0)


def test_only_what_is_new_since_the_last_flush_is_added(process: Process, redis_client: redis.Redis) -> None:
    relay = process.relay(redis_client)
    process.tasks.labels("t", "succeeded").inc(2)
    relay.flush()
    relay.flush()
    process.tasks.labels("t", "succeeded").inc()
    relay.flush()
    assert total(redis_client) == 3


def test_processes_add_up(redis_client: redis.Redis) -> None:
    for count in (1, 4):
        process = Process()
        relay = process.relay(redis_client)
        process.tasks.labels("t", "failed").inc(count)
        relay.flush()
    assert total(redis_client, "failed") == 5


def test_buckets_are_kept_apart_with_their_sum(process: Process, redis_client: redis.Redis) -> None:
    relay = process.relay(redis_client)
    for seconds in (0.05, 0.5, 0.5, 30.0):
        process.duration.labels("store").observe(seconds)
    relay.flush()
    name = "maicivy_database_query_duration_seconds"
    found = {(suffix, dict(labels).get("le")): value for (family, suffix, labels), value in held(redis_client).items()}
    assert found == {
        ("_bucket", "0.1"): 1,
        ("_bucket", "1.0"): 2,
        ("_bucket", "+Inf"): 1,
        ("_sum", None): pytest.approx(31.05),
    }
    assert {family for family, _, _ in held(redis_client)} == {name}


def test_nothing_observed_makes_no_call(process: Process, tmp_path: Path) -> None:
    process.relay(fast_redis(f"unix://{tmp_path}/nobody.sock")).flush()


def test_what_could_not_be_flushed_is_flushed_later(
    process: Process, redis_client: redis.Redis, tmp_path: Path
) -> None:
    relay = process.relay(fast_redis(f"unix://{tmp_path}/nobody.sock"))
    process.tasks.labels("t", "succeeded").inc(2)
    with pytest.raises(Unavailable):
        relay.flush()
    relay._client = redis_client
    relay.flush()
    assert total(redis_client) == 2


def test_a_relay_counts_from_its_making_on(process: Process, redis_client: redis.Redis) -> None:
    process.tasks.labels("t", "succeeded").inc(5)
    relay = process.relay(redis_client)
    process.tasks.labels("t", "succeeded").inc()
    relay.flush()
    assert total(redis_client) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: other tests may have left threads
def test_a_forked_child_does_not_repeat_its_parent(
    process: Process, valkey_url: str, redis_client: redis.Redis
) -> None:
    relay = process.relay(redis_client)
    process.tasks.labels("t", "succeeded").inc(10)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            relay._client = redis.Redis.from_url(valkey_url)
            process.tasks.labels("t", "succeeded").inc()
            relay.flush()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert total(redis_client) == 1
    relay.flush()
    assert total(redis_client) == 11


def test_a_gauge_is_the_latest_value(redis_client: redis.Redis) -> None:
    relay = WorkerMetrics(redis_client, ())
    relay.gauge(metrics.DRIFT, 7)
    relay.gauge(metrics.DRIFT, 0.5)
    assert relay.read() == [Sample("maicivy_aggregates_drift", "", {}, 0.5)]


@pytest.mark.parametrize("field", [b"", b"drift", b"[]", b'["a","b"]', b'["a","b",{"c":1}]', b"\xff"])
def test_fields_of_other_versions_are_passed_over(field: bytes) -> None:
    assert relayed({field: b"1"}) == []


def test_a_family_read_back_is_the_family_observed(process: Process) -> None:
    process.duration.labels("a").observe(0.05)
    process.duration.labels("b").observe(5)
    (family,) = process.duration.collect()
    apart = {(s.labels["query_type"], s.labels["le"]): s.value for s in samples_of(family) if s.suffix == "_bucket"}
    assert apart == {
        ("a", "0.1"): 1,
        ("a", "1.0"): 0,
        ("a", "+Inf"): 0,
        ("b", "0.1"): 0,
        ("b", "1.0"): 0,
        ("b", "+Inf"): 1,
    }


@pytest.fixture
def counted() -> Iterator[dict[str, float]]:
    labels = [("test.task", "succeeded"), ("test.task", "failed")]
    yield {outcome: metrics.CELERY_TASKS.labels(task, outcome)._value.get() for task, outcome in labels}
    for label in labels:
        metrics.CELERY_TASKS.remove(*label)
    metrics.CELERY_TASK_DURATION.remove("test.task")


def test_a_task_is_counted_by_its_outcome(counted: dict[str, float]) -> None:
    with metrics.counted_task("test.task"):
        pass
    with pytest.raises(ValueError, match="broken"), metrics.counted_task("test.task"):
        raise ValueError("broken")
    for outcome, before in counted.items():
        assert metrics.CELERY_TASKS.labels("test.task", outcome)._value.get() == before + 1


def test_the_hash_is_the_one_of_the_keys(process: Process, redis_client: redis.Redis) -> None:
    relay = process.relay(redis_client)
    process.tasks.labels("t", "succeeded").inc()
    relay.flush()
    assert redis_client.keys() == [keys.WORKER_METRICS.encode()]
