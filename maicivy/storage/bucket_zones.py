"""Whose days rollups are of: those of a site's zone. When that is another one now, they are forgotten.

Forgetting marks all hours of the visits that are kept, so that refresh makes them anew; what is older stays as it is.
"""

from __future__ import annotations

import logging
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from maicivy.storage.connections import be_patient
from maicivy.storage.weeks import drop_weeks

_FORGET: Final = """/* buckets.forget */
WITH hours AS (
    SELECT DISTINCT date_trunc('hour', h) AS hour FROM visits v
    CROSS JOIN LATERAL generate_series(date_trunc('hour', v.started), v.ended, interval '1 hour') AS h
    WHERE v.site_id = :site_id
), marked AS (
    INSERT INTO dirty_hours (site_id, hour, seq) SELECT :site_id, hour, (SELECT seq FROM ledger) FROM hours
    ON CONFLICT (site_id, hour) DO UPDATE SET seq = excluded.seq, rolled = 0 RETURNING 1
)
DELETE FROM buckets WHERE site_id = :site_id AND start >= (
    SELECT CASE WHEN oldest < earliest AND oldest > earliest - interval '25 hours' THEN oldest ELSE earliest END
    FROM (SELECT min(hour) AS earliest FROM hours) AS h
    CROSS JOIN (SELECT min(start) AS oldest FROM buckets WHERE site_id = :site_id) AS b)
"""  # the day of the first visit of all begins before it

_OF_ZONE: Final = "/* buckets.zone */ SELECT EXISTS (SELECT FROM jobs WHERE name = :name)"
_WITHOUT_ZONE: Final = "/* buckets.zone */ SELECT id FROM sites WHERE timezone IS NULL ORDER BY id"
_NOW_OF_ZONE: Final = """/* buckets.zone */
WITH before AS (DELETE FROM jobs WHERE name LIKE 'buckets %' AND name <> :name)
INSERT INTO jobs (name, finished_at) VALUES (:name, now()) ON CONFLICT DO NOTHING
"""

log = logging.getLogger(__name__)


def forget(connection: sa.Connection, site_id: int) -> None:
    """Have the rollups of a site made anew, as far as its visits are kept, once this transaction is over: its time zone
    is another one now."""
    be_patient(connection)
    drop_weeks(connection, site_id)
    connection.execute(sa.text(_FORGET), {"site_id": site_id})


def follow_zone(engine: sa.Engine, zone: ZoneInfo) -> None:
    """Forget the rollups of sites without a zone of their own, if they are those of another zone than this, the
    installation's."""
    name = f"buckets {zone}"
    with engine.begin() as connection:
        if connection.scalar(sa.text(_OF_ZONE), {"name": name}):
            return
        for site_id in connection.execute(sa.text(_WITHOUT_ZONE)).scalars().all():
            forget(connection, site_id)
        connection.execute(sa.text(_NOW_OF_ZONE), {"name": name})
    log.info("buckets_of_zone", extra={"timezone": str(zone)})
