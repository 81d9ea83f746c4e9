"""Invented days: visits with their events, skewed as real traffic is.

A day is made from its own seed, so days can be made in any order and by several processes. What is fixed here: the
curves of day and week and growth, how many pages a visit has (1 to 40, mean 2.3), how long they are looked at, one
event in twenty of a type of its own, engagement for a third of the views, 4 % bots, 13 % of visitors back on the same
day, and visits that go on after midnight.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from bench.population import POOL, Population, Site
from bench.vocabulary import DATA, PASSIVE

DAYS: Final = 90
EVENTS_PER_VISIT: Final = 3.28
"""Measured: what 1,000,000 events came to."""

_BIG: Final = 0.9
_GAP_US: Final = 1_800_000_000
_HOUR_WEIGHTS: Final = (30, 22, 17, 14, 14, 18, 28, 45, 66, 80, 88, 90, 85, 88, 92, 92, 88, 84, 82, 84, 86, 78, 62, 45)
_WEEKDAY_WEIGHTS: Final = (1.08, 1.12, 1.12, 1.1, 1.02, 0.76, 0.8)
_GROWTH_A_DAY: Final = 0.004


class Happening(NamedTuple):
    """One event of a visit: `kind` is 0 for a page view, 1 for the custom event of the page, 2 for engagement."""

    at_us: int
    id: int
    kind: int
    page: int
    engaged_ms: int
    scroll: int
    referrer: int
    """Page that led here, -1: what the visit came with."""
    data: str


class Stay(NamedTuple):
    """A visit: places in the lists of the population, its events by time. Times are microseconds since 1970."""

    site: Site
    visitor: int
    client: int
    place: int
    origin: int
    declared: bool
    is_single: bool
    happenings: list[Happening]


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a run, ending now (microseconds since 1970)."""

    events: int
    last: date
    now_us: int
    seed: int = 1
    length: int = DAYS
    hour: int | None = None
    """In which all visits begin, of each day; None: spread over the day."""

    @classmethod
    def until(cls, now: datetime, events: int, seed: int = 1, length: int = DAYS) -> Span:
        """The days until an aware time."""
        return cls(events, now.astimezone(UTC).date(), int(now.timestamp() * 1_000_000), seed, length)

    def days(self) -> list[date]:
        """All, ascending."""
        return [self.last - timedelta(days=n) for n in reversed(range(self.length))]

    def visits(self, population: Population) -> dict[date, list[int]]:
        """How many visits each site has on each day, in the order of the sites."""
        small = [1 / (n + 1) ** 0.5 for n in range(len(population.sites) - 1)]
        shares = [_BIG, *((1 - _BIG) * weight / sum(small) for weight in small)]
        weights = {}
        for n, day in enumerate(self.days()):
            weights[day] = _WEEKDAY_WEIGHTS[day.weekday()] * (1 + _GROWTH_A_DAY) ** n
        weights[self.last] *= _curve_until(self.now_us - _midnight_us(self.last))
        whole = self.events / EVENTS_PER_VISIT / sum(weights.values())
        return {day: [max(1, round(whole * weight * share)) for share in shares] for day, weight in weights.items()}


def stays(population: Population, span: Span, day: date, visits: list[int]) -> Iterator[Stay]:
    """The visits that begin on `day` (UTC), site by site, and of a site in no order."""
    maker = _Maker(population, span, day)
    for site, count in zip(population.sites, visits, strict=True):
        made = 0
        while made < count:
            for stay in maker.visitor(site):
                made += 1
                yield stay


class _Maker:
    def __init__(self, population: Population, span: Span, day: date) -> None:
        self._population = population
        self._chance = random.Random(f"{span.seed} {day}")
        pools = random.Random(span.seed)
        self._lengths = [min(40, max(1, round(pools.paretovariate(1.55) - 0.45))) for _ in range(4096)]
        self._dwells_us = [int(min(1500.0, 1 + pools.lognormvariate(3.4, 1.2)) * 1e6) for _ in range(4096)]
        hours = pools.choices(range(24), _HOUR_WEIGHTS, k=POOL) if span.hour is None else [span.hour] * POOL
        self._starts_us = [int((hour + pools.random()) * 3.6e9) for hour in hours]
        self._midnight_us = _midnight_us(day)
        self._first_id = ((day - date(1970, 1, 1)).days) << 112
        self._end_us = min(span.now_us, self._midnight_us + 86_400_000_000)
        self._now_us = span.now_us

    def visitor(self, site: Site) -> list[Stay]:
        """The visits of one visitor on this day, those far enough apart: one to three."""
        chance, population = self._chance, self._population
        bits = chance.getrandbits
        client = population.client_pool[bits(16)]
        place = population.place_pool[bits(16)]
        visitor = self._first_id | bits(112) & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48
        is_bot = not population.traits[client].language
        start_us = self._midnight_us + self._starts_us[bits(16)] + bits(20)
        while start_us >= self._end_us:
            start_us = self._midnight_us + self._starts_us[bits(16)] + bits(20)
        runs = []
        while True:
            runs.append((population.origin_pool[bits(16)], self._run(site, start_us, is_bot)))
            start_us = runs[-1][1][-1].at_us + _GAP_US + 1 + int(chance.expovariate(1 / 9e9))
            if bits(10) >= 133 or start_us >= self._end_us:
                break
        declared = population.traits[client].bot
        return [
            Stay(site, visitor, client, place, origin, declared, len(runs) == 1, happenings)
            for origin, happenings in runs
        ]

    def _run(self, site: Site, at_us: int, is_bot: bool) -> list[Happening]:
        bits, dwells_us, now_us = self._chance.getrandbits, self._dwells_us, self._now_us
        done: list[Happening] = []
        page, before = site.entries[bits(16)], -1
        for _ in range(self._lengths[bits(12)]):
            if at_us >= now_us:
                break
            done.append(Happening(at_us, bits(74), 0, page, 0, -1, before, "{}"))
            dwell_us = dwells_us[bits(12)] + bits(20)
            dice = bits(10)
            if dice < 82 and at_us + dwell_us // 2 < now_us:
                name = site.custom_type(page)
                variants = DATA.get(name)
                data = "{}" if variants is None else variants[bits(8) % len(variants)]
                done.append(Happening(at_us + dwell_us // 2, bits(74), 1, page, 0, -1, page, data))
            at_us += dwell_us
            if dice & 3 < 1 + (dice & 4 > 0) and not is_bot and at_us < now_us:
                engaged_ms = dwell_us * (64 + bits(6)) // 128_000
                scroll = 5 + bits(10) % 96
                data = f'{{"engagement_ms":{engaged_ms},"scroll_depth":{scroll}}}'
                done.append(Happening(at_us, bits(74), 2, page, engaged_ms, scroll, page, data))
            at_us += 200_000 + bits(17)
            before, page = page, site.pages[bits(16)]
        return done


def is_interactive(site: Site, page: int) -> bool:
    """Whether the custom event of a page counts as interaction."""
    return site.custom_type(page) not in PASSIVE


def _midnight_us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400_000_000


def _curve_until(passed_us: int) -> float:
    hours = passed_us / 3.6e9
    whole = int(hours)
    passed = sum(_HOUR_WEIGHTS[:whole]) + (_HOUR_WEIGHTS[whole] * (hours - whole) if whole < 24 else 0)
    return passed / sum(_HOUR_WEIGHTS)
