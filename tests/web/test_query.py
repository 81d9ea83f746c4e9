"""POST /api/v2/query, from events that were sent to figures that are told, and whatever may be sent instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.query_language import MEMBERS
from maicivy.errors import Refusal
from maicivy.web import create_app
from maicivy.web.openapi import document
from tests.web.openapi.json_schema import problems

URL = "/api/v2/query"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
LEAST = {"site_id": 1, "metrics": ["visitors", "pageviews"], "date_range": "7d"}


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(replace(settings, event_rate_limit=0, admin_token="0123456789abcdef"))
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def send(parts: Maicivy, client: FlaskClient, *pages: str) -> None:
    """A visit of each page, by the same browser."""
    for page in pages:
        body = {"event_type": "page_view", "page_url": page}
        assert client.post("/api/v1/analytics/event", json=body, headers={"User-Agent": BROWSER}).status_code == 202
    while not parts.inbox.is_empty():
        parts.ingest.once("test", 0)


def told(client: FlaskClient, **members: Any) -> Any:
    response = client.post(URL, json=LEAST | members)
    assert response.status_code == 200, response.text
    schema = document()["paths"][URL]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert problems(response.json, schema, document()) == []
    return response.json


def error(client: FlaskClient, body: bytes, status: int = 400) -> Any:
    response = client.post(URL, data=body)
    assert response.status_code == status, response.text
    assert response.json is not None
    assert response.json["success"] is False
    return response.json["error"]


def test_what_was_sent_is_told(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, "/", "/cv", "/cv")
    for date_range in ("7d", "day", "24h", "realtime", "all", "month", "12mo"):
        assert told(client, date_range=date_range)["results"] == [{"metrics": [1, 3], "dimensions": []}]
    assert told(client, metrics=["pageviews"], dimensions=["event:page"], include={"total_rows": True})["results"] == [
        {"metrics": [2], "dimensions": ["/cv"]},
        {"metrics": [1], "dimensions": ["/"]},
    ]
    compared = told(client, dimensions=["time:day"], include={"comparisons": {"mode": "previous_period"}})
    assert len(compared["results"]) == 7
    assert compared["results"][-1]["comparison"]["change"] == [100, 100]


def test_another_answer_follows_another_event_at_once(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, "/")
    assert [told(client)["meta"]["cached"] for _ in range(2)] == [False, True]
    send(parts, client, "/cv")
    answer = told(client)
    assert (answer["results"], answer["meta"]["cached"]) == ([{"metrics": [1, 2], "dimensions": []}], False)
    assert told(client)["meta"]["cached"]


def test_without_redis_an_answer_is_computed(parts: Maicivy, settings: Settings, client: FlaskClient) -> None:
    send(parts, client, "/")
    away = build(replace(settings, redis_url="unix:///nonexistent"))
    answer = told(create_app(away).test_client())
    away.close()
    assert answer["results"] == [{"metrics": [1, 1], "dimensions": []}]


def test_a_site_has_any_of_its_names_and_no_other_site_its_figures(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, "/")
    site = parts.sites.add({"domain": "shop.example", "timezone": "Asia/Tokyo"})
    parts.site_directory.forget()
    for name in (site.id, str(site.id), site.measurement_id, "shop.example", "WWW.Shop.Example"):
        answer = told(client, site_id=name)
        assert (answer["results"][0]["metrics"], answer["meta"]["timezone"]) == ([0, 0], "Asia/Tokyo")
        assert answer["query"]["site_id"] == name
    for unknown in (site.id + 1, "other.example", "MC-0000000000", "\ud800", "1; DROP TABLE visits", 2**70):
        found = error(client, json.dumps(LEAST | {"site_id": unknown}).encode())
        assert (found["code"], found["field"]) == ("unknown_site", "site_id")


def test_a_site_that_is_not_public_takes_the_admin_token(parts: Maicivy, client: FlaskClient) -> None:
    parts.sites.add({"domain": "shop.example", "is_public": False})
    body = json.dumps(LEAST | {"site_id": "shop.example"}).encode()
    assert error(client, body, 401)["code"] == "unauthorized"
    assert client.post(URL, data=body, headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200


def test_an_answer_may_be_message_pack(parts: Maicivy, client: FlaskClient) -> None:
    response = client.post(URL, json=LEAST, headers={"Accept": "application/msgpack"})
    assert response.mimetype == "application/msgpack"
    assert "Accept" in response.headers["Vary"]
    assert msgspec.msgpack.decode(response.data)["results"] == [{"metrics": [0, 0], "dimensions": []}]


@pytest.mark.parametrize("accept", ["application/json", "application/msgpack"])
def test_a_long_answer_is_compressed(client: FlaskClient, accept: str) -> None:
    body = LEAST | {"date_range": "91d", "dimensions": ["time:day"], "include": {"time_labels": True}}
    response = client.post(URL, json=body, headers={"Accept": accept, "Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert {"Accept", "Accept-Encoding"} <= set(response.headers["Vary"].split(", "))
    assert len(response.data) < 1000


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_query", None),
        (b"\xff", 400, "invalid_encoding", None),
        (b'{"metrics": [], "metrics": []}', 400, "duplicate_key", None),
        (b"[" * 100_000, 400, "too_deep", None),
        (b" " * (1 << 20) + b"{}", 413, "body_too_large", None),
        (json.dumps(LEAST | {"metrics": ["clicks"]}).encode(), 400, "unknown_metric", "metrics[0]"),
        (json.dumps(LEAST | {"timezone": "'; --"}).encode(), 400, "unknown_timezone", "timezone"),
        (json.dumps(LEAST | {"pagination": {"limit": -1}}).encode(), 400, "invalid_query", "pagination.limit"),
        (
            json.dumps(LEAST | {"filters": [["is", "visit:os", ["x"]]] * 10_000}).encode(),
            400,
            "too_many_filters",
            "filters",
        ),
        (
            json.dumps(LEAST | {"filters": [["matches", "event:page", ["(a+)+$"]]]}).encode(),
            400,
            "invalid_pattern",
            "filters[0][2][0]",
        ),
        (
            json.dumps(LEAST | {"filters": [["is", "event:page", ["a\0"]]]}).encode(),
            400,
            "invalid_filters",
            "filters[0][2][0]",
        ),
        (
            json.dumps(LEAST)[:-1].encode() + b', "pagination": {"limit": NaN}}',
            400,
            "invalid_query",
            "pagination.limit",
        ),
    ],
)
def test_what_is_no_query_is_refused(
    client: FlaskClient, body: bytes, status: int, code: str, field: str | None
) -> None:
    found = error(client, body, status)
    assert (found["code"], found.get("field")) == (code, field)


def test_parameters_in_the_url_are_refused(client: FlaskClient) -> None:
    assert client.post(f"{URL}?limit=1", json=LEAST).status_code == 400
    assert client.get(URL).status_code == 405


def test_values_from_outside_stay_values(parts: Maicivy, client: FlaskClient) -> None:
    nasty = ["'; DROP TABLE visits; --", "%", "_", "\\", "\u2028", "é", "x" * 2000, "${x}", ":site_id", "{0}"]
    for operator in ("is", "contains", "is_not"):
        told(client, filters=[[operator, "event:page", nasty], [operator, "visit:country", nasty]])
        told(
            client, filters=[[operator, f"event:props:{name[:64]}", nasty, {"case_sensitive": False}] for name in nasty]
        )
    told(client, dimensions=[f"event:props:{name[:64]}" for name in nasty[:5]])


@pytest.mark.parametrize(("code", "status"), [("query_too_slow", 422), ("not_kept", 400), ("too_many_rows", 400)])
def test_what_the_store_refuses_is_told(
    parts: Maicivy, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    def refuse(query: Any) -> Any:
        raise Refusal(code, "of the store")

    monkeypatch.setattr(parts.queries._store, "ask", refuse)
    assert error(client, json.dumps(LEAST).encode(), status)["code"] == code


def test_the_schema_names_every_member_of_the_language() -> None:
    assert document()["components"]["schemas"]["QueryBody"]["properties"].keys() == set(MEMBERS)
