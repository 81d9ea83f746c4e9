"""The places of live viewers: how many may watch at the same time, all processes together.

A place is a lease and lies in Redis, so that neither the processes nor their deaths need to be counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, cast

import redis

from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

LEASE_S: Final = 20
"""A place lives so long after it was taken or renewed; renewed every five seconds, it survives three lost renewals."""


class Taking(IntEnum):
    """What came of asking for a place."""

    FULL = 0
    TAKEN = 1
    ENOUGH_OF_KIN = 2


class LivePlaces:
    """How many may watch at the same time, over all processes together.

    A place is a lease, so that those of a process that was killed come free by themselves. Leases end by the clock of
    Redis, the only one that all machines share.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._take = client.register_script(_TAKE)
        self._renew = client.register_script(_RENEW)
        self._count = client.register_script(_COUNT)
        self._client = client

    def take(self, place: str, limit: int, limit_of_kin: int = 0) -> Taking:
        """Take a place for `LEASE_S` under a name of the caller's, if fewer than `limit` are taken. Places whose names
        begin alike up to a colon are kin; with a `limit_of_kin` no more of them than that. Atomic. Costs a look at
        every place where kin are counted.

        Raises:
            Unavailable: Redis does not answer.
        """
        kin, colon, _ = place.partition(":")
        limit_of_kin = limit_of_kin if colon else 0
        with timed(REDIS_DURATION, "live_place"), redis_errors():
            return Taking(self._take(keys=[keys.LIVE_CLIENTS], args=[LEASE_S, limit, place, kin + colon, limit_of_kin]))

    def renew(self, places: Iterable[str]) -> None:
        """Hold places for another `LEASE_S`, also when Redis has forgotten them meanwhile.

        Raises:
            Unavailable: Redis does not answer.
        """
        names = list(places)
        if names:
            with timed(REDIS_DURATION, "live_place"), redis_errors():
                self._renew(keys=[keys.LIVE_CLIENTS], args=[LEASE_S, *names])

    def leave(self, *places: str) -> None:
        """Give places back. Safe to repeat.

        Raises:
            Unavailable: Redis does not answer; the lease ends by itself.
        """
        with timed(REDIS_DURATION, "live_place"), redis_errors():
            self._client.zrem(keys.LIVE_CLIENTS, *places)

    def taken(self) -> int:
        """Viewers of all processes.

        Raises:
            Unavailable: Redis does not answer.
        """
        with timed(REDIS_DURATION, "live_place"), redis_errors():
            return int(cast(int, self._count(keys=[keys.LIVE_CLIENTS])))


_NOW: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""

# KEYS[1] the places. ARGV[1] lease in seconds, ARGV[2] limit, ARGV[3] the place, ARGV[4] how its kin begin, ARGV[5]
# their limit or 0. Gives a `Taking`.
_TAKE: Final = (
    _NOW
    + """
local kin_limit = tonumber(ARGV[5])
if kin_limit > 0 then
  local kin = 0
  for _, place in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(place, 1, #ARGV[4]) == ARGV[4] then kin = kin + 1 end
  end
  if kin >= kin_limit then return 2 end
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)

# KEYS[1] the places. ARGV[1] lease in seconds, ARGV[2...] places.
_RENEW: Final = (
    _NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)

# KEYS[1] the places. How many are taken.
_COUNT: Final = _NOW + "return redis.call('ZCARD', KEYS[1])"
