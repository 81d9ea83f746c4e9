"""The OpenAPI document is what the application does: its routes, its answers, its limits, its errors."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.core import gate, seentics
from maicivy.core.gate import REASONS, Gate, parse_batch, parse_event
from maicivy.core.periods import Period
from maicivy.errors import Refusal
from maicivy.storage import keys
from maicivy.web import create_app, errors
from maicivy.web.openapi import document
from maicivy.web.openapi.error_codes import CODES, EVENT_CODES
from tests.events import NOON, event_id, visitor_id
from tests.web.openapi.json_schema import problems

PAGES = {
    *("/", "/api/docs", "/api/docs.css", "/assets/{wanted}/{name}", "/live", "/live/{reference}"),
    *("/dashboard", "/dashboard/{reference}", "/dashboard/{reference}/moments"),
    *("/dashboard/{reference}/details/{panel}", "/dashboard/{reference}/export/{panel}.csv"),
    *("/dashboard/unlock", "/dashboard/lock"),
    *("/js/maicivy.js", "/js/maicivy.{wanted}.js", "/js/maicivy.json", "/p.gif"),
}
BASE = "/api/v1/analytics"
CLICK = {"event_type": "button_click", "event_data": {"button": "cta", "x": 450, "y": 200}, "page_url": "/cv"}


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    parts = build(settings)
    yield create_app(parts)
    parts.close()


@pytest.fixture
def client(app: Flask, engine: sa.Engine, redis_client: redis.Redis) -> FlaskClient:
    """A client of an application in which something has happened."""
    now = app.extensions["maicivy"].now()
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                f"CREATE TABLE analytics_events_{now:%Y%m%d} PARTITION OF analytics_events"
                f" FOR VALUES FROM ('{now.date()}T00:00Z') TO ('{now.date() + timedelta(days=1)}T00:00Z')"
            )
        )
        for _ in range(2):
            connection.execute(
                sa.text(
                    "INSERT INTO analytics_events VALUES (:id, :visitor, :at, 1, 0, 'button_click', '/cv', '',"
                    """ '{"theme": "backend", "x": 450, "y": 200}')"""
                ),
                {"id": event_id(), "visitor": visitor_id(1), "at": now},
            )
    for period in Period:
        redis_client.set(keys.stat(1, period, now.date(), "letters_generated"), 3)
        redis_client.pfadd(keys.unique_visitors(1, period, now.date()), b"a", b"b")
    redis_client.zadd(keys.themes(1), {"backend": 523})
    return app.test_client()


def schema_of(path: str, method: str, status: int) -> dict[str, Any]:
    answer = document()["paths"][path][method]["responses"][str(status)]
    schema: dict[str, Any] = answer["content"]["application/json"]["schema"]
    return schema


def test_every_route_is_in_the_document_and_nothing_else(app: Flask) -> None:
    routes: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        routes.setdefault(path, set()).update(method.lower() for method in methods)
    assert routes.keys() >= PAGES
    assert {path: set(methods) for path, methods in document()["paths"].items()} == {
        path: methods for path, methods in routes.items() if path not in PAGES
    }


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    text = json.dumps(document())
    referred = set(re.findall(r'"\$ref": "#/components/([a-zA-Z]+)/([A-Za-z-]+)"', text))
    for kind, name in referred:
        assert name in document()["components"][kind], name
    assert {name for kind, name in referred if kind == "schemas"} == set(document()["components"]["schemas"])


def test_every_example_is_valid() -> None:
    checked = 0
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            messages = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (each for message in messages for each in message.get("content", {}).values()):
                if "example" in content:
                    assert problems(content["example"], content["schema"], document()) == [], path
                    checked += 1
    live = document()["paths"]["/ws/analytics"]["get"]["x-websocket"]
    for message in live["examples"]["server"]:
        assert problems(message, {"anyOf": live["server"]}, document()) == []
    for message in live["examples"]["client"]:
        assert problems(message, live["client"], document()) == []
    assert checked > 15


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for methods in document()["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/realtime",
        f"{BASE}/stats?period=day",
        f"{BASE}/stats?period=month",
        f"{BASE}/themes",
        f"{BASE}/letters",
        f"{BASE}/letters?period=week",
        f"{BASE}/timeline",
        f"{BASE}/timeline?limit=1",
        f"{BASE}/heatmap?page_url=/cv&hours=24",
        f"{BASE}/heatmap?hours=1",
        "/healthz",
        "/readyz",
        "/health",
        "/api/openapi.json",
    ],
)
def test_real_answers_are_as_documented(client: FlaskClient, url: str) -> None:
    path = url.partition("?")[0]
    response = client.get(url)
    assert response.status_code == 200, response.text
    schema = schema_of(path, "get", 200)
    if path != "/api/openapi.json":
        assert problems(response.get_json(), schema, document()) == []
    for header in document()["paths"][path]["get"]["responses"]["200"]["headers"]:
        assert response.headers[header], header


@pytest.mark.parametrize("what", ["visitors", "themes", "letters"])
def test_exports_have_the_columns_of_their_example(client: FlaskClient, what: str) -> None:
    content = document()["paths"][f"{BASE}/export/{what}"]["get"]["responses"]["200"]["content"]["text/csv"]
    header = client.get(f"{BASE}/export/{what}").text.splitlines()[0]
    assert header == content["example"].splitlines()[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/event", CLICK),
        ("/event/batch", [CLICK, {"event_type": "Bad"}]),
        ("/batch", {"events": [CLICK]}),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"DNT": "1"}])
def test_real_receipts_are_as_documented(client: FlaskClient, path: str, body: Any, headers: dict[str, str]) -> None:
    response = client.post(BASE + path, json=body, headers=headers)
    assert response.status_code == 202
    assert problems(response.get_json(), schema_of(BASE + path, "post", 202), document()) == []


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("get", f"{BASE}/stats", "", 400),
        ("post", f"{BASE}/event", "{", 400),
        ("post", f"{BASE}/event", '{"event_type": "x", "y": 1}', 400),
        ("post", f"{BASE}/batch", "x" * (gate.MAX_BODY_BYTES + 1), 413),
        ("get", "/ws/analytics", "", 426),
    ],
)
def test_real_errors_are_as_documented(client: FlaskClient, method: str, url: str, body: str, status: int) -> None:
    response = client.open(url, method=method.upper(), data=body)
    assert response.status_code == status
    assert problems(response.get_json(), schema_of(url, method, status), document()) == []
    assert response.headers["X-Request-ID"]


def test_what_asks_to_come_back_is_as_documented(settings: Settings) -> None:
    parts = build(dataclasses.replace(settings, event_rate_limit=1))
    client = create_app(parts).test_client()
    client.post(f"{BASE}/event", json=CLICK)
    limited = client.post(f"{BASE}/event", json=CLICK)
    parts.close()
    away = build(dataclasses.replace(settings, redis_url="redis://127.0.0.1:1"))
    client = create_app(away).test_client()
    answers = [
        (limited, f"{BASE}/event", "post", 429),
        (client.post(f"{BASE}/event", json=CLICK), f"{BASE}/event", "post", 503),
        (client.get(f"{BASE}/realtime"), f"{BASE}/realtime", "get", 503),
        (client.get("/readyz"), "/readyz", "get", 503),
    ]
    away.close()
    for response, path, method, status in answers:
        assert response.status_code == status, path
        assert problems(response.get_json(), schema_of(path, method, status), document()) == []
        assert int(response.headers["Retry-After"]) >= 1


def test_errors_of_no_route_have_the_same_shape(client: FlaskClient) -> None:
    schema = {"$ref": "#/components/schemas/Failure"}
    for response in (client.get("/nothing"), client.delete(f"{BASE}/realtime"), client.get("/api/openapi.json?x=1")):
        assert problems(response.get_json(), schema, document()) == []


GATE = Gate(NOON, timedelta(days=90))


@pytest.mark.parametrize(
    "body",
    [
        CLICK,
        {"event_type": "a"},
        {"event_type": "a" * 50},
        {"event_type": "a" * 51},
        {"event_type": ""},
        {"event_type": "Click"},
        {"event_type": "a\n"},
        {"event_type": None},
        {},
        [],
        {"event_type": "a", "unknown": 1},
        {"event_type": "a", "event_data": None, "page_url": None, "id": None, "timestamp": None},
        {"event_type": "a", "event_data": []},
        {"event_type": "a", "event_data": {"k" * 64: 1}},
        {"event_type": "a", "event_data": {"k" * 65: 1}},
        {"event_type": "a", "event_data": {str(n): n for n in range(64)}},
        {"event_type": "a", "event_data": {str(n): n for n in range(65)}},
        {"event_type": "a", "page_url": "/" + "a" * 499},
        {"event_type": "a", "page_url": "/?gclid=" + "a" * 500},
        {"event_type": "a", "referrer": "https://a.example/" + "a" * 482},
        {"event_type": "a", "session_duration": 0},
        {"event_type": "a", "session_duration": gate.MAX_SESSION_S},
        {"event_type": "a", "session_duration": gate.MAX_SESSION_S + 1},
        {"event_type": "a", "session_duration": -1},
        {"event_type": "a", "session_duration": 1.5},
        {"event_type": "a", "id": "0193a6c5-3f42-7b1e-9c0a-5d2e8f417b36"},
        {"event_type": "a", "id": "0193a6c53f427b1e9c0a5d2e8f417b36"},
        {"event_type": "a", "id": "0193a6c5"},
        {"event_type": "a", "timestamp": NOON.timestamp()},
        {"event_type": "a", "timestamp": "2025-12-08T12:00:00Z"},
        {"event_type": "a", "timestamp": True},
        {"event_type": "a", "visitor_address": "a" * 2000},
        {"event_type": "a", "visitor_address": "a" * 2001},
        *({"event_type": "a", "site_id": site} for site in (0, 1, 2**31 - 1, 2**31, True, 1.5, [])),
        *({"event_type": "a", "domain": site} for site in (None, "", "a", "a" * 253, "a" * 254)),
        *({"event_type": "a", "screen_width": width} for width in (None, 0, 1, 100_000, 100_001, 1.5, "1")),
        *({"event_type": "a", "language": language} for language in ("en", "pt-BR", "e", "en1", "a" * 9, "", "é", 1)),
        *({"event_type": "a", "utm_term": term} for term in ("", "a" * 300, 1)),
        *({"event_type": "a", "bot": said, "interactive": said} for said in (None, True, False, 0, "true")),
        *({"event_type": "engagement", "scroll_depth": depth} for depth in (-1, 0, 100, 101, 50.5)),
        *({"event_type": "engagement", "engagement_ms": ms} for ms in (-1, 0, 86_400_000, 86_400_001)),
    ],
)
def test_the_schema_of_an_event_draws_the_line_where_the_gate_does(body: Any) -> None:
    try:
        parse_event(json.dumps(body).encode(), GATE)
        accepted = True
    except Refusal:
        accepted = False
    assert (problems(body, {"$ref": "#/components/schemas/EventBody"}, document()) == []) == accepted


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": "pageview", "siteId": "a.example", "page": "/", "visitor_id": 7, "os": ["x"]},
        {"event_type": "pageview", "page": "/", "referrer": 1, "screen_width": "1", "language": 5, "time_on_page": "x"},
        {"event_type": "pageview", "page": 1},
        {"event_type": "pageview", "siteId": []},
        {"event_type": "pageview", "page": "/", "properties": []},
        {"event_type": "pageview", "page": "/", "page_url": "/"},
        {"page": "/"},
    ],
)
def test_the_schema_of_seentics_form_draws_the_line_where_the_gate_does(body: Any) -> None:
    try:
        parse_event(json.dumps(body).encode(), GATE)
        accepted = True
    except Refusal:
        accepted = False
    assert (problems(body, {"$ref": "#/components/schemas/SeenticsEvent"}, document()) == []) == accepted
    batch = {"siteId": 1, "events": [body]}
    assert (problems(batch, {"$ref": "#/components/schemas/SeenticsBatch"}, document()) == []) == accepted


@pytest.mark.parametrize("count", [0, 1, 500, 501])
@pytest.mark.parametrize("as_object", [False, True])
def test_the_schema_of_a_batch_draws_the_line_where_the_gate_does(count: int, as_object: bool) -> None:
    events = [{"event_type": "a"}] * count
    body: Any = {"events": events} if as_object else events
    try:
        parse_batch(json.dumps(body).encode(), GATE)
        accepted = True
    except Refusal:
        accepted = False
    content = document()["paths"][f"{BASE}/batch"]["post"]["requestBody"]["content"]["application/json"]
    assert (problems(body, content["schema"], document()) == []) == accepted


def test_the_schema_names_every_member_that_the_gate_takes() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["EventBody"]["properties"].keys() == gate._FIELDS
    assert schemas["SeenticsEvent"]["properties"].keys() == seentics.FIELDS


def test_every_reason_of_the_gate_is_explained() -> None:
    assert EVENT_CODES.keys() == REASONS


def test_every_code_that_is_raised_is_explained() -> None:
    package = Path(errors.__file__).parents[1]
    sources = [*(package / "web").rglob("*.py"), *(package / "core").rglob("*.py"), package / "reports.py"]
    raised = set(errors._HTTP_CODES.values())
    for source in sources:
        text = source.read_text(encoding="utf-8")
        raised |= set(re.findall(r'\bRefusal\(\s*"([a-z_]+)"', text))
        raised |= set(re.findall(r'\berror_(?:response\(\s*\d+,|body\()\s*"([a-z_]+)"', text))
    assert raised <= CODES.keys()
    assert {"invalid_json", "unknown_parameter", "too_many_viewers", "not_ready"} <= raised


def test_codes_have_the_status_that_is_sent() -> None:
    for code, status in errors._STATUS.items():
        assert CODES[code].status == status
    for status, code in errors._HTTP_CODES.items():
        assert CODES[code].status == status
    others = CODES.keys() - errors._STATUS.keys() - set(errors._HTTP_CODES.values())
    assert {CODES[code].status for code in others} == {202, 400, 414, 417, 426, 429, 431, 503}


def test_a_status_that_asks_to_come_back_says_when() -> None:
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                assert ("Retry-After" in answer.get("headers", {})) == (status in ("429", "503")), path
