"""Seentics' API over HTTP: the routes, their parameters, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Traits
from maicivy.core.ports import Parcel
from maicivy.seentics import QUESTIONS
from maicivy.seentics.asking import FILTERS
from maicivy.web import create_app
from maicivy.web.openapi import document
from maicivy.web.seentics import MAX_DAYS, MAX_ROWS
from tests.events import event
from tests.web.openapi.json_schema import problems

BASE = "/api/v1/analytics"
TOKEN = "a token of sixteen and more"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
EVERYTHING = "days=30&timezone=Asia/Kolkata&limit=3&" + "&".join(f"{name}=x" for name in FILTERS)


@pytest.fixture
def parts(settings: Settings, engine: Engine, redis_client: redis.Redis) -> Iterator[Maicivy]:
    parts = build(dataclasses.replace(settings, admin_token=TOKEN))
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    """A client of an application with something of everything, a moment ago."""
    now = parts.now() - timedelta(seconds=90)
    traits = Traits(
        "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "fr", "FR", "Ile", "Paris"
    )
    events = [
        msgspec.structs.replace(event(name, data, at=now, page_url="/a"), traits=traits)
        for name, data in [("page_view", {}), ("signup", {"plan": "team", "n": 10**17})]
    ]
    parts.store.store([Parcel("1-0", len(events), events, [])])
    return create_app(parts).test_client()


def test_every_route_answers_as_documented_in_json_and_message_pack(client: FlaskClient) -> None:
    for name in QUESTIONS:
        answers = document()["paths"][f"{BASE}/{name}/{{website_id}}"]["get"]["responses"]
        schema = answers["200"]["content"]["application/json"]["schema"]
        for query in ("", f"?{EVERYTHING}", "?country=FR&days=1&page_path=/a"):
            answer = client.get(f"{BASE}/{name}/1{query}")
            assert answer.status_code == 200, answer.text
            assert problems(answer.get_json(), schema, document()) == [], name
            properties = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
            assert answer.get_json().keys() == properties.keys()
            assert answer.get_json().get("website_id", "1") == "1"
        packed = client.get(f"{BASE}/{name}/1{query}", headers={"Accept": "application/msgpack"})
        assert packed.content_type == "application/msgpack"
        volatile = {"timestamp", "events_per_minute", "hourly_stats"}
        unpacked = msgspec.msgpack.decode(packed.data)
        assert {k: v for k, v in unpacked.items() if k not in volatile} == {
            k: v for k, v in answer.get_json().items() if k not in volatile
        }


def test_an_answer_may_be_kept_and_asked_for_again(client: FlaskClient) -> None:
    url = f"{BASE}/top-pages/1"
    answer = client.get(url)
    assert answer.headers["Cache-Control"] == "private, max-age=1"
    assert "Accept" in answer.headers["Vary"]
    again = client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    (page,) = answer.get_json()["top_pages"]
    assert (page["page"], page["views"]) == ("/a", 1)


def test_a_site_is_named_by_any_reference_and_told_as_it_was_named(client: FlaskClient) -> None:
    site = client.post("/api/v1/sites", json={"domain": "shop.example"}, headers=ADMIN).get_json()["data"]
    for reference in ("2", "shop.example", "SHOP.example", site["measurement_id"]):
        answer = client.get(f"{BASE}/daily-stats/{reference}").get_json()
        assert answer["website_id"] == reference
        assert sum(day["views"] for day in answer["daily_stats"]) == 0
    assert client.patch(f"/api/v1/sites/{2}", json={"is_public": False}, headers=ADMIN).status_code == 200
    assert client.get(f"{BASE}/daily-stats/2").status_code == 401
    assert client.get(f"{BASE}/daily-stats/2", headers=ADMIN).status_code == 200


REFUSED: list[tuple[str, int, str, str | None]] = [
    ("top-pages/99", 404, "unknown_site", "website_id"),
    ("top-pages/nowhere.example", 404, "unknown_site", "website_id"),
    ("top-pages/%EF%BC%91", 404, "unknown_site", "website_id"),  # a full-width 1
    ("top-pages/1%00", 404, "unknown_site", "website_id"),
    ("top-pages/" + "9" * 400, 404, "unknown_site", "website_id"),
    ("top-pages/", 404, "not_found", None),
    ("top-pages", 404, "not_found", None),
    ("top-cats/1", 404, "not_found", None),
    ("top-pages/1?site_id=1", 400, "unknown_parameter", "site_id"),
    ("top-pages/1?days=7&days=8", 400, "repeated_parameter", "days"),
    *(
        (f"top-pages/1?days={days}", 400, "invalid_parameter", "days")
        for days in ("", "0", "-1", "366", "7.0", "7d", "٧")
    ),
    *(
        (f"traffic-summary/1?limit={limit}", 400, "invalid_parameter", "limit")
        for limit in ("", "0", "-1", "1001", "1e2", "９", "9" * 5000)
    ),
    *(
        (f"daily-stats/1?timezone={zone}", 400, "unknown_timezone", "timezone")
        for zone in ("", "Mars/Olympus", "europe/paris", "UTC'; DROP TABLE visits; --", "../../etc/passwd", "localtime")
    ),
    *((f"dashboard/1?{name}=%00", 400, "invalid_parameter", name) for name in FILTERS),
    ("dashboard/1?country=" + "x" * 2001, 400, "invalid_parameter", "country"),
    ("live-visitors/1?days=0", 400, "invalid_parameter", "days"),
    ("realtime?days=7", 400, "unknown_parameter", "days"),
]


def test_what_is_refused_is_told_with_the_parameter_to_blame(client: FlaskClient) -> None:
    for url, status, code, field in REFUSED:
        answer = client.get(f"{BASE}/{url}")
        assert answer.status_code == status, url
        error: dict[str, Any] = answer.get_json()["error"]
        assert (error["code"], error.get("field")) == (code, field), url


def test_nothing_is_written_here(client: FlaskClient) -> None:
    assert client.post(f"{BASE}/top-pages/1").status_code == 405


EXTREMES = [
    f"days={MAX_DAYS}&limit={MAX_ROWS}",
    "days=1&limit=1",
    "timezone=Australia/Lord_Howe&days=365",
    "page_path=%25_%5C&country=%27%29%3B--&browser=%F0%9F%A6%8A&utm_source=%ff",
]


def test_the_extremes_are_answered(client: FlaskClient) -> None:
    for query in EXTREMES:
        for name in QUESTIONS:
            answer = client.get(f"{BASE}/{name}/1?{query}")
            assert answer.status_code == 200, (name, answer.text)


def test_what_a_client_of_seentics_sends_is_what_it_reads(parts: Maicivy) -> None:
    client = create_app(parts).test_client()
    sent = {
        "siteId": 1,
        "domain": "1",
        "events": [
            {"event_type": "pageview", "page": "/pricing", "screen_width": 1920, "screen_height": 1080},
            {"event_type": "signup", "page": "/pricing", "properties": {"plan": "team"}, "time_on_page": 12},
        ],
    }
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"}
    assert client.post(f"{BASE}/batch", json=sent, headers=firefox).get_json()["accepted"] == 2
    while parts.ingest.once("test", 0) or not parts.inbox.is_empty():
        pass
    assert client.get(f"{BASE}/live-visitors/1").get_json() == {"website_id": "1", "live_visitors": 1}
    dashboard = client.get(f"{BASE}/dashboard/1").get_json()
    assert (dashboard["page_views"], dashboard["total_visitors"], dashboard["live_visitors"]) == (1, 1, 1)
    assert [row["resolution"] for row in dashboard["top_resolutions"]] == ["1920x1080"]
    (signup,) = client.get(f"{BASE}/custom-events/1").get_json()["top_events"]
    assert signup["sample_properties"] == [{"plan": "team", "time_on_page": 12}]
    browsers = client.get(f"{BASE}/top-browsers/1?browser=Firefox").get_json()["top_browsers"]
    assert [row["views"] for row in browsers] == [1]
