"""Reads of the aggregates in Redis: what `core.ports.Counters` promises.

Nothing here changes a number. Counters move only by outbox rows (`aggregates.py`), so whatever these reads return
is what Postgres said up to the latest row applied. An answer is of one moment, also while a rebuild switches other
aggregates in. A key that is absent counts as zero: it has expired, or nothing has happened yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import redis

from maicivy.core.periods import Period
from maicivy.core.ports import Snapshot
from maicivy.core.tallies import LETTERS, TOTAL
from maicivy.metrics import REDIS_DURATION, timed
from maicivy.storage import keys
from maicivy.storage.redis_clients import redis_errors
from maicivy.storage.silence import Silence

ACTIVE_S: Final = 300
"""A visitor is current for five minutes after an event (seed 001)."""


class RedisCounters:
    """Aggregates and presence. Safe for threads.

    `zone` is the one whose calendar days every `day` argument is a day of. `silence` is shared with others that ask the
    same server; only `last_seen`, which the worker asks for, does not heed it.
    """

    def __init__(self, client: redis.Redis, zone: ZoneInfo, silence: Silence | None = None) -> None:
        self._client = client
        self._silence = silence or Silence()
        self.zone = zone

    def realtime(self, site_id: int, day: date, now: float) -> Snapshot:
        """See `core.ports.Counters`."""
        with self._silence.heeded(), timed(REDIS_DURATION, "realtime"), redis_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.zcount(keys.presence(site_id), _since(now), "+inf")
            pipe.pfcount(keys.unique_visitors(site_id, Period.DAY, day))
            pipe.mget(_stats(site_id, Period.DAY, day, (TOTAL, LETTERS)))
            current, unique, stats = pipe.execute()
        total, letters = _numbers(stats)
        return Snapshot(int(current), int(unique), total, letters, int(now))

    def active(self, site_ids: Sequence[int], now: float) -> dict[int, int]:
        """Site -> visitors seen in the `ACTIVE_S` seconds before `now`. One pipeline.

        Without those taken for bots, whom `realtime` counts as it counts their events.
        """
        if not site_ids:
            return {}
        with self._silence.heeded(), timed(REDIS_DURATION, "active"), redis_errors():
            pipe = self._client.pipeline(transaction=True)
            for site_id in site_ids:
                pipe.zcount(keys.presence(site_id), _since(now), "+inf")
                pipe.zcount(keys.bots(site_id), _since(now), "+inf")
            replies = pipe.execute()
        pairs = zip(site_ids, replies[::2], replies[1::2], strict=True)
        return {site_id: max(0, present - bots) for site_id, present, bots in pairs}

    def period(self, site_id: int, period: Period, day: date, names: Sequence[str]) -> tuple[list[int], int]:
        """See `core.ports.Counters`."""
        return self.periods(site_id, [(period, day)], names)[0]

    def days(self, site_id: int, days: Sequence[date], names: Sequence[str]) -> list[tuple[list[int], int]]:
        """See `core.ports.Counters`."""
        return self.periods(site_id, [(Period.DAY, day) for day in days], names)

    def periods(
        self, site_id: int, periods: Sequence[tuple[Period, date]], names: Sequence[str]
    ) -> list[tuple[list[int], int]]:
        """See `core.ports.Counters`."""
        if not periods:
            return []
        with self._silence.heeded(), timed(REDIS_DURATION, "periods"), redis_errors():
            pipe = self._client.pipeline(transaction=True)
            for period, day in periods:
                pipe.pfcount(keys.unique_visitors(site_id, period, day))
            if names:
                pipe.mget([key for period, day in periods for key in _stats(site_id, period, day, names)])
            replies = pipe.execute()
        counts = _numbers(replies[-1]) if names else []
        return [
            (counts[index * len(names) : (index + 1) * len(names)], int(replies[index]))
            for index in range(len(periods))
        ]

    def themes(self, site_id: int, limit: int) -> list[tuple[str, int]]:
        """See `core.ports.Counters`."""
        with self._silence.heeded(), timed(REDIS_DURATION, "themes"), redis_errors():
            pairs = cast(
                "list[tuple[bytes, float]]",
                self._client.zrevrange(keys.themes(site_id), 0, limit - 1, withscores=True),
            )
        themes = [(theme.decode("utf-8", "replace"), int(views)) for theme, views in pairs]
        return sorted(themes, key=lambda pair: (-pair[1], pair[0]))

    def last_seen(self, visitors: Iterable[tuple[int, UUID]]) -> dict[tuple[int, UUID], float]:
        """See `core.ports.Counters`."""
        by_site: dict[int, list[UUID]] = {}
        for site_id, visitor in dict.fromkeys(visitors):
            by_site.setdefault(site_id, []).append(visitor)
        if not by_site:
            return {}
        with timed(REDIS_DURATION, "last_seen"), redis_errors():
            pipe = self._client.pipeline(transaction=False)
            for site_id, wanted in by_site.items():
                pipe.zmscore(keys.presence(site_id), [str(visitor) for visitor in wanted])
            replies = pipe.execute()
        return {
            (site_id, visitor): float(score)
            for (site_id, wanted), scores in zip(by_site.items(), replies, strict=True)
            for visitor, score in zip(wanted, scores, strict=True)
            if score is not None
        }


def _since(now: float) -> str:
    return f"({now - ACTIVE_S}"


def _stats(site_id: int, period: Period, day: date, names: Sequence[str]) -> list[str]:
    return [keys.stat(site_id, period, day, name) for name in names]


def _numbers(values: Sequence[Any]) -> list[int]:
    return [int(value) if value is not None else 0 for value in values]
