"""Who is served in a crowd."""

from __future__ import annotations

import pytest

from maicivy.admission import CROWD, PATIENCE_S, REFUSALS_PER_S, STANDING_S, WINDOW_S, Crowd

LONG = STANDING_S * 1.1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def after(clock: Clock, *waits: float, then_s: float = WINDOW_S) -> Crowd:
    """A crowd after one window in which requests had waited so long."""
    crowd = Crowd(clock)
    for waited in waits:
        assert crowd.begin(waited), "nobody is sent away before a window has passed"
    clock.now += then_s
    return crowd


@pytest.mark.parametrize(
    ("waits", "is_full"),
    [
        ([], False),
        ([0.0] * 1000, False),
        ([STANDING_S] * CROWD, False),
        ([LONG] * CROWD, True),
        ([60.0] * 1000, True),
        ([60.0] * (CROWD - 1), False),
        ([60.0] * 1000 + [0.0], False),
    ],
)
def test_newcomers_are_sent_away_when_all_of_many_requests_had_to_wait(
    clock: Clock, waits: list[float], is_full: bool
) -> None:
    assert after(clock, *waits).is_full is is_full


def test_the_next_window_decides_anew(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert crowd.is_full
    crowd.begin(0.0)
    clock.now += WINDOW_S
    assert not crowd.is_full


def test_what_was_long_ago_counts_no_more(clock: Clock) -> None:
    assert not after(clock, *[LONG] * CROWD, then_s=WINDOW_S * 2).is_full


def test_in_a_crowd_those_who_waited_too_long_are_sent_away_too(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert crowd.begin(PATIENCE_S * 0.9)
    assert not crowd.begin(PATIENCE_S)


def test_without_a_crowd_everybody_is_served_however_long_they_waited(clock: Clock) -> None:
    crowd = after(clock, 0.0)
    assert all(crowd.begin(60.0) for _ in range(1000))


def test_refusals_take_turns_and_no_time_is_saved_up_for_them(clock: Clock) -> None:
    crowd = Crowd(clock)
    assert [crowd.refusal_s() for _ in range(3)] == pytest.approx([0, 1 / REFUSALS_PER_S, 2 / REFUSALS_PER_S])
    clock.now += 60.0
    assert crowd.refusal_s() == 0
