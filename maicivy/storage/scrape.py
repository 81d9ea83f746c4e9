"""What `/metrics` tells of the state in Redis: two pipelines per scrape, over a connection that gives up early. The
second one asks for each of the sites that the first one named.

A scrape must be answered while Redis hangs. So this has a client of its own, which does not retry, and which never
takes a connection from requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from maicivy.core.events import DEFAULT_SITE
from maicivy.core.periods import Period
from maicivy.core.tallies import LETTERS, OTHER, TOTAL
from maicivy.errors import Unavailable
from maicivy.storage import keys
from maicivy.storage.aggregates import PAGE_VIEWS
from maicivy.storage.counters import ACTIVE_S
from maicivy.storage.redis_clients import redis_errors
from maicivy.storage.worker_metrics import Sample, relayed

TIMEOUT_S: Final = 0.8
TOP_THEMES: Final = 50
SITES_SHOWN: Final = 100
"""With a number of their own; the rest are added up."""

SITES_ASKED: Final = 1_000
"""Further ones are left out of that sum, too. A scrape of so many takes 60 ms, one of a hundred 20 (measured)."""


class SiteFigures(msgspec.Struct, frozen=True):
    """What has been counted of a site, or of some, and how many are there now."""

    events: int
    page_views: int
    visitors: int
    current_visitors: int


_NOTHING: Final = SiteFigures(0, 0, 0, 0)


class Scraped(msgspec.Struct, frozen=True):
    """Redis at one moment.

    Attributes:
        totals: lifetime counters of the default site, by the names of `keys.totals`.
        ledger: by the names of `keys.LEDGER`.
        inbox_oldest_s: age of the oldest entry, 0 when there is none.
        themes: most viewed first, at most `TOP_THEMES`.
        last_seen: process kind -> Unix second.
        relayed: what workers observed.
        sites: number of each of the first `SITES_SHOWN` sites, or `OTHER` for the rest together -> its figures.
    """

    totals: Mapping[str, int]
    ledger: Mapping[str, int]
    inbox_events: int
    inbox_bytes: int
    inbox_oldest_s: float
    current_visitors: int
    unique_today: int
    letters_today: int
    websockets: int
    themes: list[tuple[str, int]]
    cursor_seq: int
    last_seen: Mapping[str, float]
    relayed: list[Sample]
    sites: Mapping[str, SiteFigures]


class _Numbered(msgspec.Struct, frozen=True):
    """All that is needed here of a site."""

    id: int


_sites: Final = msgspec.json.Decoder(list[_Numbered])


class Scraper:
    """Reads all of it at once. Safe for threads."""

    def __init__(self, url: str) -> None:
        self._client = impatient_redis(url)

    def last_seen(self) -> Mapping[str, float]:
        """Process kind -> Unix second it last showed that it lives. Costs Redis next to nothing.

        Raises:
            Unavailable: no answer within a second, or one that says that it cannot write to its disk.
        """
        with redis_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(keys.HEARTBEATS)
            pipe.info("persistence")
            beats, persistence = pipe.execute(raise_on_error=False)
            if isinstance(beats, redis.RedisError):
                raise beats
        # An account that may not ask for INFO is no reason to be down.
        if isinstance(persistence, dict) and persistence.get("aof_last_write_status", "ok") != "ok":
            raise Unavailable("redis", "it cannot write its append-only file")
        return _seconds(beats)

    def scrape(self, today: date, now: float) -> Scraped:
        """Redis at `now` (Unix seconds), `today` being the day in the installation's time zone.

        Raises:
            Unavailable: no answer within a second.
        """
        site = DEFAULT_SITE
        with redis_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(keys.totals(site))
            pipe.hgetall(keys.LEDGER)
            pipe.hmget(keys.INBOX_SIZE, "events", "bytes")
            pipe.xrange(keys.INBOX, count=1)
            pipe.zcount(keys.presence(site), f"({now - ACTIVE_S}", "+inf")
            pipe.pfcount(keys.unique_visitors(site, Period.DAY, today))
            pipe.get(keys.stat(site, Period.DAY, today, LETTERS))
            pipe.zcount(keys.LIVE_CLIENTS, f"({now}", "+inf")
            pipe.zrevrange(keys.themes(site), 0, TOP_THEMES - 1, withscores=True)
            pipe.hget(keys.CURSOR, "seq")
            pipe.hgetall(keys.HEARTBEATS)
            pipe.hgetall(keys.WORKER_METRICS)
            pipe.get(keys.SITES)
            (totals, ledger, size, oldest, current, unique, letters, live, themes, seq, beats, worker, sites) = (
                pipe.execute()
            )
            figures = self._figures(_numbers(sites), now)
        return Scraped(
            totals=_counts(totals),
            ledger=_counts(ledger),
            inbox_events=int(size[0] or 0),
            inbox_bytes=int(size[1] or 0),
            inbox_oldest_s=max(0.0, now - int(oldest[0][0].partition(b"-")[0]) / 1000) if oldest else 0.0,
            current_visitors=int(current),
            unique_today=int(unique),
            letters_today=int(letters or 0),
            websockets=int(live),
            themes=[(name.decode("utf-8", "replace"), int(views)) for name, views in themes],
            cursor_seq=int(seq or 0),
            last_seen=_seconds(beats),
            relayed=relayed(worker),
            sites=figures,
        )

    def _figures(self, site_ids: Sequence[int], now: float) -> dict[str, SiteFigures]:
        pipe = self._client.pipeline(transaction=False)
        for site_id in site_ids:
            pipe.hmget(keys.totals(site_id), TOTAL, PAGE_VIEWS, "visitors")
            pipe.zcount(keys.presence(site_id), f"({now - ACTIVE_S}", "+inf")
        replies = iter(pipe.execute())
        shown: dict[str, SiteFigures] = {}
        for place, site_id in enumerate(site_ids):
            events, page_views, visitors = (int(count or 0) for count in next(replies))
            name = str(site_id) if place < SITES_SHOWN else OTHER
            before = shown.get(name, _NOTHING)
            shown[name] = SiteFigures(
                before.events + events,
                before.page_views + page_views,
                before.visitors + visitors,
                before.current_visitors + int(next(replies)),
            )
        return shown


def impatient_redis(url: str) -> redis.Redis:
    """A client for probes: one attempt, which ends within about a second whatever the server does."""
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=10,
    )


def _numbers(sites: bytes | None) -> list[int]:
    """The sites that Redis knows, by number; the default one is always there."""
    try:
        known = {site.id for site in _sites.decode(sites or b"[]")}
    except msgspec.DecodeError:
        known = set()
    return sorted(known | {DEFAULT_SITE})[:SITES_ASKED]


def _counts(fields: Mapping[bytes, bytes]) -> Mapping[str, int]:
    return {name.decode("utf-8", "replace"): int(value) for name, value in fields.items()}


def _seconds(beats: Mapping[bytes, bytes]) -> Mapping[str, float]:
    return {name.decode("utf-8", "replace"): float(value) for name, value in beats.items()}
