"""Writing the Redis aggregates: one outbox row at a time, exactly once, and rebuilt aside when not to be trusted.

Beside the aggregates stands a cursor: number and token of the outbox row they include. Applying a row moves both in
one script, and only if the cursor names the row before it; so whoever applies, however often, each row counts once.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import msgspec
import redis

from maicivy.core.identity import VISIT_GAP_S
from maicivy.core.periods import Period, expires_at
from maicivy.core.ports import OutboxRow
from maicivy.core.tallies import LETTERS, PATHS, TOTAL, DayTally, Tally
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.counters import ACTIVE_S
from maicivy.storage.query_cache import LIFE_S
from maicivy.storage.recount import Head
from maicivy.storage.redis_clients import redis_errors

REBUILD_S: Final = 3600
PRESENCE_S: Final = VISIT_GAP_S + 60
MINUTE_LIFE_S: Final = 3600
CHANGED_S: Final = 2 * LIFE_S
"""By then every answer is gone that does not know of the change."""

PAGE_VIEWS: Final = "page_views"
"""Whatever their path: a name of the day's hash and of the totals, not of a tally."""

FORM: Final = "2"
"""Aggregates of another form than this version makes are made anew; to be raised when what they hold changes."""

# ops: {add = {{key, expiry, n}}, unique = {{{{key, expiry}}, from, to}}, rank = {{key, {{member, n}}}},
#       total = {{key, field, n}}, day = {{key, expiry, {{field, n}}, key of its visitors or ""}},
#       seen = {{key, key of bots, key of their number, {{member, second, bot}}}}, changed = {{key, {day}}}}. `from` and
#       `to` are byte positions in `ids`, 16 bytes an id (the MessagePack of Lua knows no binary type). Presence older
#       than `cutoff` is dropped. `changed` is for applying only: what is loaded aside has no number yet.
_RUN_OPS: Final = """
local presence_s, active_s = PRESENCE_S, ACTIVE_S
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
  for _, o in ipairs(ops.day) do
    for _, pair in ipairs(o[3]) do redis.call('HINCRBY', o[1], pair[1], pair[2]) end
    if o[4] ~= '' then redis.call('HSET', o[1], 'unique_visitors', redis.call('PFCOUNT', o[4])) end
    redis.call('EXPIREAT', o[1], o[2])
  end
  for _, o in ipairs(ops.seen) do
    local bots = redis.call('EXISTS', o[2]) == 1
    for _, seen in ipairs(o[4]) do
      redis.call('ZADD', o[1], 'GT', seen[2], seen[1])
      if seen[3] then redis.call('ZADD', o[2], 'GT', seen[2], seen[1])
      elseif bots then redis.call('ZREM', o[2], seen[1]) end
    end
    local since = string.format('(%d', cutoff + presence_s - active_s)
    local active = redis.call('ZCOUNT', o[1], since, '+inf')
    for i = 1, 2 do
      redis.call('ZREMRANGEBYSCORE', o[i], '-inf', cutoff)
      redis.call('EXPIRE', o[i], presence_s)
    end
    if active > 0 then redis.call('SET', o[3], active, 'EX', active_s) else redis.call('DEL', o[3]) end
  end
end
""".replace("PRESENCE_S", str(PRESENCE_S)).replace("ACTIVE_S", str(ACTIVE_S))

# KEYS: cursor, ledger. ARGV: seq and token before, seq, token, time zone, ops, presence cutoff, stored, duplicate,
# quarantined, ids, form, life of changed days. Returns 1 when applied, 0 when the cursor stands elsewhere.
_APPLY: Final = (
    _RUN_OPS
    + """
local at = redis.call('HMGET', KEYS[1], 'seq', 'token', 'timezone', 'form')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] or at[3] ~= ARGV[5] or at[4] ~= ARGV[12] then return 0 end
local ops = cmsgpack.unpack(ARGV[6])
run(ops, ARGV[11], ARGV[7])
for _, o in ipairs(ops.changed) do
  for _, day in ipairs(o[2]) do redis.call('ZADD', o[1], 'GT', ARGV[3], day) end
  redis.call('EXPIRE', o[1], ARGV[13])
end
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
# seq, token, time zone, stored, duplicate, quarantined, first entry that the ledger counted, events settled before it,
# form. All of `analytics:*` is derived, so all of it goes, and of `metrics:*` and `realtime:*`, names that others may
# use too, what is named as ours is (one pass for all three); then the aside keys take their place. A ledger that has
# not been told what was settled before it began is told now, once. Returns 1, or 0 when another rebuild has begun or
# the ledger is no longer the one looked at.
_SWITCH: Final = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[4], 'entry') or '') ~= ARGV[9] then return 0 end
local day, minute = '%d%d%d%d%-%d%d%-%d%d', 'T%d%d:%d%d'
local derived = {
  '^analytics:', '^metrics:%d+:' .. day .. '$', '^realtime:users:%d+$', '^realtime:events:%d+:' .. day .. minute .. '$',
}
for _, key in ipairs(redis.call('KEYS', '[amr][ne][at]*')) do
  for _, pattern in ipairs(derived) do
    if string.find(key, pattern) then redis.call('UNLINK', key) end
  end
end
for _, key in ipairs(redis.call('KEYS', ARGV[2] .. '*')) do redis.call('RENAME', key, string.sub(key, #ARGV[2] + 1)) end
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'token', ARGV[4], 'timezone', ARGV[5], 'form', ARGV[11],
  'epoch', ARGV[1])
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
        """Where the aggregates stand; None when Redis holds none of the form that this version makes."""
        with redis_errors():
            return _cursor(self._client.hmget(keys.CURSOR, "seq", "token", "timezone", "form"))

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
                    FORM,
                    CHANGED_S,
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
        self._run(*operations(tally, self._zone, now, keys.rebuild(token)), now)

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
        at = expires_at(Period.DAY, day, self._zone)
        if at > now:
            unique = aside + keys.unique_visitors(site_id, Period.DAY, day)
            self._run(_no_ops() | {"day": [(aside + keys.day_metrics(site_id, day), at, [], unique)]}, b"", now)

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
                    FORM,
                ],
            )
        return bool(done)

    def _run(self, ops: dict[str, list[Any]], ids: bytes, now: float) -> None:
        with redis_errors(), timed(REDIS_DURATION, "load"):
            self._load(keys=[], args=[_pack(ops), int(now) - PRESENCE_S, ids])

    def read(self, names: list[tuple[int, Period, date, str]]) -> tuple[Cursor | None, list[int]]:
        """Counters and the cursor of one moment."""
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.hmget(keys.CURSOR, "seq", "token", "timezone", "form")
            for site_id, period, day, name in names:
                pipe.get(keys.stat(site_id, period, day, name))
            cursor, *values = pipe.execute()
        return _cursor(cursor), [int(value or 0) for value in values]


def operations(tally: Tally, zone: ZoneInfo, now: float, aside: str = "") -> tuple[dict[str, list[Any]], bytes]:
    """What a tally does to Redis, as the scripts take it: ops, and the visitor ids that they point into.

    `aside` is put before every key.
    """
    ids = bytearray()
    ops = _no_ops()
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
            told = _told(content)
            totals[PAGE_VIEWS] = totals.get(PAGE_VIEWS, 0) + told.get(PAGE_VIEWS, 0)
            at = expires_at(Period.DAY, day, zone)
            if at > now:
                unique = aside + keys.unique_visitors(site_id, Period.DAY, day) if content.visitors else ""
                ops["day"].append((aside + keys.day_metrics(site_id, day), at, list(told.items()), unique))
        if site.changed_days:
            ops["changed"].append((aside + keys.changed(site_id), site.changed_days))
        if site.new_visitors:
            totals["visitors"] = site.new_visitors
        if ranked:
            ops["rank"].append((aside + keys.themes(site_id), list(ranked.items())))
        ops["total"] += [(aside + keys.totals(site_id), name, n) for name, n in totals.items() if n]
        ops["add"] += [
            (aside + keys.minute_events(site_id, minute), at, n)
            for minute, n in site.minutes.items()
            if (at := minute * 60 + MINUTE_LIFE_S) > now
        ]
        bots = frozenset(site.bots)
        recent = [
            (_shown(visitor.hex()), min(at, int(now)), visitor in bots)
            for visitor, at in site.seen.items()
            if at > now - PRESENCE_S
        ]
        if recent:
            into = [aside + key(site_id) for key in (keys.presence, keys.bots, keys.active_users)]
            ops["seen"].append((*into, recent))
    return ops, bytes(ids)


def _shown(digits: str) -> str:
    """A visitor id as UUIDs are written; a quarter of the time that a UUID takes (measured)."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _no_ops() -> dict[str, list[Any]]:
    return {"add": [], "unique": [], "rank": [], "total": [], "day": [], "seen": [], "changed": []}


def _told(content: DayTally) -> dict[str, int]:
    """What a day's hash says of these events, where it says anything."""
    counts = content.counts
    page_views = sum(n for name, n in counts.items() if name.startswith(f"{PATHS}:"))
    told = {TOTAL: counts.get(TOTAL, 0), PAGE_VIEWS: page_views, LETTERS: counts.get(LETTERS, 0)}
    return {name: n for name, n in told.items() if n}


def _living(day: date, zone: ZoneInfo, now: float) -> list[tuple[Period, int]]:
    """The periods that a day lies in and the Unix second that each expires at, expired ones apart."""
    return [(period, at) for period in Period if (at := expires_at(period, day, zone)) > now]


def _cursor(fields: Any) -> Cursor | None:
    seq, token, timezone, form = fields
    if None in fields or form.decode() != FORM:
        return None
    return Cursor(int(seq), token.decode(), timezone.decode())
