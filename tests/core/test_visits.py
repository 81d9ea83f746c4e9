"""Visits as values: merging is associative and commutative, and equals a recount over all events, sorted."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core import visits
from maicivy.core.visits import (
    MAX_COUNT,
    NO_SCROLL,
    VISIT_GAP,
    Element,
    Entry,
    Exit,
    Visit,
    joined,
    of_events,
    slot_of,
)

START = datetime(2025, 12, 31, 22, 0, tzinfo=UTC)


class Happening(msgspec.Struct, frozen=True):
    """One event, in the plainest words."""

    at: datetime
    tie: int
    kind: str  # view, click, passive or engagement
    action: int
    origin: int
    engaged_ms: int
    scroll: int
    declared: bool

    def plain(self) -> visits.Happening:
        return visits.Happening(
            self.at,
            self.tie,
            self.kind == "engagement",
            self.kind == "view",
            self.kind != "passive",
            self.declared,
            self.engaged_ms,
            self.scroll,
            1,
            2,
            self.origin,
            self.action,
        )

    def visit(self) -> Visit:
        (visit,) = of_events([self.plain()])
        return visit


def recounted(happenings: list[Happening]) -> list[Visit]:
    """Slow and obvious: sort, cut where the gap is too long, look at each run as a whole."""
    runs: list[list[Happening]] = []
    for happening in sorted(happenings, key=lambda h: (h.at, h.tie)):
        if runs and happening.at - runs[-1][-1].at <= timedelta(minutes=30):
            runs[-1].append(happening)
        else:
            runs.append([happening])
    found = []
    for run in runs:
        counted = [h for h in run if h.kind != "engagement"]
        first = (counted or run)[0]
        views = [h for h in run if h.kind == "view"]
        elements: dict[tuple[int, int], Element] = {}
        for slot in {(slot_of(h.at), h.action) for h in run}:
            here = [h for h in run if (slot_of(h.at), h.action) == slot]
            elements[slot] = Element(
                len([h for h in here if h.kind != "engagement"]),
                sum(h.engaged_ms for h in here),
                max(h.scroll for h in here),
            )
        found.append(
            Visit(
                run[0].at,
                run[-1].at,
                Entry(not counted, first.at, first.tie, 1, 2, first.origin, first.action),
                Exit(views[-1].at, views[-1].tie, views[-1].action) if views else None,
                len(views),
                len(counted),
                len([h for h in run if h.kind == "click"]),
                any(h.declared for h in run),
                elements,
            )
        )
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Up to 30 events of one visitor, at distances around the gap, some at the same time."""
    at = START
    happenings = []
    for tie in range(draw(st.integers(1, 30))):
        at += timedelta(
            seconds=draw(st.sampled_from([0, 0, 1, 60, 900, 1799, 1800, 1801, 3600])),
            microseconds=draw(st.sampled_from([0, 0, 1])),
        )
        kind = draw(st.sampled_from(["view", "view", "click", "passive", "engagement"]))
        engaged_ms, scroll = (
            (draw(st.integers(0, 9)), draw(st.integers(0, 100))) if kind == "engagement" else (0, NO_SCROLL)
        )
        action, origin = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        happenings.append(Happening(at, tie, kind, action, origin, engaged_ms, scroll, draw(st.integers(0, 20)) == 0))
    return happenings


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_and_any_portions_give_the_visits_of_the_whole(
    history: list[Happening], chance: random.Random
) -> None:
    shuffled = history.copy()
    chance.shuffle(shuffled)
    known: list[Visit] = []
    while shuffled:
        portion, shuffled = shuffled[: (n := chance.randint(1, 5))], shuffled[n:]
        known = joined(known + joined(happening.visit() for happening in portion))
    assert known == recounted(history)


@given(histories(), st.randoms(use_true_random=False))
def test_the_visits_of_many_events_are_those_of_each_joined(history: list[Happening], chance: random.Random) -> None:
    chance.shuffle(history)
    assert of_events([happening.plain() for happening in history]) == joined(h.visit() for h in history)


@given(st.tuples(histories(), histories(), histories()))
def test_merging_is_associative_and_commutative(three: tuple[list[Happening], ...]) -> None:
    a, b, c = (reduce(Visit.merge, (h.visit() for h in history)) for history in three)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@pytest.mark.parametrize(
    ("apart", "count"),
    [
        (timedelta(0), 1),
        (VISIT_GAP, 1),
        (VISIT_GAP + timedelta(microseconds=1), 2),
    ],
)
def test_the_gap_is_thirty_minutes_and_not_a_microsecond_more(apart: timedelta, count: int) -> None:
    history = [Happening(at, 0, "view", 1, 1, 0, NO_SCROLL, False) for at in (START, START + apart)]
    assert len(joined(h.visit() for h in history)) == count


def test_a_late_event_between_two_visits_makes_one_of_them() -> None:
    first, late, last = (
        Happening(START + timedelta(minutes=minutes), 0, "view", 1, 1, 0, NO_SCROLL, False).visit()
        for minutes in (0, 30, 60)
    )
    apart = joined([last, first])
    assert len(apart) == 2
    (whole,) = joined([*apart, late])
    assert (whole.started, whole.ended, whole.pageviews) == (first.started, last.ended, 3)


def test_figures_stop_at_what_the_store_can_hold() -> None:
    most = Element(MAX_COUNT, MAX_COUNT, 100)
    assert most + most == most
