"""What is counted: sums that do not depend on order or on how events are cut into batches."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.events import LETTER, PAGE_VIEW, Event
from maicivy.core.periods import local_day
from maicivy.core.tallies import (
    EVENT_TYPES,
    LABEL_CAPS,
    MAX_LABEL_CHARS,
    PATHS,
    THEMES,
    Labels,
    Tally,
    letter_kind_of,
    tally,
    theme_of,
    wanted_labels,
)
from tests import events as make
from tests.naughty import STRINGS

UTC_ZONE = ZoneInfo("UTC")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
LABELS: Labels = {
    (1, EVENT_TYPES): frozenset({PAGE_VIEW, LETTER, "click", "a:b"}),
    (1, PATHS): frozenset({"/", "/cv"}),
    (1, THEMES): frozenset({"backend", "other", "a:b"}),
    (2, EVENT_TYPES): frozenset({"click"}),
}

themes: st.SearchStrategy[Any] = st.sampled_from(
    ["backend", "other", "a:b", "unknown", "", "x" * 201, 1, None, True, ["backend"], {}]
)
kinds: st.SearchStrategy[Any] = st.sampled_from(["motivation", "anti_motivation", "Motivation", "", 1, None, [], {}])
data = st.fixed_dictionaries({}, optional={"theme": themes, "type": kinds, "x": st.integers()})
events = st.builds(
    make.event,
    st.sampled_from([PAGE_VIEW, LETTER, "click", "unknown", "other", "a:b"]),
    data,
    at=st.integers(-50 * 3600, 50 * 3600).map(lambda seconds: NEW_YEAR + timedelta(seconds=seconds)),
    visitor=st.integers(1, 4),
    page_url=st.sampled_from(
        ["", "/", "/cv", "/cv?theme=a", "https://example.org/cv", "https://example.org", "/unknown"]
    ),
    site_id=st.integers(1, 3),
)
batches = st.lists(events, max_size=15)
zones = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"]).map(
    ZoneInfo
)


def numbers(of: Tally) -> dict[str, Any]:
    """A tally without what has no order, and without what is zero."""
    return {
        "ledger": Counter(stored=of.stored, duplicate=of.duplicate, quarantined=of.quarantined),
        "counts": Counter(
            {
                (site_id, day, name): n
                for site_id, site in of.sites.items()
                for day, day_tally in site.days.items()
                for name, n in day_tally.counts.items()
            }
        ),
        "visitors": {
            (site_id, day, visitor)
            for site_id, site in of.sites.items()
            for day, day_tally in site.days.items()
            for visitor in day_tally.visitors
        },
        "seen": {(site_id, visitor): at for site_id, site in of.sites.items() for visitor, at in site.seen.items()},
    }


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The sum of two: counters add up, visitors unite, the later sighting stays."""
    seen = dict(one["seen"])
    for key, at in other["seen"].items():
        seen[key] = max(at, seen.get(key, at))
    return {
        "ledger": one["ledger"] + other["ledger"],
        "counts": one["counts"] + other["counts"],
        "visitors": one["visitors"] | other["visitors"],
        "seen": seen,
    }


def reference(of: Iterable[Event], zone: ZoneInfo, labels: Labels) -> Counter[tuple[int, str, str]]:
    """The list in the module's docstring, read out for each event."""
    counts: Counter[tuple[int, str, str]] = Counter()
    for event in of:
        day = local_day(event.created_at, zone).isoformat()

        def admitted(kind: str, name: str, site_id: int = event.site_id) -> bool:
            return name in labels.get((site_id, kind), ())

        names = ["total_events", f"events:{event.event_type if admitted(EVENT_TYPES, event.event_type) else 'other'}"]
        if event.event_type == "letter_generated":
            names.append("letters_generated")
            if event.event_data.get("type") in ("motivation", "anti_motivation"):
                names.append(f"letters_generated:{event.event_data['type']}")
        if event.event_type == "page_view":
            path = event.page_url.removeprefix("https://example.org").partition("?")[0] or "/"
            names.append(f"path:{path if admitted(PATHS, path) else 'other'}")
        theme = event.event_data.get("theme")
        if isinstance(theme, str) and admitted(THEMES, theme):
            names.append(f"theme:{theme}")
        counts.update((event.site_id, day, name) for name in names)
    return counts


@given(batches, zones)
def test_counters_are_those_of_the_list(given_events: list[Event], zone: ZoneInfo) -> None:
    assert numbers(tally(given_events, zone, LABELS))["counts"] == reference(given_events, zone, LABELS)


@given(batches, batches, zones)
def test_a_sum_of_tallies_is_the_tally_of_all(one: list[Event], other: list[Event], zone: ZoneInfo) -> None:
    together = numbers(tally(one + other, zone, LABELS))
    assert added(numbers(tally(one, zone, LABELS)), numbers(tally(other, zone, LABELS))) == together
    each = numbers(Tally())
    for event in one + other:
        each = added(each, numbers(tally([event], zone, LABELS)))
    assert each == together


@given(batches, zones, st.randoms(use_true_random=False))
def test_a_tally_does_not_depend_on_order(given_events: list[Event], zone: ZoneInfo, chance: random.Random) -> None:
    shuffled = chance.sample(given_events, len(given_events))
    assert numbers(tally(shuffled, zone, LABELS)) == numbers(tally(iter(given_events), zone, LABELS))


@given(batches, zones)
def test_the_parts_of_a_tally_agree(given_events: list[Event], zone: ZoneInfo) -> None:
    moved = tally(given_events, zone, LABELS)
    assert (moved.stored, moved.duplicate, moved.quarantined) == (len(given_events), 0, 0)
    for site_id, site in moved.sites.items():
        own = [event for event in given_events if event.site_id == site_id]
        assert own
        assert site.new_visitors == 0, "only the store knows"
        assert sum(day.counts["total_events"] for day in site.days.values()) == len(own)
        for day in site.days.values():
            by_type = [n for name, n in day.counts.items() if name.startswith("events:")]
            assert sum(by_type) == day.counts["total_events"]
            kinds = [n for name, n in day.counts.items() if name.startswith("letters_generated:")]
            assert sum(kinds) <= day.counts.get("letters_generated", 0)
            assert all(n > 0 for n in day.counts.values())
            assert len(set(day.visitors)) == len(day.visitors)
            assert set(day.visitors) <= site.seen.keys()
        assert site.seen == {
            event.visitor_id.bytes: max(int(e.created_at.timestamp()) for e in own if e.visitor_id == event.visitor_id)
            for event in own
        }


@given(batches, zones)
def test_a_tally_travels(given_events: list[Event], zone: ZoneInfo) -> None:
    moved = tally(given_events, zone, LABELS)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(moved), type=Tally) == moved


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", {"2025-12-31": 1, "2026-01-01": 1}),
        ("Europe/Paris", {"2026-01-01": 2}),
        ("America/New_York", {"2025-12-31": 2}),
    ],
)
def test_days_are_those_of_the_zone(zone: str, days: dict[str, int]) -> None:
    around = [make.event(at=NEW_YEAR - timedelta(microseconds=1)), make.event(at=NEW_YEAR)]
    moved = tally(around, ZoneInfo(zone), LABELS)
    assert {day: t.counts["total_events"] for day, t in moved.sites[1].days.items()} == days


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (make.event("click"), {"total_events", "events:click"}),
        (make.event("unknown"), {"total_events", "events:other"}),
        (make.event(page_url="/cv?theme=backend"), {"total_events", "events:page_view", "path:/cv"}),
        (make.event(page_url="/unknown"), {"total_events", "events:page_view", "path:other"}),
        (make.event("click", {"theme": "backend"}), {"total_events", "events:click", "theme:backend"}),
        (make.event("click", {"theme": "unknown"}), {"total_events", "events:click"}),
        (make.event("click", {"theme": ["backend"]}), {"total_events", "events:click"}),
        (make.event("click", {"type": "motivation"}), {"total_events", "events:click"}),
        (make.event(LETTER), {"total_events", "events:letter_generated", "letters_generated"}),
        (make.event(LETTER, {"type": {}}), {"total_events", "events:letter_generated", "letters_generated"}),
        (
            make.event(LETTER, {"type": "anti_motivation", "theme": "backend"}),
            {
                "total_events",
                "events:letter_generated",
                "letters_generated",
                "letters_generated:anti_motivation",
                "theme:backend",
            },
        ),
        (make.event("click", site_id=3), {"total_events", "events:other"}),
    ],
)
def test_one_event_moves_these(event: Event, names: set[str]) -> None:
    [day] = tally([event], UTC_ZONE, LABELS).sites[event.site_id].days.values()
    assert day.counts == dict.fromkeys(names, 1)
    assert day.visitors == [event.visitor_id.bytes]


def test_events_are_told_apart_by_the_minutes_of_the_latest_hour() -> None:
    ages = [-5, 0, 0.5, 1, 59, 60, 61, 600]
    given_events = [make.event(at=make.NOON - timedelta(minutes=age), site_id=site) for age in ages for site in (1, 2)]
    moved = tally([*given_events, make.event(at=make.NOON + timedelta(days=1), site_id=2)], UTC_ZONE, {})
    noon = int(make.NOON.timestamp()) // 60
    assert moved.sites[1].minutes == {noon + 5: 1, noon: 1, noon - 1: 2, noon - 59: 1, noon - 60: 1}
    assert moved.sites[2].minutes == {noon + 1440: 1}


def test_bots_are_noted_and_counted_like_everybody() -> None:
    given_events = [make.event(visitor=number) for number in (1, 2, 2)] + [make.event(visitor=2, site_id=2)]
    bots = {(1, given_events[1].visitor_id)}
    moved, without = (tally(given_events, UTC_ZONE, {}, some) for some in (bots, frozenset[tuple[int, UUID]]()))
    assert (moved.sites[1].bots, moved.sites[2].bots) == ([given_events[1].visitor_id.bytes], [])
    moved.sites[1].bots.clear()
    assert moved == without


def test_nothing_moves_nothing() -> None:
    assert tally([], UTC_ZONE, LABELS) == Tally()


@given(st.lists(events, min_size=1, max_size=15))
def test_admitting_every_wanted_label_leaves_only_overlong_names_to_other(given_events: list[Event]) -> None:
    wanted = wanted_labels(given_events)
    labels = {key: frozenset(names) for key, names in wanted.items()}
    counts = numbers(tally(given_events, UTC_ZONE, labels))["counts"]
    assert sum(n for (_, _, name), n in counts.items() if name == "events:other") == sum(
        event.event_type == "other" for event in given_events
    )
    assert not [name for _, _, name in counts if name == "path:other"]
    assert sum(n for (_, _, name), n in counts.items() if name.startswith("theme:")) == sum(
        len(theme_of(event) or "x" * 201) <= MAX_LABEL_CHARS for event in given_events
    )


def test_labels_are_wanted_in_order_of_appearance_per_site_and_only_short_ones() -> None:
    given_events = [
        make.event("b"),
        make.event("a", {"theme": "x" * MAX_LABEL_CHARS}),
        make.event("b", {"theme": "x" * (MAX_LABEL_CHARS + 1)}),
        make.event(PAGE_VIEW, {"theme": "z"}, page_url="/" + "p" * MAX_LABEL_CHARS),
        make.event(PAGE_VIEW, {"theme": ""}, page_url="/cv?a=b", site_id=2),
    ]
    assert {key: list(names) for key, names in wanted_labels(given_events).items()} == {
        (1, EVENT_TYPES): ["b", "a", PAGE_VIEW],
        (1, THEMES): ["x" * MAX_LABEL_CHARS, "z"],
        (2, EVENT_TYPES): [PAGE_VIEW],
        (2, PATHS): ["/cv"],
    }
    assert wanted_labels([]) == {}


@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS.keys())
def test_any_text_is_a_theme_but_the_empty_one(text: str) -> None:
    event = make.event("click", {"theme": text})
    assert theme_of(event) == (text or None)
    wanted = wanted_labels([event]).get((1, THEMES), {})
    assert list(wanted) == ([text] if 0 < len(text) <= MAX_LABEL_CHARS else [])


@pytest.mark.parametrize("theme", [None, 0, 1, 1.5, True, False, [], ["a"], {}, {"a": "b"}])
def test_nothing_else_is_a_theme(theme: object) -> None:
    assert theme_of(make.event("click", {"theme": theme})) is None
    assert theme_of(make.event("click")) is None


@pytest.mark.parametrize(
    ("event_type", "kind", "expected"),
    [
        (LETTER, "motivation", "motivation"),
        (LETTER, "anti_motivation", "anti_motivation"),
        (LETTER, "MOTIVATION", None),
        (LETTER, None, None),
        (LETTER, [], None),
        (LETTER, {"motivation": 1}, None),
        (LETTER, 1, None),
        ("letter_generate", "motivation", None),  # the gate knows the alias, nobody behind it does
        ("click", "motivation", None),
    ],
)
def test_a_letter_has_a_kind(event_type: str, kind: object, expected: str | None) -> None:
    assert letter_kind_of(make.event(event_type, {"type": kind})) == expected


def test_a_negative_time_is_a_time() -> None:
    early = make.event(at=datetime(1969, 12, 31, 23, tzinfo=UTC))
    assert tally([early], UTC_ZONE, LABELS).sites[1].seen == {early.visitor_id.bytes: -3600}


def test_every_kind_of_label_has_a_cap() -> None:
    assert LABEL_CAPS == {EVENT_TYPES: 100, PATHS: 100, THEMES: 1000}
