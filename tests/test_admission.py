"""Who is served in a crowd."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from maicivy.admission import (
    CROWD,
    LEAST,
    MOST_WINDOW_S,
    PATIENCE_S,
    PROBES,
    REFUSALS_PER_S,
    RESTED,
    SOON_S,
    STANDING_S,
    WINDOW_S,
    Admission,
    Crowd,
)
from maicivy.web.openapi.error_codes import CODES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LONG = STANDING_S * 1.1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def is_crowded(crowd: Crowd) -> bool:
    """Whether anybody may be sent away."""
    return crowd.most < math.inf


def after(clock: Clock, *took: float, lasted_s: float = WINDOW_S * 1.01, rested_s: float = 0.0) -> Crowd:
    """A crowd after one window in which answers took so long."""
    crowd = Crowd(clock)
    for each in took:
        assert crowd.begin(60.0), "nobody is sent away before a window has passed"
        crowd.end(each)
    crowd.sleep()
    clock.now += rested_s
    crowd.wake()
    clock.now += lasted_s - rested_s
    return crowd


@pytest.mark.parametrize(
    ("took", "is_one"),
    [
        ([], False),
        ([0.001] * 1000, False),
        ([STANDING_S * 0.9] * CROWD, False),
        ([LONG] * CROWD, True),
        ([60.0] * 1000, True),
        ([60.0] * (CROWD - 1), False),
        ([60.0] * 1000 + [0.001], False),
    ],
)
def test_people_are_sent_away_when_every_one_of_many_had_to_wait(clock: Clock, took: list[float], is_one: bool) -> None:
    assert is_crowded(after(clock, *took)) is is_one


@pytest.mark.parametrize(("share", "is_one"), [(0.0, True), (RESTED * 0.9, True), (RESTED * 1.1, False), (1, False)])
def test_a_process_that_rests_is_not_busy_whatever_it_waits_for(clock: Clock, share: float, is_one: bool) -> None:
    assert is_crowded(after(clock, *[LONG] * 1000, rested_s=WINDOW_S * share)) is is_one


def test_the_next_window_decides_anew(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert is_crowded(crowd)
    for _ in range(CROWD):
        assert crowd.begin(0.0)
        crowd.end(0.001)
    clock.now += WINDOW_S * 1.01
    assert not is_crowded(crowd)


def test_a_window_without_answers_changes_nothing_at_first(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * CROWD)
    assert is_crowded(crowd)
    clock.now += WINDOW_S * 2
    assert is_crowded(crowd)
    clock.now += MOST_WINDOW_S
    assert not is_crowded(crowd)


@pytest.mark.parametrize("answered", [CROWD, 3000])
def test_in_a_crowd_no_more_are_worked_on_than_can_be_answered_soon(clock: Clock, answered: int) -> None:
    crowd = after(clock, *[LONG] * answered)
    room = max(LEAST, math.ceil(answered / (WINDOW_S * 1.01) * SOON_S))
    assert [crowd.begin(0.0) for _ in range(room + 2)] == [True] * room + [False] * 2
    crowd.end(LONG)
    assert crowd.begin(0.0)
    assert not crowd.begin(0.0)


def test_in_a_crowd_who_has_waited_long_is_sent_away_unless_few_are_at_work(clock: Clock) -> None:
    crowd = after(clock, *[LONG] * 3000)
    waited_s = PATIENCE_S * 1.1
    assert [crowd.begin(waited_s) for _ in range(LEAST + 2)] == [True] * LEAST + [False] * 2
    assert crowd.begin(0.0)


def test_without_a_crowd_there_is_no_limit(clock: Clock) -> None:
    crowd = after(clock, 0.001)
    assert all(crowd.begin(0.0) for _ in range(10_000))


def test_refusals_take_turns_and_no_time_is_saved_up_for_them(clock: Clock) -> None:
    crowd = Crowd(clock)
    assert [crowd.refusal_s() for _ in range(3)] == pytest.approx([0, 1 / REFUSALS_PER_S, 2 / REFUSALS_PER_S])
    clock.now += 60.0
    assert crowd.refusal_s() == 0


class Full(Crowd):
    """A crowd in which there is no room."""

    def begin(self, waited_s: float) -> bool:
        return False

    def refusal_s(self) -> float:
        return 1.5


def asked(crowd: Crowd, **environ: str) -> tuple[str, dict[str, str], bytes, list[str]]:
    """Status, headers and body of an answer, and what was done besides."""
    began: list[Any] = []
    done: list[str] = []

    def inner(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [b"served"]

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        began[:] = status, dict(headers)
        return lambda _: None

    application = Admission(
        inner, crowd, lambda _: 0.0, lambda seconds: done.append(f"slept {seconds}"), lambda: done.append("shed")
    )
    body = b"".join(application({"PATH_INFO": "/", **environ}, start_response))
    return began[0], began[1], body, done


def test_who_is_sent_away_waits_for_it_and_hears_when_to_come_back(clock: Clock) -> None:
    status, headers, body, done = asked(Full(clock))
    assert int(status[:3]) == CODES["overloaded"].status == 503
    assert (headers["Retry-After"], headers["Content-Length"]) == ("2", str(len(body)))
    assert json.loads(body)["error"]["code"] == "overloaded"
    assert done == ["shed", "slept 1.5"]


@pytest.mark.parametrize("environ", [{"PATH_INFO": path} for path in PROBES] + [{"HTTP_UPGRADE": "websocket"}])
def test_probes_and_live_viewers_are_always_served(clock: Clock, environ: dict[str, str]) -> None:
    assert asked(Full(clock), **environ)[2:] == (b"served", [])


def test_whoever_is_served_makes_room_again(clock: Clock) -> None:
    crowd = Crowd(clock)
    assert asked(crowd)[2:] == (b"served", [])
    assert crowd._working == 0
