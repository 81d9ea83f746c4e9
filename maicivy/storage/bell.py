"""Whether an ingest task is on its way or at work: what keeps doorbells from piling up in the broker."""

from __future__ import annotations

from typing import Final

import redis

from maicivy.storage.keys import BELL
from maicivy.storage.redis_clients import redis_errors

BELL_S: Final = 5
"""How long a ring counts as answered. One that was lost is repeated by the next event after that, or the sweeper."""

RECENT_S: Final = 2
"""Whoever reads the inbox says so more often than this."""


class Bell:
    """One flag in Redis that goes out by itself."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def take(self) -> bool:
        """True for the one caller who may send a message now."""
        with redis_errors():
            return bool(self._client.set(BELL, b"1", nx=True, ex=BELL_S))

    def hold(self) -> None:
        """Say that the inbox is being read; to be repeated within `BELL_S`."""
        with redis_errors():
            self._client.set(BELL, b"1", ex=BELL_S)

    def is_held(self) -> bool:
        """Whether somebody has rung or held it within `RECENT_S`: then the inbox is, or will be, read by others."""
        with redis_errors():
            left_ms: int = self._client.pttl(BELL)
        return left_ms > (BELL_S - RECENT_S) * 1000

    def release(self) -> None:
        """Say that nobody reads the inbox any more."""
        with redis_errors():
            self._client.delete(BELL)
