"""Stored events that lie in no visit, found day by day and added to visits.

They are those of a database that is older than visits. An event lies in a visit when one of its visitor and site lasts
from before it until after it. So whoever adds events of a visitor has to add all of a day at once: a visit that is made
of a part of them could span others, which would pass for its own from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import sqlalchemy as sa

from maicivy.core.circumstances import READING_FIELDS, click_id_of, traits
from maicivy.core.events import Event
from maicivy.enrichment.clients import NOT_KEPT
from maicivy.storage.changes import Change, patient_cursor
from maicivy.storage.connections import postgres_errors
from maicivy.storage.partitions import Partitions
from maicivy.storage.schema import day_partition
from maicivy.storage.visit_store import VisitBook, Visitor

PAGE: Final = 50_000
"""Events that are read at once, each less than 1 KB here. Each page is a scan of the day: a second for 200,000
events on a busy machine."""

# Of the visits that began earlier, `crossings` knows which ones go on on this day, and so which partitions to look at.
_IN_NO_VISIT: Final = """e.site_id IN (SELECT id FROM sites WHERE removed_at IS NULL) AND NOT EXISTS (
    SELECT FROM visits v WHERE v.site_id = e.site_id AND v.visitor_id = e.visitor_id
    AND v.started >= %(start)s AND v.started < %(end)s AND v.started <= e.created_at AND v.ended >= e.created_at
) AND NOT EXISTS (
    SELECT FROM crossings c JOIN visits v USING (site_id, visitor_id, started)
    WHERE c.day = %(day)s AND c.site_id = e.site_id AND c.visitor_id = e.visitor_id AND v.ended >= e.created_at
    AND v.started >= (SELECT min(started) FROM crossings WHERE day = %(day)s) AND v.started < %(start)s
)"""
_COUNT: Final = f"/* backfill.count */ SELECT count(*) FROM {{table}} e WHERE {_IN_NO_VISIT}"
_PAGE: Final = f"""/* backfill.page */
SELECT id, site_id, visitor_id, event_type,
    CASE WHEN event_data ?| %(told)s THEN event_data ELSE jsonb_build_object() END,
    page_url, referrer, session_duration, created_at
FROM {{table}} e WHERE (site_id, visitor_id) > (%(site_id)s, %(visitor_id)s) AND {_IN_NO_VISIT}
ORDER BY site_id, visitor_id FETCH FIRST %(page)s ROWS WITH TIES
"""
_STILL: Final = f"""/* backfill.record */
SELECT n FROM unnest(%(numbers)s::int[], %(sites)s::int[], %(visitors)s::uuid[], %(times)s::timestamptz[])
    AS e (n, site_id, visitor_id, created_at)
WHERE {_IN_NO_VISIT} ORDER BY n
"""
_TOLD: Final = ["interactive", *READING_FIELDS]
_FIRST: Final[Visitor] = (0, UUID(int=0))
_DAY: Final = timedelta(days=1)


class Backfill:
    """See the module's docstring. One per thread; safe beside everybody who stores, and beside another of its kind."""

    def __init__(self, engine: sa.Engine, partitions: Partitions) -> None:
        self._engine = engine
        self._partitions = partitions
        self._visits = VisitBook()

    def days(self) -> list[date]:
        """UTC days of which events are stored, ascending."""
        return self._partitions.days("analytics_events")

    def count(self, day: date) -> int:
        """Events of a UTC day that lie in no visit; 0 for a day that was dropped."""
        return sum(number for (number,) in self._read(day, _COUNT))

    def page(self, day: date, after: Visitor = _FIRST) -> list[Event]:
        """Events of a UTC day that lie in no visit, of the visitors behind `after`, by site and visitor: some `PAGE`,
        and all of each visitor; none: there are no more, or the day was dropped.

        As far as visits are made of it: `event_data` is left out where it says nothing of the circumstances. Of what
        events do not keep, the user agent is `NOT_KEPT`, and the rest is not known.
        """
        site_id, visitor_id = after
        found = self._read(day, _PAGE, site_id=site_id, visitor_id=visitor_id, page=PAGE, told=_TOLD)
        return [_event(row) for row in found]

    def record(self, day: date, events: Sequence[Event]) -> int:
        """Add those of `events` that still lie in no visit to the visits of their visitors; how many they were.

        `events` are of this UTC day, and all that `page` has of their visitors. Storing waits meanwhile.
        """
        self._partitions.ensure([day], [])
        with postgres_errors(), self._engine.begin() as connection:
            cursor = patient_cursor(connection)
            change = Change(cursor)
            arrays = {
                "numbers": list(range(len(events))),
                "sites": [event.site_id for event in events],
                "visitors": [event.visitor_id for event in events],
                "times": [event.created_at for event in events],
            }
            cursor.execute(_STILL, arrays | _bounds(day))
            wanted = [events[number] for (number,) in cursor.fetchall()]
            if wanted:
                recorded = self._visits.record(cursor, change.seq, change.dictionary_version, wanted, set())
                days = ((site_id, changed) for site_id, dates in recorded.days.items() for changed in dates)
                change.end(days, new_dictionary=False)
            return len(wanted)

    def _read(self, day: date, query: str, **values: object) -> list[tuple[Any, ...]]:
        try:
            with postgres_errors(), self._engine.begin() as connection:
                cursor = patient_cursor(connection)
                cursor.execute(query.format(table=day_partition("analytics_events", day)), _bounds(day) | values)
                return cursor.fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def _bounds(day: date) -> dict[str, object]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {"day": day, "start": start, "end": start + _DAY}


def _event(row: Sequence[Any]) -> Event:
    event_id, site_id, visitor_id, event_type, data, page_url, referrer, session_duration, created_at = row
    told = traits({}, event_type, data, click_id_of(page_url))
    return Event(
        event_id,
        site_id,
        visitor_id,
        None,
        event_type,
        data,
        page_url,
        referrer,
        session_duration,
        created_at,
        msgspec.structs.replace(told, user_agent=NOT_KEPT),
    )
