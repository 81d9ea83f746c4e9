"""Writing the Redis aggregates: one outbox row at a time, exactly once, and rebuilt aside when not to be trusted.

Beside the aggregates stands a cursor: number and token of the outbox row they include. Applying a row moves both in
one script, and only if the cursor names the row before it; so whoever applies, however often, each row counts once.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import redis

from maicivy.core.identity import VISIT_GAP_S
from maicivy.core.periods import Period, expires_at
from maicivy.core.ports import OutboxRow
from maicivy.core.tallies import LETTERS, TOTAL, Tally
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.recount import Head
from maicivy.storage.redis_clients import redis_errors

REBUILD_S: Final = 3600
PRESENCE_S: Final = VISIT_GAP_S + 60

# ops: {add = {{key, expiry, n}}, unique = {{{{key, expiry}}, from, to}}, rank = {{key, {{member, n}}}},
#       total = {{key, field, n}}, seen = {{key, {{member, second}}}}}. `from` and `to` are byte positions in `ids`,
#       16 bytes an id (the MessagePack of Lua knows no binary type). Presence older than `cutoff` is dropped.
_RUN_OPS: Final = """
local presence_s = PRESENCE_S
local function run(ops, ids, cutoff)
  for _, o in ipairs(ops.add) do
    redis.call('INCRBY', o[1], o[3])
    redis.call('EXPIREAT', o[1], o[2])
  end
  for _, o in ipairs(ops.unique) do
    for start = o[2], o[3], 16000 do
      local some = {}
      for i = start, math.min(start + 15999, o[3]), 16 do some[#some + 1] = string.sub(ids, i, i + 15) end
      for _, target in ipairs(o[1]) do redis.call('PFADD', target[1], unpack(some)) end
    end
    for _, target in ipairs(o[1]) do redis.call('EXPIREAT', target[1], target[2]) end
  end
  for _, o in ipairs(ops.rank) do
    for _, pair in ipairs(o[2]) do redis.call('ZINCRBY', o[1], pair[2], pair[1]) end
  end
  for _, o in ipairs(ops.total) do redis.call('HINCRBY', o[1], o[2], o[3]) end
  for _, o in ipairs(ops.seen) do
    for _, pair in ipairs(o[2]) do redis.call('ZADD', o[1], 'GT', pair[2], pair[1]) end
    redis.call('ZREMRANGEBYSCORE', o[1], '-inf', cutoff)
    redis.call('EXPIRE', o[1], presence_s)
  end
end
""".replace("PRESENCE_S", str(PRESENCE_S))

# KEYS: cursor, ledger. ARGV: seq and token before, seq, token, time zone, ops, presence cutoff, stored, duplicate,
# quarantined, ids. Returns 1 when applied, 0 when the cursor stands elsewhere.
_APPLY: Final = (
    _RUN_OPS
    + """
local at = redis.call('HMGET', KEYS[1], 'seq', 'token', 'timezone')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] or at[3] ~= ARGV[5] then return 0 end
run(cmsgpack.unpack(ARGV[6]), ARGV[11], ARGV[7])
redis.call('HINCRBY', KEYS[2], 'stored', ARGV[8])
redis.call('HINCRBY', KEYS[2], 'duplicate', ARGV[9])
redis.call('HINCRBY', KEYS[2], 'quarantined', ARGV[10])
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'token', ARGV[4])
return 1
"""
)

# ARGV: ops, presence cutoff, ids.
_LOAD: Final = _RUN_OPS + "run(cmsgpack.unpack(ARGV[1]), ARGV[3], ARGV[2])"

# KEYS: cursor, ledger, current rebuild, start of the ledger. ARGV: token of this rebuild, prefix of the aside keys,
# seq, token, time zone, stored, duplicate, quarantined, first entry that the ledger counted, events settled before it.
# All of `analytics:*` is derived, so all of it goes; then the aside keys take its place. A ledger that has not been
# told what was settled before it began is told now, once. Returns 1, or 0 when another rebuild has begun or the ledger
# is no longer the one looked at.
_SWITCH: Final = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[4], 'entry') or '') ~= ARGV[9] then return 0 end
for _, key in ipairs(redis.call('KEYS', 'analytics:*')) do redis.call('UNLINK', key) end
for _, key in ipairs(redis.call('KEYS', ARGV[2] .. '*')) do redis.call('RENAME', key, string.sub(key, #ARGV[2] + 1)) end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'token', ARGV[4], 'timezone', ARGV[5])
if redis.call('HSETNX', KEYS[4], 'settled', ARGV[10]) == 1 then
  redis.call('HINCRBY', KEYS[2], 'received', ARGV[10])
end
redis.call('HSET', KEYS[2], 'stored', ARGV[6], 'duplicate', ARGV[7], 'quarantined', ARGV[8])
redis.call('DEL', KEYS[3])
return 1
"""

_pack = msgspec.msgpack.Encoder().encode


class Cursor(msgspec.Struct, frozen=True):
    """The outbox row that the aggregates stand at, and the time zone whose days they count."""

    seq: int
    token: str
    timezone: str


class RedisAggregates:
    """Applies, loads and switches aggregates. Safe for threads."""

    def __init__(self, client: redis.Redis, zone: ZoneInfo) -> None:
        self._client = client
        self._zone = zone
        self._apply = client.register_script(_APPLY)
        self._load = client.register_script(_LOAD)
        self._switch = client.register_script(_SWITCH)

    def cursor(self) -> Cursor | None:
        """Where the aggregates stand; None when Redis holds none."""
        with redis_errors():
            return _cursor(self._client.hmget(keys.CURSOR, "seq", "token", "timezone"))

    def apply(self, row: OutboxRow, now: float) -> bool:
        """Add one outbox row and move the cursor to it, if the cursor stands at the row before; true when it did."""
        ops, ids = operations(row.tally, self._zone, now)
        with redis_errors(), timed(REDIS_DURATION, "apply"):
            applied = self._apply(
                keys=[keys.CURSOR, keys.LEDGER],
                args=[
                    row.seq - 1,
                    row.previous,
                    row.seq,
                    row.token,
                    str(self._zone),
                    _pack(ops),
                    int(now) - PRESENCE_S,
                    row.tally.stored,
                    row.tally.duplicate,
                    row.tally.quarantined,
                    ids,
                ],
            )
        return bool(applied)

    def begin_rebuild(self, token: str) -> None:
        """Make room aside for `token`; whatever another rebuild left or is still loading there is worthless now."""
        with redis_errors():
            self._client.set(keys.REBUILD, token, ex=REBUILD_S)
            for key in self._client.scan_iter(f"{keys.rebuild('*')}*", count=1000):
                self._client.unlink(key)

    def load(self, token: str, tally: Tally, now: float) -> None:
        """Add a tally to the aggregates that are made aside under `token`."""
        ops, ids = operations(tally, self._zone, now, keys.rebuild(token))
        with redis_errors(), timed(REDIS_DURATION, "load"):
            self._load(keys=[], args=[_pack(ops), int(now) - PRESENCE_S, ids])

    def load_hll(self, token: str, site_id: int, day: date, hll: bytes, now: float) -> None:
        """Merge a day's HyperLogLog into the day, week and month made aside under `token`."""
        aside = keys.rebuild(token)
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.set(f"{aside}hll", hll)
            for period, at in _living(day, self._zone, now):
                key = aside + keys.unique_visitors(site_id, period, day)
                pipe.pfmerge(key, key, f"{aside}hll")
                pipe.expireat(key, at)
            pipe.delete(f"{aside}hll")
            pipe.execute()

    def hll_of(self, visitors: Sequence[bytes], base: bytes | None) -> bytes:
        """The HyperLogLog of visitor ids on top of `base`, to be kept in Postgres. Redis is only the calculator."""
        key = keys.scratch(secrets.token_hex(8))
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            if base is not None:
                pipe.set(key, base)
            for start in range(0, len(visitors), 1000):
                pipe.pfadd(key, *visitors[start : start + 1000])
            pipe.get(key)
            pipe.delete(key)
            return cast(bytes, pipe.execute()[-2])

    def hll_merged(self, first: bytes, second: bytes) -> bytes:
        """The HyperLogLog of both, to be kept in Postgres."""
        key, other = (keys.scratch(secrets.token_hex(8)) for _ in range(2))
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.set(key, first)
            pipe.set(other, second)
            pipe.pfmerge(key, other)
            pipe.get(key)
            pipe.delete(key, other)
            return cast(bytes, pipe.execute()[-2])

    def ledger_since(self) -> str:
        """Id of the first inbox entry that the ledger in Redis counted; `""` when it has counted none."""
        with redis_errors():
            since = cast("bytes | None", self._client.hget(keys.LEDGER_START, "entry"))
        return (since or b"").decode()

    def switch(self, token: str, head: Head, since: str, settled_before: int) -> bool:
        """Put what was loaded under `token` in the place of all aggregates, in one step.

        `since` is `ledger_since` from before the snapshot, `settled_before` the events of the snapshot that came
        through entries older than that. False when another rebuild has begun or Redis was emptied: nothing changed.
        """
        with redis_errors(), timed(REDIS_DURATION, "switch"):
            done = self._switch(
                keys=[keys.CURSOR, keys.LEDGER, keys.REBUILD, keys.LEDGER_START],
                args=[
                    token,
                    keys.rebuild(token),
                    head.seq,
                    head.token,
                    str(self._zone),
                    head.stored,
                    head.duplicate,
                    head.quarantined,
                    since,
                    settled_before,
                ],
            )
        return bool(done)

    def read(self, names: list[tuple[int, Period, date, str]]) -> tuple[Cursor | None, list[int]]:
        """Counters and the cursor of one moment."""
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.hmget(keys.CURSOR, "seq", "token", "timezone")
            for site_id, period, day, name in names:
                pipe.get(keys.stat(site_id, period, day, name))
            cursor, *values = pipe.execute()
        return _cursor(cursor), [int(value or 0) for value in values]


def operations(tally: Tally, zone: ZoneInfo, now: float, aside: str = "") -> tuple[dict[str, list[Any]], bytes]:
    """What a tally does to Redis, as the scripts take it: ops, and the visitor ids that they point into.

    `aside` is put before every key.
    """
    ids = bytearray()
    ops: dict[str, list[Any]] = {"add": [], "unique": [], "rank": [], "total": [], "seen": []}
    for site_id, site in tally.sites.items():
        totals: dict[str, int] = {}
        ranked: dict[str, int] = {}
        for iso_day, content in site.days.items():
            day = date.fromisoformat(iso_day)
            living = _living(day, zone, now)
            for name, n in content.counts.items():
                family = name.partition(":")[0]
                if family == "theme":
                    theme = name.removeprefix("theme:")
                    ranked[theme] = ranked.get(theme, 0) + n
                    continue
                totals[name] = totals.get(name, 0) + n
                if family in (TOTAL, LETTERS, "events"):
                    ops["add"] += [(aside + keys.stat(site_id, period, day, name), at, n) for period, at in living]
            if content.visitors and living:
                targets = [(aside + keys.unique_visitors(site_id, period, day), at) for period, at in living]
                start = len(ids) + 1
                ids += b"".join(content.visitors)
                ops["unique"].append((targets, start, len(ids)))
        if site.new_visitors:
            totals["visitors"] = site.new_visitors
        if ranked:
            ops["rank"].append((aside + keys.themes(site_id), list(ranked.items())))
        ops["total"] += [(aside + keys.totals(site_id), name, n) for name, n in totals.items()]
        recent = [
            (str(UUID(bytes=visitor)), min(at, int(now))) for visitor, at in site.seen.items() if at > now - PRESENCE_S
        ]
        if recent:
            ops["seen"].append((aside + keys.presence(site_id), recent))
    return ops, bytes(ids)


def _living(day: date, zone: ZoneInfo, now: float) -> list[tuple[Period, int]]:
    """The periods that a day lies in and the Unix second that each expires at, expired ones apart."""
    return [(period, at) for period in Period if (at := expires_at(period, day, zone)) > now]


def _cursor(fields: Any) -> Cursor | None:
    if None in fields:
        return None
    seq, token, timezone = fields
    return Cursor(int(seq), token.decode(), timezone.decode())
