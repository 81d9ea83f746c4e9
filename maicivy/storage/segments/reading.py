"""Where the visits of a stretch of time are read from: segments, and `visits` for the hours that have changed since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec
import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.visits import SLOT_S
from maicivy.storage.segments.block import LISTS, Block, Column
from maicivy.storage.segments.keeping import stored, stored_ids
from maicivy.storage.segments.loading import load, load_crossing

_DAY: Final = timedelta(days=1)
_SLOTS_OF_HOUR: Final = 3600 // SLOT_S


class Wanted(msgspec.Struct, frozen=True):
    """What of visits is read: `columns`; `apart`, columns that are wanted besides where a day is not whole; and
    properties, by name without "event:props:"."""

    columns: frozenset[str]
    apart: frozenset[str]
    properties: frozenset[str]


class Reading:
    """All visits of a site that touch a stretch of time, and some that do not.

    What is not in segments is read at once, the rest as it is asked for; all of it in the caller's snapshot.

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
        first, last = _midnight(start), _midnight(end - timedelta(microseconds=1))
        self._stale = {hour.astimezone(UTC) for hour in stale if first <= hour < end}
        self._listed = stored_ids(
            connection, site_id, first.date(), last.date(), [name for name in LISTS if name in wanted.columns]
        )
        every = wanted.columns | wanted.apart
        loaded = load(connection, site_id, self._stale, every, wanted.properties) if self._stale else []
        self._loaded = {_midnight(_moment(block.base)): [block] for block in loaded}
        crossing = load_crossing(connection, site_id, first, every, wanted.properties)
        if crossing is not None:
            self._loaded[first] = [crossing, *self._loaded.get(first, [])]

    @property
    def lists(self) -> Sequence[Mapping[str, Column]]:
        """The lists of ids of all blocks that will come."""
        return [each.ids for each in self._listed] + [block.ids for some in self._loaded.values() for block in some]

    def chunks(self) -> Iterator[list[Block]]:
        """The blocks of each UTC day with any, ascending. With the first come visits that began earlier and go on."""
        days = sorted({_midnight(each.start) for each in self._listed} | self._loaded.keys())
        for is_whole, run in groupby(days, self._is_whole):
            chosen = list(run)
            columns = self._wanted.columns if is_whole else self._wanted.columns | self._wanted.apart
            found = groupby(self._stored(chosen[0], chosen[-1] + _DAY, columns), lambda b: _midnight(_moment(b.base)))
            blocks = next(found, None)
            for day in chosen:
                chunk = list(self._loaded.get(day, ()))
                if blocks is not None and blocks[0] == day:
                    chunk += blocks[1]
                    blocks = next(found, None)
                yield chunk

    def _is_whole(self, day: datetime) -> bool:
        """Whether all of a day is in one segment that is up to date."""
        grains = {each.grain for each in self._listed if _midnight(each.start) == day}
        return grains == {Grain.DAY} and not any(_midnight(hour) == day for hour in self._stale)

    def _stored(self, start: datetime, end: datetime, columns: Collection[str]) -> Iterator[Block]:
        """What segments hold that is up to date."""
        properties = self._wanted.properties
        for block in stored(self._connection, self._site_id, start, min(end, self._end), columns, properties):
            begin = _moment(block.base)
            if block.is_whole:
                stale = [hour for hour in self._stale if begin <= hour < begin + _DAY]
                yield _without(block, stale) if stale else block
            elif begin not in self._stale:
                yield block


def _without(block: Block, hours: Collection[datetime]) -> Block:
    begins = sorted(int(hour.timestamp()) // SLOT_S - block.base for hour in hours)
    ranges = tuple((begin, begin + _SLOTS_OF_HOUR) for begin in begins)
    return msgspec.structs.replace(block, passed_over=ranges, is_whole=False)


def _moment(slot: int) -> datetime:
    return datetime.fromtimestamp(slot * SLOT_S, UTC)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
