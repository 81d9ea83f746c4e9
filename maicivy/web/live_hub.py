"""The viewers of one process: one subscription, one heartbeat and one encoding for all of them.

The hub runs two threads while there are viewers: one listens to Redis and fans out, one beats. They start with the
first viewer, hence after gunicorn has forked, and end soon after the last, so that publishers see nobody listening.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from maicivy.core.ports import Snapshot
from maicivy.errors import Unavailable
from maicivy.storage.live import TOGETHER, RedisLiveFeed, WantedSites, gap
from maicivy.web.websocket import CloseCode, WebSocket, text_frame

HEARTBEAT_S: Final = 5.0
"""Between heartbeats, by seed 001. Places are renewed at the same pace."""

FRESH_S: Final = 0.2
"""Statistics no older than this, and than the latest event heard, answer `refresh_stats`: while nothing happens,
clients that ask in a loop cost five reads a second."""

IDLE_BEATS: Final = 6
"""Beats without a viewer before the subscription ends: a page that reloads finds it still there."""

_POLL_S: Final = 0.2
_SUBSCRIBE_S: Final = 1.0
_AT_DOOR: Final = 16
_AT_DOOR_S: Final = 2.0
_PAUSE_AFTER_S: Final = 0.001
_GAP_START: Final = gap(0)[:-2]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the threads of the hub share, from the first viewer to the last."""

    stop: threading.Event = field(default_factory=threading.Event)
    wanted: WantedSites = field(default_factory=WantedSites)


class _Seat(NamedTuple):
    """The place that a viewer takes, and whether it showed the admin token."""

    place: str
    trusted: bool


@dataclass(slots=True)
class _Watched:
    """One site, its viewers, and what was last read of it and when.

    Attributes:
        heard: events since it is watched.
        idle_beats: without a viewer.
    """

    site_id: int
    viewers: dict[WebSocket, _Seat] = field(default_factory=dict)
    stats: tuple[float, Snapshot] | None = None
    heard: int = 0
    idle_beats: int = 0


class Hub:
    """Fans out what `feed` hears, and what `read` says of each site, to this process's viewers. Safe for threads.

    A site is listened to from its first viewer on; nobody gets anything of another site than the one joined. With each
    beat, `may_watch` is asked for every site whether those still may who showed the admin token, and those who did not.
    """

    def __init__(
        self, feed: RedisLiveFeed, read: Callable[[int], Snapshot], may_watch: Callable[[int, bool], bool]
    ) -> None:
        self.closed = False
        self._feed = feed
        self._read = read
        self._may_watch = may_watch
        self._sites: dict[int, _Watched] = {}
        self._alive: Callable[[], bool] = _always
        self._lock = threading.Lock()
        self._door = threading.BoundedSemaphore(_AT_DOOR)
        self._vacant: deque[str] = deque()
        self._vacating = threading.Lock()
        self._run: _Run | None = None

    def follow(self, alive: Callable[[], bool]) -> None:
        """Close all connections within a second or two of `alive` turning false: they would hold up the process."""
        self._alive = alive

    @contextmanager
    def door(self) -> Iterator[None]:
        """To be held while Redis is asked for a newcomer. It lets a few in at a time: a crowd that comes back at once
        would take all connections to Redis, and be refused.

        Raises:
            Unavailable: it has been held by others for too long; Redis is slow.
        """
        if not self._door.acquire(timeout=_AT_DOOR_S):
            raise Unavailable("redis", "slow to admit viewers")
        try:
            yield
        finally:
            self._door.release()

    def prepare(self, site_id: int) -> bytes:
        """The first frame for a viewer of a site, once the subscription stands or a second has passed: what happens
        from now on it will hear of.

        Raises:
            Unavailable: Redis does not answer.
        """
        with self._lock:
            run = self._start()
            self._watched(site_id)
        if run is not None:
            run.wanted.wait(site_id, _SUBSCRIBE_S)
        return self.stats(site_id)

    def join(self, site_id: int, viewer: WebSocket, place: str, first: bytes, *, trusted: bool) -> None:
        """From now on `viewer` gets everything of the site, after the frame `first`; its place is held for it."""
        viewer.offer(first, events=0)
        with self._lock:
            self._start()
            self._watched(site_id).viewers[viewer] = _Seat(place, trusted)
        if self.closed:
            viewer.close(CloseCode.GOING_AWAY)

    def leave(self, site_id: int, viewer: WebSocket) -> None:
        """Undo `join`. Safe to repeat."""
        with self._lock:
            if site_id in self._sites:
                self._sites[site_id].viewers.pop(viewer, None)

    def vacate(self, place: str) -> None:
        """Give a place back; those that are given back at the same time go in one call, or a crowd that leaves would
        take all connections to Redis. Without Redis their leases end by themselves."""
        self._vacant.append(place)
        with self._vacating:
            places = []
            while self._vacant:
                places.append(self._vacant.popleft())
            if places:
                try:
                    self._feed.places.leave(*places)
                except Unavailable as error:
                    log.warning("live_places_kept", extra={"part": error.part, "reason": error.reason})

    def stats(self, site_id: int) -> bytes:
        """A frame of `initial_stats`, at most `FRESH_S` old and not older than an event that was sent.

        Raises:
            Unavailable: Redis does not answer.
        """
        watched = self._sites.get(site_id) or _Watched(site_id)  # the hub was closed meanwhile
        read_at, snapshot = watched.stats or (0.0, None)
        if snapshot is None or time.monotonic() - read_at > FRESH_S:
            snapshot = self._snapshot(watched)
        return _stats_frame("initial_stats", snapshot)

    def close(self, wait_s: float = 1.0) -> None:
        """Say goodbye to every viewer, cut off after `wait_s` whoever does not answer, and take no more."""
        self.closed = True
        with self._lock:
            viewers = [viewer for watched in self._sites.values() for viewer in watched.viewers]
            if self._run is not None:
                self._run.stop.set()
        for viewer in viewers:
            viewer.close(CloseCode.GOING_AWAY)
        deadline = time.monotonic() + wait_s
        for viewer in viewers:
            if not viewer.over.wait(max(0.0, deadline - time.monotonic())) and wait_s:
                viewer.abort()

    def _start(self) -> _Run | None:
        if self._run is None and not self.closed:
            self._run = _Run()
            for name, work in (("live-feed", self._listen), ("live-heart", self._beat)):
                threading.Thread(target=work, args=(self._run,), name=name, daemon=True).start()
        return self._run

    def _watched(self, site_id: int) -> _Watched:
        """The site, which is listened to from now on. The lock is held."""
        if self._run is not None:
            self._run.wanted.add(site_id)
        return self._sites.setdefault(site_id, _Watched(site_id))

    def _listen(self, run: _Run) -> None:
        while not run.stop.is_set():
            try:
                for messages in self._feed.listen(run.wanted, run.stop):
                    began = time.monotonic()
                    self._fan_out(messages)
                    took_s = time.monotonic() - began
                    if took_s > _PAUSE_AFTER_S or len(messages) == TOGETHER:
                        time.sleep(took_s)  # nothing above waits: requests get half of the process, and events pile up
            except Exception:  # an edge: without this thread the viewers would see nothing more, and not know
                log.exception("live_feed_failed")
                run.stop.wait(HEARTBEAT_S)

    def _fan_out(self, messages: list[tuple[int, bytes]]) -> None:
        """Each viewer gets what has arrived together in one piece, so that a burst costs few system calls."""
        for site_id in {site_id for site_id, _ in messages}:
            watched = self._sites.get(site_id)
            if watched is None:
                continue
            payloads = [payload for its_site, payload in messages if its_site == site_id]
            events = sum(map(_events_in, payloads))
            watched.heard += events
            watched.stats = None
            _send(watched, b"".join(map(text_frame, payloads)), events)

    def _beat(self, run: _Run) -> None:
        next_beat = time.monotonic() + HEARTBEAT_S
        while not run.stop.wait(_POLL_S):
            if not self._alive():
                self.close()
            elif time.monotonic() >= next_beat:
                next_beat = max(next_beat + HEARTBEAT_S, time.monotonic())
                self._heartbeat()
                self._end_what_is_idle(run)

    def _end_what_is_idle(self, run: _Run) -> None:
        with self._lock:
            for watched in tuple(self._sites.values()):
                watched.idle_beats = 0 if watched.viewers else watched.idle_beats + 1
                if watched.idle_beats >= IDLE_BEATS:
                    del self._sites[watched.site_id]
                    run.wanted.discard(watched.site_id)
            if not self._sites:
                run.stop.set()
                self._run = None

    def _heartbeat(self) -> None:
        """One beat for every site that has viewers."""
        try:
            self._renew_places()
            for watched in tuple(self._sites.values()):
                self._dismiss(watched)
                if watched.viewers:
                    _send(watched, _stats_frame("heartbeat", self._snapshot(watched)), events=0)
        except Unavailable as error:  # the next beat tries again; clients notice that one is missing
            log.warning("live_heartbeat_failed", extra={"part": error.part, "reason": error.reason})
        except Exception:  # an edge: without this thread nothing would end the connections at shutdown
            log.exception("live_heartbeat_failed")

    def _dismiss(self, watched: _Watched) -> None:
        """Say goodbye to those who may no longer watch: the site was removed, or is not public any more."""
        for viewer, seat in tuple(watched.viewers.items()):
            if not self._may_watch(watched.site_id, seat.trusted):
                self.leave(watched.site_id, viewer)
                viewer.close(CloseCode.POLICY)

    def _renew_places(self) -> None:
        renewed = self._places()
        self._feed.places.renew(renewed)
        left = renewed - self._places()
        if left:  # their own leaving may have come before the renewal, and been undone by it
            self._feed.places.leave(*left)

    def _places(self) -> set[str]:
        with self._lock:
            return {seat.place for watched in self._sites.values() for seat in watched.viewers.values()}

    def _snapshot(self, watched: _Watched) -> Snapshot:
        heard = watched.heard
        snapshot = self._read(watched.site_id)
        if heard == watched.heard:
            watched.stats = time.monotonic(), snapshot
        return snapshot


def _send(watched: _Watched, frame: bytes, events: int) -> None:
    for viewer in tuple(watched.viewers):
        viewer.offer(frame, events)


def _always() -> bool:
    return True


def _stats_frame(kind: str, snapshot: Snapshot) -> bytes:
    return text_frame(msgspec.json.encode({"type": kind, "data": snapshot}))


def _events_in(message: bytes) -> int:
    """How many events a viewer misses who does not get this message: a `gap` of the publisher stands for many."""
    return int(message[len(_GAP_START) : -1]) if message.startswith(_GAP_START) else 1
