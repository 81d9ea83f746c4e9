"""The hook and a real maicivy: both transports, and the demo beside the product, name the same visitor."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from maicivy.core.events import Event, decode
from maicivy.core.identity import visitor
from maicivy.storage import keys
from maicivy.storage.redis_clients import fast_redis
from maicivy.storage.salts import RedisSaltBox
from maicivy.tracking import Analytics
from tests.live_server import Server
from tests.standalone.processes import wait_until

SECRET = "0123456789abcdef0123456789abcdef"  # as tests/live_server.py sets it
TOKEN = "a-token-of-some-length"

pytestmark = pytest.mark.e2e


@pytest.fixture
def maicivy(tmp_path: Path, valkey_url: str, database_url: str, redis_client: redis.Redis) -> Iterator[Server]:
    server = Server(tmp_path, valkey_url, database_url, MAICIVY_INGEST_TOKEN=TOKEN, MAICIVY_DEMO="1")
    yield server
    server.stop()


def get(server: Server, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()


def inbox(client: redis.Redis) -> list[Event]:
    entries: Any = client.xrange(keys.INBOX)
    payloads = [payload for _, fields in entries for name, payload in fields.items() if name != b"n"]
    return [event for payload in payloads for event in decode(payload)]


def site(**options: Any) -> tuple[Flask, Analytics]:
    app = Flask("host")
    app.get("/page")(lambda: "<p>page</p>")
    return app, Analytics(app, linger_s=0.0, **options)


def test_both_transports_and_the_demo_name_one_visitor_alike(
    maicivy: Server, valkey_url: str, redis_client: redis.Redis
) -> None:
    over_http, http_hook = site(url=f"http://127.0.0.1:{maicivy.port}", token=TOKEN)
    inside, inbox_hook = site(redis_url=valkey_url, secret_key=SECRET)
    for app in (over_http, inside):
        app.test_client().get("/page", headers={"User-Agent": "B"}, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert http_hook.flush(10)
    assert inbox_hook.flush(10)
    assert http_hook.stats()["sent"] == inbox_hook.stats()["sent"] == 1
    assert get(maicivy, "/cv?theme=data", User_Agent="B")[0] == 200
    wait_until(lambda: len(inbox(redis_client)) == 3, 10, "the demo's own page view")
    salts = RedisSaltBox(fast_redis(valkey_url), SECRET).current(datetime.now(UTC))
    assert {event.visitor_id for event in inbox(redis_client)} == {visitor(salts, 1, "", "127.0.0.1", "B").id}
    assert sorted(event.page_url for event in inbox(redis_client)) == ["/cv?theme=data", "/page", "/page"]
    for hook in (http_hook, inbox_hook):
        hook.close()


def test_an_event_with_the_wrong_token_is_refused_and_counted(maicivy: Server, redis_client: redis.Redis) -> None:
    app, analytics = site(url=f"http://127.0.0.1:{maicivy.port}", token="another-token-of-some-length")
    app.test_client().get("/page")
    assert analytics.flush(10)
    assert analytics.stats()["dropped"] == {"refused": 1}
    assert inbox(redis_client) == []
    analytics.close()


def test_views_wait_while_maicivy_is_stopped_and_arrive_once(maicivy: Server, redis_client: redis.Redis) -> None:
    app, analytics = site(url=f"http://127.0.0.1:{maicivy.port}", token=TOKEN, timeout_s=0.5)
    app.test_client().get("/page")
    assert analytics.flush(10)
    worker = int(Path(f"/proc/{maicivy.process.pid}/task/{maicivy.process.pid}/children").read_text().split()[0])
    os.kill(worker, signal.SIGSTOP)
    try:
        assert [app.test_client().get("/page").status_code for _ in range(30)] == [200] * 30
        assert analytics.stats()["queued"] == 30
    finally:
        os.kill(worker, signal.SIGCONT)
    assert analytics.flush(30)
    assert analytics.stats()["sent"] == 31
    assert len({event.id for event in inbox(redis_client)}) == 31
    analytics.close()


def test_the_product_is_beside_the_demo(maicivy: Server) -> None:
    assert "maicivy" in get(maicivy, "/")[1]
    assert get(maicivy, "/api/v1/analytics/realtime")[0] == 200
    assert get(maicivy, "/healthz")[0] == 200
    assert '"not_found"' in get(maicivy, "/nothing")[1]
