"""Whom a web process still serves when more people ask than it can answer, and whom it sends away.

A process has too much to do when its event loop never rests and not one request of a while was answered soon: a queue
that does not go away, as in CoDel (RFC 8289). A slow disk or database does not look like that, for then the loop rests;
nor does a pause, after which few requests have waited long.

Then no more requests are worked on at once than can be answered soon. The others are answered 503 before anybody has
looked into them, and not too many a second, because that costs as well: they wait until it is their turn, which costs
nothing. So those who are served are served as fast as ever, whoever else asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WINDOW_S: Final = 0.1
MOST_WINDOW_S: Final = 1.0
CROWD: Final = 20
"""Answers in a window from which on they tell something; until there are, it may last longer."""

STANDING_S: Final = 0.03
"""When no answer of a window took less, people stand in line."""

RESTED: Final = 0.1
"""A loop that rested for more of the window can do more."""

SOON_S: Final = 0.04
"""In a crowd, as many requests are worked on at once as were answered in such a time."""

LEAST: Final = 128
"""So many at once are never too many: large batches take long, and a few dozen clients that send them are no flood."""

PATIENCE_S: Final = 0.12
"""In a crowd, who has waited that long before being looked at is sent away as soon as `LEAST` are worked on."""

REFUSALS_PER_S: Final = 500
"""Each costs 50 to 100 microseconds."""

RETRY_S: Final = 2
PROBES: Final = frozenset({"/healthz", "/health", "/readyz", "/metrics"})
"""Always served: a crowd is no reason to restart the process, and somebody should see it."""

_STATUS: Final = "503 Service Unavailable"
_BODY: Final = (
    b'{"success":false,"error":{"code":"overloaded",'
    b'"message":"too many requests at once; nothing of this one was kept"}}'
)
_HEADERS: Final = (
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(_BODY))),
    ("Cache-Control", "no-store"),
    ("Retry-After", str(RETRY_S)),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Allow-Origin", "*"),  # nothing in it is for some origins only
    ("Access-Control-Expose-Headers", "X-Request-ID, Retry-After"),
)


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

    def begin(self, waited_s: float) -> bool:
        """Whether a request that has waited so long is to be worked on; if so, `end` must follow."""
        most = self.most
        if self._working >= (LEAST if waited_s > PATIENCE_S and most < inf else most):
            return False
        self._working += 1
        return True

    @property
    def most(self) -> float:
        """So many requests may be worked on at once; infinite when there is no crowd."""
        self._look()
        return self._most

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
        """Seconds until it is the turn of one more to be sent away."""
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
        self._most = max(LEAST, self._answered / lasted_s * SOON_S) if is_crowded else inf
        self._began = now
        self._answered = 0
        self._least_s = inf
        self._rested_s = 0.0


class Admission:
    """The WSGI application `inner`, for as many as can be served. `waited_s` tells of an environment for how long its
    request has lain there, `shed` hears of everybody who was sent away."""

    def __init__(
        self,
        inner: WSGIApplication,
        crowd: Crowd,
        waited_s: Callable[[WSGIEnvironment], float],
        sleep: Callable[[float], object],
        shed: Callable[[], object],
    ) -> None:
        self._inner = inner
        self._crowd = crowd
        self._waited_s = waited_s
        self._sleep = sleep
        self._shed = shed

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in PROBES or "HTTP_UPGRADE" in environ:  # a live viewer stays for hours
            return self._inner(environ, start_response)
        waited_s = self._waited_s(environ)
        if not self._crowd.begin(waited_s):
            self._shed()
            self._sleep(self._crowd.refusal_s())
            start_response(_STATUS, [*_HEADERS, ("X-Request-ID", os.urandom(8).hex())])
            return [_BODY]
        began = time.perf_counter()
        try:
            return self._inner(environ, start_response)
        finally:
            self._crowd.end(waited_s + time.perf_counter() - began)
