"""What is asked of visits: figures by dimensions, of a part of time. `visit_sql.py` makes SQL of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from maicivy.core.buckets import is_aligned
from maicivy.core.query import Filter
from maicivy.storage.visit_filters import event_dimensions
from maicivy.storage.visit_hits import Named

WHOLE: Final = ("visits", "bounces", "entries", "duration_us", "readers", "scrolled", "scroll_sum")
"""Figures that belong to whole visits."""

PARTS: Final = ("pageviews", "events", "engaged_ms")
"""Figures that add up as they are."""

ENGAGED: Final = frozenset(("engaged_ms", "scrolled", "scroll_sum"))
"""Figures that events of engagement tell."""


class Slice(msgspec.Struct, frozen=True):
    """A part of time that is read from visits: whole buckets of the range that a question is about.

    Attributes:
        start, end: of the range; UTC, half-open.
        bounds: where its buckets begin, ascending; the first may begin before `start`.
        groups: for each bucket the instant that its group begins at. Figures of whole visits count once in a group.
        first, last: numbers of the first and the last bucket of the slice, from 1.
        reach: no visit that touches the slice began before this; it keeps partitions out that could hold none.
    """

    start: datetime
    end: datetime
    bounds: tuple[datetime, ...]
    groups: tuple[datetime, ...]
    first: int
    last: int
    reach: datetime

    @property
    def is_aligned(self) -> bool:
        """Whether all buckets begin and end with quarters of an hour."""
        return all(map(is_aligned, (self.start, self.end, *self.bounds)))

    @property
    def is_of_utc_days(self) -> bool:
        """Whether all buckets begin and end at midnights of UTC."""
        return all(moment.timestamp() % 86_400 == 0 for moment in (self.start, self.end, *self.bounds))

    @property
    def slice_start(self) -> datetime:
        """Where the slice begins."""
        return max(self.start, self.bounds[self.first - 1])

    @property
    def slice_end(self) -> datetime:
        """Where the slice ends."""
        return self.end if self.last == len(self.bounds) else self.bounds[self.last]


class Question(msgspec.Struct, frozen=True):
    """What the relation has to tell. `raw`: from stored events, because the quarters of an hour that visits keep are
    too coarse, or know no properties. `bots`: None for all visits, else whether those of bots are meant. `sums`: the
    figures wanted. `named`: which events the part of the filter that is about events is true for, where that is known;
    for dimensions of visits and figures that are not in `ENGAGED`."""

    site_id: int
    dimensions: tuple[str, ...]
    filter: Filter | None
    bots: bool | None
    raw: bool
    sums: frozenset[str]
    named: Named | None = None

    @property
    def of_events(self) -> bool:
        """Whether it concerns single events."""
        return bool(event_dimensions(self.dimensions, self.filter))

    @property
    def dims(self) -> list[str]:
        """Columns of the dimensions."""
        return [f"d{n}" for n in range(len(self.dimensions))]

    @property
    def columns(self) -> list[str]:
        """Columns of the relation. `who` is null for a visitor who has no other visit; `touches`: the visit counts."""
        figures = [name for name in (*WHOLE, *PARTS) if name in self.sums]
        return ["grp", "bucket", *self.dims, "who", "bot", "touches", *figures, *self.again]

    @property
    def again(self) -> list[str]:
        """Columns of what has been counted before in the same group."""
        return [f"{name}_again" for name in WHOLE if name in self.sums]
