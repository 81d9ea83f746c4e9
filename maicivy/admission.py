"""Whom a web process still serves when more people ask than it can answer in time, and whom it sends away.

Told by the rounds of its event loop. In each round the loop serves everybody who asked since the last one, so the
length of a round is how long people wait, and answers come one or two rounds after the question. When rounds of many
requests grow long, connections that are new are sent away: by a canned answer, for a fraction of what serving costs.
That keeps the rounds short for those already here. If they alone are too many, the end of a round's queue goes too.

One slow request is no crowd: nobody is sent away for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

CROWD: Final = 50
"""Requests in one round from which on they are many."""

NEWCOMER_S: Final = 0.04
"""Length of a crowded round after which new connections are sent away. Answers take one to three rounds."""

REGULAR_S: Final = 0.08
"""How far into a crowded round requests on known connections are still served."""


class Crowd:
    """What one event loop has to do. Not for threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._woke = clock()
        self._begun = 0
        self._round_was_long = False

    def wake(self) -> None:
        """A round begins."""
        self._woke = self._clock()
        self._begun = 0

    def sleep(self) -> None:
        """It ends."""
        self._round_was_long = self._begun >= CROWD and self._clock() - self._woke > NEWCOMER_S

    def begin(self) -> bool:
        """A request begins: whether it is to be served."""
        self._begun += 1
        return self._begun < CROWD or self._clock() - self._woke <= REGULAR_S

    @property
    def is_full(self) -> bool:
        """Whether new connections are to be sent away."""
        return self._round_was_long
