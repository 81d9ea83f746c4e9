"""Answers of the query engine kept in Redis, each for as long as nothing that it counted has changed.

An entry knows the ledger number that it is true for, and the epoch of the aggregates. Applying an outbox row notes the
UTC days whose visits it changed with its number (`keys.changed`); an entry is believed while none of its days has a
higher one, and only in its own epoch: a rebuild begins another, for then nobody knows what was changed before. Where
there are no aggregates, nothing is believed.

Redis runs with `noeviction`, so what is kept here is bounded: in number, each, and all together.
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Sequence
from typing import Final, cast

import redis

from maicivy.core.ports import Days
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors
from maicivy.storage.silence import Silence

LIFE_S: Final = 3600
MAX_ENTRIES: Final = 1000
MAX_ENTRY_BYTES: Final = 256 << 10
MAX_BYTES: Final = 32 << 20
COMPRESS_FROM_BYTES: Final = 4 << 10

_PLAIN, _COMPRESSED = b"0", b"1"

# KEYS: entry, changed days, cursor. ARGV: first and last day of each range. Returns the epoch, and the answer if it is
# to be believed.
_GET: Final = """
local epoch = redis.call('HGET', KEYS[3], 'epoch') or ''
local entry = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'answer')
if epoch == '' or not entry[3] or entry[1] ~= epoch then return {epoch} end
for _, day in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. entry[2], '+inf')) do
  for i = 1, #ARGV, 2 do
    if day >= ARGV[i] and day <= ARGV[i + 1] then return {epoch} end
  end
end
return {epoch, entry[3]}
"""

# KEYS: entry, index, sizes. ARGV: epoch, seq, answer, now, life, most entries, most bytes, prefix of entries, name.
# The sizes hold one field per entry, and `all` for their sum. What has expired by itself leaves the index first, then
# the oldest go until there is room.
_PUT: Final = """
local prefix, name, size = ARGV[8], ARGV[9], #ARGV[3]
local function forget(old)
  local had = tonumber(redis.call('HGET', KEYS[3], old) or 0)
  redis.call('UNLINK', prefix .. old)
  redis.call('ZREM', KEYS[2], old)
  redis.call('HDEL', KEYS[3], old)
  redis.call('HINCRBY', KEYS[3], 'all', -had)
end
forget(name)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4] - ARGV[5])) do forget(old) end
while redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6])
    or tonumber(redis.call('HGET', KEYS[3], 'all') or 0) + size > tonumber(ARGV[7]) do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest then redis.call('DEL', KEYS[3]) break end
  forget(oldest)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', ARGV[2], 'answer', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], name)
redis.call('HSET', KEYS[3], name, size)
redis.call('HINCRBY', KEYS[3], 'all', size)
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
"""


class RedisQueryCache:
    """What `core.ports.QueryCache` promises. Safe for threads. `silence` is shared with others that ask the server."""

    def __init__(self, client: redis.Redis, silence: Silence | None = None) -> None:
        self._client = client
        self._silence = silence or Silence()
        self._get = client.register_script(_GET)
        self._put = client.register_script(_PUT)

    def get(self, site_id: int, key: bytes, days: Sequence[Days]) -> tuple[bytes | None, str]:
        """See `core.ports.QueryCache`."""
        bounds = [day.isoformat() for first, last in days for day in (first, last)]
        with self._silence.heeded(), redis_errors(), timed(REDIS_DURATION, "cache_get"):
            found = cast(
                "list[bytes]",
                self._get(keys=[keys.query(key), keys.changed(site_id), keys.CURSOR], args=bounds),
            )
        return (_unpacked(found[1]) if len(found) > 1 else None), found[0].decode()

    def put(self, key: bytes, answer: bytes, seq: int, epoch: str) -> None:
        """See `core.ports.QueryCache`."""
        packed = _packed(answer)
        if len(packed) > MAX_ENTRY_BYTES or not epoch:
            return
        with self._silence.heeded(), redis_errors(), timed(REDIS_DURATION, "cache_put"):
            self._put(
                keys=[keys.query(key), keys.QUERIES, keys.QUERY_BYTES],
                args=[
                    epoch,
                    seq,
                    packed,
                    int(time.time()),
                    LIFE_S,
                    MAX_ENTRIES,
                    MAX_BYTES,
                    keys.query(b""),
                    key.hex(),
                ],
            )

    def forget(self) -> None:
        """Believe no answer of before, nor one that is being computed: for changes that the outbox does not tell."""
        with redis_errors():
            self._client.hset(keys.CURSOR, "epoch", secrets.token_hex(8))


def _packed(answer: bytes) -> bytes:
    if len(answer) < COMPRESS_FROM_BYTES:
        return _PLAIN + answer
    return _COMPRESSED + zlib.compress(answer, 1)


def _unpacked(packed: bytes) -> bytes:
    return packed[1:] if packed[:1] == _PLAIN else zlib.decompress(packed[1:])
