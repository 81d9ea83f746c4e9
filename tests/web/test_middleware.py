"""What every request gets, whatever answers it."""

import json
import logging
from dataclasses import replace

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

from maicivy.config import Settings
from maicivy.logs import REQUEST_ID
from maicivy.web import errors, middleware

ORIGIN = "https://example.org"


def serving(settings: Settings) -> FlaskClient:
    app = Flask("test_middleware")
    middleware.init_app(app, settings)
    errors.init_app(app)

    @app.get("/items/<int:number>")
    def item(number: int) -> Response:
        return Response(json.dumps({"number": number, "id": REQUEST_ID.get()}), content_type="application/json")

    @app.route("/large", methods=["GET", "POST"])
    def large() -> Response:
        return Response("x" * 5000, 202 if request.args else 200, content_type="text/plain")

    @app.get("/page")
    def page() -> Response:
        return Response(
            "<p>", headers={"content-security-policy": "default-src 'self'", "X-Frame-Options": "SAMEORIGIN"}
        )

    @app.get("/broken")
    def broken() -> Response:
        raise RuntimeError("of our own making")

    return app.test_client()


@pytest.fixture
def client(plain_settings: Settings) -> FlaskClient:
    return serving(plain_settings)


@pytest.fixture
def plain_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    directory = str(tmp_path_factory.mktemp("data"))
    return Settings.from_env({"MAICIVY_DATA_DIR": directory, "SECRET_KEY": "0123456789abcdef", "MAICIVY_ENV": "test"})


def observed(endpoint: str, method: str = "GET", status: str = "200") -> float:
    labels = {"endpoint": endpoint, "method": method, "status": status}
    return REGISTRY.get_sample_value("maicivy_analytics_request_duration_seconds_count", labels) or 0.0


@pytest.mark.parametrize("path", ["/items/1", "/nowhere", "/broken"])
def test_every_answer_has_an_id_and_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert len(headers["X-Request-ID"]) == 16
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_two_requests_have_two_ids(client: FlaskClient) -> None:
    assert client.get("/items/1").headers["X-Request-ID"] != client.get("/items/1").headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("01234567", True),
        ("A-b_c.9" * 9, True),
        ("short", False),
        ("x" * 65, False),
        ("bad id with blanks", False),
        ("caf\u00e9-caf\u00e9", False),
        ("", False),
    ],
)
def test_a_decent_id_of_the_caller_is_taken(client: FlaskClient, given: str, taken: bool) -> None:
    answer = client.get("/items/1", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is taken
    assert answer.get_json()["id"] == answer.headers["X-Request-ID"]


def test_the_id_is_gone_when_the_request_is(client: FlaskClient) -> None:
    client.get("/items/1")
    assert REQUEST_ID.get() == ""


def test_a_view_may_set_headers_of_its_own(client: FlaskClient) -> None:
    headers = client.get("/page").headers
    assert headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]


def test_any_origin_may_read_unless_told_otherwise(client: FlaskClient) -> None:
    headers = client.get("/items/1", headers={"Origin": ORIGIN}).headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "X-Request-ID" in headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in client.get("/items/1").headers


def test_errors_can_be_read_by_other_origins_too(client: FlaskClient) -> None:
    assert client.get("/nowhere", headers={"Origin": ORIGIN}).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, ORIGIN), ("https://evil.example", None), (None, None)])
def test_only_listed_origins_may_read(plain_settings: Settings, origin: str | None, allowed: str | None) -> None:
    client = serving(replace(plain_settings, cors_origins=(ORIGIN,)))
    headers = client.get("/items/1", headers={"Origin": origin} if origin else {}).headers
    assert headers.get("Access-Control-Allow-Origin") == allowed
    assert "Origin" in ", ".join(headers.getlist("Vary"))  # or a cache would give one origin's answer to another


@pytest.mark.parametrize("path", ["/items/1", "/nowhere"])
def test_a_preflight_is_answered_for_every_path(client: FlaskClient, path: str) -> None:
    answer = client.options(path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PATCH, DELETE, OPTIONS"
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["X-Request-ID"]


def test_an_options_request_that_is_no_preflight_reaches_the_route(client: FlaskClient) -> None:
    answer = client.options("/items/1")
    assert answer.status_code == 200
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_large_answers_are_compressed_for_those_who_can_read_it(client: FlaskClient, method: str) -> None:
    answer = client.open("/large", method=method, headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "Content-Encoding" not in client.get("/large").headers


def test_receipts_are_left_as_they_are(client: FlaskClient) -> None:
    answer = client.post("/large?accepted=1", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "endpoint", "label", "status"),
    [
        ("GET", "/items/7", "/items/<int:number>", "GET", "200"),
        ("GET", "/items/8", "/items/<int:number>", "GET", "200"),
        ("POST", "/items/7", "unmatched", "POST", "405"),
        ("GET", "/whatever/people/try", "unmatched", "GET", "404"),
        ("BREW", "/items/7", "unmatched", "other", "405"),
        ("GET", "/broken", "/broken", "GET", "500"),
    ],
)
def test_a_request_is_timed_under_its_rule(
    client: FlaskClient, method: str, path: str, endpoint: str, label: str, status: str
) -> None:
    before = observed(endpoint, label, status)
    client.open(path, method=method)
    assert observed(endpoint, label, status) == before + 1


def test_invented_methods_take_no_memory(client: FlaskClient) -> None:
    envelope = client.application.wsgi_app
    client.open("/items/1", method="BREW")
    assert isinstance(envelope, middleware._Envelope)
    assert not [key for key in envelope._timers if key[1] == "BREW"]


def test_a_websocket_is_not_timed(client: FlaskClient) -> None:
    before = observed("/items/<int:number>")
    client.get("/items/1", headers={"Upgrade": "WebSocket", "Connection": "Upgrade"})
    assert observed("/items/<int:number>") == before


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, middleware.__name__)
    return caplog


def test_a_request_is_one_line_without_path_address_or_agent(
    client: FlaskClient, records: pytest.LogCaptureFixture
) -> None:
    client.get(
        "/items/1?email=a@example.org", headers={"User-Agent": "Agent/1"}, environ_base={"REMOTE_ADDR": "192.0.2.1"}
    )
    (record,) = [r for r in records.records if r.name == middleware.__name__]
    facts = {name: record.__dict__[name] for name in ("method", "endpoint", "status")}
    assert record.message == "request"
    assert facts == {"method": "GET", "endpoint": "/items/<int:number>", "status": 200}
    assert not [v for v in record.__dict__.values() if any(s in str(v) for s in ("example.org", "Agent/1", "192.0.2"))]


def test_a_failure_of_ours_is_logged_as_an_error(client: FlaskClient, records: pytest.LogCaptureFixture) -> None:
    client.get("/broken")
    assert [r.levelname for r in records.records if r.name == middleware.__name__] == ["ERROR"]
