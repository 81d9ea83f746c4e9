"""Where the visits of a stretch of time are read from: segments, and `visits` for the hours that have changed since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec
import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.visits import SLOT_S, midnight_of, slot_of
from maicivy.storage.segments.block import LISTS, Block, Column
from maicivy.storage.segments.keeping import Listed, stored, stored_ids, stored_of_days
from maicivy.storage.segments.loading import load, load_crossing, load_reaching, load_with_reaching

_DAY: Final = timedelta(days=1)
_FEW: Final = _DAY
"""From the first UTC day to the last of those that are read at once."""

_SLOTS_OF_HOUR: Final = 3600 // SLOT_S


class Wanted(msgspec.Struct, frozen=True):
    """What of visits is read: `columns`; `apart`, columns that are wanted besides where a day is not whole; and
    properties, by name without "event:props:"."""

    columns: frozenset[str]
    apart: frozenset[str]
    properties: frozenset[str]


class Reading:
    """All visits of a site that touch a stretch of time, and some that do not.

    What is not in segments is read at once, the rest as it is asked for, but for a day or two, which are read in one
    statement; all of it in the caller's snapshot.

    Args:
        stale: UTC hours whose segments are not up to date, of the days of the stretch.
    """

    def __init__(
        self,
        connection: sa.Connection,
        site_id: int,
        start: datetime,
        end: datetime,
        stale: Collection[datetime],
        wanted: Wanted,
    ) -> None:
        self._connection = connection
        self._site_id = site_id
        self._wanted = wanted
        self._end = end
        first, last = midnight_of(start), midnight_of(end - timedelta(microseconds=1))
        self._stale = {hour.astimezone(UTC) for hour in stale if first <= hour < end}
        every = wanted.columns | wanted.apart
        days = first.date(), last.date()
        self._listed: list[Listed] = []
        self._stored: list[Block] = []
        reach = None
        if last - first <= _FEW:
            self._stored, reach = stored_of_days(connection, site_id, days, end, self._stale, every, wanted.properties)
        else:
            self._listed = stored_ids(connection, site_id, *days, [name for name in LISTS if name in wanted.columns])
        loaded: Sequence[Block | None] = ()
        crossing = None
        if reach is not None and self._stale and {midnight_of(hour) for hour in self._stale} == {first}:
            crossing, *loaded = load_with_reaching(connection, site_id, self._stale, reach, every, wanted.properties)
        else:
            if self._stale:
                loaded = load(connection, site_id, self._stale, every, wanted.properties)
            if reach is not None:
                crossing = load_reaching(connection, site_id, first, reach, every, wanted.properties)
            elif not self._stored:
                crossing = load_crossing(connection, site_id, first, every, wanted.properties)
        self._loaded = {_day_of(block): [block] for block in loaded if block is not None}
        if crossing is not None:
            self._loaded[first] = [crossing, *self._loaded.get(first, [])]

    @property
    def lists(self) -> Sequence[Mapping[str, Column]]:
        """The lists of ids of all blocks that will come."""
        loaded = [block for some in self._loaded.values() for block in some]
        return [each.ids for each in self._listed] + [block.ids for block in (*self._stored, *loaded)]

    def chunks(self) -> Iterator[list[Block]]:
        """The blocks of each UTC day with any, ascending. With the first come visits that began earlier and go on."""
        if self._stored:
            yield from self._few()
            return
        listed = {day: list(each) for day, each in groupby(self._listed, lambda each: midnight_of(each.start))}
        whole = {day for day, each in listed.items() if each[0].grain is Grain.DAY} - {*map(midnight_of, self._stale)}
        for is_whole, run in groupby(sorted({*listed, *self._loaded}), whole.__contains__):
            days = list(run)
            chosen = [each for day in days for each in listed.get(day, ()) if self._is_wanted(each)]
            columns = self._wanted.columns if is_whole else self._wanted.columns | self._wanted.apart
            found = stored(self._connection, self._site_id, chosen, columns, self._wanted.properties)
            by_day = groupby(map(self._up_to_date, found), _day_of)
            blocks = next(by_day, None)
            for day in days:
                chunk = list(self._loaded.get(day, ()))
                if blocks is not None and blocks[0] == day:
                    chunk += blocks[1]
                    blocks = next(by_day, None)
                yield chunk

    def _few(self) -> Iterator[list[Block]]:
        found = {day: [*blocks] for day, blocks in groupby(map(self._up_to_date, self._stored), _day_of)}
        for day in sorted({*found, *self._loaded}):
            yield [*self._loaded.get(day, ()), *found.get(day, ())]

    def _is_wanted(self, each: Listed) -> bool:
        return each.grain is Grain.DAY or (each.start not in self._stale and each.start < self._end)

    def _up_to_date(self, block: Block) -> Block:
        """A block without what has changed in it since."""
        begin = _moment(block.base)
        stale = [hour for hour in self._stale if begin <= hour < begin + _DAY] if block.is_whole else []
        return _without(block, stale) if stale else block


def _without(block: Block, hours: Collection[datetime]) -> Block:
    begins = sorted(slot_of(hour) - block.base for hour in hours)
    ranges = tuple((begin, begin + _SLOTS_OF_HOUR) for begin in begins)
    return msgspec.structs.replace(block, passed_over=ranges, is_whole=False)


def _day_of(block: Block) -> datetime:
    return midnight_of(_moment(block.base))


def _moment(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT_S, UTC)
