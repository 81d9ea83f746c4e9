"""The inbox: a Redis stream between whoever collects and the worker, durable because Redis fsyncs before it answers.

Appends are grouped: while one call to Redis is under way, other callers queue up, and the next call takes them all.
With `appendfsync always` this is what makes durability cheap (97k events/s grouped against 14k/s one by one). Only
threading primitives are used, so the same code runs under gevent, in a worker and in a host application's thread.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec
import redis

from maicivy import faults
from maicivy.core.events import Event, encode
from maicivy.core.ports import Entry, InboxStatus, Sender
from maicivy.errors import InboxFull, MaicivyError, RateLimited, Unavailable
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

WINDOW_S: Final = 60
"""The rate limit counts in windows that begin with a client's first event."""

CLAIM_AFTER_S: Final = 5
"""An entry that its reader has not finished by then is given to another; storing twice is harmless."""

MAX_GROUP: Final = 256
MAX_GROUP_BYTES: Final = 2 << 20
_READ_ENTRIES: Final = 64
_LONG_AGO_MS: Final = 3_600_000
_FULL: Final = -1

log = logging.getLogger(__name__)

# KEYS: inbox, its size hash, ledger, its start. ARGV: window in s, most bytes, MessagePack with rate key or "", limit
# and events of each submission (as arguments of their own these would cost more), then the payload of each. Returns for
# each submission: 0 appended, -1 inbox full, else seconds to wait.
# A submission larger than a whole window's limit passes when nothing else was sent, and is paid off in longer windows.
_APPEND: Final = """
local window, room = tonumber(ARGV[1]), tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[2], 'bytes') or '0')
local about = cmsgpack.unpack(ARGV[3])
local outcomes, entry, events, bytes = {}, {'n', 0}, 0, 0
for i = 4, #ARGV do
  local at, payload = (i - 4) * 3, ARGV[i]
  local key, limit, n = about[at + 1], about[at + 2], about[at + 3]
  local outcome = 0
  if #payload > room then
    outcome = -1
  elseif limit > 0 then
    local used = tonumber(redis.call('GET', key) or '0')
    if used > 0 and used + n > limit then
      outcome = math.max(1, redis.call('TTL', key))
    else
      redis.call('INCRBY', key, n)
      if used == 0 then redis.call('EXPIRE', key, window * math.ceil(n / limit)) end
    end
  end
  if outcome == 0 then
    room, bytes, events = room - #payload, bytes + #payload, events + n
    entry[#entry + 1] = tostring(#entry)
    entry[#entry + 1] = payload
  end
  outcomes[#outcomes + 1] = outcome
end
if events > 0 then
  entry[2] = events
  redis.call('HSETNX', KEYS[4], 'entry', redis.call('XADD', KEYS[1], '*', unpack(entry)))
  redis.call('HINCRBY', KEYS[2], 'bytes', bytes)
  redis.call('HINCRBY', KEYS[2], 'events', events)
  redis.call('HINCRBY', KEYS[3], 'received', events)
end
return outcomes
"""

# KEYS: inbox, its size hash. ARGV: group, then id, bytes, events of each entry.
_REMOVE: Final = """
local bytes, events = 0, 0
for i = 2, #ARGV, 3 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    bytes, events = bytes + tonumber(ARGV[i + 1]), events + tonumber(ARGV[i + 2])
  end
end
redis.call('HINCRBY', KEYS[2], 'bytes', -bytes)
redis.call('HINCRBY', KEYS[2], 'events', -events)
"""

# KEYS: inbox, ledger. Returns by how much `received` was raised.
_RESTORE_RECEIVED: Final = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
local ledger, missing = redis.call('HGETALL', KEYS[2]), 0
for i = 1, #ledger, 2 do
  local n = tonumber(ledger[i + 1])
  missing = missing + (ledger[i] == 'received' and -n or n)
end
if missing <= 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'received', missing)
return missing
"""


_pack = msgspec.msgpack.Encoder().encode


class _Group:
    """Submissions that share one call to Redis. Whoever opened it commits it; the others wait until it is settled."""

    def __init__(self) -> None:
        self.about: list[str | int] = []
        self.payloads: list[bytes] = []
        self.size = 0
        self.outcomes: list[int] = []
        self.error: MaicivyError | None = Unavailable("redis", "the append was interrupted")
        self.settled = threading.Event()
        self.opened_at = time.monotonic()

    def add(self, payload: bytes, events: int, sender: Sender | None) -> int:
        """Take a submission in; its place among the outcomes."""
        key, limit = (keys.rate(sender.key), sender.limit) if sender is not None else ("", 0)
        self.about += (key, limit, events)
        self.payloads.append(payload)
        self.size += len(payload)
        return len(self.payloads) - 1

    @property
    def is_full(self) -> bool:
        return len(self.payloads) >= MAX_GROUP or self.size >= MAX_GROUP_BYTES


class RedisInbox:
    """See `core.ports.Inbox`. Safe for threads and greenlets; make a new one after a fork."""

    def __init__(self, fast: redis.Redis, blocking: redis.Redis, max_bytes: int) -> None:
        self._fast = fast
        self._blocking = blocking
        self._max_bytes = max_bytes
        self._append = fast.register_script(_APPEND)
        self._remove = fast.register_script(_REMOVE)
        self._restore_received = fast.register_script(_RESTORE_RECEIVED)
        self._opening = threading.Lock()
        self._open: _Group | None = None
        self._turn = threading.Lock()
        self._failed_at = -math.inf

    def append(self, events: Sequence[Event], sender: Sender | None = None) -> None:
        """See `core.ports.Inbox.append`. Waits for at most two calls to Redis: the one under way and its own.

        When the one under way fails, so do those who waited for it: a Redis that hangs keeps nobody longer than one
        call may take.
        """
        payload = encode(events)
        with self._opening:
            group = self._open
            opened = group is None or group.is_full
            if group is None or opened:
                group = self._open = _Group()
            place = group.add(payload, len(events), sender)
        if opened:
            self._settle(group)
        else:
            group.settled.wait()
        if group.error is not None:
            raise group.error
        outcome = group.outcomes[place]
        if outcome == _FULL:
            raise InboxFull
        if outcome > 0:
            raise RateLimited(outcome)

    def read(self, consumer: str, max_events: int, block_s: float) -> list[Entry]:
        """See `core.ports.Inbox.read`."""
        entries: list[Entry] = []
        with redis_errors():
            try:
                entries += self._claim(consumer)
                while sum(entry.events for entry in entries) < max_events:
                    block_ms = max(1, int(block_s * 1000)) if block_s and not entries else None
                    fresh = self._read_new(consumer, block_ms)
                    entries += fresh
                    if len(fresh) < _READ_ENTRIES:
                        break
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                self._make_group()
        return entries

    def remove(self, entries: Iterable[Entry]) -> None:
        """See `core.ports.Inbox.remove`."""
        arguments: list[Any] = [keys.INBOX_GROUP]
        for entry in entries:
            arguments += (entry.id, entry.size, entry.events)
        if len(arguments) > 1:
            with redis_errors(), timed(REDIS_DURATION, "remove"):
                self._remove(keys=[keys.INBOX, keys.INBOX_SIZE], args=arguments)

    def release(self, consumer: str, entries: Iterable[Entry]) -> None:
        """See `core.ports.Inbox.release`."""
        ids: list[Any] = [entry.id for entry in entries]
        if ids:
            with redis_errors():
                self._fast.xclaim(
                    keys.INBOX, keys.INBOX_GROUP, consumer, 0, ids, idle=_LONG_AGO_MS, justid=True
                )  # idle is what `read` claims by; JUSTID: it was no delivery

    def restore_received(self) -> int:
        """Mend a ledger whose `received` was lost; by how much it was raised.

        `received` grows in the very step that appends, and what becomes of an event is counted later. So when an empty
        inbox has seen more come out than go in, Redis has been set back (an older copy of its file, or emptied while
        events were under way), and the difference is what it forgot. Nothing happens while the inbox holds anything.
        """
        with redis_errors():
            events = int(self._restore_received(keys=[keys.INBOX, keys.LEDGER]))
        if events:
            log.warning("ledger_received_restored", extra={"events": events})
        return events

    def status(self) -> InboxStatus:
        """See `core.ports.Inbox.status`. One pipeline."""
        with redis_errors():
            pipe = self._fast.pipeline(transaction=True)
            pipe.hmget(keys.INBOX_SIZE, "events", "bytes")
            pipe.xrange(keys.INBOX, count=1)
            pipe.time()
            (events, size), oldest, (seconds, micros) = pipe.execute()
        age = 0.0
        if oldest:
            milliseconds = int(oldest[0][0].partition(b"-")[0])
            age = max(0.0, seconds + micros / 1e6 - milliseconds / 1000)
        return InboxStatus(int(events or 0), int(size or 0), self._max_bytes, age)

    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is being worked on."""
        with redis_errors():
            return not self._fast.xlen(keys.INBOX)

    def forget_idle_consumers(self, idle_s: float) -> int:
        """Remove consumers that hold nothing and have not read for `idle_s`: names of dead processes.

        Returns how many.
        """
        with redis_errors():
            try:
                consumers = self._fast.xinfo_consumers(keys.INBOX, keys.INBOX_GROUP)
            except redis.ResponseError:
                return 0  # no stream or no group yet
            gone = [c["name"] for c in consumers if c["pending"] == 0 and c["idle"] > idle_s * 1000]
            for name in gone:
                self._fast.xgroup_delconsumer(keys.INBOX, keys.INBOX_GROUP, name)
        return len(gone)

    def _settle(self, group: _Group) -> None:
        try:
            with self._turn:  # while the call before is under way, others join
                time.sleep(0)  # and so may those who are ready now
                with self._opening:
                    if self._open is group:
                        self._open = None
                if self._failed_at >= group.opened_at:
                    raise Unavailable("redis", "the append before this one failed")
                try:
                    with redis_errors(), timed(REDIS_DURATION, "append"):
                        group.outcomes = self._append(
                            keys=[keys.INBOX, keys.INBOX_SIZE, keys.LEDGER, keys.LEDGER_START],
                            args=[WINDOW_S, self._max_bytes, _pack(group.about), *group.payloads],
                        )
                except Unavailable:
                    self._failed_at = time.monotonic()
                    raise
            faults.point("after_append")
            group.error = None
        except Unavailable as error:
            group.error = error
        finally:  # also when this greenlet is killed: the others must not wait for ever
            with self._opening:
                if self._open is group:
                    self._open = None
            group.settled.set()

    def _claim(self, consumer: str) -> list[Entry]:
        _, raw, _ = self._blocking.xautoclaim(
            keys.INBOX,
            keys.INBOX_GROUP,
            consumer,
            min_idle_time=CLAIM_AFTER_S * 1000,
            start_id="0-0",
            count=_READ_ENTRIES,
        )
        return [_entry(*item) for item in raw]

    def _read_new(self, consumer: str, block_ms: int | None) -> list[Entry]:
        answer = self._blocking.xreadgroup(
            keys.INBOX_GROUP, consumer, {keys.INBOX: ">"}, count=_READ_ENTRIES, block=block_ms
        )
        return [_entry(*item) for _, items in cast(list[Any], answer or []) for item in items]

    def _make_group(self) -> None:
        try:
            self._fast.xgroup_create(keys.INBOX, keys.INBOX_GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    payloads = [payload for name, payload in fields.items() if name != b"n"]
    return Entry(entry_id.decode(), payloads, int(fields[b"n"]), sum(map(len, payloads)))
