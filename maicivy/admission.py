"""Whom a web process still serves when more people ask than it can answer, and whom it sends away.

A process has too much to do when its event loop never rests and not one request of a while was answered soon: a queue
that does not go away, as in CoDel (RFC 8289). A slow disk or database does not look like that, for then the loop rests;
nor does a pause, after which few requests have waited long.

Then connections that are new are sent away, by a canned answer and not too many a second, because that costs as well;
and no more requests are worked on at once than can be answered soon. So those who are served are served as fast as
ever, and none of the time is lost on people who have given up.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

WINDOW_S: Final = 0.1
MOST_WINDOW_S: Final = 1.0
CROWD: Final = 20
"""Answers in a window from which on they tell something; until there are, it may last longer."""

STANDING_S: Final = 0.1
"""When no answer of a window took less, people stand in line."""

RESTED: Final = 0.1
"""A loop that rested for more of the window can do more."""

SOON_S: Final = 0.12
"""In a crowd, as many requests are worked on at once as were answered in such a time."""

REFUSALS_PER_S: Final = 800
"""New connections sent away; others wait for their turn. Each costs 80 microseconds."""


class Crowd:
    """How busy one process is. Not for threads; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._working = 0
        self._most: float = inf
        self._next_refusal = 0.0
        self._fell_asleep = self._began = clock()
        self._answered = 0
        self._least_s = inf
        self._rested_s = 0.0

    @property
    def is_full(self) -> bool:
        """Whether new connections are to be sent away."""
        self._look()
        return self._most < inf

    def begin(self) -> bool:
        """Whether one more request is to be worked on; if so, `end` must follow."""
        self._look()
        if self._working >= self._most:
            return False
        self._working += 1
        return True

    def end(self, took_s: float) -> None:
        """A request that was begun has got its answer, so long after it came."""
        self._look()
        self._working -= 1
        self._answered += 1
        self._least_s = min(self._least_s, took_s)

    def sleep(self) -> None:
        """The loop has nothing to do until something happens."""
        self._fell_asleep = self._clock()

    def wake(self) -> None:
        """Something has happened."""
        self._rested_s += self._clock() - self._fell_asleep

    def refusal_s(self) -> float:
        """Seconds until it is this newcomer's turn to be sent away."""
        now = self._clock()
        turn = max(now, self._next_refusal)
        self._next_refusal = turn + 1 / REFUSALS_PER_S
        return turn - now

    def _look(self) -> None:
        now = self._clock()
        lasted_s = now - self._began
        # Requests are read in turns and answered in turns: a window without answers tells nothing.
        if lasted_s < WINDOW_S or (self._answered < CROWD and lasted_s < MOST_WINDOW_S):
            return
        is_crowded = self._answered >= CROWD and self._least_s > STANDING_S and self._rested_s < RESTED * lasted_s
        self._most = max(CROWD, self._answered / lasted_s * SOON_S) if is_crowded else inf
        self._began = now
        self._answered = 0
        self._least_s = inf
        self._rested_s = 0.0
