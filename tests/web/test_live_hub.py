"""The hub of one process, site by site, on a real Valkey and with viewers of paper."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest
import redis

from maicivy.core.ports import Snapshot
from maicivy.storage.live import RedisLiveFeed
from maicivy.storage.redis_clients import blocking_redis, fast_redis
from maicivy.web import live_hub
from maicivy.web.live_hub import Hub
from maicivy.web.websocket import CloseCode, WebSocket
from tests.events import event
from tests.standalone.processes import wait_until


class Viewer:
    """Keeps the frames that it is offered."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.code = 0

    def offer(self, frame: bytes, events: int) -> None:
        self.frames.append(frame)

    def close(self, code: int) -> None:
        self.code = code


@pytest.fixture
def reads() -> Counter[int]:
    """Site -> how often its statistics were read."""
    return Counter()


@pytest.fixture
def closed_to() -> set[tuple[int, bool]]:
    """Site, and whether with the admin token: who may not watch."""
    return set()


@pytest.fixture
def hub(
    valkey_url: str,
    redis_client: redis.Redis,
    reads: Counter[int],
    closed_to: set[tuple[int, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Hub]:
    monkeypatch.setattr(live_hub, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(live_hub, "_POLL_S", 0.01)
    fast, blocking = fast_redis(valkey_url), blocking_redis(valkey_url)

    def read(site_id: int) -> Snapshot:
        reads[site_id] += 1
        return Snapshot(0, 0, site_id, 0, 0)

    hub = Hub(RedisLiveFeed(fast, blocking), read, lambda *who: who not in closed_to)
    yield hub
    hub._sites.clear()  # the viewers of paper cannot say goodbye
    hub.close()
    wait_until(lambda: not redis_client.pubsub_channels(), what="the subscription to end")
    fast.close()
    blocking.close()


def join(hub: Hub, site_id: int, *, trusted: bool = False) -> tuple[Viewer, WebSocket]:
    viewer = Viewer()
    joined = cast("WebSocket", viewer)
    hub.join(site_id, joined, f"place-{site_id}", hub.prepare(site_id), trusted=trusted)
    return viewer, joined


def test_a_site_is_listened_to_from_its_first_viewer_until_a_while_after_its_last(
    hub: Hub, redis_client: redis.Redis
) -> None:
    _, first = join(hub, 1)
    _, second = join(hub, 2)
    assert sorted(redis_client.pubsub_channels()) == [b"analytics:2:realtime", b"analytics:realtime"]
    assert redis_client.info("clients")["pubsub_clients"] == 1
    hub.leave(2, second)
    wait_until(lambda: redis_client.pubsub_channels() == [b"analytics:realtime"])
    hub.leave(2, second)
    hub.leave(1, first)
    wait_until(lambda: not redis_client.pubsub_channels())
    again, _ = join(hub, 2)
    RedisLiveFeed(redis_client, redis_client).publish([event("again", site_id=2)])
    wait_until(lambda: any(b"again" in frame for frame in again.frames))


def test_each_site_beats_for_itself(hub: Hub) -> None:
    viewers = {site_id: join(hub, site_id)[0] for site_id in (1, 2)}
    for site_id, viewer in viewers.items():
        wait_until(lambda frames=viewer.frames: len(frames) > 2)  # type: ignore[misc]
        payloads = [json.loads(frame[frame.index(b"{") :]) for frame in viewer.frames]
        assert [payload["type"] for payload in payloads[:3]] == ["initial_stats", "heartbeat", "heartbeat"]
        assert {payload["data"]["total_events"] for payload in payloads} == {site_id}


def test_who_may_no_longer_watch_is_told_goodbye_and_hears_nothing_more(
    hub: Hub, closed_to: set[tuple[int, bool]], redis_client: redis.Redis
) -> None:
    (stranger, _), (admin, _), (other, _) = join(hub, 1), join(hub, 1, trusted=True), join(hub, 2)
    closed_to.add((1, False))
    wait_until(lambda: stranger.code == CloseCode.POLICY)
    RedisLiveFeed(redis_client, redis_client).publish([event("secret")])
    wait_until(lambda: any(b"secret" in frame for frame in admin.frames))
    assert not any(b"secret" in frame for frame in stranger.frames + other.frames)
    assert admin.code == other.code == 0


def test_statistics_are_kept_for_a_moment_site_by_site(
    hub: Hub, reads: Counter[int], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "HEARTBEAT_S", 3600)
    monkeypatch.setattr(live_hub, "FRESH_S", 3600)
    viewer, _ = join(hub, 1)
    for site_id in (1, 2, 1, 2):
        hub.prepare(site_id)
    assert reads == {1: 1, 2: 1}
    RedisLiveFeed(redis_client, redis_client).publish([event()])
    wait_until(lambda: len(viewer.frames) > 1)
    for site_id in (1, 2):
        hub.stats(site_id)
    assert reads == {1: 2, 2: 1}
