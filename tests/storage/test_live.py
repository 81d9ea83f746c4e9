"""The live channel on a real Valkey: who hears what, and how many may listen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from maicivy.core.events import announcement
from maicivy.errors import Unavailable
from maicivy.storage.live import (
    ANNOUNCED_BYTES,
    ANNOUNCED_EVENTS,
    CONTROL_TYPES,
    RedisLiveFeed,
    WantedSites,
    gap,
)
from maicivy.storage.redis_clients import blocking_redis, fast_redis
from tests.events import event
from tests.standalone.processes import wait_until


class Listener:
    """Collects what `listen` yields, on a thread, as (site, message)."""

    def __init__(self, feed: RedisLiveFeed, *site_ids: int) -> None:
        self.heard: list[tuple[int, dict[str, Any]]] = []
        self.until = threading.Event()
        self.wanted = WantedSites(site_ids)
        self.thread = threading.Thread(target=self._run, args=(feed,))
        self.thread.start()
        assert all(self.wanted.wait(site_id, 10) for site_id in site_ids)

    def _run(self, feed: RedisLiveFeed) -> None:
        for together in feed.listen(self.wanted, self.until):
            self.heard += [(site_id, json.loads(message)) for site_id, message in together]

    def wait_for(self, count: int) -> list[tuple[int, dict[str, Any]]]:
        wait_until(lambda: len(self.heard) >= count, what=f"{count} messages")
        return self.heard

    def stop(self) -> None:
        self.until.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def feed(valkey_url: str, redis_client: redis.Redis) -> Iterator[RedisLiveFeed]:
    fast, blocking = fast_redis(valkey_url), blocking_redis(valkey_url)
    yield RedisLiveFeed(fast, blocking)
    fast.close()
    blocking.close()


@pytest.fixture
def listener(feed: RedisLiveFeed) -> Iterator[Listener]:
    listener = Listener(feed, 1, 2)
    yield listener
    listener.stop()


def published(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))


def test_events_are_heard_in_order_as_announcements_of_their_site(feed: RedisLiveFeed, listener: Listener) -> None:
    events = [
        event(data={"n": 1, "text": "é \U0001f600"}),
        event("button_click", {"n": 2}, site_id=2),
        event(data={"n": 3}),
    ]
    feed.publish(events)
    heard = listener.wait_for(3)
    assert [m for site, m in heard if site == 1] == [announcement(events[0]), announcement(events[2])]
    assert [m for site, m in heard if site == 2] == [announcement(events[1])]


def test_channels_are_those_of_the_protocol(redis_client: redis.Redis, listener: Listener) -> None:
    assert sorted(redis_client.pubsub_channels()) == [b"analytics:2:realtime", b"analytics:realtime"]


def test_a_site_that_nobody_asked_for_is_not_heard(feed: RedisLiveFeed, listener: Listener) -> None:
    feed.publish([event(site_id=3), event(data={"mine": True})])
    assert listener.wait_for(1)[0][1]["data"] == {"mine": True}


def test_what_is_wanted_may_change_while_listening(
    feed: RedisLiveFeed, listener: Listener, redis_client: redis.Redis
) -> None:
    listener.wanted.add(3)
    listener.wanted.add(3)
    assert listener.wanted.wait(3, 10)
    feed.publish([event(site_id=site_id) for site_id in (1, 2, 3, 4)])
    assert [site_id for site_id, _ in listener.wait_for(3)] == [1, 2, 3]
    listener.wanted.discard(2)
    listener.wanted.discard(2)
    wait_until(lambda: b"analytics:2:realtime" not in redis_client.pubsub_channels())
    feed.publish([event(site_id=site_id) for site_id in (2, 3)])
    assert listener.wait_for(4)[-1][0] == 3
    assert not listener.wanted.wait(2, 0)


def test_a_listener_that_wants_nothing_yet_waits(feed: RedisLiveFeed) -> None:
    listener = Listener(feed)
    listener.wanted.add(1)
    assert listener.wanted.wait(1, 10)
    feed.publish([event()])
    assert listener.wait_for(1)[0][0] == 1
    listener.stop()


def test_what_was_wanted_while_the_connection_was_gone_is_heard_on_the_next(
    feed: RedisLiveFeed, listener: Listener, redis_client: redis.Redis
) -> None:
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    listener.wanted.add(5)
    listener.wanted.discard(1)
    assert all(listener.wanted.wait(site_id, 10) for site_id in (2, 5))
    wait_until(lambda: sorted(redis_client.pubsub_channels()) == [b"analytics:2:realtime", b"analytics:5:realtime"])
    feed.publish([event(site_id=5)])
    assert listener.wait_for(1)[0][0] == 5


def test_nothing_is_published_when_nobody_listens(feed: RedisLiveFeed, redis_client: redis.Redis) -> None:
    redis_client.config_resetstat()
    feed.publish([event()])
    feed.publish([])
    assert published(redis_client) == 0


def test_an_event_named_like_a_message_of_the_server_is_not_announced(feed: RedisLiveFeed, listener: Listener) -> None:
    feed.publish([*(event(name, {"current_visitors": 10**6}) for name in sorted(CONTROL_TYPES)), event("error")])
    assert [m["type"] for _, m in listener.wait_for(1)] == ["error"]


@pytest.mark.parametrize(("count", "gaps"), [(ANNOUNCED_EVENTS, []), (ANNOUNCED_EVENTS + 1, [1]), (2000, [1500])])
def test_of_too_many_events_the_newest_are_announced_after_a_gap(
    feed: RedisLiveFeed, listener: Listener, count: int, gaps: list[int]
) -> None:
    feed.publish([event(data={"n": n}) for n in range(count)])
    messages = [m for _, m in listener.wait_for(ANNOUNCED_EVENTS + len(gaps))]
    assert [m["dropped"] for m in messages[: len(gaps)]] == gaps
    assert [m["data"]["n"] for m in messages[len(gaps) :]] == list(range(count - ANNOUNCED_EVENTS, count))


def test_of_too_many_bytes_the_newest_are_announced_after_a_gap(feed: RedisLiveFeed, listener: Listener) -> None:
    size = 50_000
    feed.publish([event(data={"n": n, "text": "x" * size}) for n in range(40)])
    wait_until(lambda: any(m.get("data", {}).get("n") == 39 for _, m in listener.heard))
    messages = [m for _, m in listener.heard]
    assert messages[0] == {"type": "gap", "dropped": 41 - len(messages)}
    assert ANNOUNCED_BYTES - 2 * size < size * (len(messages) - 1) <= ANNOUNCED_BYTES


def test_the_gap_message_is_that_of_the_protocol() -> None:
    assert json.loads(gap(12)) == {"type": "gap", "dropped": 12}


def test_a_subscription_that_is_cut_comes_back(
    feed: RedisLiveFeed, listener: Listener, redis_client: redis.Redis
) -> None:
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def heard() -> bool:
        feed.publish([event()])
        return bool(listener.heard)

    wait_until(heard)


def test_listening_ends_when_told_and_leaves_no_subscriber(feed: RedisLiveFeed, redis_client: redis.Redis) -> None:
    listener = Listener(feed, 1)
    listener.stop()
    wait_until(lambda: redis_client.pubsub_numsub("analytics:realtime") == [(b"analytics:realtime", 0)])


def test_listening_to_a_server_that_is_away_goes_on_until_told(valkey_url: str) -> None:
    with blocking_redis("unix:///nonexistent/valkey.sock") as away, fast_redis(valkey_url) as fast:
        until = threading.Event()
        thread = threading.Thread(target=lambda: list(RedisLiveFeed(fast, away).listen(WantedSites([1]), until)))
        thread.start()
        until.set()
        thread.join(10)
        assert not thread.is_alive()


def test_everything_about_a_server_that_is_away_is_unavailable() -> None:
    with fast_redis("unix:///nonexistent/valkey.sock") as away:
        feed = RedisLiveFeed(away, away)
        for attempt in (
            lambda: feed.publish([event()]),
            lambda: feed.places.take("a", 1),
            lambda: feed.places.renew(["a"]),
            lambda: feed.places.leave("a"),
            feed.places.taken,
        ):
            with pytest.raises(Unavailable):
                attempt()
