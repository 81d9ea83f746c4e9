"""The pages for people: complete, self-contained, and safe to open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from maicivy.bootstrap import build
from maicivy.config import Settings
from maicivy.web import create_app
from maicivy.web.openapi import document
from maicivy.web.openapi.error_codes import CODES
from maicivy.web.pages import pretty, prose
from tests.geo.mmdb import write

PAGES = ["/", "/api/docs"]


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    parts = build(settings)
    yield create_app(parts).test_client()
    parts.close()


class Page(HTMLParser):
    """What a page links to, which elements it is made of, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_runs_no_script(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    page = Page(response.text)
    assert not page.tags & {"script", "style", "img", "iframe", "form", "object"}
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.links)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'self'" in policy
    assert "connect-src 'self' ws://localhost:* ws://127.0.0.1:*" in policy, "examples can be tried in the console"
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_somewhere(client: FlaskClient, path: str) -> None:
    page = Page(client.get(path).text)
    assert len(page.ids) == len(set(page.ids))
    for link in set(page.links):
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert client.get(link, follow_redirects=True).status_code in (200, 503), link


def test_the_docs_page_shows_every_path_and_every_error_code(client: FlaskClient) -> None:
    text = client.get("/api/docs").text
    for path in document()["paths"]:
        assert f'<code class="path">{path}</code>' in text
    for code in CODES:
        assert f"<code>{code}</code>" in text
    assert "None" not in re.sub(r"If-None-Match", "", text)
    assert "Undefined" not in text


def test_the_examples_name_the_host_that_was_asked(client: FlaskClient) -> None:
    text = client.get("/api/docs", headers={"Host": "stats.example:8443"}).text
    assert "http://stats.example:8443/api/v1/analytics" in text
    assert "ws://stats.example:8443/ws/analytics" in text


def test_a_host_cannot_put_markup_into_the_page(client: FlaskClient) -> None:
    assert "<script" not in client.get("/api/docs", headers={"Host": 'a"><script>'}).text


def test_the_stylesheet_is_a_stylesheet_of_ours(client: FlaskClient) -> None:
    response = client.get("/api/docs.css")
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert "@import" not in response.text
    assert "url(" not in response.text


@pytest.mark.parametrize("path", [*PAGES, "/api/docs.css", "/api/openapi.json"])
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path, headers={"Accept-Encoding": "gzip"})
    again = client.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_document_is_served_as_it_is_made(client: FlaskClient) -> None:
    assert client.get("/api/openapi.json").get_json() == document()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b` c", "a <code>b</code> c"),
        ("<b>", "&lt;b&gt;"),
        ("`<b>` & `c`", "<code>&lt;b&gt;</code> &amp; <code>c</code>"),
    ],
)
def test_prose_marks_code_and_escapes_the_rest(text: str, html: str) -> None:
    assert str(prose(text)) == html


def test_short_objects_stay_on_one_line() -> None:
    assert pretty({"a": 1, "b": [1, 2]}) == '{"a": 1, "b": [1, 2]}'
    assert pretty({"a": "x" * 60, "b": {"c": 1}}) == '{\n  "a": "' + "x" * 60 + '",\n  "b": {"c": 1}\n}'
    assert pretty([]) == "[]"


def test_the_pages_name_whom_the_licence_of_the_places_wants_named(settings: Settings) -> None:
    parts = build(settings)
    client = create_app(parts).test_client()
    assert all(b"DB-IP" not in client.get(path).data for path in ("/", "/api/docs"))
    write(settings.geo_db / "a.mmdb", {"8.8.8.0/24": {"country_code": "US"}}, kind="DBIP-City-Lite")
    for path in ("/", "/api/docs"):
        assert (
            b'<a href="https://db-ip.com" rel="noopener noreferrer">IP geolocation by DB-IP</a>'
            in client.get(path).data
        )
    parts.close()
