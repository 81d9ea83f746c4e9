"""How often a client has tried a secret, so that nobody tries for long."""

from __future__ import annotations

from typing import Final, cast

import redis

from maicivy.errors import RateLimited
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

MAX_GUESSES: Final = 10
WINDOW_S: Final = 900

# KEYS: guesses. ARGV: window in s. Returns how many there are with this one, and for how long they count.
_TRY: Final = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('TTL', KEYS[1])}
"""


class Guesses:
    """Safe for threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._try = client.register_script(_TRY)

    def note(self, client: bytes) -> None:
        """Count one, before it is looked at.

        Raises:
            RateLimited: it is one too many.
            Unavailable: nobody counts now.
        """
        with redis_errors(), timed(REDIS_DURATION, "guess"):
            count, left_s = cast("list[int]", self._try(keys=[keys.guesses(client)], args=[WINDOW_S]))
        if count > MAX_GUESSES:
            raise RateLimited(max(1, left_s))

    def forget(self, client: bytes) -> None:
        """It was right."""
        with redis_errors(), timed(REDIS_DURATION, "guess"):
            self._client.delete(keys.guesses(client))
