"""The daily salts: random, shared by every process through Redis, gone for good after two days."""

from __future__ import annotations

import math
import secrets
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Final, cast

import redis

from maicivy.core.identity import Salts
from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors

SALT_BYTES: Final = 32
REFRESH_S: Final = 60
"""How long a process trusts its copy: after Redis was emptied, processes disagree on ids for no longer than this."""


class RedisSaltBox:
    """Salts behind a copy in the process. Safe for threads."""

    def __init__(self, client: redis.Redis, secret_key: str) -> None:
        self._client = client
        self._secret_key = secret_key
        self._lock = threading.Lock()
        self._copy: Salts | None = None
        self._copied_at = 0.0
        self._failed_at = -math.inf

    def current(self, now: datetime) -> Salts:
        """See `core.ports.SaltBox`. Asks Redis once a minute and when the day changes."""
        copy = self._fresh(now)
        if copy is not None:
            return copy
        asked_at = time.monotonic()
        with self._lock:
            copy = self._fresh(now)
            if copy is not None:
                return copy
            if self._failed_at >= asked_at:  # of many who wait for a Redis that hangs, one finds out for all
                raise Unavailable("redis", "it did not tell the salts a moment ago")
            try:
                self._copy = copy = self._fetch(_utc_day(now))
            except Unavailable:
                self._failed_at = time.monotonic()
                raise
            self._copied_at = now.timestamp()
            return copy

    def _fresh(self, now: datetime) -> Salts | None:
        copy = self._copy
        if copy is not None and copy.day == _utc_day(now) and abs(now.timestamp() - self._copied_at) < REFRESH_S:
            return copy
        return None

    def _fetch(self, day: date) -> Salts:
        with redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.set(keys.salt(day), secrets.token_bytes(SALT_BYTES), nx=True, exat=_end_of_life(day))
            pipe.get(keys.salt(day))
            pipe.get(keys.salt(day - timedelta(days=1)))
            _, today, yesterday = pipe.execute()
        if today is None:
            raise Unavailable("redis", "its clock is more than a day ahead of ours: the salt was dead on arrival")
        return Salts.mixed(self._secret_key, day, cast(bytes, today), cast("bytes | None", yesterday))


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _end_of_life(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + 2 * 86_400
