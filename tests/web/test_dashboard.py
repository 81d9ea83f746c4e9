"""`/dashboard`: pages that show what the query API answers, who may see them, and whatever may be in their URLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.web import create_app

TOKEN = "0123456789abcdef"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(replace(settings, event_rate_limit=0, admin_token=TOKEN))
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def send(parts: Maicivy, client: FlaskClient, *pages: str, **more: object) -> None:
    for page in pages:
        body = {"event_type": "page_view", "page_url": page} | more
        assert client.post("/api/v1/analytics/event", json=body, headers={"User-Agent": BROWSER}).status_code == 202
    while not parts.inbox.is_empty():
        parts.ingest.once("test", 0)


def test_the_only_public_site_is_shown_at_once(parts: Maicivy, client: FlaskClient) -> None:
    response = client.get("/dashboard?period=7d")
    reference = parts.site_directory.book(parts.now()).default.measurement_id
    assert (response.status_code, response.location) == (302, f"/dashboard/{reference}?period=7d")


def test_a_page_shows_what_was_sent(parts: Maicivy, client: FlaskClient) -> None:
    send(parts, client, "/", "/cv", "/cv")
    response = client.get("/dashboard/1")
    assert response.status_code == 200, response.text
    assert "/cv" in response.text
