"""A few of the latest events of each type, for people to see what their data looks like.

What that costs is bounded, however much is stored and asked for: the latest `MAX_READ` events of the site are looked
at, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from maicivy.metrics import DATABASE_DURATION, timed
from maicivy.storage.connections import postgres_errors
from maicivy.storage.pulse import Pulse
from maicivy.storage.schema import PATH_SQL, SECOND_SQL

MAX_READ: Final = 10_000
MAX_LOOKED_UP: Final = 1_000
"""Events whose visit is looked up; `LOOKED_UP_EACH` of a type at most."""

LOOKED_UP_EACH: Final = 20
MAX_TEXT_BYTES: Final = 2_000

_CONDITIONS: Final = {
    "country": "p.country",
    "device": "c.device",
    "browser": "c.browser",
    "os": "c.os",
    "utm_source": "o.utm_source",
    "utm_medium": "o.utm_medium",
    "utm_campaign": "o.utm_campaign",
}
_OF_VISIT: Final = " ".join(
    f"AND (CAST(:{name} AS text) IS NULL OR {column} = :{name})" for name, column in _CONDITIONS.items()
)
_SECOND: Final = SECOND_SQL.format(moment="created_at")
# A visit that has lasted for more than a day is not found: looking for it would take a look into every partition.
_LATEST: Final = sa.text(
    f"""
    /* event_samples.latest */
    WITH latest AS MATERIALIZED (
        SELECT id, visitor_id, event_type, created_at, page_url, event_data
        FROM analytics_events
        WHERE site_id = :site_id AND created_at >= :start AND created_at < :end
        ORDER BY {_SECOND} DESC, created_at DESC, id DESC LIMIT {MAX_READ}
    ), numbered AS (
        SELECT *, row_number() OVER (PARTITION BY event_type ORDER BY created_at DESC, id DESC) AS number
        FROM latest
        WHERE event_type = ANY (:event_types) AND event_data <> '{{}}'
              AND octet_length(event_data::text) <= {MAX_TEXT_BYTES}
              AND (CAST(:page_path AS text) IS NULL OR ({PATH_SQL}) = :page_path)
    ), looked_up AS MATERIALIZED (
        SELECT * FROM numbered WHERE number <= {LOOKED_UP_EACH} ORDER BY number, event_type LIMIT {MAX_LOOKED_UP}
    ), found AS (
        SELECT event_type, event_data::text AS text,
               row_number() OVER (PARTITION BY event_type ORDER BY number) AS number
        FROM looked_up e
        WHERE EXISTS (
            SELECT FROM visits v
            JOIN clients c ON c.id = v.client_id JOIN places p ON p.id = v.place_id JOIN origins o ON o.id = v.origin_id
            WHERE v.site_id = :site_id AND v.visitor_id = e.visitor_id AND v.started <= e.created_at
                  AND v.started > e.created_at - interval '24 hours' AND v.ended >= e.created_at AND v.bot = 0
                  {_OF_VISIT})
    )
    SELECT event_type, text FROM found WHERE number <= :limit ORDER BY event_type, number
    """
)


class PostgresEventSamples:
    """See `core.ports.EventSamples`. Safe for threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pulse = Pulse(engine)

    def latest(
        self,
        site_id: int,
        event_types: Sequence[str],
        start: datetime,
        end: datetime,
        conditions: Mapping[str, str],
        limit: int,
    ) -> list[tuple[str, str]]:
        """See `core.ports.EventSamples.latest`."""
        values: dict[str, object] = dict.fromkeys((*_CONDITIONS, "page_path"))
        values |= {"site_id": site_id, "event_types": list(event_types), "start": start, "end": end, "limit": limit}
        values |= conditions

        def ask() -> list[tuple[str, str]]:
            with self._engine.connect() as connection:
                return [(event_type, text) for event_type, text in connection.execute(_LATEST, values)]

        with timed(DATABASE_DURATION, "samples"), postgres_errors():
            return self._pulse.follow(ask)
