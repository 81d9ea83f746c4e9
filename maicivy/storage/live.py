"""The live channel: how events are announced and heard over Redis pub/sub.

Both sides stand here next to each other, because the channel, the messages and their limits are one agreement between
the worker that publishes and the web processes that listen. Nothing here is durable: whoever is not listening misses
it, and every number that matters can be read elsewhere.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, cast

import msgspec
import redis

from maicivy.core.events import Event, announcement
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.live_places import LivePlaces
from maicivy.storage.redis_clients import redis_errors

ANNOUNCED_EVENTS: Final = 500
"""At most so many events of a site are announced per call: the size of the largest batch that a client may post. More
is a backlog being worked off, which nobody can read anyway."""

ANNOUNCED_BYTES: Final = 1 << 20
"""And so many bytes of a site. Redis cuts a subscriber off that lags 32 MB behind (its default for pub/sub)."""

CONTROL_TYPES: Final = frozenset({"initial_stats", "heartbeat", "pong", "gap"})
"""Messages of the server itself. An event that somebody named like one is stored and counted but not announced, or
anybody could post false statistics into every dashboard."""

TOGETHER: Final = 64
"""So many messages, if they have arrived, are handed on together."""

_WAIT_S: Final = 1.0
_PING_AFTER_S: Final = 5.0
_DEAD_AFTER_S: Final = 15.0
_RETRY_S: Final = 0.1
_RETRY_CAP_S: Final = 2.0

log = logging.getLogger(__name__)


def gap(dropped: int) -> bytes:
    """The message that stands where `dropped` events are missing."""
    return msgspec.json.encode({"type": "gap", "dropped": dropped})


class RedisLiveFeed:
    """Publishes and listens; `places` counts the viewers. Safe for threads."""

    def __init__(self, fast: redis.Redis, blocking: redis.Redis) -> None:
        self._fast = fast
        self._blocking = blocking
        self.places = LivePlaces(fast)

    def publish(self, events: Sequence[Event]) -> None:
        """See `core.ports.LiveFeed`. Of more than `ANNOUNCED_EVENTS` or `ANNOUNCED_BYTES` of one site the newest are
        announced, after a `gap` that counts the others.

        Raises:
            Unavailable: Redis does not answer; some may have been announced.
        """
        by_site: dict[int, list[Event]] = {}
        for event in events:
            if event.event_type not in CONTROL_TYPES:
                by_site.setdefault(event.site_id, []).append(event)
        if not by_site:
            return
        with timed(REDIS_DURATION, "publish"), redis_errors():
            channels = {keys.channel(site_id): site_id for site_id in by_site}
            heard = cast(list[tuple[bytes, int]], self._fast.pubsub_numsub(*channels))
            pipe = self._fast.pipeline(transaction=False)
            for channel, listeners in heard:
                if listeners:
                    for message in _newest(by_site[channels[channel.decode()]]):
                        pipe.publish(channel, message)
            if len(pipe):
                pipe.execute()

    def listen(self, wanted: WantedSites, until: threading.Event) -> Iterator[list[tuple[int, bytes]]]:
        """Reconnecting as needed: what has arrived together, one to `TOGETHER` of (site, message) in order; messages
        are the JSON of `core.events.announcement`, or a `gap`. One connection, whatever is wanted; what is not wanted
        is not sent by Redis. Ends within about a second after `until` is set."""
        failures = 0
        while not until.is_set():
            try:
                with closing(_Subscription(self._blocking)) as subscription, wanted.heard_on(subscription):
                    while not until.is_set():
                        messages = []
                        for kind, channel, payload in subscription.read():
                            site_id = wanted.channels.get(channel)
                            if site_id is None:
                                continue  # sent before it was no longer wanted
                            if kind == b"message":
                                messages.append((site_id, payload))
                            elif kind == b"subscribe":
                                wanted.stands(site_id)
                                failures = 0
                        if messages:
                            yield messages
            except (redis.RedisError, OSError) as error:
                if not failures:
                    log.warning("live_feed_lost", extra={"error": type(error).__name__})
                pause = min(_RETRY_CAP_S, _RETRY_S * 2 ** min(failures, 10))
                until.wait(pause * random.uniform(0.5, 1.0))
                failures += 1


class WantedSites:
    """The sites that one `listen` hears, which may change while it runs. Safe for threads."""

    def __init__(self, site_ids: Iterable[int] = ()) -> None:
        self.channels: dict[bytes, int] = {}
        self._standing: dict[int, threading.Event] = {}
        self._subscription: _Subscription | None = None
        self._lock = threading.Lock()
        for site_id in site_ids:
            self.add(site_id)

    def add(self, site_id: int) -> None:
        """Want a site, too. Safe to repeat."""
        with self._lock:
            if site_id not in self._standing:
                self._standing[site_id] = threading.Event()
                self.channels[_channel(site_id)] = site_id
                self._ask("SUBSCRIBE", site_id)

    def discard(self, site_id: int) -> None:
        """Want a site no longer. Safe to repeat."""
        with self._lock:
            if self._standing.pop(site_id, None) is not None:
                del self.channels[_channel(site_id)]
                self._ask("UNSUBSCRIBE", site_id)

    def wait(self, site_id: int, timeout_s: float) -> bool:
        """Whether everything that is announced on the site from now on will be heard, after waiting for that."""
        standing = self._standing.get(site_id)
        return standing is not None and standing.wait(timeout_s)

    @contextmanager
    def heard_on(self, subscription: _Subscription) -> Iterator[None]:
        """Within the block, what is wanted is what `subscription` hears.

        Raises:
            redis.RedisError, OSError: the connection is gone.
        """
        try:
            with self._lock:
                if self.channels:
                    subscription.ask("SUBSCRIBE", *self.channels)
                self._subscription = subscription
            yield
        finally:
            with self._lock:
                self._subscription = None
                for standing in self._standing.values():
                    standing.clear()

    def stands(self, site_id: int) -> None:
        """Redis has confirmed a subscription."""
        standing = self._standing.get(site_id)
        if standing is not None:
            standing.set()

    def _ask(self, command: str, site_id: int) -> None:
        if self._subscription is not None:
            try:
                self._subscription.ask(command, _channel(site_id))
            except (redis.RedisError, OSError):
                self._subscription = None  # whoever reads there notices too, and asks for everything anew


class _Subscription:
    """A connection that only listens, without redis-py's `PubSub`: under gevent its `get_message` costs 0.3 ms of
    processor time (8.1, measured), for it asks the kernel twice through an emulated `poll` before it reads."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = self._pool.get_connection()
        self._heard = self._asked = time.monotonic()
        self._sending = threading.Lock()

    def ask(self, command: str, *channels: bytes) -> None:
        """Send a command, whose answer `read` will find. Another thread may be reading meanwhile.

        Raises:
            redis.RedisError, OSError: the connection is gone.
        """
        with self._sending:
            self._connection.send_command(command, *channels, check_health=False)

    def read(self) -> list[list[Any]]:
        """What has arrived, after waiting a second at most: (kind, channel, payload) each.

        Asks a silent server for a sign of life, for a connection whose other end has vanished without a word looks
        like one on which nothing happens.

        Raises:
            redis.RedisError, OSError: the connection is gone, or silent for `_DEAD_AFTER_S`.
        """
        arrived: list[Any] = []
        with suppress(redis.TimeoutError):
            arrived.append(self._next(_WAIT_S))
            while len(arrived) < TOGETHER:
                arrived.append(self._next(0))
        now = time.monotonic()
        if arrived:
            self._heard = now
        elif now - self._heard > _DEAD_AFTER_S:
            raise redis.ConnectionError("no answer on the live channel")
        elif now - max(self._heard, self._asked) > _PING_AFTER_S:
            self._asked = now
            self.ask("PING")
        return [reply for reply in arrived if isinstance(reply, list) and len(reply) == 3]  # an answer to PING is none

    def close(self) -> None:
        """Hang up: a connection that has subscribed is of no use to others."""
        self._connection.disconnect()
        self._pool.release(self._connection)

    def _next(self, wait_s: float) -> Any:
        return self._connection.read_response(push_request=True, disconnect_on_error=False, timeout=wait_s)


def _channel(site_id: int) -> bytes:
    return keys.channel(site_id).encode()


def _newest(events: Sequence[Event]) -> list[bytes]:
    """Messages of the newest events within the limits, oldest first, behind a `gap` for those left out."""
    messages: list[bytes] = []
    room = ANNOUNCED_BYTES
    for event in reversed(events[-ANNOUNCED_EVENTS:]):
        message = msgspec.json.encode(announcement(event))
        room -= len(message)
        if room < 0:
            break
        messages.append(message)
    if len(messages) < len(events):
        messages.append(gap(len(events) - len(messages)))
    messages.reverse()
    return messages
