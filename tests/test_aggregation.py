"""Redis equals Postgres: by catching up, after every way of losing step, and by comparison."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from maicivy.aggregation import Aggregation, Standing
from maicivy.core.events import Event, Traits
from maicivy.core.periods import Period
from maicivy.core.ports import Parcel
from maicivy.core.tallies import Tally, tally
from maicivy.storage import keys
from maicivy.storage.aggregates import RedisAggregates
from maicivy.storage.counters import RedisCounters
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.recount import Recount
from tests.events import event

PARIS = ZoneInfo("Europe/Paris")
LAST_YEAR = datetime.now(UTC).year  # Redis deletes by its own clock, so the story is set in days to come
NOW = datetime(LAST_YEAR, 12, 31, 23, 30, tzinfo=UTC)  # already the next year in Paris
TODAY = date(LAST_YEAR + 1, 1, 1)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
_receipts = count(1)


@pytest.fixture
def store(engine: sa.Engine) -> PostgresEventStore:
    return PostgresEventStore(engine, PARIS)


@pytest.fixture
def aggregation(store: PostgresEventStore, redis_client: redis.Redis) -> Aggregation:
    return Aggregation(store, RedisAggregates(redis_client, PARIS), lambda: NOW)


def save(store: PostgresEventStore, *events: Event) -> None:
    store.store([Parcel(f"{next(_receipts)}-0", len(events), list(events), [])])


def by_browser(one: Event) -> Event:
    return msgspec.structs.replace(one, traits=Traits(user_agent=BROWSER))


def mixture(start: datetime = NOW) -> list[Event]:
    return [
        event(at=start, visitor=1, page_url="/cv?theme=backend", data={"theme": "backend"}),
        event(at=start, visitor=2, page_url="https://example.org"),
        event("letter_generated", {"type": "motivation"}, at=start, visitor=2),
        event("letter_generated", {"type": "anti_motivation", "theme": ""}, at=start - timedelta(hours=2), visitor=3),
        event("letter_generated", {"type": 7, "theme": 7}, at=start - timedelta(days=8), visitor=3),
        event("click", {"theme": "backend"}, at=start - timedelta(days=40), visitor=4),
    ]


def aggregates(client: redis.Redis) -> dict[bytes, object]:
    """Everything that is derived, in a form that can be compared; days that have changed are none of it."""
    found: dict[bytes, object] = {}
    for key in [key for prefix in ("analytics", "metrics", "realtime") for key in client.keys(f"{prefix}:*")]:
        if key.endswith(b":changed"):
            continue
        kind = client.type(key)
        if kind == b"hash":
            found[key] = client.hgetall(key)
        elif kind == b"zset":
            found[key] = client.zrange(key, 0, -1, withscores=True)
        elif b"unique" in key:
            found[key] = client.pfcount(key)
        else:
            found[key] = client.get(key)
        assert key.endswith((b"totals", b"top")) or client.ttl(key) > 0
    return found


def test_seed_keys_hold_what_happened(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    save(store, *mixture())
    assert aggregation.catch_up() is Standing.REBUILT
    week, earlier_week = (f"{d.isocalendar()[0]}-W{d.isocalendar()[1]:02d}" for d in (TODAY, TODAY - timedelta(days=8)))
    stats = "analytics:stats"
    assert redis_client.get(f"{stats}:day:{TODAY}:total_events") == b"3"
    assert redis_client.get(f"{stats}:day:{LAST_YEAR}-12-31:letters_generated:anti_motivation") == b"1"
    assert redis_client.get(f"{stats}:week:{week}:total_events") == (b"4" if TODAY.weekday() else b"3")
    assert redis_client.get(f"{stats}:week:{earlier_week}:letters_generated") == b"1"
    assert redis_client.get(f"{stats}:month:{LAST_YEAR + 1}-01:events:page_view") == b"2"
    assert redis_client.pfcount(f"analytics:visitors:unique:day:{TODAY}") == 2
    assert redis_client.pfcount(f"analytics:visitors:unique:month:{LAST_YEAR + 1}-01") == 2
    assert redis_client.zscore("analytics:themes:top", "backend") == 2
    assert redis_client.hget(keys.totals(1), "path:/") == b"1"
    assert redis_client.hget(keys.totals(1), "visitors") == b"5"
    assert redis_client.zcard("analytics:realtime:visitors") == 2
    assert redis_client.expiretime(keys.stat(1, Period.DAY, TODAY, "total_events")) == int(
        datetime(LAST_YEAR + 1, 1, 2, tzinfo=PARIS).timestamp() + 90 * 86_400
    )


def test_avilas_keys_hold_what_happened(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    aggregation.catch_up()
    for one in mixture():
        save(store, one)
    save(store, *[event("click", at=NOW - timedelta(minutes=n), visitor=n, site_id=2) for n in (2, 4, 6, 59, 60)])
    aggregation.catch_up()
    assert redis_client.hgetall(f"metrics:1:{TODAY}") == {
        b"total_events": b"3",
        b"page_views": b"2",
        b"letters_generated": b"1",
        b"unique_visitors": b"2",
    }
    assert redis_client.hgetall(f"metrics:1:{LAST_YEAR}-12-31")[b"unique_visitors"] == b"1"
    assert redis_client.expiretime(f"metrics:1:{TODAY}") == redis_client.expiretime(
        keys.stat(1, Period.DAY, TODAY, "total_events")
    )
    by_minute = {key: int(redis_client.get(key) or 0) for key in redis_client.keys("realtime:events:*")}
    assert by_minute == {
        b"realtime:events:1:%d-12-31T23:30" % LAST_YEAR: 3,
        **{b"realtime:events:2:%d-12-31T%s" % (LAST_YEAR, at): 1 for at in (b"22:31", b"23:24", b"23:26", b"23:28")},
    }
    assert redis_client.expiretime(f"realtime:events:2:{LAST_YEAR}-12-31T22:31") == NOW.timestamp() + 60
    assert (redis_client.get("realtime:users:1"), redis_client.get("realtime:users:2")) == (b"2", b"2")
    assert 0 < redis_client.ttl("realtime:users:1") <= 300
    by_steps = aggregates(redis_client)
    assert aggregation.rebuild()
    assert aggregates(redis_client) == by_steps


def test_who_is_taken_for_a_bot_is_there_and_known_as_one(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    aggregation.catch_up()
    declared = msgspec.structs.replace(event(at=NOW, visitor=2), traits=Traits(user_agent=BROWSER, bot=True))
    save(store, *[by_browser(event(at=NOW, visitor=n)) for n in (1, 2, 3)])
    aggregation.catch_up()
    counters = RedisCounters(redis_client, PARIS)
    assert counters.active([1, 2], NOW.timestamp()) == {1: 3, 2: 0}
    save(store, declared)
    aggregation.catch_up()
    assert counters.active([1], NOW.timestamp()) == {1: 2}
    assert counters.realtime(1, TODAY, NOW.timestamp()).current_visitors == 3
    known = redis_client.zrange(keys.bots(1), 0, -1)
    assert known == [str(declared.visitor_id).encode()]
    assert aggregation.rebuild()
    assert redis_client.zrange(keys.bots(1), 0, -1) == known
    assert counters.active([1], NOW.timestamp()) == {1: 2}


def test_who_is_no_longer_taken_for_a_bot_is_a_visitor_again(redis_client: redis.Redis) -> None:
    writer, who = RedisAggregates(redis_client, PARIS), event(at=NOW).visitor_id
    for token, bots in (("a", {(1, who)}), ("b", set[tuple[int, UUID]]())):
        moved = tally([event(at=NOW)], PARIS, {}, bots)
        writer.load(token, moved, NOW.timestamp())
        writer.load("all", moved, NOW.timestamp())
    assert redis_client.zcard(f"{keys.rebuild('a')}{keys.bots(1)}") == 1
    assert not redis_client.exists(f"{keys.rebuild('all')}{keys.bots(1)}")


def test_a_rebuild_deletes_what_is_ours_and_nothing_else(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    save(store, event(at=NOW))
    stale = ["analytics:stats:x", f"metrics:9:{TODAY}", "realtime:users:9", "realtime:events:9:2025-12-08T14:05"]
    theirs = [
        "metrics:cpu",
        "metrics:9",
        "metrics:9:today",
        "realtime:users:9:x",
        "realtime",
        "announcements",
        "armada",
    ]
    for name in stale + theirs:
        redis_client.set(name, 1)
    assert aggregation.catch_up() is Standing.REBUILT
    assert not redis_client.exists(*stale)
    assert redis_client.exists(*theirs) == len(theirs)


def test_visitors_of_dropped_rows_are_in_the_hash_of_their_day(redis_client: redis.Redis) -> None:
    writer, day = RedisAggregates(redis_client, PARIS), TODAY - timedelta(days=3)
    hll = writer.hll_of([bytes([n]) * 16 for n in range(7)], None)
    writer.load_hll("t", 2, day, hll, NOW.timestamp())
    writer.load_hll("t", 2, TODAY - timedelta(days=91), hll, NOW.timestamp())
    (key,) = redis_client.keys("*metrics:*")
    assert key == f"{keys.rebuild('t')}metrics:2:{day}".encode()
    assert redis_client.hgetall(key) == {b"unique_visitors": b"7"}


def test_step_by_step_and_all_at_once_come_out_the_same(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    aggregation.catch_up()
    for one in mixture() + mixture(NOW - timedelta(hours=20)):
        save(store, one)
        assert aggregation.catch_up() is Standing.LEVEL
    by_steps = aggregates(redis_client)
    assert aggregation.rebuild()
    assert aggregates(redis_client) == by_steps


def test_rows_applied_twice_or_out_of_turn_count_once(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    aggregation.catch_up()
    for one in mixture():
        save(store, one)
    rows = store.outbox_after(0, 100)
    writer = RedisAggregates(redis_client, PARIS)
    assert not writer.apply(rows[3], NOW.timestamp())
    aggregation.apply(rows[2])
    once = aggregates(redis_client)
    for row in rows:
        aggregation.apply(row)
        assert not writer.apply(row, NOW.timestamp())
    assert aggregates(redis_client) == once
    assert redis_client.hget(keys.LEDGER, "stored") == b"6"


def _emptied(client: redis.Redis, engine: sa.Engine, store: PostgresEventStore) -> None:
    client.flushall()


def _outbox_pruned_while_redis_was_away(client: redis.Redis, engine: sa.Engine, store: PostgresEventStore) -> None:
    save(store, event(at=NOW))
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM outbox"))


def _postgres_restored_from_an_older_copy(client: redis.Redis, engine: sa.Engine, store: PostgresEventStore) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM outbox WHERE seq > 1"))
        connection.execute(
            sa.text("UPDATE ledger SET seq = 1, stored = 1, token = (SELECT token FROM outbox WHERE seq = 1)")
        )
        connection.execute(sa.text("DELETE FROM analytics_events WHERE event_type <> 'page_view'"))


def _postgres_restored_and_already_ahead_again(
    client: redis.Redis, engine: sa.Engine, store: PostgresEventStore
) -> None:
    _postgres_restored_from_an_older_copy(client, engine, store)
    for n in range(8):
        save(store, event("click", at=NOW, visitor=n))


def _another_time_zone(client: redis.Redis, engine: sa.Engine, store: PostgresEventStore) -> None:
    client.hset(keys.CURSOR, "timezone", "Asia/Tokyo")


def _aggregates_of_an_earlier_version(client: redis.Redis, engine: sa.Engine, store: PostgresEventStore) -> None:
    client.hdel(keys.CURSOR, "form")
    save(store, event(at=NOW))


@pytest.mark.parametrize(
    "accident",
    [
        _emptied,
        _aggregates_of_an_earlier_version,
        _outbox_pruned_while_redis_was_away,
        _postgres_restored_from_an_older_copy,
        _postgres_restored_and_already_ahead_again,
        _another_time_zone,
    ],
)
def test_losing_step_is_noticed_and_mended(
    accident: Callable[[redis.Redis, sa.Engine, PostgresEventStore], None],
    store: PostgresEventStore,
    aggregation: Aggregation,
    redis_client: redis.Redis,
    engine: sa.Engine,
) -> None:
    aggregation.catch_up()
    for one in mixture():
        save(store, one)
    aggregation.catch_up()
    accident(redis_client, engine, store)
    assert aggregation.catch_up() is Standing.REBUILT
    mended = aggregates(redis_client)
    assert aggregation.rebuild()
    assert aggregates(redis_client) == mended
    drift = aggregation.reconcile(TODAY)
    assert drift is not None
    assert drift.difference == 0


def test_only_a_redis_that_was_filled_before_is_worth_a_warning(
    store: PostgresEventStore,
    aggregation: Aggregation,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save(store, event(at=NOW, visitor=1))
    aggregation.catch_up()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    save(store, event(at=NOW, visitor=2))
    redis_client.flushall()
    aggregation.catch_up()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.message, record.reason) == ("aggregates_not_to_be_trusted", "redis holds no aggregates")  # type: ignore[attr-defined]


def test_only_one_rebuilds_and_the_other_says_so(store: PostgresEventStore, aggregation: Aggregation) -> None:
    with store.snapshot() as somebody_else:
        assert somebody_else.try_rebuild_lock()
        assert aggregation.catch_up() is Standing.BUSY
    assert aggregation.catch_up() is Standing.REBUILT


def test_a_rebuild_that_was_overtaken_cannot_switch(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    writer = RedisAggregates(redis_client, PARIS)
    writer.begin_rebuild("slow")
    with store.snapshot() as recount:
        head = recount.head()
    save(store, *mixture())
    aggregation.catch_up()
    assert not writer.switch("slow", head, "", 0)
    assert aggregation.catch_up() is Standing.LEVEL


def test_readers_see_the_old_or_the_new_while_a_rebuild_goes_on(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    aggregation.catch_up()
    save(store, *mixture())
    aggregation.catch_up()
    before = aggregates(redis_client)
    writer = RedisAggregates(redis_client, PARIS)
    writer.begin_rebuild("t0")
    with store.snapshot() as recount:
        writer.load("t0", recount.counts(), NOW.timestamp())
        assert aggregates(redis_client) == before
        head = recount.head()
        save(store, event(at=NOW, visitor=9))  # stored and applied while the rebuild goes on
        aggregation.catch_up()
        assert writer.switch("t0", head, "", 0)
    assert aggregation.catch_up() is Standing.LEVEL
    assert redis_client.get(keys.stat(1, Period.DAY, TODAY, "total_events")) == b"4"
    assert not redis_client.keys("maicivy:rebuild*")


def test_what_is_stored_while_the_rows_are_read_is_in_the_new_aggregates(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregation.catch_up()
    save(store, *mixture())
    read_rows = Recount.counts

    def read_slowly(recount: Recount) -> Tally:
        counted = read_rows(recount)
        for number in range(150):
            save(store, event(at=NOW, visitor=100 + number))
        return counted

    monkeypatch.setattr(Recount, "counts", read_slowly)
    assert aggregation.rebuild()
    assert redis_client.hmget("maicivy:cursor", "seq") == [b"151"]
    assert redis_client.hget(keys.LEDGER, "stored") == b"156"
    by_following = aggregates(redis_client)
    monkeypatch.undo()
    assert aggregation.rebuild()
    assert aggregates(redis_client) == by_following


def test_no_answer_is_half_old_and_half_new_while_rebuilds_go_on(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    days = [TODAY - timedelta(days=n) for n in range(60)]
    save(store, *[event(at=NOW - timedelta(days=n, hours=1), visitor=n) for n in range(60)])
    aggregation.catch_up()
    counters = RedisCounters(redis_client, PARIS)
    rebuilding, answers = threading.Event(), []

    def falsify_and_rebuild() -> None:
        for _ in range(15):
            script = "for _, key in ipairs(redis.call('KEYS', 'analytics:stats:*')) do redis.call('SET', key, 7) end"
            redis_client.eval(script, 0)
            aggregation.rebuild()
        rebuilding.set()

    with ThreadPoolExecutor() as pool:
        writer = pool.submit(falsify_and_rebuild)
        while not rebuilding.is_set() and not writer.done():
            answers.append({count for counts, _ in counters.days(1, days[1:], ["total_events"]) for count in counts})
    writer.result()
    assert {frozenset(answer) for answer in answers} == {frozenset({7}), frozenset({1})}


def test_the_ledger_balances_after_redis_was_emptied(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    save(store, *mixture())
    redis_client.hset(keys.LEDGER, mapping={"received": 4, "rejected:invalid_json": 1})  # counted after the accident
    aggregation.catch_up()
    ledger = {field.decode(): int(n) for field, n in redis_client.hgetall(keys.LEDGER).items()}
    assert ledger == {"received": 10, "stored": 6, "duplicate": 0, "quarantined": 0, "rejected:invalid_json": 1}


def test_a_ledger_that_saw_the_events_come_is_not_told_of_them_again(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    store.store([Parcel("1000-0", 1, [event(at=NOW)], []), Parcel("2000-5", 2, [event(at=NOW), event(at=NOW)], [])])
    redis_client.hset(keys.LEDGER, mapping={"received": 2})  # Redis was emptied in between
    redis_client.hset(keys.LEDGER_START, "entry", "2000-5")
    aggregation.catch_up()
    assert redis_client.hmget(keys.LEDGER, "received", "stored") == [b"3", b"3"]
    redis_client.delete(keys.CURSOR)
    aggregation.catch_up()
    assert redis_client.hmget(keys.LEDGER, "received", "stored") == [b"3", b"3"]


def test_a_difference_is_found_and_named(
    store: PostgresEventStore, aggregation: Aggregation, redis_client: redis.Redis
) -> None:
    save(store, *mixture())
    aggregation.catch_up()
    redis_client.incrby(keys.stat(1, Period.DAY, TODAY, "total_events"), 5)
    drift = aggregation.reconcile(TODAY)
    assert drift is not None
    assert drift.difference == 5


@given(
    st.lists(
        st.builds(
            event,
            st.sampled_from(["page_view", "letter_generated", "click", "odd"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "theme": st.sampled_from(["a", "é", "", 1, None, ["a"], "x" * 201]),
                    "type": st.sampled_from(["motivation", "anti_motivation", "other", 3, None]),
                },
            ),
            at=st.integers(0, 6 * 86_400).map(lambda s: NOW - timedelta(days=3) + timedelta(seconds=s)),
            visitor=st.integers(1, 5),
            page_url=st.sampled_from(
                [
                    "",
                    "/",
                    "/cv",
                    "/cv?theme=a",
                    "/a/b?x=?",
                    "https://h",
                    "https://h/go/http://a.example/b?x=://",
                    "http://h:8080",
                    "https://h/",
                    "http://h/p/q?utm_x=/y",
                    "android-app://h/x",
                ]
            ),
        ),
        min_size=1,
        max_size=30,
    )
)
@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counting_in_sql_agrees_with_counting_in_python(store: PostgresEventStore, events: list[Event]) -> None:
    with store.snapshot() as recount:
        before = recount.counts()
    row = store.store([Parcel(f"{next(_receipts)}-0", len(events), events, [])]).row
    assert row is not None
    with store.snapshot() as recount:
        after = recount.counts()
        found = {(s, str(d)): set(ids) for s, d, ids in recount.visitors()}
    for site_id, site in row.tally.sites.items():
        for iso_day, day in site.days.items():
            counts = after.sites[site_id].days[iso_day].counts
            earlier = before.sites[site_id].days.get(iso_day) if site_id in before.sites else None
            moved = {n: c - (earlier.counts.get(n, 0) if earlier else 0) for n, c in counts.items()}
            assert {n: c for n, c in moved.items() if c} == day.counts
            assert set(day.visitors) <= found[site_id, iso_day]
    assert after.stored - before.stored == row.tally.stored == tally(events, PARIS, {}).stored
