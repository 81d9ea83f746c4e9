"""Who is served in a crowd."""

from __future__ import annotations

import math

import pytest

from maicivy.admission import CROWD, MOST_WINDOW_S, REFUSALS_PER_S, RESTED, SOON_S, STANDING_S, WINDOW_S, Crowd

LONG = STANDING_S * 1.1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def after(clock: Clock, *took: float, lasted_s: float = WINDOW_S * 1.01, rested_s: float = 0.0) -> Crowd:
    """A crowd after one window in which answers took so long."""
    crowd = Crowd(clock)
    for each in took:
        assert crowd.begin(), "nobody is sent away before a window has passed"
        crowd.end(each)
    crowd.sleep()
    clock.now += rested_s
    crowd.wake()
    clock.now += lasted_s - rested_s
    return crowd


@pytest.mark.parametrize(
    ("took", "is_full"),
    [
        ([], False),
        ([0.001] * 1000, False),
        ([STANDING_S] * CROWD, False),
        ([LONG] * CROWD, True),
        ([60.0] * 1000, True),
        ([60.0] * (CROWD - 1), False),
        ([60.0] * 1000 + [0.001], False),
    ],
)
def test_newcomers_are_sent_away_when_every_one_of_many_had_to_wait(
    clock: Clock, took: list[float], is_full: bool
) -> None:
    assert after(clock, *took).is_full is is_full


@pytest.mark.parametrize(("share", "is_full"), [(0.0, True), (RESTED * 0.9, True), (RESTED * 1.1, False), (1, False)])
def test_a_process_that_rests_is_not_busy_whatever_it_waits_for(clock: Clock, share: float, is_full: bool) -> None:
    assert after(clock, *[LONG] * 1000, rested_s=WINDOW_S * share).is_full is is_full


def test_the_next_window_decides_anew(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert crowd.is_full
    for _ in range(CROWD):
        assert crowd.begin()
        crowd.end(0.001)
    clock.now += WINDOW_S * 1.01
    assert not crowd.is_full


def test_a_window_without_answers_changes_nothing_at_first(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert crowd.is_full
    clock.now += WINDOW_S * 2
    assert crowd.is_full
    clock.now += MOST_WINDOW_S
    assert not crowd.is_full


@pytest.mark.parametrize("answered", [CROWD, 1000])
def test_in_a_crowd_no_more_are_worked_on_than_can_be_answered_soon(clock: Clock, answered: int) -> None:
    crowd = after(clock, *[LONG] * answered)
    room = max(CROWD, math.ceil(answered / (WINDOW_S * 1.01) * SOON_S))
    assert [crowd.begin() for _ in range(room + 2)] == [True] * room + [False] * 2
    crowd.end(LONG)
    assert crowd.begin()
    assert not crowd.begin()


def test_without_a_crowd_there_is_no_limit(clock: Clock) -> None:
    crowd = after(clock, 0.001)
    assert all(crowd.begin() for _ in range(10_000))


def test_refusals_take_turns_and_no_time_is_saved_up_for_them(clock: Clock) -> None:
    crowd = Crowd(clock)
    assert [crowd.refusal_s() for _ in range(3)] == pytest.approx([0, 1 / REFUSALS_PER_S, 2 / REFUSALS_PER_S])
    clock.now += 60.0
    assert crowd.refusal_s() == 0
