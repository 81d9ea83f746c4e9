"""The tracker as it is served: small, old enough in its syntax, cached as its URL says; and the picture, always one."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Event, decode
from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.web import assets, create_app, tracker

MAX_SCRIPT_BYTES = 2047
SCRIPT = "/js/maicivy.js"


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def taken(parts: Maicivy) -> list[Event]:
    """What is in the inbox."""
    stream = parts.redis.xrange(keys.INBOX)
    return [e for _, fields in stream for name, payload in fields.items() if name != b"n" for e in decode(payload)]


def ledger(parts: Maicivy) -> dict[str, int]:
    """What became of everything that was received so far."""
    parts.refusals.flush()
    return {name.decode(): int(number) for name, number in parts.redis.hgetall(keys.LEDGER).items()}


def test_the_script_has_less_than_2_kb(client: FlaskClient) -> None:
    response = client.get(SCRIPT, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(response.data) <= MAX_SCRIPT_BYTES
    assert len(gzip.compress(gzip.decompress(response.data), 9, mtime=0)) <= MAX_SCRIPT_BYTES


@pytest.mark.parametrize(
    "newer",
    [
        r"\?\.\D",
        r"\?\?",
        r"(\|\||&&|\?\?)=",
        r"catch *\{",
        r"\bfor await\b",
        r"\d_\d",
        r"\dn\b",
        r"#\w+ *[=(;]",
        r"\bimport\b",
    ],
)
def test_no_syntax_is_newer_than_es2018(client: FlaskClient, newer: str) -> None:
    assert re.search(newer, client.get(SCRIPT).text) is None


@pytest.mark.parametrize(
    "newer", ["fromEntries", "flatMap", ".flat(", "matchAll", "replaceAll", ".at(", "allSettled", "globalThis"]
)
def test_no_function_is_newer_than_es2018(client: FlaskClient, newer: str) -> None:
    assert newer not in client.get(SCRIPT).text


def test_no_storage_and_no_cookie_is_written(client: FlaskClient) -> None:
    text = client.get(SCRIPT).text
    assert "cookie" not in text
    assert "sessionStorage" not in text
    assert "setItem" not in text
    assert re.findall(r"localStorage[^)},;]*", text) == ["localStorage.maicivy_ignore"]


def test_the_source_can_be_read(client: FlaskClient) -> None:
    source = (assets._DIRECTORY / tracker.SCRIPT).read_text()
    assert max(map(len, source.splitlines())) <= 120
    assert source.count("//") > 20


def test_a_versioned_url_is_kept_for_ever_and_another_is_not(client: FlaskClient) -> None:
    versions = client.get("/js/maicivy.json")
    assert versions.headers["Cache-Control"] == "no-cache"
    path = versions.get_json()["script"]
    version = re.fullmatch(r"/js/maicivy\.([0-9a-f]{24})\.js", path)
    assert version is not None
    now = client.get(SCRIPT)
    for url, cached in (
        (path, assets.FOR_EVER),
        (f"{SCRIPT}?v={version[1]}", assets.FOR_EVER),
        (SCRIPT, tracker.AN_HOUR),
        (f"{SCRIPT}?v=1", tracker.AN_HOUR),
        ("/js/maicivy.0123456789abcdef01234567.js", tracker.AN_HOUR),
    ):
        response = client.get(url)
        assert (response.status_code, response.data) == (200, now.data)
        assert response.headers["Cache-Control"] == cached
        assert response.headers["Vary"] == "Accept-Encoding, Origin"
        assert client.get(url, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_the_hash_for_integrity_is_that_of_the_script(client: FlaskClient) -> None:
    digest = base64.b64encode(hashlib.sha384(client.get(SCRIPT).data).digest()).decode()
    assert client.get("/js/maicivy.json").get_json()["integrity"] == f"sha384-{digest}"


def test_any_site_may_load_the_script(client: FlaskClient) -> None:
    response = client.get(SCRIPT, headers={"Origin": "https://example.org"})
    assert response.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


DOC = (Path(__file__).parents[2] / "docs" / "tracker.md").read_text(encoding="utf-8")
SOURCE = (assets._DIRECTORY / tracker.SCRIPT).read_text()


def first_column(heading: str) -> list[str]:
    section = DOC[DOC.index(heading) :].partition("\n## ")[0]
    return re.findall(r"^\| `([\w-]+)` \|", section, re.M)


def test_the_doc_lists_every_event_that_is_sent() -> None:
    assert sorted(first_column("## What it sends")) == sorted(set(re.findall(r'send\("(\w+)"', SOURCE)))


def test_the_doc_lists_every_option() -> None:
    read = {*re.findall(r"options\.(\w+)", SOURCE), *re.findall(r"\"?(\w+)\"? in options", SOURCE)}
    attributes = {"data-" + re.sub(r"[A-Z]", lambda capital: "-" + capital[0].lower(), name) for name in read}
    assert sorted(first_column("## Options")) == sorted(attributes)


def test_the_doc_tells_the_default_of_the_files_and_of_the_address() -> None:
    for name in ("downloads", "api"):
        (default,) = re.findall(rf'options\.{name} \|\| "([^"]+)"', SOURCE)
        assert f"| `data-{name}` | `{default.replace('|', chr(92) + '|')}` |" in DOC


def test_the_doc_shows_the_hash_of_the_script_as_it_is(client: FlaskClient) -> None:
    told = client.get("/js/maicivy.json").get_json()
    assert set(re.findall(r"/js/maicivy\.[0-9a-f]+\.js", DOC)) == {told["script"]}, told
    assert set(re.findall(r"sha384-[\w/+=]+", DOC)) == {told["integrity"]}, told


def test_the_doc_shows_what_is_answered_where_the_site_was_mistyped(client: FlaskClient) -> None:
    event = {"site_id": "MC-0000000000", "event_type": "page_view", "page_url": "https://example.org/"}
    answer = client.post("/api/v1/analytics/event/batch", json=[event])
    (shown,) = re.findall(r"```json\n(.*unknown_site.*)\n```", DOC)
    assert (answer.status_code, answer.get_json()) == (202, json.loads(shown))


PAGE = "https://example.org/pricing?utm_source=mail&secret=1"


def is_the_picture(response: TestResponse) -> bool:
    return (
        response.status_code == 200
        and response.headers["Content-Type"] == "image/gif"
        and response.headers["Cache-Control"] == "no-store"
        and response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        and response.data.startswith(b"GIF89a\x01\x00\x01\x00")
    )


@pytest.mark.parametrize(
    ("query", "headers", "page_url"),
    [
        ({}, {"Referer": PAGE}, "https://example.org/pricing?utm_source=mail"),
        ({"page": "/pricing"}, {}, "/pricing"),
        ({"page": "/pricing"}, {"Referer": PAGE}, "/pricing"),
        ({"site": "1"}, {"Referer": PAGE}, "https://example.org/pricing?utm_source=mail"),
        ({"v": "what a cache would keep"}, {"Referer": PAGE}, "https://example.org/pricing?utm_source=mail"),
        (
            {},
            {"Referer": PAGE, "Authorization": "Bearer of no interest"},
            "https://example.org/pricing?utm_source=mail",
        ),
    ],
)
def test_the_picture_is_a_page_view(
    client: FlaskClient, parts: Maicivy, query: dict[str, str], headers: dict[str, str], page_url: str
) -> None:
    assert is_the_picture(client.get("/p.gif", query_string=query, headers=headers))
    (event,) = taken(parts)
    assert (event.event_type, event.page_url, event.referrer, event.event_data) == ("page_view", page_url, "", {})


def test_the_picture_counts_for_the_site_that_it_names(client: FlaskClient, parts: Maicivy) -> None:
    site = parts.sites.add({"domain": "example.org"})
    client.get("/p.gif", query_string={"site": site.measurement_id}, headers={"Referer": PAGE})
    assert [event.site_id for event in taken(parts)] == [site.id]


@pytest.mark.parametrize(
    ("query", "headers", "reason"),
    [
        ({}, {}, "invalid_page_url"),
        ({}, {"Referer": "about:blank"}, "invalid_page_url"),
        ({"site": "MC-NOSUCHSITE"}, {"Referer": PAGE}, "unknown_site"),
        ({"site": "x" * 300}, {"Referer": PAGE}, "invalid_site"),
        ({}, {"Referer": PAGE, "DNT": "1"}, "do_not_track"),
        ({}, {"Referer": PAGE, "Sec-GPC": "1"}, "do_not_track"),
    ],
)
def test_what_is_refused_is_counted_and_a_picture_all_the_same(
    client: FlaskClient, parts: Maicivy, query: dict[str, str], headers: dict[str, str], reason: str
) -> None:
    assert is_the_picture(client.get("/p.gif", query_string=query, headers=headers))
    assert taken(parts) == []
    assert ledger(parts) == {"received": 1, f"rejected:{reason}": 1}


def test_the_picture_is_one_while_nothing_works(
    client: FlaskClient, parts: Maicivy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise Unavailable("redis", "it is away")

    monkeypatch.setattr(type(parts.inbox), "append", fails)
    assert is_the_picture(client.get("/p.gif", headers={"Referer": PAGE}))
    monkeypatch.setattr(tracker, "take_event", lambda *_: 1 / 0)
    assert is_the_picture(client.get("/p.gif", headers={"Referer": PAGE}))


def test_whoever_asks_for_the_head_of_the_picture_sees_nothing(client: FlaskClient, parts: Maicivy) -> None:
    assert client.head("/p.gif", headers={"Referer": PAGE}).status_code == 200
    assert taken(parts) == []


def test_the_picture_is_limited_as_events_are(
    settings: Settings,
) -> None:
    parts = build(dataclasses.replace(settings, event_rate_limit=2))
    client = create_app(parts).test_client()
    for _ in range(4):
        assert is_the_picture(client.get("/p.gif", headers={"Referer": PAGE}))
    assert len(taken(parts)) == 2
    parts.close()
