"""Signs of life of processes that have no port to ask."""

from __future__ import annotations

import redis

from maicivy.storage.keys import HEARTBEATS
from maicivy.storage.redis_clients import redis_errors


class Heartbeats:
    """When a worker and beat last lived."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def beat(self, kind: str, now: float) -> None:
        """Note that a process of `kind` (worker or beat) lives at Unix second `now`."""
        with redis_errors():
            self._client.hset(HEARTBEATS, kind, int(now))
