"""docs/tracker.md: what it says to paste does what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page
from werkzeug.serving import make_server

from tests.browser.serving import Pages, Service
from tests.browser.tracked import ICON, Tracked

TEXT = (Path(__file__).parents[2] / "docs" / "tracker.md").read_text(encoding="utf-8")
PIECES = re.findall(r"```html\n(.*?)```", TEXT, re.S)
STAY = "<script>addEventListener('submit', (event) => event.preventDefault())</script><p>click me</p>"
# By a word of the piece: what there is to know once it was pasted, and each of its buttons pressed.
EXPECTED = (
    ("plan:", ["page_view", "signup"]),
    ("data-maicivy-event", ["page_view", "signup", "newsletter"]),
    ("data-hash", ["click"]),
    ("data-404", ["page_view", "not_found"]),
    ("", ["page_view"]),
)


@pytest.fixture(scope="module")
def server_environ() -> dict[str, str]:
    return {"MAICIVY_TRUSTED_PROXIES": "1"}


@pytest.fixture
def tracked(server: Service, pages: Pages) -> Tracked:
    return Tracked(server, pages)


@pytest.fixture
def proxy(tracked: Tracked) -> Iterator[Flask]:
    """The application that the doc has between pages and maicivy."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    names: dict[str, Any] = {"__name__": "tests.browser.test_tracker_doc"}
    exec(compile(code.replace("https://stats.example.org", tracked.server.url), "docs/tracker.md", "exec"), names)
    app: Flask = names["app"]
    return app


@pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))
def test_what_is_pasted_does_what_is_said(
    piece: str, page: Page, browse: Callable[..., Page], tracked: Tracked, proxy: Flask
) -> None:
    site = tracked.site
    pasted = piece.replace("https://stats.example.org", tracked.server.url).replace(
        "MC-0123456789", site.measurement_id
    )
    pasted = pasted.replace('"example.org"', f'"{site.domain}"')
    if "noscript" in piece:
        page = browse(java_script_enabled=False)
    elif "<script defer" not in piece:
        pasted += tracked.script()
    proxy.add_url_rule("/", view_func=lambda: f"<!doctype html><title>a</title>{ICON}<body>{STAY}{pasted}")
    expected = next(events for word, events in EXPECTED if word in piece)
    with served(proxy) as url:
        page.goto(f"{url}/#!/users/7")
        for button in page.locator("button, p").all():
            button.click()
        page.goto("about:blank")
        rows = tracked.events(len(expected), *expected)
    assert [row.event_type for row in rows] == expected
    assert {row.page_url.removeprefix(url) for row in rows} == {"/users/7" if "data-hash" in piece else "/"}
    assert len({row.visitor_id for row in tracked.server.events(site)}) == 1


def test_a_proxy_tells_whose_events_they_are(tracked: Tracked, proxy: Flask) -> None:
    client = proxy.test_client()
    body = json.dumps([{"event_type": "page_view", "site_id": tracked.site.id}])
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        assert client.post("/s/in", data=body, environ_base={"REMOTE_ADDR": address}).status_code == 202
    assert client.post("/s/in", data=body, headers={"DNT": "1"}).get_json()["accepted"] == 0
    assert client.post("/s/in", data="[]").status_code == 400
    first, second, third = [row.visitor_id for row in tracked.events(3)]
    assert first == third != second


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The application at a URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://shop.test:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
