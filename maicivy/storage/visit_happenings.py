"""What happened in visits, as SQL: their elements, or where those are too coarse the stored events.

Either is a FROM of visits `v`, each with what happened in it as `h`: `at`, `name`, `hostname`, `page`, `n` (events that
count), `engaged_ms`, `scroll`; of elements also `action`, of stored events `event_data`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from maicivy.core.circumstances import MAX_ENGAGEMENT_MS, MAX_SCROLL_DEPTH
from maicivy.storage.schema import HAS_PROPERTIES_SQL
from maicivy.storage.visit_filters import OF_EVENTS

_ELEMENT_ARRAYS: Final = ("actions", "counts", "slots", "engaged", "scrolls")
_ELEMENT: Final = """
    SELECT date_bin('15 minutes', v.started, '1970-01-01 00:00+00')
           + coalesce({slots}, 0) * interval '15 minutes' AS at, {actions} AS action, a.name, a.hostname, a.page,
           coalesce({counts}, 1) AS n, coalesce({engaged}, 0) AS engaged_ms, coalesce({scrolls}, -1) AS scroll"""


def _reading(field: str, most: int, nothing: int) -> str:
    """A number that an engagement event tells, by the same rule as in core/circumstances.py; 0 tells nothing."""
    value = f"(r.event_data ->> '{field}')"
    return (
        f"CASE WHEN r.event_type = 'engagement' AND jsonb_typeof(r.event_data -> '{field}') = 'number'"
        f" THEN CASE WHEN {value} ~ '^[0-9]+$' AND {value}::numeric BETWEEN 1 AND {most:d}"
        f" THEN {value}::numeric::int ELSE {nothing:d} END ELSE {nothing:d} END"
    )


STORED: Final = f"""
    SELECT r.visitor_id, r.created_at AS at, {OF_EVENTS["event:name"][1]} AS name,
           {OF_EVENTS["event:hostname"][1]} AS hostname, {OF_EVENTS["event:page"][1]} AS page,
           (r.event_type <> 'engagement')::int AS n,
           {_reading("engagement_ms", MAX_ENGAGEMENT_MS, 0)} AS engaged_ms,
           {_reading("scroll_depth", MAX_SCROLL_DEPTH, -1)} AS scroll,
           r.event_data
    FROM analytics_events r"""
"""Stored events `r` as what happened; to be followed by a condition."""


def elements(visits: str, sums: Collection[str], *, timed: bool) -> str:
    """Elements of `visits`, a SELECT, with what the figures `sums` need; `timed` where it matters when they were, which
    is known to the quarter of an hour."""
    # In the list of a SELECT, not as a table: that would put the elements of each visit aside first.
    unnested = ["actions", "counts"]
    unnested += ["slots"] if timed else []
    unnested += ["engaged"] if "engaged_ms" in sums else []
    unnested += ["scrolls"] if {"scrolled", "scroll_sum"} & set(sums) else []
    shown = ", ".join(f"unnest(v.{name}) AS e_{name}" for name in unnested)
    given = {name: f"v.e_{name}" if name in unnested else "NULL::integer" for name in _ELEMENT_ARRAYS}
    return (
        f"(SELECT v.*, {shown} FROM ({visits}) AS v) AS v JOIN actions AS a ON a.id = v.e_actions"
        f" CROSS JOIN LATERAL ({_ELEMENT.format(**given)}) AS h"
    )


def stored_events(visits: str, *, all_have_properties: bool) -> str:
    """Stored events of `visits`, a SELECT; with `all_have_properties` only those that have some, engagement apart."""
    with_properties = f" AND {HAS_PROPERTIES_SQL}" if all_have_properties else ""
    who, during = "r.site_id = v.site_id AND r.visitor_id = v.visitor_id", "r.created_at BETWEEN v.started AND v.ended"
    return f"({visits}) AS v CROSS JOIN LATERAL ({STORED} WHERE {who} AND {during}{with_properties}) AS h"
