"""The order of ingest, and that a failure or a death after any step loses and doubles nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis
import sqlalchemy as sa

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Event
from maicivy.core.periods import Period
from maicivy.errors import Unavailable
from maicivy.storage import inbox as inbox_module
from maicivy.storage import keys
from maicivy.storage.bell import BELL_S, RECENT_S
from tests.events import event, visitor_id


class Died(Exception):
    """Stands for kill -9."""


@pytest.fixture
def parts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maicivy]:
    monkeypatch.setattr(inbox_module, "CLAIM_AFTER_S", 0)  # what a dead worker read is there for the next at once
    parts = build(settings)
    yield parts
    parts.close()


def drain(parts: Maicivy) -> None:
    while parts.ingest.once("test", 0) or not parts.inbox.is_empty():
        pass


def stored_ids(parts: Maicivy) -> list[Any]:
    with parts.engine.connect() as connection:
        return list(connection.execute(sa.text("SELECT id FROM analytics_events ORDER BY created_at, id")).scalars())


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def dying_at(parts: Maicivy, monkeypatch: pytest.MonkeyPatch, step: str, *, before: bool) -> Iterator[None]:
    owner_name, _, method = step.partition(".")
    owner = getattr(parts, owner_name)
    real = getattr(owner, method)

    def die(*args: Any, **kwargs: Any) -> Any:
        if not before:
            real(*args, **kwargs)
        raise Died(step)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, die)
        yield


STEPS = ["store.store", "aggregates.apply", "live.publish", "inbox.remove"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [True, False])
def test_dying_before_or_after_any_step_loses_nothing_and_doubles_nothing(
    parts: Maicivy, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, step: str, before: bool
) -> None:
    parts.aggregation.catch_up()
    sent = [event(at=now(), visitor=n) for n in range(10)]
    parts.inbox.append(sent[:5])
    parts.inbox.append([*sent[5:], sent[0]])
    with dying_at(parts, monkeypatch, step, before=before), pytest.raises(Died):
        drain(parts)
    drain(parts)
    parts.aggregation.catch_up()
    assert sorted(stored_ids(parts)) == sorted(e.id for e in sent)
    today = now().date()
    assert redis_client.get(keys.stat(1, Period.DAY, today, "total_events")) == b"10"
    assert redis_client.hmget(keys.LEDGER, "received", "stored", "duplicate") == [b"11", b"10", b"1"]
    assert parts.inbox.status().events == 0


def test_garbage_in_the_stream_is_set_aside_and_its_neighbours_are_stored(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    good = event(at=now())
    parts.inbox.append([good])
    redis_client.xadd(keys.INBOX, {"n": 2, "3": b"\xc1 no MessagePack"})
    drain(parts)
    assert stored_ids(parts) == [good.id]
    with parts.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT reason FROM quarantine")).scalars().all() == ["unreadable"]


def test_events_are_announced_once_they_are_counted(parts: Maicivy, redis_client: redis.Redis) -> None:
    listener = redis_client.pubsub()
    listener.subscribe(keys.channel(1))
    assert listener.get_message(timeout=5)["type"] == "subscribe"
    sent = event("click", {"x": 1}, at=now())
    parts.inbox.append([sent])
    drain(parts)
    message = listener.get_message(timeout=5)
    assert msgspec.json.decode(message["data"])["type"] == "click"
    assert redis_client.get(keys.stat(1, Period.DAY, now().date(), "total_events")) == b"1"
    listener.close()


def test_a_visit_goes_on_under_its_id_after_midnight(parts: Maicivy) -> None:
    parts.aggregation.catch_up()
    before, after = now() - timedelta(minutes=20), now()
    old = visitor_id(1, before - timedelta(days=1))
    parts.inbox.append([msgspec.structs.replace(event(at=before), visitor_id=old)])
    drain(parts)
    continuing = msgspec.structs.replace(event(at=after, visitor=2), previous_visitor_id=old)
    stranger = msgspec.structs.replace(event(at=after, visitor=3), previous_visitor_id=visitor_id(9, before))
    parts.inbox.append([continuing, stranger])
    drain(parts)
    with parts.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, visitor_id FROM analytics_events")).all()
    who = dict(rows)  # type: ignore[arg-type]
    assert who[continuing.id] == old
    assert who[stranger.id] == stranger.visitor_id


def test_drain_ends_when_nothing_comes_and_lets_the_bell_go(parts: Maicivy, redis_client: redis.Redis) -> None:
    parts.inbox.append([event(at=now())])
    assert parts.ingest.drain(parts.bell, "test", 0.01, 5.0) is False
    assert not redis_client.exists(keys.BELL)
    assert len(stored_ids(parts)) == 1


def test_drain_makes_room_for_others_and_says_that_there_is_more(parts: Maicivy) -> None:
    for _ in range(3):
        parts.inbox.append([event(at=now())])
    assert parts.ingest.drain(parts.bell, "test", 0.01, 0.0) is True


def test_a_bell_is_held_until_whoever_held_it_has_been_silent_for_a_while(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    assert not parts.bell.is_held()
    parts.bell.hold()
    assert parts.bell.is_held()
    redis_client.pexpire(keys.BELL, (BELL_S - RECENT_S) * 1000)  # as if the worker had died two seconds ago
    assert not parts.bell.is_held()


def test_a_bell_that_rings_is_not_rung_again_until_it_goes_out(parts: Maicivy, redis_client: redis.Redis) -> None:
    assert parts.doorbell.ring_now()
    assert not parts.doorbell.ring_now()
    parts.bell.release()
    assert parts.doorbell.ring_now()
    assert 0 < redis_client.ttl(keys.BELL) <= 5


def drain_without_postgres(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Any) -> Any:
        raise Unavailable("postgres", "test")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "store", away)
        with pytest.raises(Unavailable):
            drain(parts)


def test_without_postgres_the_batch_stays_in_the_inbox(parts: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.inbox.append([event(at=now())])
    drain_without_postgres(parts, monkeypatch)
    assert parts.inbox.status().events == 1
    drain(parts)
    assert len(stored_ids(parts)) == 1


def test_a_batch_that_could_not_be_stored_does_not_wait_for_its_reader_to_be_taken_for_dead(
    parts: Maicivy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "CLAIM_AFTER_S", 3600)
    parts.inbox.append([event(at=now())])
    drain_without_postgres(parts, monkeypatch)
    assert parts.ingest.once("test", 0) == 1


def balance(parts: Maicivy, redis_client: redis.Redis) -> tuple[int, int]:
    """What the ledger says was received, and what became of it, once all has settled."""
    drain(parts)
    parts.aggregation.catch_up()
    parts.inbox.restore_received()
    counts = {name: int(n) for name, n in redis_client.hgetall(keys.LEDGER).items()}
    return counts.pop(b"received", 0), sum(counts.values())


@pytest.mark.parametrize("another_comes_first", [False, True])
@pytest.mark.parametrize("rebuilt_first", [False, True])
@pytest.mark.parametrize("moment", ["store.store", "aggregates.apply", "inbox.remove"])
def test_the_accounts_balance_when_redis_is_emptied_under_an_event_on_its_way(
    parts: Maicivy,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    rebuilt_first: bool,
    another_comes_first: bool,
) -> None:
    parts.inbox.append([event(at=now())])
    assert balance(parts, redis_client) == (1, 1)
    parts.inbox.append([event(at=now()) for _ in range(10)])
    owner_name, _, method = moment.partition(".")
    real = getattr(getattr(parts, owner_name), method)

    def emptied(*args: Any, **kwargs: Any) -> Any:
        redis_client.flushall()
        if another_comes_first:
            began = redis_client.time()[1] // 1000
            while redis_client.time()[1] // 1000 == began:
                pass  # entries are called by their millisecond, and a stream that is gone remembers no name
            parts.inbox.append([event(at=now())])
        if rebuilt_first:
            parts.aggregation.catch_up()
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(getattr(parts, owner_name), method, emptied)
        parts.ingest.once("test", 0)
    after = 11 + another_comes_first
    assert balance(parts, redis_client) == (after, after)
    assert len(stored_ids(parts)) == after
    parts.inbox.append([event(at=now())])
    assert balance(parts, redis_client) == (after + 1, after + 1)


def test_the_accounts_balance_after_redis_came_back_with_an_older_copy(
    parts: Maicivy, redis_client: redis.Redis
) -> None:
    parts.inbox.append([event(at=now())])
    assert balance(parts, redis_client) == (1, 1)
    parts.inbox.append([event(at=now())])
    older = {key: redis_client.dump(key) for key in redis_client.scan_iter()}  # with an event that waits
    parts.inbox.append([event(at=now()) for _ in range(5)])
    assert balance(parts, redis_client) == (7, 7)
    redis_client.flushall()
    for key, value in older.items():
        redis_client.restore(key, 0, value)
    assert balance(parts, redis_client) == (7, 7)
    assert len(stored_ids(parts)) == 7


def test_a_late_event_lands_on_its_own_day(parts: Maicivy, redis_client: redis.Redis) -> None:
    late: list[Event] = [event(at=now() - timedelta(days=40))]
    parts.inbox.append(late)
    drain(parts)
    day = (now() - timedelta(days=40)).date()
    assert redis_client.get(keys.stat(1, Period.DAY, day, "total_events")) == b"1"
    assert time.time() < redis_client.expiretime(keys.stat(1, Period.DAY, day, "total_events"))
