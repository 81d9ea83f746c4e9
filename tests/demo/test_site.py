"""The demo's pages: rendered, escaped, guarded, and recorded."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from maicivy.demo import cv
from maicivy.demo.site import create_site
from tests.tracking.stub_server import Stub, serving

PAGES = (
    *("/", "/cv", *(f"/cv?theme={key}" for key in cv.THEMES), "/letters"),
    *("/projects", *(f"/projects/{name}" for name in cv.PROJECT_BY_NAME)),
)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def site(stub: Stub) -> Iterator[Flask]:
    site = create_site(url=stub.url, token="t" * 16, linger_s=0.0)
    yield site
    site.extensions["maicivy_tracking"].backlog.close(5)


@pytest.fixture
def client(site: Flask) -> FlaskClient:
    return site.test_client()


def events(site: Flask, stub: Stub) -> list[tuple[str, dict[str, str], str]]:
    assert site.extensions["maicivy_tracking"].backlog.flush(10)
    sent = [event for request in stub.received for event in request.events]
    return [(event["event_type"], event["event_data"], event["page_url"]) for event in sent]


def shown(page: str) -> object:
    found = re.search(r"<pre>(.*?)</pre>", page, re.S)
    return json.loads(html.unescape(found[1])) if found else None


def test_every_page_is_rendered_and_says_what_it_recorded(client: FlaskClient, site: Flask, stub: Stub) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.mimetype == "text/html"
        assert (shown(answer.text) or {})["page_url"] == path  # type: ignore[index]
    assert ("page_view", {"theme": "data", "path": "/cv"}, "/cv?theme=data") in events(site, stub)
    assert len(events(site, stub)) == len(PAGES)


def test_what_the_page_says_is_what_was_recorded(client: FlaskClient, site: Flask, stub: Stub) -> None:
    page = client.get("/cv?theme=backend&secret=1&utm_source=x", headers={"Referer": "https://a.example/?q=1"}).text
    assert events(site, stub)
    (event,) = stub.received[0].events
    assert shown(page) == {name: event[name] for name in ("event_type", "event_data", "page_url", "referrer")}


def test_who_asks_not_to_be_tracked_is_told_so(client: FlaskClient, site: Flask, stub: Stub) -> None:
    page = client.get("/cv", headers={"DNT": "1"}).text
    assert shown(page) is None
    assert "asks not to be tracked" in page
    assert events(site, stub) == []


def test_an_unknown_theme_or_page_is_not_found_and_not_recorded(client: FlaskClient, site: Flask, stub: Stub) -> None:
    for path in ("/cv?theme=%3Cscript%3E", "/cv?theme=", "/demo/nothing", "/demo/static/nothing", "/projects/none"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "<script>" not in answer.text
    assert client.delete("/cv").status_code == 405
    assert events(site, stub) == []


def test_a_letter_is_written_once_and_can_be_linked_to(client: FlaskClient, site: Flask, stub: Stub) -> None:
    answer = client.post("/letters", data={"kind": "anti_motivation", "company": " A & <b> ", "role": "data"})
    assert answer.status_code == 303
    page = client.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "Dear people of A &amp; &lt;b&gt;," in page.text
    assert "<b>" not in page.text
    assert events(site, stub) == [
        ("letter_generated", {"type": "anti_motivation", "role": "data"}, "/letters"),
        ("page_view", {"path": "/letters"}, "/letters"),
    ]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "motivation", "role": "data"},
        {"kind": "motivation", "company": "x" * 61, "role": "data"},
        {"kind": "other", "company": "Acme", "role": "data"},
        {"kind": "motivation", "company": "Acme", "role": "boss"},
    ],
)
def test_a_letter_that_cannot_be_written_is_said_and_not_counted(
    client: FlaskClient, site: Flask, stub: Stub, form: dict[str, str]
) -> None:
    answer = client.post("/letters", data=form)
    assert answer.status_code == 400
    assert events(site, stub) == []
    assert client.get("/letters", query_string={"kind": ""} | form).status_code == 400


def test_a_huge_form_is_refused(client: FlaskClient) -> None:
    assert client.post("/letters", data={"company": "x" * 20_000}).status_code == 413


def test_pages_run_under_a_policy_that_allows_nothing_inline(client: FlaskClient) -> None:
    for path in ("/", "/cv", "/letters", "/letters?kind=motivation&company=A&role=data", "/cv?theme=none"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self' ws://localhost:* ws://127.0.0.1:*" in policy, "examples can be tried in the console"
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "style=" not in answer.text
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=", answer.text)
        for address in re.findall(r'(?:src|href)="([^"]*)"', answer.text):
            assert not urlsplit(html.unescape(address)).netloc, "nothing comes from elsewhere"


def test_what_pages_load_is_there_and_changes_its_name_with_its_content(client: FlaskClient) -> None:
    page = client.get("/").text
    loaded = re.findall(r'(?:src|href)="(/demo/static/[^"]*)"', page)
    assert len(loaded) == 3
    for address in loaded:
        with client.get(html.unescape(address)) as answer:
            assert answer.status_code == 200
            assert "max-age=3600" in answer.headers["Cache-Control"]
            assert "?v=" in address


def test_links_lead_to_pages_that_exist(client: FlaskClient) -> None:
    own = set()
    for path in PAGES:
        own |= {html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"#]*)', client.get(path).text)}
    for link in own - {""}:
        if not link.startswith(("/api/", "/metrics", "/dashboard", "/live")):
            assert client.get(link).status_code == 200
    assert {"/dashboard", "/live"} <= own, "both ways: the dashboard links back"
