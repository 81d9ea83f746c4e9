"""Who is served in a crowd."""

from __future__ import annotations

import pytest

from maicivy.admission import CROWD, NEWCOMER_S, REGULAR_S, Crowd


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lived(clock: Clock, requests: int, seconds: float) -> Crowd:
    """A crowd after one round with so many requests that took so long."""
    crowd = Crowd(clock)
    crowd.wake()
    for _ in range(requests):
        crowd.begin()
    clock.now += seconds
    crowd.sleep()
    return crowd


@pytest.mark.parametrize(
    ("requests", "seconds", "is_full"),
    [
        (0, 0.0, False),
        (CROWD, NEWCOMER_S / 2, False),
        (CROWD, NEWCOMER_S * 1.1, True),
        (CROWD - 1, NEWCOMER_S * 1.1, False),
        (1, 60.0, False),
        (1000, 60.0, True),
    ],
)
def test_newcomers_are_sent_away_after_a_long_round_of_many_requests(
    clock: Clock, requests: int, seconds: float, is_full: bool
) -> None:
    assert lived(clock, requests, seconds).is_full is is_full


def test_after_a_short_round_newcomers_are_welcome_again(clock: Clock) -> None:
    crowd = lived(clock, CROWD, 1.0)
    clock.now += 5.0  # asleep, with nothing to do
    crowd.wake()
    crowd.begin()
    crowd.sleep()
    assert not crowd.is_full


def test_the_end_of_the_queue_is_sent_away_when_a_round_is_long_and_full(clock: Clock) -> None:
    crowd = Crowd(clock)
    crowd.wake()
    assert all(crowd.begin() for _ in range(CROWD))
    clock.now += REGULAR_S * 1.1
    assert not crowd.begin()
    crowd.sleep()
    crowd.wake()
    assert crowd.begin()


def test_a_few_requests_are_served_however_long_one_of_them_takes(clock: Clock) -> None:
    crowd = Crowd(clock)
    crowd.wake()
    crowd.begin()
    clock.now += 60.0
    assert all(crowd.begin() for _ in range(CROWD - 2))
