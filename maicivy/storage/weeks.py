"""Rollups of weeks, Monday to Monday in the site's zone: sums of their days' rollups, which spare questions about
many days six of every seven rows.

A week exists while all its days are over and none of them has changed; whoever makes or deletes a day deletes its week
in the same transaction. It is a bucket like a day: what its first day has in common with the day before is told apart
(`_again`), what its other days have in common with those before them is not counted twice. Visitors are the sum of
each day's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from maicivy.core.buckets import Grain, start_of, starts
from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.bucket_sql import AGAIN, FIGURES
from maicivy.storage.connections import be_patient
from maicivy.storage.visit_question import WHOLE
from maicivy.storage.visit_tiers import KEPT, ROLLED_UP

AT_ONCE: Final = 10
"""Weeks that one refresh makes of a site; an installation that has years of days gets its weeks by and by."""

_WEEK: Final = timedelta(days=7)
_MOST: Final = 2**31 - 1
"""Of an integer; depths of scrolling are up to a hundred for a visit."""

_DIMENSIONS: Final = ("all", *ROLLED_UP)
_LAST_DAY: Final = "interval '150 hours'"
"""After the start of a week no day of it begins so late, however clocks are changed, and the next week begins later."""

_DAY: Final = "d.site_id = {site_id} AND d.grain = 'day' AND d.dimension = 'all' AND NOT d.bot"
_HAS_NONE: Final = f"""NOT EXISTS (
    SELECT FROM buckets w WHERE w.site_id = d.site_id AND w.grain = 'week' AND w.dimension = 'all' AND NOT w.bot
    AND w.start <= d.start AND w.start > d.start - {_LAST_DAY})
"""
_SITES: Final = f"""/* weeks.sites */
SELECT s.id, s.timezone FROM sites s
CROSS JOIN LATERAL date_trunc('week', CAST(:now AS timestamptz), 'UTC') AS monday
WHERE s.removed_at IS NULL AND (s.id = ANY (:sites) OR EXISTS (
    SELECT FROM buckets d WHERE {_DAY.format(site_id="s.id")}
    AND d.start > monday - interval '15 days' AND d.start <= monday - interval '12 hours' AND {_HAS_NONE}))
ORDER BY s.id
"""  # Sundays begin so early everywhere; where Mondays do, too, they are looked at in vain
_LOOSE: Final = f"""/* weeks.loose */
SELECT d.start FROM buckets d WHERE {_DAY.format(site_id=":site_id")} AND d.start >= :since AND d.start < :before
    AND {_HAS_NONE}
ORDER BY d.start
"""
_DIRTY: Final = """/* weeks.dirty */
SELECT hour FROM dirty_hours WHERE site_id = :site_id AND hour > :since AND hour < :before AND seq > 0 ORDER BY hour
"""
_DAYS: Final = """/* weeks.days */
SELECT start, greatest((SELECT sum(n) FROM unnest(visits) AS n) * 100, (SELECT sum(n) FROM unnest(pageviews) AS n),
                       (SELECT sum(n) FROM unnest(events) AS n)) AS most
FROM buckets WHERE site_id = :site_id AND grain = 'day' AND dimension = 'all' AND start > :eve AND start < :end
"""
_PRESENT: Final = """/* weeks.make */
INSERT INTO buckets (site_id, grain, dimension, start, bot, long, "values", {columns})
SELECT :site_id, 'week', 'all', :start, false,
       (SELECT coalesce(sum(long), 0) FROM buckets WHERE site_id = :site_id AND grain = 'day' AND dimension = 'all'
        AND start = ANY (:days)), '{{}}', {nothing}
"""
_DROP: Final = f"""/* weeks.drop */
DELETE FROM buckets WHERE site_id = :site_id AND grain = 'week'
    AND start <= CAST(:day AS timestamptz) AND start > CAST(:day AS timestamptz) - {_LAST_DAY}
"""
_DROP_ALL: Final = "/* weeks.drop */ DELETE FROM buckets WHERE site_id = :site_id AND grain = 'week'"


def drop_weeks(connection: sa.Connection, site_id: int, days: Sequence[datetime] | None = None) -> None:
    """Delete the weeks that days lie in, or all of a site: to be called where those days are made or deleted."""
    if days is None:
        connection.execute(sa.text(_DROP_ALL), {"site_id": site_id})
    for day in days or ():
        connection.execute(sa.text(_DROP), {"site_id": site_id, "day": day})


def make_weeks(engine: sa.Engine, sites: Sequence[int], zone: ZoneInfo, now: datetime) -> int:
    """Make weeks that are over, clean, and have days but no bucket, the latest first; how many.

    Of these sites, and of others on which something happened in the last two weeks; at most `AT_ONCE` of each. A week
    whose first day is no longer kept is not made again. `zone` is that of sites that have none of their own. Nobody
    else may make days at the same time. Safe to repeat.
    """
    with engine.begin() as connection:
        found = connection.execute(sa.text(_SITES), {"sites": list(sites), "now": now}).all()
    return sum(_make_missing(engine, row.id, ZoneInfo(row.timezone or str(zone)), now) for row in found)


def _make_missing(engine: sa.Engine, site_id: int, zone: ZoneInfo, now: datetime) -> int:
    since, before = now - KEPT[Grain.WEEK], start_of(Grain.WEEK, now, zone)
    span = {"site_id": site_id, "since": since, "before": before}
    with engine.begin() as connection:
        days = connection.execute(sa.text(_LOOSE), span).scalars().all()
        dirty = connection.execute(sa.text(_DIRTY), span | {"since": days[0] - _WEEK}).scalars().all() if days else []
    made = 0
    for start in _weeks_of(days, zone):
        end = starts(Grain.WEEK, start, start + 2 * _WEEK, zone)[1]
        first = bisect_left(dirty, start - timedelta(minutes=59))
        if start < since or (first < len(dirty) and dirty[first] < end):
            continue
        with timed(DATABASE_DURATION, "make_buckets"), engine.begin() as connection:
            made += _make(connection, site_id, start, starts(Grain.DAY, start, end, zone), end, zone)
        if made == AT_ONCE:
            break
    return made


def _weeks_of(days: Sequence[datetime], zone: ZoneInfo) -> list[datetime]:
    """The weeks that days lie in, the latest first."""
    return sorted({start_of(Grain.WEEK, day, zone) for day in days}, reverse=True)


def _make(
    connection: sa.Connection, site_id: int, start: datetime, days: Sequence[datetime], end: datetime, zone: ZoneInfo
) -> bool:
    be_patient(connection)
    connection.execute(sa.text("SET LOCAL work_mem = '64MB'"))
    values = {"site_id": site_id, "start": start, "days": list(days)}
    eve = start_of(Grain.DAY, start - timedelta(hours=1), zone)
    found = connection.execute(sa.text(_DAYS), {"site_id": site_id, "eve": eve, "end": end}).all()
    # Days of a zone that is no longer in force are no part of it; and no sum may outgrow the type of its column.
    if not {row.start for row in found} <= set(days) or sum(row.most or 0 for row in found) > _MOST:
        return False
    nothing = ", ".join(["'{}'"] * (len(FIGURES) + 1))
    connection.execute(sa.text(_PRESENT.format(columns=", ".join(["visitors", *FIGURES]), nothing=nothing)), values)
    connection.execute(sa.text(_sums()), values | {"dimensions": list(_DIMENSIONS)})
    return True


def _sums() -> str:
    """The INSERT of all dimensions of a week, from its days."""
    columns = ["values", "visitors", *FIGURES, *AGAIN]
    apart = ", ".join(f'unnest("{name}") AS "{name}"' for name in columns)
    figures = [f"sum({name}) AS {name}" for name in ("visitors", *(name for name in FIGURES if name not in WHOLE))]
    for name in WHOLE:
        figures.append(f"sum(CASE WHEN first THEN {name} ELSE {name} - coalesce({name}_again, 0) END) AS {name}")
        figures.append(f"coalesce(sum({name}_again) FILTER (WHERE first), 0) AS {name}_again")
    order = 'ORDER BY visitors DESC, "values"'
    arrays = [f'array_agg("{name}" {order})' for name in ("values", "visitors", *FIGURES)]
    arrays += [f"CASE WHEN bool_or({name} <> 0) THEN array_agg({name} {order}) END" for name in AGAIN]
    kept = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
    quoted = ", ".join(f'"{name}"' for name in columns)
    return (
        f"/* weeks.make */ INSERT INTO buckets (site_id, grain, dimension, start, bot, long, {quoted})"
        f" SELECT :site_id, 'week', dimension, CAST(:start AS timestamptz), bot, 0, {', '.join(arrays)} FROM ("
        f'SELECT dimension, bot, "values", {", ".join(figures)} FROM ('
        f"SELECT dimension, bot, start = :start AS first, {apart} FROM buckets WHERE site_id = :site_id"
        " AND grain = 'day' AND dimension = ANY (:dimensions) AND start = ANY (:days)) AS e"
        ' GROUP BY dimension, bot, "values") AS f GROUP BY dimension, bot'
        f" ON CONFLICT (site_id, grain, dimension, start, bot) DO UPDATE SET {kept}"
    )
