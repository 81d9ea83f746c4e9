"""The list in memory between requests and the transport, and the one thread per process that empties it.

A request does one thing: `put`, which takes a lock, appends, and returns. All else, slow or failing, is the thread's:
checking, naming, sending, waiting for a server that is away. The thread starts with the first hit, so a process that
forks before it serves (gunicorn with preload, a pool) is no special case; a process that forks after that begins anew
with an empty list, for its parent delivers what was in it. Only threading primitives are used, so that gevent's patch
makes a greenlet of the thread.

Every hit is in exactly one place: `recorded = sent + queued + the sum of dropped`.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from maicivy.core.events import uuid7
from maicivy.core.gate import Draft, Gate
from maicivy.errors import Refusal
from maicivy.tracking.hits import Hit, draft
from maicivy.tracking.options import Options
from maicivy.tracking.transports import NotNow, Transport

BATCH: Final = 500
CHECKED_AT_ONCE: Final = 50  # some 2 ms of work; then other threads and greenlets get their turn
EXIT_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
QUIET_S: Final = 60.0
_ANY_AGE = timedelta(days=36_500)  # how old is too old is for the installation to say

# Reasons in `dropped`
QUEUE_FULL: Final = "queue_full"  # put while the list was full
REFUSED: Final = "refused"  # by maicivy's gate, here or over there: the site's own data broke a rule
GAVE_UP: Final = "gave_up"  # not delivered within give_up_s
AT_EXIT: Final = "at_exit"  # still waiting when the process had to end
NO_REQUEST: Final = "no_request"  # tracked outside a request: nobody's event
ERROR: Final = "error"  # a fault of the hook; the log has the traceback

log = logging.getLogger("maicivy.tracking")


class Backlog:
    """Hits of one application in one process.

    `make_transport` is called in the thread, so that connections belong to the process that uses them.
    """

    def __init__(
        self, options: Options, make_transport: Callable[[], Transport], clock: Callable[[], float] = time.time
    ) -> None:
        self._options = options
        self._make_transport = make_transport
        self._clock = clock
        self._begin()
        _backlogs.add(self)

    def _begin(self) -> None:
        """The state of a process that has recorded nothing; called again in a forked child."""
        self._lock = threading.Lock()
        self._hits: deque[Hit] = deque()
        self._bytes = 0
        self._in_flight = 0
        self._recorded = 0
        self._sent = 0
        self._declined = 0
        self._dropped: Counter[str] = Counter()
        self._details: dict[str, str] = {}
        self._reported: dict[str, tuple[float, int]] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._is_away = False

    def put(self, hit: Hit) -> None:
        """Take a hit, or drop it when the list is full. Never waits for anything but the lock."""
        size = hit.size
        options = self._options
        with self._lock:
            self._recorded += 1
            if len(self._hits) >= options.queue_size or self._bytes + size > options.queue_bytes:
                self._dropped[QUEUE_FULL] += 1
            elif self._has_thread():
                self._hits.append(hit)
                self._bytes += size
                self._idle.clear()
            else:
                self._dropped[AT_EXIT] += 1
        if not self._wake.is_set():
            self._wake.set()

    def drop(self, reason: str, detail: str) -> None:
        """Count a hit that never came to be."""
        with self._lock:
            self._recorded += 1
            self._dropped[reason] += 1
            self._details[reason] = detail
            self._has_thread()  # it writes the log line, for that is I/O
        self._wake.set()

    def decline(self) -> None:
        """Count a visitor's wish not to be recorded."""
        with self._lock:
            self._declined += 1

    def stats(self) -> dict[str, Any]:
        """Counts since this process began; see `Analytics.stats`."""
        with self._lock:
            return {
                "recorded": self._recorded,
                "sent": self._sent,
                "queued": len(self._hits) + self._in_flight,
                "dropped": dict(self._dropped),
                "do_not_track": self._declined,
            }

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything recorded so far is delivered or dropped; False when that takes longer."""
        return self._idle.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, each batch tried once, within about `timeout_s`; the rest is dropped."""
        self._closing.set()
        self._wake.set()
        self._idle.wait(timeout_s)
        with self._lock:
            self._dropped[AT_EXIT] += len(self._hits)
            self._hits.clear()
            self._bytes = 0
        self._report(self._clock(), everything=True)

    def _has_thread(self) -> bool:
        """Whether the thread runs, after starting it if need be; an interpreter that shuts down starts none."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="maicivy-tracking", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if len(self._hits) < BATCH:
                self._closing.wait(self._options.linger_s)
            try:
                self._deliver(self._take())
            except Exception as error:  # an edge: the thread must live
                log.exception("tracking_failed")
                self._transport = None
                self._settle(dropped=self._in_flight, reason=ERROR, detail=type(error).__name__)
            self._report(self._clock())
            with self._lock:
                if not self._hits:
                    self._wake.clear()
                    self._idle.set()
                    if self._closing.is_set():
                        self._thread = None
                        break
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _take(self) -> list[Hit]:
        with self._lock:
            batch = [self._hits.popleft() for _ in range(min(BATCH, len(self._hits)))]
            self._bytes -= sum(hit.size for hit in batch)
            self._in_flight = len(batch)
        return batch

    def _deliver(self, batch: list[Hit]) -> None:
        """Send a batch, however often that takes; on return each of its hits is counted."""
        if not batch:
            return
        oldest = batch[0].at
        drafts = self._checked(batch)
        batch.clear()
        transport = self._transport = self._transport or self._make_transport()
        parcels: list[Any] = []
        pause_s = FIRST_PAUSE_S
        while drafts or parcels:
            try:
                if drafts:
                    parcels = transport.prepare(drafts, _utc(self._clock()))
                    drafts = []  # what holds an address is let go as soon as the transport allows
                receipt = transport.send(parcels)
            except NotNow as error:
                if self._is_over(oldest, error):
                    return
                self._closing.wait(max(error.after_s, pause_s * random.uniform(0.5, 1.0)))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if self._is_away:
                self._is_away = False
                log.info("tracking_reachable")
            del parcels[: receipt.done]
            pause_s = FIRST_PAUSE_S
            self._settle(receipt.done - receipt.refused, receipt.refused, REFUSED, receipt.why)

    def _checked(self, batch: list[Hit]) -> list[Draft]:
        """The events of a batch that maicivy's gate lets pass, each with the id that it keeps through all retries."""
        drafts: list[Draft] = []
        gate = Gate(_utc(self._clock()), _ANY_AGE, self._options.kept_params)
        for index, hit in enumerate(batch, start=1):
            try:
                drafts.append(draft(hit, uuid7(int(hit.at * 1000), os.urandom(10)), gate, self._options.theme_param))
            except Refusal as refusal:
                self._settle(dropped=1, reason=REFUSED, detail=refusal.code)
            if index % CHECKED_AT_ONCE == 0:
                time.sleep(0)
        return drafts

    def _is_over(self, oldest: float, error: NotNow) -> bool:
        """Whether a batch that failed has to be given up; then it is."""
        if not self._is_away:
            self._is_away = True
            _warn("tracking_unreachable", reason=error.reason)
        if self._closing.is_set():
            self._settle(dropped=self._in_flight, reason=AT_EXIT, detail=error.reason)
            return True
        if self._clock() - oldest > self._options.give_up_s:
            self._settle(dropped=self._in_flight, reason=GAVE_UP, detail=error.reason)
            return True
        return False

    def _settle(self, sent: int = 0, dropped: int = 0, reason: str = "", detail: str = "") -> None:
        with self._lock:
            self._in_flight -= sent + dropped
            self._sent += sent
            if dropped:
                self._dropped[reason] += dropped
                self._details[reason] = detail

    def _report(self, now: float, *, everything: bool = False) -> None:
        """Log what was dropped, each reason at most once a minute."""
        with self._lock:
            dropped = dict(self._dropped)
        for reason, total in dropped.items():
            logged_at, logged = self._reported.get(reason, (0.0, 0))
            if total > logged and (everything or now - logged_at >= QUIET_S):
                self._reported[reason] = (now, total)
                detail = self._details.get(reason, "")
                _warn("tracking_dropped", reason=reason, total=total, detail=detail)


def _warn(name: str, **facts: object) -> None:
    """A warning with its facts in the message too: the host's log format may know nothing of fields."""
    log.warning("%s %s", name, " ".join(f"{key}={value}" for key, value in facts.items()), extra=facts)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


_backlogs: weakref.WeakSet[Backlog] = weakref.WeakSet()


def _begin_again() -> None:
    for backlog in list(_backlogs):
        backlog._begin()  # noqa: SLF001 - the class's own business, outside only because the interpreter calls it


def _close_all() -> None:
    end = time.monotonic() + EXIT_S
    for backlog in list(_backlogs):
        backlog.close(max(0.0, end - time.monotonic()))


if hasattr(os, "register_at_fork"):  # not on Windows, which never forks
    os.register_at_fork(after_in_child=_begin_again)
atexit.register(_close_all)
