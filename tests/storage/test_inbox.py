"""The inbox on a real Valkey: what is appended comes out, once per reader that finishes, within its bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from maicivy.core.events import Event, decode
from maicivy.core.ports import Entry, Sender
from maicivy.errors import InboxFull, RateLimited, Unavailable
from maicivy.storage import inbox as inbox_module
from maicivy.storage import keys
from maicivy.storage.inbox import RedisInbox
from maicivy.storage.redis_clients import blocking_redis, fast_redis
from tests.events import event
from tests.storage.silent_server import SilentServer

MakeInbox = Callable[..., RedisInbox]


@pytest.fixture
def make_inbox(valkey_url: str, redis_client: redis.Redis) -> MakeInbox:
    def make(max_bytes: int = 1 << 20) -> RedisInbox:
        return RedisInbox(fast_redis(valkey_url), blocking_redis(valkey_url), max_bytes)

    return make


def events_of(entries: list[Entry]) -> list[Event]:
    return [event for entry in entries for payload in entry.payloads for event in decode(payload)]


def read_all(inbox: RedisInbox, consumer: str = "a") -> list[Entry]:
    inbox.read(consumer, 1, 0)  # the first read makes the group
    return inbox.read(consumer, 100_000, 0)


def test_what_is_appended_is_read_in_order_and_gone_when_removed(make_inbox: MakeInbox) -> None:
    inbox = make_inbox()
    first, second, third = event(), event("click", {"x": 1}), event()
    inbox.append([first, second])
    inbox.append([third])
    status = inbox.status()
    assert (status.events, status.size > 0, status.oldest_s >= 0) == (3, True, True)
    entries = read_all(inbox)
    assert events_of(entries) == [first, second, third]
    assert status.size == sum(entry.size for entry in entries)
    inbox.remove(entries)
    inbox.remove(entries)
    assert inbox.status().events == inbox.status().size == 0
    assert inbox.read("a", 10, 0) == []


def test_an_entry_belongs_to_one_reader_until_it_is_idle(
    make_inbox: MakeInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make_inbox()
    inbox.append([event()])
    assert len(read_all(inbox, "dies")) == 1
    assert inbox.read("other", 10, 0) == []
    monkeypatch.setattr(inbox_module, "CLAIM_AFTER_S", 0)
    assert len(inbox.read("other", 10, 0)) == 1


def test_what_is_given_back_is_there_for_the_next_reader_at_once(make_inbox: MakeInbox) -> None:
    inbox = make_inbox()
    inbox.append([event()])
    entries = read_all(inbox)
    assert inbox.read("a", 10, 0) == inbox.read("other", 10, 0) == []
    inbox.release("a", entries)
    assert inbox.read("other", 10, 0) == entries
    inbox.release("other", entries)
    inbox.remove(entries)
    inbox.release("other", entries)
    inbox.release("other", [])
    assert inbox.read("a", 10, 0) == []


def ledger(client: redis.Redis) -> dict[str, int]:
    return {name.decode(): int(n) for name, n in client.hgetall(keys.LEDGER).items()}


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        ({}, 0),
        ({"received": 5}, 0),
        ({"received": 10, "stored": 5, "duplicate": 3, "quarantined": 1, "rejected:empty": 1}, 0),
        ({"received": 9, "stored": 5, "duplicate": 2, "rejected:empty": 1}, 0),
        ({"received": 4, "stored": 5, "duplicate": 3, "quarantined": 2, "shed": 7, "rejected:empty": 11}, 24),
        ({"stored": 5}, 5),
    ],
)
def test_only_a_ledger_that_settled_more_than_it_received_is_mended(
    make_inbox: MakeInbox, redis_client: redis.Redis, before: dict[str, int], missing: int
) -> None:
    if before:
        redis_client.hset(keys.LEDGER, mapping=before)
    inbox = make_inbox()
    assert inbox.restore_received() == missing
    assert inbox.restore_received() == 0
    assert ledger(redis_client) == (before | {"received": before.get("received", 0) + missing} if missing else before)


def test_the_ledger_is_left_alone_while_an_event_is_under_way(
    make_inbox: MakeInbox, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make_inbox()
    inbox.append([event()])
    redis_client.hset(keys.LEDGER, "stored", 7)
    entries = read_all(inbox)
    assert inbox.restore_received() == 0
    inbox.remove(entries)
    assert inbox.restore_received() == 6
    (record,) = caplog.records
    assert (record.message, record.events) == ("ledger_received_restored", 6)  # type: ignore[attr-defined]


def test_concurrent_appends_share_calls_and_all_arrive(make_inbox: MakeInbox, redis_client: redis.Redis) -> None:
    inbox = make_inbox(64 << 20)
    sent = [event() for _ in range(400)]
    threads = [threading.Thread(target=lambda part=sent[i::20]: [inbox.append([e]) for e in part]) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    entries = read_all(inbox)
    assert {e.id for e in events_of(entries)} == {e.id for e in sent}
    assert len(entries) < len(sent)
    assert int(redis_client.hget(keys.LEDGER, "received") or 0) == len(sent)


def test_beyond_the_limit_nothing_is_appended_and_the_wait_is_told(
    make_inbox: MakeInbox, redis_client: redis.Redis
) -> None:
    inbox = make_inbox()
    sender = Sender(b"client", 3)
    for _ in range(3):
        inbox.append([event()], sender)
    with pytest.raises(RateLimited) as refused:
        inbox.append([event()], sender)
    assert 1 <= refused.value.retry_after_s <= 60
    inbox.append([event()], Sender(b"someone else", 3))
    inbox.append([event()], Sender(b"client", 0))
    assert inbox.status().events == 5
    assert redis_client.hget(keys.LEDGER, "received") == b"5"


def test_a_batch_larger_than_the_limit_passes_once_and_pays_with_longer_windows(
    make_inbox: MakeInbox, redis_client: redis.Redis
) -> None:
    inbox = make_inbox()
    sender = Sender(b"client", 10)
    inbox.append([event() for _ in range(35)], sender)
    assert 180 < redis_client.ttl(keys.rate(b"client")) <= 240
    with pytest.raises(RateLimited):
        inbox.append([event()], sender)


def test_a_full_inbox_refuses_whole_submissions(make_inbox: MakeInbox) -> None:
    inbox = make_inbox(max_bytes=1000)
    with pytest.raises(InboxFull):
        inbox.append([event() for _ in range(50)])
    inbox.append([event()])
    assert inbox.status().events == 1


def test_an_emptied_redis_is_taken_as_an_empty_inbox(make_inbox: MakeInbox, redis_client: redis.Redis) -> None:
    inbox = make_inbox()
    inbox.append([event()])
    read_all(inbox)
    redis_client.flushall()
    redis_client.script_flush()
    inbox.append([event()])
    assert len(read_all(inbox)) == 1
    assert inbox.status().events == 1


def test_a_dead_redis_is_unavailable_within_seconds_for_all_callers(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    inbox = RedisInbox(fast_redis(url), blocking_redis(url), 1 << 20)
    outcomes: list[type[Exception]] = []

    def attempt() -> None:
        with pytest.raises(Unavailable) as refused:
            inbox.append([event()])
        outcomes.append(refused.type)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [Unavailable] * 20
    assert time.monotonic() - started < 10  # a bound against hanging, not a figure


def test_those_who_wait_behind_an_append_that_fails_fail_with_it(tmp_path: Path) -> None:
    server = SilentServer(tmp_path)
    inbox = RedisInbox(fast_redis(server.url), blocking_redis(server.url), 1 << 20)
    outcomes: list[type[Exception]] = []

    def attempt() -> None:
        with pytest.raises(Unavailable) as refused:
            inbox.append([event()])
        outcomes.append(refused.type)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    server.close()
    assert outcomes == [Unavailable] * 20
    assert server.came <= 2  # a thread may come late


def test_names_of_dead_consumers_are_forgotten(make_inbox: MakeInbox, redis_client: redis.Redis) -> None:
    inbox = make_inbox()
    inbox.append([event()])
    inbox.remove(read_all(inbox, "gone"))
    assert inbox.forget_idle_consumers(-1) == 1
    assert redis_client.xinfo_consumers(keys.INBOX, keys.INBOX_GROUP) == []
