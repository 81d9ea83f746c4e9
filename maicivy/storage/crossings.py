"""Visits that go on on a later day than that on which they began, of which `crossings` has a row for each such day."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

_REACH: Final = sa.text(
    """
    /* crossings.reach */
    SELECT min(started) FROM crossings
    WHERE site_id = :site_id AND day = (CAST(:start AS timestamptz) AT TIME ZONE 'UTC')::date
    """
)


def reach_of(connection: sa.Connection, site_id: int, start: datetime) -> datetime:
    """When the earliest visit began that goes on on the UTC day of `start`; `start` when there is none."""
    reach: datetime | None = connection.scalar(_REACH, {"site_id": site_id, "start": start})
    return reach or start
