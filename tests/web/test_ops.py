"""What those who run maicivy ask it: metrics, health, readiness."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from maicivy import metrics
from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.core.gate import REASONS
from maicivy.core.periods import Period
from maicivy.storage import keys
from maicivy.storage.worker_metrics import WorkerMetrics
from maicivy.web import create_app

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]

SEEDED = {
    "maicivy_visitors_total": (),
    "maicivy_letters_generated_total": ("type",),
    "maicivy_events_total": ("event_type",),
    "maicivy_page_views_total": ("path",),
    "maicivy_current_visitors": (),
    "maicivy_websocket_connections": (),
    "maicivy_conversion_rate": (),
    "maicivy_cv_theme_views": ("theme",),
    "maicivy_analytics_request_duration_seconds": ("endpoint", "method", "status"),
    "maicivy_redis_operation_duration_seconds": ("operation",),
    "maicivy_database_query_duration_seconds": ("query_type",),
    "maicivy_events_rejected_total": ("reason",),
}
"""The names and labels of seeds 000 and 001, and the twelfth."""


def serving(settings: Settings) -> Iterator[FlaskClient]:
    parts = build(settings)
    yield create_app(parts).test_client()
    parts.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    yield from serving(settings)


@pytest.fixture
def without_redis(settings: Settings, tmp_path: Path) -> Iterator[FlaskClient]:
    yield from serving(replace(settings, redis_url=f"unix://{tmp_path}/nobody.sock"))


@pytest.fixture
def with_hanging_redis(settings: Settings, tmp_path: Path) -> Iterator[FlaskClient]:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(16)
        yield from serving(replace(settings, redis_url=f"unix://{path}"))


@pytest.fixture
def without_postgres(settings: Settings) -> Iterator[FlaskClient]:
    yield from serving(replace(settings, database_url="postgresql+psycopg://maicivy@/maicivy?host=/nonexistent"))


def families(client: FlaskClient, query: str = "") -> dict[str, Metric]:
    answer = client.get(f"/metrics{query}")
    assert answer.status_code == 200
    found = list(text_string_to_metric_families(answer.get_data(as_text=True)))
    by_name = {family.name: family for family in found}
    assert len(by_name) == len(found), "a family is shown twice"
    return by_name


def series(client: FlaskClient) -> Series:
    samples = [sample for family in families(client).values() for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples), "a series is shown twice"
    return found


def value(client: FlaskClient, name: str, **labels: str) -> float | None:
    return series(client).get((name, tuple(sorted(labels.items()))))


def declared() -> set[str]:
    observed = {family.name for metric in metrics.OBSERVED for family in metric.describe()}
    return observed | {told.name.removesuffix("_total") for told in metrics.TOLD}


def test_every_metric_is_shown_even_when_nothing_has_happened(client: FlaskClient) -> None:
    assert declared() <= set(families(client))


def test_every_metric_is_shown_even_when_redis_is_down(without_redis: FlaskClient) -> None:
    assert declared() <= set(families(without_redis))


def test_the_twelve_names_of_the_seeds_have_their_labels() -> None:
    observed = {family.name: metric._labelnames for metric in metrics.OBSERVED for family in metric.describe()}
    told = {told.name: told.labels for told in metrics.TOLD}
    assert SEEDED.items() <= (observed | told).items()


def test_numbers_are_those_that_redis_holds(client: FlaskClient, redis_client: redis.Redis) -> None:
    totals = {"visitors": 1543, "events:page_view": 8234, "events:other": 2, "path:/cv": 4512, "total_events": 9}
    redis_client.hset(keys.totals(1), mapping=totals | {"letters_generated:motivation": 234})
    redis_client.hset(keys.LEDGER, mapping={"received": 50, "stored": 40, "rejected:invalid_json": 7, "shed": 3})
    redis_client.hset(keys.INBOX_SIZE, mapping={"events": 5, "bytes": 600})
    redis_client.zadd(keys.themes(1), {"backend": 523})
    redis_client.set(keys.SITES, b'[{"id":2}]')
    redis_client.hset(keys.totals(2), mapping={"total_events": 31, "page_views": 30, "visitors": 12})
    found = series(client)
    expected = {
        ("maicivy_visitors_total", ()): 1543,
        ("maicivy_events_total", (("event_type", "page_view"),)): 8234,
        ("maicivy_events_total", (("event_type", "other"),)): 2,
        ("maicivy_page_views_total", (("path", "/cv"),)): 4512,
        ("maicivy_letters_generated_total", (("type", "motivation"),)): 234,
        ("maicivy_letters_generated_total", (("type", "anti_motivation"),)): 0,
        ("maicivy_cv_theme_views", (("theme", "backend"),)): 523,
        ("maicivy_events_received_total", ()): 50,
        ("maicivy_events_stored_total", ()): 40,
        ("maicivy_events_duplicate_total", ()): 0,
        ("maicivy_events_shed_total", ()): 3,
        ("maicivy_events_rejected_total", (("reason", "invalid_json"),)): 7,
        ("maicivy_inbox_events", ()): 5,
        ("maicivy_inbox_bytes", ()): 600,
        ("analytics_events_collected_total", ()): 50,
        ("analytics_events_processed_total", ()): 40,
        ("analytics_storage_writes_total", ()): 0,
        ("maicivy_site_events_total", (("site", "1"),)): 9,
        ("maicivy_site_events_total", (("site", "2"),)): 31,
        ("maicivy_site_page_views_total", (("site", "2"),)): 30,
        ("maicivy_site_visitors_total", (("site", "2"),)): 12,
        ("maicivy_site_current_visitors", (("site", "2"),)): 0,
        ("maicivy_up", (("part", "redis"),)): 1,
        ("maicivy_up", (("part", "postgres"),)): 1,
        ("maicivy_up", (("part", "migrations"),)): 1,
    }
    assert expected.items() <= found.items()


def test_every_reason_of_a_refusal_is_shown_from_the_start(client: FlaskClient) -> None:
    shown = {labels[0][1] for name, labels in series(client) if name == "maicivy_events_rejected_total"}
    assert shown == REASONS


@pytest.mark.parametrize(("letters", "visitors", "rate"), [(0, 0, 0.0), (3, 0, 0.0), (23, 145, 0.1586), (1, 3, 0.3333)])
def test_the_conversion_rate_is_that_of_today(
    client: FlaskClient, redis_client: redis.Redis, letters: int, visitors: int, rate: float
) -> None:
    today = datetime.now(UTC).date()
    redis_client.set(keys.stat(1, Period.DAY, today, "letters_generated"), letters)
    if visitors:
        redis_client.pfadd(keys.unique_visitors(1, Period.DAY, today), *map(str, range(visitors)))
    assert value(client, "maicivy_conversion_rate") == pytest.approx(rate, abs=0.002)


def test_the_lag_is_what_postgres_has_beyond_redis(
    client: FlaskClient, engine: Engine, redis_client: redis.Redis
) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger SET seq = 41"))
    redis_client.hset(keys.CURSOR, "seq", 40)
    assert value(client, "maicivy_outbox_lag_rows") == 1


def test_samples_of_workers_are_added_to_those_of_the_web(client: FlaskClient, redis_client: redis.Redis) -> None:
    name, label = "maicivy_database_query_duration_seconds", "test_ops"
    with metrics.timed(metrics.DATABASE_DURATION, label):
        pass
    relayed = {"0.001": 2, "0.3": 1, "+Inf": 4}  # a bound that the web does not have, too
    for bound, count in relayed.items():
        field = f'["{name}","_bucket",{{"le":"{bound}","query_type":"{label}"}}]'
        redis_client.hset(keys.WORKER_METRICS, field, str(count))
    redis_client.hset(keys.WORKER_METRICS, f'["{name}","_sum",{{"query_type":"{label}"}}]', "100.5")
    try:
        found = series(client)
    finally:
        metrics.DATABASE_DURATION.remove(label)
    assert found[f"{name}_count", (("query_type", label),)] == 8
    assert found[f"{name}_sum", (("query_type", label),)] == pytest.approx(100.5, abs=0.5)
    buckets = {
        dict(labels)["le"]: v for (n, labels), v in found.items() if n == f"{name}_bucket" and labels[1][1] == label
    }
    assert (buckets["0.001"], buckets["0.25"], buckets["0.3"], buckets["0.5"], buckets["+Inf"]) == (3, 3, 4, 4, 8)


def test_tasks_and_gauges_of_workers_are_shown(client: FlaskClient, redis_client: redis.Redis) -> None:
    field = '["maicivy_celery_tasks","_total",{"outcome":"failed","task":"maicivy.sweep"}]'
    redis_client.hset(keys.WORKER_METRICS, field, "3")
    WorkerMetrics(redis_client, ()).gauge(metrics.DRIFT, 2)
    assert value(client, "maicivy_celery_tasks_total", task="maicivy.sweep", outcome="failed") == 3
    assert value(client, "maicivy_aggregates_drift") == 2


def test_openmetrics_is_spoken_to_those_who_ask_for_it(client: FlaskClient, redis_client: redis.Redis) -> None:
    redis_client.hset(keys.totals(1), 'path:/quote"and\\and\nline', 1)
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.mimetype == "application/openmetrics-text"
    assert declared() <= {family.name for family in openmetrics.text_string_to_metric_families(answer.get_data(True))}


def test_a_scrape_may_ask_for_some_names_only(client: FlaskClient) -> None:
    assert set(families(client, "?name[]=maicivy_current_visitors")) == {"maicivy_current_visitors"}


def test_metrics_are_answered_without_redis(without_redis: FlaskClient) -> None:
    found = series(without_redis)
    assert found["maicivy_up", (("part", "redis"),)] == 0
    assert found["maicivy_up", (("part", "postgres"),)] == 1
    assert ("maicivy_visitors_total", ()) not in found  # unknown is not zero: a counter would seem to start over


def test_metrics_are_answered_while_redis_hangs(with_hanging_redis: FlaskClient) -> None:
    assert value(with_hanging_redis, "maicivy_up", part="redis") == 0


def test_metrics_are_answered_without_postgres(without_postgres: FlaskClient) -> None:
    found = series(without_postgres)
    assert found["maicivy_up", (("part", "postgres"),)] == 0
    assert found["maicivy_up", (("part", "redis"),)] == 1
    assert ("maicivy_up", (("part", "migrations"),)) not in found  # one fault, one alert
    assert ("maicivy_outbox_lag_rows", ()) not in found


@pytest.mark.parametrize("path", ["/health", "/readyz", "/healthz"])
def test_all_is_well(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.get_json()["success"] is True
    assert answer.headers["Cache-Control"] == "no-store"


def test_health_tells_the_parts(client: FlaskClient, redis_client: redis.Redis) -> None:
    redis_client.hset(keys.HEARTBEATS, "worker", int(datetime.now(UTC).timestamp()))
    redis_client.hset(keys.HEARTBEATS, "beat", 1)
    data = client.get("/health").get_json()["data"]
    assert (data["status"], data["service"]) == ("degraded", "maicivy")
    assert list(data["parts"]) == ["redis", "postgres", "migrations", "worker", "beat"]
    assert data["parts"]["worker"] == {"status": "up"}
    assert data["parts"]["beat"]["status"] == "silent"


def test_health_is_ok_when_worker_and_beat_are_alive(client: FlaskClient, redis_client: redis.Redis) -> None:
    now = int(datetime.now(UTC).timestamp())
    redis_client.hset(keys.HEARTBEATS, mapping={"worker": now, "beat": now})
    assert client.get("/health").get_json()["data"]["status"] == "ok"


def down(client: FlaskClient, path: str) -> tuple[list[str], dict[str, Any]]:
    answer = client.get(path)
    body = answer.get_json()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert body["success"] is False
    parts = [name for name, part in body["data"]["parts"].items() if part["status"] == "down"]
    assert body["error"] == {"code": "not_ready", "message": f"not ready: {', '.join(parts)}"}
    return parts, body["data"]


@pytest.mark.parametrize("path", ["/health", "/readyz"])
def test_the_part_that_is_down_is_named(
    without_redis: FlaskClient, without_postgres: FlaskClient, with_hanging_redis: FlaskClient, path: str
) -> None:
    assert down(without_redis, path)[0] == ["redis"]
    assert down(without_postgres, path)[0] == ["postgres"]
    assert down(with_hanging_redis, path)[0] == ["redis"]


def test_a_schema_that_does_not_fit_is_named(client: FlaskClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert down(client, "/readyz")[0] == ["migrations"]


def test_liveness_asks_nobody(settings: Settings) -> None:
    nobody = replace(
        settings,
        redis_url="unix:///nonexistent/valkey.sock",
        database_url="postgresql+psycopg://maicivy@/maicivy?host=/nonexistent",
    )
    for client in serving(nobody):
        assert client.get("/healthz").status_code == 200


def test_no_answer_names_a_host_or_a_user(without_redis: FlaskClient, without_postgres: FlaskClient) -> None:
    for client in (without_redis, without_postgres):
        for path in ("/health", "/readyz", "/metrics"):
            answer = client.get(path).get_data(as_text=True)
            assert "nonexistent" not in answer
            assert ".sock" not in answer
