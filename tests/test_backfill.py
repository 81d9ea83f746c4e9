"""Visits of events that an earlier version stored: as if they had been there from the first event on."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from maicivy import bots, cli
from maicivy.backfill import Day, backfill, portions
from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.events import Event, Traits
from maicivy.core.ports import Parcel
from maicivy.errors import Unavailable
from maicivy.storage.backfill import Backfill
from maicivy.storage.judgements import Judgements
from maicivy.storage.marks import allow_taking
from tests.events import NOON, event, visitor_id

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
LATE = datetime(2025, 12, 8, 23, 50, tzinfo=UTC)
TODAY = NOON + timedelta(days=3)
_WHAT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("page_view", {}),
    ("page_view", {}),
    ("click", {}),
    ("scroll", {"interactive": False}),
    ("engagement", {"engagement_ms": 1500, "scroll_depth": 70}),
)
_receipts = count(1)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(settings)
    yield parts
    parts.close()


@pytest.fixture
def store(parts: Maicivy) -> Backfill:
    return Backfill(parts.engine, parts.store.partitions)


def save(parts: Maicivy, *events: Event) -> None:
    parts.store.store([Parcel(f"{next(_receipts)}-0", len(events), list(events), [])])


def seen(visitor: int, at: datetime = NOON, event_type: str = "page_view", **fields: Any) -> Event:
    """An event as it comes in: `traits` say what its `event_data` says."""
    one = event(event_type, fields.pop("data", None), at=at, page_url=fields.pop("page_url", "https://example.org/"))
    data = one.event_data
    traits = Traits(
        BROWSER,
        interactive=data.get("interactive") is not False,
        engagement_ms=data.get("engagement_ms", 0),
        scroll_depth=data.get("scroll_depth", 0),
    )
    return msgspec.structs.replace(one, **{"visitor_id": visitor_id(visitor, at), "traits": traits} | fields)


def history(visitors: int = 12) -> list[Event]:
    """Three days, with visits across midnights, several of one visitor, engagement, and campaigns."""
    chance = random.Random(7)
    events: list[Event] = []
    for visitor in range(1, visitors + 1):
        at = LATE - timedelta(minutes=chance.randint(0, 1500))
        who = visitor_id(visitor, at)
        for _ in range(chance.choice([1, 3, 90])):
            at += timedelta(minutes=chance.choice([0, 7, 20, 25, 29, 29, 30, 30, 30, 31]))
            page = (
                f"https://example.org/{chance.randint(1, 3)}{chance.choice(['', '?utm_source=news&utm_medium=email'])}"
            )
            kind, data = chance.choice(_WHAT)
            referrer = chance.choice(["", "https://www.google.com/search"])
            events.append(seen(1, at, kind, data=data, page_url=page, referrer=referrer, visitor_id=who))
    chance.shuffle(events)
    return events


def grow_old(parts: Maicivy) -> None:
    """Have the database hold what migration 0004 finds: no visits, and no partitions for them."""
    with parts.engine.begin() as connection:
        for day in parts.store.partitions.days("visits"):
            connection.execute(sa.text(f"DROP TABLE visits_{day:%Y%m%d}"))
        allow_taking(connection)
        for table in ("crossings", "dirty_hours", "buckets", "clients", "places"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    parts.store._forget()


def rows(parts: Maicivy, query: str) -> list[Any]:
    with parts.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def visits(parts: Maicivy) -> list[Any]:
    """All that a visit says but what events do not keep, and flags that depend on the order in which events came."""
    return rows(
        parts,
        "SELECT to_jsonb(v) - '{client_id,place_id,shape}'::text[] FROM visits v ORDER BY site_id, visitor_id, started",
    )


def crossings(parts: Maicivy) -> list[Any]:
    return rows(parts, "SELECT * FROM crossings ORDER BY 1, 2, 3, 4")


def hours(parts: Maicivy) -> list[Any]:
    return rows(parts, "SELECT site_id, hour FROM dirty_hours ORDER BY 1, 2")


def ledger(parts: Maicivy) -> Any:
    return rows(parts, "SELECT seq, token, stored, duplicate, quarantined FROM ledger")[0]


def run(store: Backfill) -> list[Day]:
    return list(backfill(store))


def test_visits_are_those_that_there_would_have_been(parts: Maicivy, store: Backfill) -> None:
    events = history()
    for start in range(0, len(events), 50):
        save(parts, *events[start : start + 50])
    before = visits(parts), crossings(parts), hours(parts)
    grow_old(parts)
    done = run(store)
    assert (visits(parts), crossings(parts), hours(parts)) == before
    assert crossings(parts)
    assert sum(number for _, number in done) == len(events)
    assert [day for day, _ in done] == sorted({one.created_at.date() for one in events}, reverse=True)


def test_portions_and_interruptions_make_no_difference(
    parts: Maicivy, store: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = history()
    save(parts, *events)
    before = visits(parts), crossings(parts), hours(parts)
    grow_old(parts)
    monkeypatch.setattr("maicivy.backfill.BATCH", 5)
    monkeypatch.setattr("maicivy.storage.backfill.PAGE", 30)  # some visitors have more, and come whole
    record = Backfill.record
    turns = count(1)

    def breaking(self: Backfill, day: date, portion: Sequence[Event]) -> int:
        if next(turns) % 2 == 0:
            raise Unavailable("postgres", "gone")
        return record(self, day, portion)

    monkeypatch.setattr(Backfill, "record", breaking)
    interrupted = 0
    while True:
        try:
            run(store)
            break
        except Unavailable:
            interrupted += 1
    assert interrupted > 2
    assert (visits(parts), crossings(parts), hours(parts)) == before


def test_a_transaction_that_fails_leaves_nothing(
    parts: Maicivy, store: Backfill, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(parts, seen(1))
    before = visits(parts)
    grow_old(parts)
    standing = ledger(parts)
    with monkeypatch.context() as broken:
        broken.setattr("maicivy.storage.changes._LEDGER", "nonsense %s %s %s")
        with pytest.raises(psycopg.errors.SyntaxError):
            run(store)
    assert (visits(parts), ledger(parts)) == ([], standing)
    run(store)
    assert visits(parts) == before


def test_a_repeat_changes_nothing(parts: Maicivy, store: Backfill) -> None:
    save(parts, *history())
    grow_old(parts)
    run(store)
    everything = (
        "SELECT (SELECT array_agg(v ORDER BY started, visitor_id) FROM visits v)::text, (SELECT l FROM ledger l)"
    )
    before = rows(parts, everything)
    assert run(store) == []
    assert rows(parts, everything) == before


def test_nothing_that_is_counted_moves(parts: Maicivy, store: Backfill) -> None:
    now = datetime.now(UTC)

    def counted() -> Any:
        parts.aggregation.catch_up()
        accounts = rows(parts, "SELECT stored, duplicate, quarantined FROM ledger")
        return parts.counters.realtime(1, now.date(), now.timestamp()), accounts

    save(parts, *(seen(number, now) for number in range(5)), *history())
    grow_old(parts)
    before = counted()
    assert before[1] == [(5 + len(history()), 0, 0)]
    run(store)
    assert counted() == before
    drift = parts.aggregation.reconcile(now.date())
    assert drift is not None
    assert drift.difference == 0


def test_every_step_is_a_row_of_the_outbox_that_only_names_days(parts: Maicivy, store: Backfill) -> None:
    save(parts, seen(1, LATE), seen(1, LATE + timedelta(minutes=20), visitor_id=visitor_id(1, LATE)))
    grow_old(parts)
    before = ledger(parts)
    run(store)
    chain = parts.store.outbox_after(before[0], 10)
    assert [row.previous for row in chain] == [before[1], chain[0].token]
    assert ledger(parts)[:2] == (chain[-1].seq, chain[-1].token)
    assert [row.tally.sites[1].changed_days for row in chain] == [["2025-12-09"], ["2025-12-08", "2025-12-09"]]
    assert all(not row.tally.sites[1].days and not row.tally.stored for row in chain)


def test_rollups_follow(parts: Maicivy, store: Backfill) -> None:
    def rolled_up() -> list[Any]:
        while parts.buckets.refresh(TODAY):
            pass
        return rows(
            parts,
            'SELECT grain, dimension, start, bot, "values", visits, pageviews FROM buckets'
            " WHERE dimension IN ('all', 'page', 'source') ORDER BY 1, 2, 3, 4",
        )

    save(parts, *history(3))
    before = rolled_up()
    grow_old(parts)
    assert rolled_up() == []
    run(store)
    assert rolled_up() == before != []


def test_what_was_not_kept_is_not_known_and_nobodys_fault(parts: Maicivy, store: Backfill) -> None:
    save(parts, seen(1))
    grow_old(parts)
    run(store)
    of_visits = "SELECT browser, os, device, screen, c.bot, v.bot, country FROM visits v"
    of_visits += " JOIN clients c ON c.id = client_id JOIN places p ON p.id = place_id"
    assert rows(parts, of_visits) == [("", "", "", "", "", 0, "")]
    report = bots.reclassify(Judgements(parts.engine, parts.store.partitions))
    assert (report.clients, report.visits) == (0, 0)


def test_visits_that_there_are_already_are_joined_and_stay_what_they_are(parts: Maicivy, store: Backfill) -> None:
    def at(minutes: int) -> Event:
        return seen(1, LATE + timedelta(minutes=minutes), visitor_id=visitor_id(1, LATE))

    save(parts, at(-60), at(-25), at(0), at(5))
    grow_old(parts)
    save(parts, at(20), at(45), at(24 * 60), at(50))  # the upgrade, and a late one
    save(parts, *(at(50 + 30 * n) for n in range(1, 100)))
    assert len(rows(parts, "SELECT FROM visits")) == 1
    assert run(store) == [(LATE.date(), 4)]
    assert rows(parts, "SELECT started, pageviews FROM visits ORDER BY 1") == [
        (LATE - timedelta(minutes=60), 1),
        (LATE - timedelta(minutes=25), 106),
    ]
    assert run(store) == []


def test_storing_goes_on_beside_it(parts: Maicivy, store: Backfill, monkeypatch: pytest.MonkeyPatch) -> None:
    old = history()
    save(parts, *old)
    grow_old(parts)
    monkeypatch.setattr("maicivy.backfill.BATCH", 5)
    # The same visitors, a little later than all that is old, and others at the same time.
    new = [msgspec.structs.replace(one, id=UUID(int=one.id.int + 2**100)) for one in old]
    same = [msgspec.structs.replace(one, created_at=one.created_at + timedelta(days=3)) for one in new[::2]]
    others = [msgspec.structs.replace(one, visitor_id=UUID(int=one.visitor_id.int + 500)) for one in new[1::2]]

    def flood() -> None:
        for start in range(0, len(same), 5):
            save(parts, *same[start : start + 5], *others[start : start + 5])

    writer = threading.Thread(target=flood)
    writer.start()
    done = run(store)
    writer.join()
    assert sum(number for _, number in done) == len(old)
    assert run(store) == []
    stored = rows(parts, "SELECT count(*) FROM analytics_events WHERE event_type <> 'engagement'")
    assert rows(parts, "SELECT sum(events) FROM visits") == stored


def test_a_dry_run_counts_and_changes_nothing(parts: Maicivy, store: Backfill) -> None:
    events = history()
    save(parts, *events)
    grow_old(parts)
    before = ledger(parts)
    counted = list(backfill(store, dry_run=True))
    assert (visits(parts), ledger(parts)) == ([], before)
    assert counted == run(store)


def test_sites_that_are_gone_get_no_visits(parts: Maicivy, store: Backfill) -> None:
    with parts.engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO sites (id, measurement_id, removed_at) VALUES (2, 'MC-AAAAAAAAAA', now())")
        )
    save(parts, seen(1, site_id=2))
    grow_old(parts)
    assert run(store) == []


def test_a_day_that_retention_dropped_meanwhile_is_passed_over(store: Backfill) -> None:
    assert (store.page(date(2001, 1, 1)), store.count(date(2001, 1, 1))) == ([], 0)


@pytest.mark.parametrize(
    ("visitors", "sizes"),
    [([], []), ([1], [1]), ([1, 2], [2]), ([1, 1, 2, 3], [2, 2]), ([1, 1, 1, 2], [3, 1]), ([1, 2, 2, 2, 3], [4, 1])],
)
def test_no_visitor_is_in_two_portions(visitors: list[int], sizes: list[int]) -> None:
    found = list(portions([event(visitor=number) for number in visitors], 2))
    assert [len(portion) for portion in found] == sizes


def test_the_command_tells_of_each_day_and_of_all(
    parts: Maicivy, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "from_env", lambda: settings)
    save(parts, seen(1), seen(2), seen(3, NOON + timedelta(days=1)))
    grow_old(parts)
    days = ["2025-12-09            1 events", "2025-12-08            2 events"]
    assert cli.main(["rebuild", "--visits", "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (said[:2], said[2][:34]) == (days, "3 events would be put into visits ")
    assert cli.main(["rebuild", "--visits"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (said[:2], said[2][:30]) == (days, "3 events were put into visits ")
    assert len(visits(parts)) == 3
    assert cli.main(["rebuild", "--dry-run"]) == 2
    assert "--dry-run goes with --visits" in capsys.readouterr().err
