"""Properties of a block's events, against what is stored: each event once, in its element, with the texts of `->>`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
import pytest
import sqlalchemy as sa
from msgspec import structs
from sqlalchemy import Engine

from maicivy.core.buckets import Grain
from maicivy.core.events import Event
from maicivy.core.visits import SLOT_S
from maicivy.storage.schema import HAS_PROPERTIES_SQL
from maicivy.storage.segments.attributes import Stays
from maicivy.storage.segments.block import COLUMNS, OF_PROPERTIES, Block
from maicivy.storage.segments.keeping import keep, stored_ids
from maicivy.storage.segments.keeping import stored as stored_blocks
from maicivy.storage.segments.loading import load, load_crossing, load_day
from maicivy.storage.segments.properties import attach
from maicivy.storage.visit_happenings import STORED
from tests.events import NOON, event, visitor_id
from tests.oracle.store import new_sites, send, store_of

Told: TypeAlias = tuple[int, str, str, str, frozenset[tuple[str, str]]]
"""The quarter of an hour that an event is in, its name, host name and page, its properties."""

DAY = NOON.date()
TOMORROW = NOON.replace(hour=0) + timedelta(days=1)
NEEDED = ("begin", "elements", "action", "at", "count")


@pytest.fixture
def engine(engine_of_file: Engine) -> Engine:
    return engine_of_file


@pytest.fixture
def site(engine: Engine) -> int:
    return new_sites(engine)[0]


def stored(engine: Engine, site_id: int, condition: str = "true") -> Counter[Told]:
    """What Postgres says of all events with properties, as questions about stored events see them."""
    statement = f"""
        SELECT floor(extract(epoch FROM h.at) / {SLOT_S})::int AS slot, h.name, h.hostname, h.page, ARRAY(
            SELECT ARRAY[key, h.event_data ->> key] FROM jsonb_object_keys(h.event_data) AS key
            WHERE h.event_data ->> key <> ''
        ) AS properties FROM ({STORED} WHERE r.site_id = :site_id AND {HAS_PROPERTIES_SQL}) AS h WHERE {condition}"""
    with engine.connect() as connection:
        rows = connection.execute(sa.text(statement.replace(":site_id", str(site_id)))).all()
    return Counter((*row[:4], frozenset((name, value) for name, value in row.properties)) for row in rows)


def told_by(engine: Engine, *blocks: Block | None) -> Counter[Told]:
    """What blocks say, after a look at what they promise."""
    with engine.connect() as connection:
        actions = {row.id: row for row in connection.execute(sa.text("SELECT * FROM actions"))}
    counted: Counter[Told] = Counter()
    for block in blocks:
        if block is None:
            continue
        columns = {name: column.tolist() for name, column in block.columns.items()}
        whose = [number for number, size in enumerate(columns["elements"]) for _ in range(size)]
        told = columns[OF_PROPERTIES]
        assert told == sorted(told)
        assert all(n <= columns["count"][element] for element, n in Counter(told).items())
        properties: list[dict[str, str]] = [{} for _ in told]
        for name, each in block.properties.items():
            assert len(set(each.events.tolist())) == len(each.events) == len(each.code) > 0
            assert each.events.tolist() == sorted(each.events.tolist())
            assert set(each.code.tolist()) == set(range(len(each.values)))
            assert len(set(each.values)) == len(each.values)
            for number, code in zip(each.events.tolist(), each.code.tolist(), strict=True):
                properties[number][name] = each.values[code]
        for element, of_event in zip(told, properties, strict=True):
            slot = block.base + columns["begin"][whose[element]] + columns["at"][element]
            action = actions[block.ids["action"][columns["action"][element]].item()]
            counted[slot, action.name, action.hostname, action.page, frozenset(of_event.items())] += 1
    return counted


def block_of(engine: Engine, site_id: int, events: Sequence[Event]) -> Block:
    """All visits of NOON's day, of which these events were sent."""
    send(store_of(engine), [events])
    with engine.connect() as connection:
        return load_day(connection, site_id, DAY)


def some_events(site_id: int, seed: int) -> list[Event]:
    """Visitors who come several times, stay over midnight, and do the same twice on several pages, their own too."""
    drawn = random.Random(seed)
    events = []
    for visitor in range(1, 40):
        at = NOON + timedelta(seconds=drawn.randrange(0, 43_000), microseconds=drawn.choice([0, 1, 999_999]))
        for _ in range(drawn.randrange(1, 16)):
            made = event(
                drawn.choice(["page_view", "download", "search", "engagement"]),
                {name: drawn.choice(["a", "", None, 1, True]) for name in drawn.sample("pqrs", drawn.randrange(4))},
                at=at,
                page_url=drawn.choice(
                    ["/", f"/{visitor}?x=1", "https://example.org/cv", "https://Example.org:81/%41/ü"]
                ),
                site_id=site_id,
            )
            events.append(structs.replace(made, visitor_id=visitor_id(visitor)))  # the same after midnight
            at += timedelta(seconds=drawn.choice([0, 1, 60, 840, 1800, 3000]))
    return events


@pytest.mark.parametrize("seed", [1, 2])
def test_each_stored_event_is_told_once_and_in_its_place(engine: Engine, seed: int) -> None:
    site, other = new_sites(engine)
    store = store_of(engine)
    send(store, [some_events(site, seed)[::2], some_events(other, seed), some_events(site, seed)[1::2]])
    with engine.connect() as connection:
        blocks = load_day(connection, site, DAY), load_day(connection, site, TOMORROW.date())
        crossing = load_crossing(connection, site, TOMORROW, NEEDED, ["p", "q", "r", "s"])
    told = stored(engine, site)
    assert told_by(engine, *blocks) == told
    assert told.total() > 100
    over_midnight = f"""EXISTS (
        SELECT FROM crossings c JOIN visits v USING (site_id, visitor_id, started)
        WHERE c.site_id = {site} AND c.visitor_id = h.visitor_id AND h.at BETWEEN v.started AND v.ended)"""
    assert told_by(engine, crossing) == stored(engine, site, over_midnight)
    assert crossing is not None


def test_of_some_hours_the_events_of_their_visits_are_told_and_no_others(engine: Engine, site: int) -> None:
    send(store_of(engine), [some_events(site, 3)])
    hours = [NOON + timedelta(hours=hour) for hour in (0, 2, 3)]
    with engine.connect() as connection:
        blocks = load(connection, site, hours, NEEDED, ["p", "q", "r", "s"])
    began = f"""EXISTS (SELECT FROM visits v WHERE v.site_id = {site} AND v.visitor_id = h.visitor_id
        AND h.at BETWEEN v.started AND v.ended AND extract(hour FROM v.started AT TIME ZONE 'UTC') IN (12, 14, 15)
        AND v.started < '2025-12-09 00:00+00')"""
    assert told_by(engine, *blocks) == stored(engine, site, began)
    assert len(blocks[0].columns[OF_PROPERTIES])


def test_values_are_texts(engine: Engine, site: int) -> None:
    table: list[tuple[Any, str | None]] = [
        ("pro", "pro"),
        ("", None),
        (None, None),
        (" ", " "),
        ("null", "null"),
        ('a"b\\c\n', 'a"b\\c\n'),
        ("żółw \U0001f422", "żółw \U0001f422"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1.5, "-1.5"),
        (2**63, "9223372036854775808"),
        (1e15, "1000000000000000.0"),
        ([1, "a", None], '[1, "a", null]'),
        ({"b": 1, "a": {"c": []}}, '{"a": {"c": []}, "b": 1}'),
        ([], "[]"),
        ({}, "{}"),
        ("x" * 10_000, "x" * 10_000),
    ]
    data = {str(number): value for number, (value, _) in enumerate(table)}
    block = block_of(engine, site, [event("download", data, site_id=site)])
    assert block.columns[OF_PROPERTIES].tolist() == [0]
    assert {name: each.values for name, each in block.properties.items()} == {
        str(number): (text,) for number, (_, text) in enumerate(table) if text is not None
    }


def test_names_are_those_that_a_question_can_have(engine: Engine, site: int) -> None:
    fine = ["a'b\"c", "%(names)s", "{}", "ü" * 64, " ", "event:props:a", "a.b"]
    wrong = ["", "x" * 65]
    block = block_of(engine, site, [event("download", dict.fromkeys(fine + wrong, "1"), site_id=site)])
    assert sorted(block.properties) == sorted(fine)
    with engine.connect() as connection:
        for name in fine:
            (each,) = load(connection, site, [NOON], NEEDED, [name])
            assert list(each.properties) == [name]


def test_a_property_for_each_event_is_as_good_as_one_for_all(engine: Engine, site: int) -> None:
    events = [
        event("download", {f"{n}-{m}": "v" * n for m in range(10)}, visitor=n % 7, site_id=site) for n in range(1, 200)
    ]
    block = block_of(engine, site, events)
    assert len(block.properties) == 1990
    assert told_by(engine, block) == stored(engine, site)


def test_only_events_with_wanted_properties_are_told(engine: Engine, site: int) -> None:
    sent: list[dict[str, Any]] = [
        {"plan": "pro", "price": 1},
        {"price": 2},
        {"plan": None},
        {},
        {"plan": "pro"},
        {"plan": "free"},
    ]
    send(store_of(engine), [[event("buy", data, visitor=n, site_id=site) for n, data in enumerate(sent, 1)]])
    with engine.connect() as connection:
        (wanted,) = load(connection, site, [NOON], NEEDED, ["plan", "nowhere"])
        (none,) = load(connection, site, [NOON], NEEDED, ["nowhere"])
    assert list(wanted.properties) == ["plan"]
    assert wanted.properties["plan"].values == ("free", "pro")
    assert len(wanted.columns[OF_PROPERTIES]) == 4
    assert sorted(wanted.properties["plan"].code.tolist()) == [0, 1, 1]
    assert (none.columns[OF_PROPERTIES].tolist(), none.properties) == ([], {})


def test_what_is_kept_of_properties_is_read_again(engine: Engine, site: int) -> None:
    midnight = TOMORROW - timedelta(days=1)
    block = block_of(engine, site, some_events(site, 4))
    with engine.begin() as connection:
        for each in (block, load(connection, site, [NOON], COLUMNS, ["p", "q"])[0], block):
            keep(connection, site, midnight, Grain.DAY, each)
        listed = stored_ids(connection, site, DAY, DAY, ())
        (again,) = stored_blocks(connection, site, listed, COLUMNS, ["p", "q", "r", "s", "t"])
        (some,) = stored_blocks(connection, site, listed, [OF_PROPERTIES], ["q"])
    assert told_by(engine, again) == told_by(engine, block)
    assert list(some.properties) == ["q"]
    assert some.properties["q"].values == block.properties["q"].values


def test_nothing_is_told_of_no_visits_or_no_names(engine: Engine, site: int) -> None:
    nothing = np.zeros(0, np.int64)
    block = block_of(engine, site, [event("download", {"plan": "pro"}, site_id=site)])
    with engine.connect() as connection:
        empty = attach(connection, site, Block(0, 0, {}, {}, {}), Stays(nothing.astype(np.uint64), nothing, nothing))
        unasked = attach(connection, site, block, Stays(nothing.astype(np.uint64), nothing, nothing), ())
    for each in (empty, unasked):
        assert (each.columns[OF_PROPERTIES].tolist(), each.properties) == ([], {})


def test_events_at_the_very_begin_and_end_of_visits_are_theirs(engine: Engine, site: int) -> None:
    us = timedelta(microseconds=1)
    end = NOON + timedelta(minutes=30)
    times = [NOON - timedelta(minutes=30) - us, NOON, end, end + timedelta(minutes=30) + us]
    block = block_of(
        engine, site, [event("download", {"n": str(n)}, at=at, site_id=site) for n, at in enumerate(times)]
    )
    assert block.visits == 3
    assert told_by(engine, block) == stored(engine, site)


def test_of_visits_that_say_something_else_no_more_is_told_than_they_count(engine: Engine, site: int) -> None:
    events = [event(kind, {"n": "1"}, site_id=site) for kind in ("download", "download", "page_view")]
    send(store_of(engine), [events])
    table = [
        ("UPDATE actions SET digest = '' WHERE name = 'download' AND site_id = :site_id", 1),
        ("UPDATE visits SET actions = array_replace(actions, entry_id, 0)", 1),
        ("UPDATE visits SET counts = NULL", 2),
        ("UPDATE visits SET counts = '{0,0}'", 0),
        ("DELETE FROM analytics_events WHERE event_type = 'download'", 1),
    ]
    for change, told in table:
        with engine.connect() as connection:
            connection.execute(sa.text(change), {"site_id": site} if ":site_id" in change else {})
            block = load_day(connection, site, DAY)
            connection.rollback()
        assert len(block.columns[OF_PROPERTIES]) == told, change
        assert sum(len(each.events) for each in block.properties.values()) == told, change
