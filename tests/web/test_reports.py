"""The read routes: shapes of seed 001, strict parameters, caching, CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import redis
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.periods import Period
from maicivy.reports import Table
from maicivy.storage import keys
from maicivy.web import create_app
from maicivy.web.reports import csv_bytes
from tests.events import event_id, visitor_id

BASE = "/api/v1/analytics"


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


@pytest.fixture
def today(redis_client: redis.Redis) -> date:
    """Today, with the numbers of seed 001 in Redis."""
    now = datetime.now(UTC)
    day = now.date()
    for period in Period:
        redis_client.set(keys.stat(1, period, day, "total_events"), 2340)
        redis_client.set(keys.stat(1, period, day, "letters_generated"), 23)
        redis_client.set(keys.stat(1, period, day, "letters_generated:motivation"), 15)
        redis_client.set(keys.stat(1, period, day, "letters_generated:anti_motivation"), 8)
        redis_client.pfadd(keys.unique_visitors(1, period, day), *(visitor_id(n, now).bytes for n in range(145)))
    redis_client.zadd(keys.themes(1), {"backend": 523, "fullstack": 312, "devops": 198})
    redis_client.zadd(keys.presence(1), {str(visitor_id(n, now)): now.timestamp() for n in range(12)})
    return day


@pytest.fixture
def store(engine: sa.Engine) -> Iterator[Any]:
    """Stores one event, given its time and what differs from a click on /cv."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for back in range(-1, 3):
            day = datetime.now(UTC).date() - timedelta(days=back)
            connection.execute(
                sa.text(
                    f"CREATE TABLE IF NOT EXISTS analytics_events_{day:%Y%m%d} PARTITION OF analytics_events"
                    f" FOR VALUES FROM ('{day}T00:00Z') TO ('{day + timedelta(days=1)}T00:00Z')"
                )
            )

        def store(at: datetime, data: str = '{"x": 450, "y": 200}', page_url: str = "/cv?theme=backend") -> str:
            row = {"id": event_id(), "visitor": visitor_id(1, at), "at": at, "data": data, "page": page_url}
            connection.execute(
                sa.text(
                    "INSERT INTO analytics_events VALUES (:id, :visitor, :at, 1, 31, 'button_click', :page,"
                    " 'https://a.example/', CAST(:data AS jsonb))"
                ),
                row,
            )
            return str(row["id"])

        yield store


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    return client.get(f"{BASE}{path}", headers=headers)


def answer(client: FlaskClient, path: str) -> Any:
    response = get(client, path)
    assert response.status_code == 200, response.text
    body = response.get_json()
    assert body["success"] is True
    return body


def test_realtime_has_the_members_of_seed_001(client: FlaskClient, redis_client: redis.Redis, today: date) -> None:
    body = answer(client, "/realtime")
    assert list(body) == ["success", "data", "meta"]
    unique = body["data"].pop("unique_today")
    timestamp = body["data"].pop("timestamp")
    assert body["data"] == {"current_visitors": 12, "total_events": 2340, "letters_today": 23}
    assert unique == redis_client.pfcount(keys.unique_visitors(1, Period.DAY, today)) > 0
    assert isinstance(timestamp, int)
    assert abs(timestamp - datetime.now(UTC).timestamp()) < 60


@pytest.mark.parametrize("period", list(Period))
def test_stats_have_the_members_of_seed_001(client: FlaskClient, today: date, period: Period) -> None:
    data = answer(client, f"/stats?period={period}")["data"]
    unique = data["unique_visitors"]
    assert data == {
        "period": str(period),
        "period_key": period.key(today),
        "total_events": 2340,
        "letters_generated": 23,
        "unique_visitors": unique,
        "conversion_rate": round(23 / unique, 4),
    }


def test_themes_have_the_members_of_seed_001(client: FlaskClient, today: date) -> None:
    body = answer(client, "/themes?limit=2")
    assert body["data"] == [{"theme": "backend", "views": 523}, {"theme": "fullstack", "views": 312}]
    assert (body["meta"]["limit"], body["meta"]["count"]) == (2, 2)
    assert answer(client, "/themes")["meta"]["limit"] == 5


def test_letters_have_the_members_of_seed_001_and_a_history(client: FlaskClient, today: date) -> None:
    data = answer(client, "/letters")["data"]
    assert list(data) == [
        "period",
        "total",
        "motivation",
        "anti_motivation",
        "unique_visitors",
        "conversion_rate",
        "history",
    ]
    assert (data["period"], data["total"], data["motivation"], data["anti_motivation"]) == ("day", 23, 15, 8)
    assert data["history"] == [{"date": today.isoformat(), "count": 23}]
    assert len(answer(client, "/letters?period=month")["data"]["history"]) == today.day


def test_the_timeline_has_the_members_of_seed_001_and_event_data_as_an_object(client: FlaskClient, store: Any) -> None:
    at = datetime.now(UTC).replace(microsecond=250_000)
    stored = store(at, '{"theme": "é", "big": 1e300}')
    body = answer(client, "/timeline")
    assert body["meta"] == {"limit": 50, "offset": 0, "count": 1, "next_before": None}
    assert body["data"] == [
        {
            "id": stored,
            "visitor_id": str(visitor_id(1, at)),
            "event_type": "button_click",
            "event_data": {"theme": "é", "big": 10**300},
            "page_url": "/cv?theme=backend",
            "referrer": "https://a.example/",
            "session_duration": 31,
            "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.250Z"),
        }
    ]


def test_the_timeline_can_be_walked_by_its_own_cursor(client: FlaskClient, store: Any) -> None:
    now = datetime.now(UTC)
    ids = [store(now - timedelta(minutes=minute)) for minute in range(5)]
    seen: list[str] = []
    before = ""
    while True:
        body = answer(client, f"/timeline?limit=2{before}")
        seen += [row["id"] for row in body["data"]]
        if body["meta"]["next_before"] is None:
            break
        before = f"&before={body['meta']['next_before']}"
    assert seen == ids
    assert [row["id"] for row in answer(client, "/timeline?limit=2&offset=3")["data"]] == ids[3:]


def test_the_timeline_before_a_time_has_what_happened_before_it(client: FlaskClient, store: Any) -> None:
    now = datetime.now(UTC)
    store(now)
    earlier = store(now - timedelta(minutes=1))
    before = quote(now.isoformat())
    assert [row["id"] for row in answer(client, f"/timeline?before={before}")["data"]] == [earlier]


def test_the_heatmap_has_the_members_of_seed_001(client: FlaskClient, store: Any) -> None:
    now = datetime.now(UTC)
    for data in ('{"x": 450, "y": 200}', '{"x": 450, "y": 200}', '{"x": 320, "y": 450}', '{"x": 1e300, "y": 1}'):
        store(now - timedelta(minutes=1), data)
    body = answer(client, "/heatmap?page_url=/cv&hours=24")
    assert body["data"] == [{"x": 450, "y": 200, "count": 2}, {"x": 320, "y": 450, "count": 1}]
    assert {name: body["meta"][name] for name in ("page_url", "hours", "count", "truncated")} == {
        "page_url": "/cv",
        "hours": 24,
        "count": 2,
        "truncated": False,
    }
    assert answer(client, "/heatmap?page=/cv")["data"] == body["data"]
    assert answer(client, "/heatmap")["data"] == body["data"]
    assert answer(client, "/heatmap?page_url=/letters")["data"] == []


def test_a_page_is_read_as_events_pages_are_stored(client: FlaskClient, store: Any) -> None:
    store(datetime.now(UTC) - timedelta(minutes=1))  # on /cv?theme=backend
    for page in ("/cv?theme=backend&secret=1#top", "/cv#top", "/cv?theme=backend"):
        assert len(answer(client, f"/heatmap?page_url={quote(page)}")["data"]) == 1, page
    assert answer(client, f"/heatmap?page_url={quote('/cv?theme=devops')}")["data"] == []


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("/realtime?period=day", "unknown_parameter", "period"),
        ("/realtime?", None, None),
        ("/stats", "missing_parameter", "period"),
        ("/stats?period=", "invalid_parameter", "period"),
        ("/stats?period=year", "invalid_parameter", "period"),
        ("/stats?period=Day", "invalid_parameter", "period"),
        ("/stats?period=day&period=day", "repeated_parameter", "period"),
        ("/stats?period=day&x=1", "unknown_parameter", "x"),
        ("/themes?limit=0", "invalid_parameter", "limit"),
        ("/themes?limit=1", None, None),
        ("/themes?limit=20", None, None),
        ("/themes?limit=21", "invalid_parameter", "limit"),
        ("/themes?limit=-1", "invalid_parameter", "limit"),
        ("/themes?limit=+5", "invalid_parameter", "limit"),
        ("/themes?limit=5.0", "invalid_parameter", "limit"),
        ("/themes?limit=1e1", "invalid_parameter", "limit"),
        ("/themes?limit=%D9%A5", "invalid_parameter", "limit"),  # the digit five, in Arabic
        ("/themes?limit=%EF%BC%95", "invalid_parameter", "limit"),  # and full width
        ("/themes?limit=" + "9" * 5000, "invalid_parameter", "limit"),
        ("/themes?limit=%00", "invalid_parameter", "limit"),
        ("/themes?limit=%FF", "invalid_parameter", "limit"),
        ("/letters?period=decade", "invalid_parameter", "period"),
        ("/timeline?limit=100", None, None),
        ("/timeline?limit=101", "invalid_parameter", "limit"),
        ("/timeline?limit=0", "invalid_parameter", "limit"),
        ("/timeline?offset=-1", "invalid_parameter", "offset"),
        ("/timeline?offset=10000", None, None),
        ("/timeline?offset=10001", "invalid_parameter", "offset"),
        ("/timeline?before=", "invalid_parameter", "before"),
        ("/timeline?before=yesterday", "invalid_parameter", "before"),
        ("/timeline?before=2025-12-08T12:00:00", "invalid_parameter", "before"),
        ("/timeline?before=2025-12-08T12:00:00Z", None, None),
        ("/timeline?before=0001-01-01T00:00:00Z", None, None),
        ("/timeline?before=9999-12-31T23:59:59Z", None, None),
        ("/timeline?before=" + "f" * 32, "invalid_parameter", "before"),
        ("/timeline?before=2025-12-08T12:00:00Z&offset=0", "invalid_parameter", "offset"),
        ("/heatmap?hours=0", "invalid_parameter", "hours"),
        ("/heatmap?hours=168", None, None),
        ("/heatmap?hours=169", "invalid_parameter", "hours"),
        ("/heatmap?page_url=", "invalid_parameter", "page_url"),
        ("/heatmap?page_url=cv", "invalid_parameter", "page_url"),
        ("/heatmap?page_url=//evil.example", "invalid_parameter", "page_url"),
        ("/heatmap?page_url=http://[", "invalid_parameter", "page_url"),
        ("/heatmap?page_url=/%00", "invalid_parameter", "page_url"),
        ("/heatmap?page_url=/%FF%FE", None, None),
        ("/heatmap?page_url=/" + "a" * 499, None, None),
        ("/heatmap?page_url=/" + "a" * 500, "invalid_parameter", "page_url"),
        ("/heatmap?page=ftp://a/b", "invalid_parameter", "page"),
        ("/heatmap?page=/cv&page_url=/cv", "invalid_parameter", "page"),
        ("/export/visitors?format=xlsx", "invalid_parameter", "format"),
        ("/export/visitors?format=CSV", "invalid_parameter", "format"),
        ("/export/themes?period=year", "invalid_parameter", "period"),
        ("/export/letters?limit=5", "unknown_parameter", "limit"),
        ("/export/visitors", None, None),
    ],
)
def test_a_parameter_is_right_or_named_in_the_error(
    client: FlaskClient, path: str, code: str | None, field: str | None
) -> None:
    response = get(client, path)
    if code is None:
        assert response.status_code == 200
        return
    assert response.status_code == 400
    body = response.get_json()
    assert body["success"] is False
    assert (body["error"]["code"], body["error"].get("field")) == (code, field)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/realtime", "/stats?period=day", "/heatmap", "/export/letters"])
def test_only_reading_is_allowed(client: FlaskClient, path: str) -> None:
    assert client.head(f"{BASE}{path}").status_code == 200
    for method in ("POST", "PUT", "DELETE"):
        response = client.open(f"{BASE}{path}", method=method)
        assert response.status_code == 405
        assert response.get_json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/stats?period=day", "/themes", "/letters", "/timeline", "/export/visitors"])
def test_a_poller_who_has_the_answer_already_gets_304(
    client: FlaskClient, redis_client: redis.Redis, today: date, path: str
) -> None:
    first = get(client, path)
    etag = first.headers["ETag"]
    again = get(client, path, **{"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == etag
    assert again.headers["Cache-Control"] == "private, max-age=1"
    assert get(client, path, **{"If-None-Match": '"other"'}).status_code == 200


def test_a_number_that_moved_is_a_new_answer(client: FlaskClient, redis_client: redis.Redis, today: date) -> None:
    etag = get(client, "/stats?period=day").headers["ETag"]
    redis_client.incr(keys.stat(1, Period.DAY, today, "total_events"))
    again = get(client, "/stats?period=day", **{"If-None-Match": etag})
    assert again.status_code == 200
    assert again.get_json()["data"]["total_events"] == 2341


def test_a_compressed_answer_is_revalidated_too(client: FlaskClient, store: Any) -> None:
    now = datetime.now(UTC)
    for minute in range(20):
        store(now - timedelta(minutes=minute))
    first = get(client, "/timeline", **{"Accept-Encoding": "gzip"})
    assert first.headers["Content-Encoding"] == "gzip"
    again = get(client, "/timeline", **{"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def rows(response: TestResponse) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.text)))


def test_exports_are_files_with_a_header(client: FlaskClient, today: date, store: Any) -> None:
    store(datetime.now(UTC), '{"theme": "backend"}')
    visitors, themes, letters = (
        get(client, f"/export/{what}?period=day&format=csv") for what in ("visitors", "themes", "letters")
    )
    for what, response in (("visitors", visitors), ("themes", themes), ("letters", letters)):
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"] == f'attachment; filename="maicivy-{what}-{today}.csv"'
    assert rows(visitors)[0] == ["date", "unique_visitors", "total_events"]
    assert [rows(visitors)[1][0], rows(visitors)[1][2]] == [today.isoformat(), "2340"]
    assert rows(themes) == [["theme", "views"], ["backend", "1"]]
    assert rows(letters) == [
        ["date", "total", "motivation", "anti_motivation"],
        [today.isoformat(), "23", "15", "8"],
    ]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", '=HYPERLINK("http://a")'])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(cell: str) -> None:
    text = csv_bytes(Table("themes", (cell, "views"), [(cell, 1)])).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [[f"'{cell}", "views"], [f"'{cell}", "1"]]


@pytest.mark.parametrize("cell", ["backend", "", "a=b", "été", 'say "hi", twice', "x\ny"])
def test_other_cells_come_back_as_they_were(cell: str) -> None:
    text = csv_bytes(Table("themes", ("theme", "views"), [(cell, 1)])).decode()
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == [cell, "1"]


def test_a_theme_from_outside_is_defused_in_the_export(client: FlaskClient, store: Any) -> None:
    store(datetime.now(UTC), '{"theme": "=cmd|calc"}')
    assert rows(get(client, "/export/themes"))[1] == ["'=cmd|calc", "1"]


def test_without_redis_counters_are_unavailable_and_the_timeline_goes_on(settings: Settings, store: Any) -> None:
    store(datetime.now(UTC))
    parts = build(dataclasses.replace(settings, redis_url="redis://127.0.0.1:1"))
    client = create_app(parts).test_client()
    response = get(client, "/realtime")
    assert response.status_code == 503
    assert response.get_json()["error"]["code"] == "unavailable"
    assert response.headers["Retry-After"]
    assert answer(client, "/timeline")["meta"]["count"] == 1
    parts.close()


def test_what_was_posted_is_what_is_read(parts: Maicivy) -> None:
    client = create_app(parts).test_client()
    clicks = [{"event_type": "button_click", "event_data": {"x": 450, "y": 200}, "page_url": "/cv"}] * 3
    letters = [{"event_type": "letter_generated", "event_data": {"type": kind}} for kind in ("motivation", "other")]
    views = [{"event_type": "page_view", "event_data": {"theme": theme}} for theme in ("=1+1", "backend", "backend")]
    assert client.post(f"{BASE}/batch", json=[*clicks, *letters, *views]).status_code == 202
    while parts.ingest.once("test", 0) or not parts.inbox.is_empty():
        pass

    realtime = answer(client, "/realtime")["data"]
    assert (realtime["current_visitors"], realtime["unique_today"]) == (1, 1)
    assert (realtime["total_events"], realtime["letters_today"]) == (8, 2)
    for period in Period:
        data = answer(client, f"/stats?period={period}")["data"]
        assert (data["total_events"], data["unique_visitors"], data["conversion_rate"]) == (8, 1, 2.0)
    data = answer(client, "/letters?period=week")["data"]
    assert (data["total"], data["motivation"], data["anti_motivation"]) == (2, 1, 0)
    assert sum(day["count"] for day in data["history"]) == 2
    themes = [{"theme": "backend", "views": 2}, {"theme": "=1+1", "views": 1}]
    assert answer(client, "/themes")["data"] == themes
    assert rows(get(client, "/export/themes?period=month"))[1:] == [["backend", "2"], ["'=1+1", "1"]]
    assert answer(client, "/heatmap")["data"] == [{"x": 450, "y": 200, "count": 3}]
    assert answer(client, "/timeline")["meta"]["count"] == 8
