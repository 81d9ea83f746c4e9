"""A read that goes past Flask's dispatch is answered as its route answers it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis
from flask import Flask
from werkzeug.test import TestResponse

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.storage import keys
from maicivy.web import create_app, reports, shortcut

BASE = "/api/v1/analytics"
OF_THE_REQUEST = {"Date", "X-Request-ID"}

PATHS = [
    *(path if path != f"{BASE}/stats" else f"{path}?period=week" for path in reports.QUESTIONS),
    f"{BASE}/stats",
    f"{BASE}/stats?period=year",
    f"{BASE}/stats?period=day&period=day",
    f"{BASE}/themes?limit=20",
    f"{BASE}/themes?limit=%32",
    f"{BASE}/themes?limit=\xff",
    f"{BASE}/themes?%6cimit=3;x",
    f"{BASE}/timeline?offset=3&before=2025-12-08T12:34:56Z",
    f"{BASE}/heatmap?page=%2Fcv%3Ftheme%3Dbackend&hours=168",
    f"{BASE}/export/letters?format=xml",
]
HEADERS: list[dict[str, str]] = [
    {},
    {"Accept-Encoding": "gzip, deflate, br, zstd"},
    {"Accept-Encoding": "br"},
    {"Accept-Encoding": "gzip;q=0"},
    {"Accept-Encoding": "*"},
    {"If-None-Match": 'W/"0123456789abcdef01234567"'},
    {"If-None-Match": "*"},
    {"If-Match": '"x"'},
    {"Range": "bytes=0-3"},
]


@pytest.fixture
def parts(settings: Settings, redis_client: redis.Redis) -> Iterator[Maicivy]:
    parts = build(settings)
    redis_client.zadd(keys.themes(1), {f"a theme with a rather long name, number {n}": n + 1 for n in range(20)})
    yield parts
    parts.close()


@pytest.fixture
def app(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> Flask:
    now = datetime.now(UTC)
    monkeypatch.setattr(Maicivy, "now", lambda _self: now)
    return create_app(parts)


def both(app: Flask, path: str, headers: dict[str, str]) -> tuple[TestResponse, TestResponse]:
    """The answer of the short way, and that of the route."""
    client = app.test_client()
    short = client.get(path, headers=headers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcut, "_is_plain", lambda _environ: False)
        return short, client.get(path, headers=headers)


def seen(response: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in response.headers.items() if name not in OF_THE_REQUEST}
    body = response.data
    if headers.get("Content-Encoding") == "gzip":
        del headers["Content-Length"]  # the time of day is in it
        body = gzip.decompress(body)
    return response.status_code, body, headers


@pytest.mark.parametrize("path", PATHS)
def test_the_short_way_and_the_route_give_one_answer(app: Flask, path: str) -> None:
    for headers in HEADERS:
        short, routed = both(app, path, headers)
        assert seen(short) == seen(routed), headers
        if "ETag" in short.headers:
            short, routed = both(app, path, {**headers, "If-None-Match": short.headers["ETag"]})
            assert seen(short) == seen(routed), headers


def test_the_short_way_is_taken_by_plain_reads(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "full_dispatch_request", None)  # which fails when it is called
    client = app.test_client()
    for headers in HEADERS[:3]:
        assert client.get(f"{BASE}/themes?limit=20", headers=headers).status_code == 200
    assert client.get(f"{BASE}/themes?limit=21").status_code == 400


def test_a_large_answer_is_compressed_once_for_all_who_share_it() -> None:
    answer = reports.Answer(b"x" * 5000, "application/json")
    assert gzip.decompress(answer.gzipped) == answer.body
    assert answer.gzipped is answer.gzipped
