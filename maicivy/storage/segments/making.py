"""Which segments are made when: of hours that are over and have changed, and of days that are over.

While a UTC day goes on it has a segment for each hour; once it is over, one for all of it. So of an hour that has not
changed since (`dirty_hours`) either the day's segment or the hour's holds exactly the visits that began in it, and
where there is neither, none did.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from maicivy.core.buckets import Grain
from maicivy.core.visits import midnight_of
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import be_patient
from maicivy.storage.segments.keeping import drop_day, keep
from maicivy.storage.segments.loading import load_day, load_hours

UNFINISHED: Final = "SELECT DISTINCT site_id FROM segments WHERE grain = 'hour' AND start < :midnight"
"""Sites that have segments of hours of days that are over."""

_UNFINISHED_DAYS: Final = """/* segments.unfinished */
SELECT DISTINCT date_trunc('day', start, 'UTC') FROM segments
WHERE site_id = :site_id AND grain = 'hour' AND start < :midnight ORDER BY 1
"""
_MADE: Final = """/* segments.made */
SELECT EXISTS (SELECT FROM segments WHERE site_id = :site_id AND start = :start AND grain = 'day')
"""


class SegmentMaker:
    """Makes segments of one site as of `now`, each UTC day in a transaction of its own that sees one moment.

    For one pass over changed hours, which have to have been looked up before: a day that was made once in it holds the
    visits of all of them. Not safe for threads.
    """

    def __init__(self, engine: sa.Engine, site_id: int, now: datetime) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")
        self._site_id = site_id
        self._today = midnight_of(now)
        self._made: set[datetime] = set()

    def make(self, hours: Collection[datetime]) -> None:
        """Have the segments say what visits say of these UTC hours, which are over."""
        today = [hour for hour in hours if hour >= self._today]
        days = {midnight_of(hour) for hour in hours if hour < self._today}
        if today and self._is_made():  # the clock was set back: the hours would be there twice
            days.add(self._today)
            today = []
        self._make_days(days)
        if today:
            with timed(DATABASE_DURATION, "make_segments"), self._engine.begin() as connection:
                be_patient(connection)
                for hour, block in load_hours(connection, self._site_id, today):
                    keep(connection, self._site_id, hour, Grain.HOUR, block)

    def finish(self) -> None:
        """Make segments of the days that are over and have segments of hours yet."""
        with self._engine.begin() as connection:
            values = {"site_id": self._site_id, "midnight": self._today}
            days = set(connection.execute(sa.text(_UNFINISHED_DAYS), values).scalars())
        self._make_days(days)

    def _is_made(self) -> bool:
        """Whether today has been over already."""
        with self._engine.begin() as connection:
            return bool(connection.scalar(sa.text(_MADE), {"site_id": self._site_id, "start": self._today}))

    def _make_days(self, days: Collection[datetime]) -> None:
        for start in sorted(set(days) - self._made, reverse=True):
            with timed(DATABASE_DURATION, "make_segments"), self._engine.begin() as connection:
                be_patient(connection)
                day = start.astimezone(UTC).date()
                keep(connection, self._site_id, start, Grain.DAY, load_day(connection, self._site_id, day))
                drop_day(connection, day, self._site_id, Grain.HOUR)
            self._made.add(start)
