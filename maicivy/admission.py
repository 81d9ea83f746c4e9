"""Whom a web process still serves when more people ask than it can answer, and whom it sends away.

The measure is how long requests have waited before anybody looked at them. One may wait for a slow neighbour; but when
for a while not a single one was looked at soon, there is a queue that does not go away, as in CoDel (RFC 8289). Then
connections that are new are sent away, by a canned answer and not too many a second, because that costs as well; so the
others are answered as fast as ever, and none of the time is lost on people who have given up.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

WINDOW_S: Final = 0.1
CROWD: Final = 20
"""Requests in a window from which on they are many; a process that was paused has few, all of which waited."""

STANDING_S: Final = 0.03
"""In a crowd each request of a window has waited that long. Its answer takes two or three times as much."""

PATIENCE_S: Final = 0.12
"""In a crowd, a request that has waited that long is sent away though its connection is known."""

REFUSALS_PER_S: Final = 400
"""New connections sent away; more wait for their turn. Each costs 80 microseconds: 3 % of a core."""


class Crowd:
    """How busy one process is. Not for threads; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._window_ends = clock() + WINDOW_S
        self._requests = 0
        self._least_wait_s = inf
        self._is_crowded = False
        self._next_refusal = 0.0

    def begin(self, waited_s: float) -> bool:
        """A request that has waited so long is looked at: whether it is to be served."""
        self._look()
        self._requests += 1
        self._least_wait_s = min(self._least_wait_s, waited_s)
        return not self._is_crowded or waited_s < PATIENCE_S

    @property
    def is_full(self) -> bool:
        """Whether new connections are to be sent away."""
        self._look()
        return self._is_crowded

    def refusal_s(self) -> float:
        """Seconds until it is this newcomer's turn to be sent away."""
        now = self._clock()
        turn = max(now, self._next_refusal)
        self._next_refusal = turn + 1 / REFUSALS_PER_S
        return turn - now

    def _look(self) -> None:
        now = self._clock()
        if now < self._window_ends:
            return
        # What was in a window that ended long ago tells nothing of now.
        is_fresh = now < self._window_ends + WINDOW_S
        self._is_crowded = is_fresh and self._requests >= CROWD and self._least_wait_s > STANDING_S
        self._window_ends = now + WINDOW_S
        self._requests, self._least_wait_s = 0, inf
