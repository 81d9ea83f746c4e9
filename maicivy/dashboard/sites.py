"""All sites that somebody may see, each with its visitors of the last four weeks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.answers import Figure
from maicivy.core.periods import local_day
from maicivy.core.ports import Counters
from maicivy.core.query_language import read
from maicivy.core.sites import Site
from maicivy.errors import Refusal, Unavailable
from maicivy.queries import Queries

DAYS: Final = 28
MAX_COUNTED: Final = 30
"""Sites whose figures are shown. Each costs a question: a list that takes seconds helps nobody."""


class SiteSummary(msgspec.Struct, frozen=True):
    """A site in the list.

    Attributes:
        name: its domain, else its measurement id.
        visitors: of the last `DAYS` days, today included; None: not counted, or not known now.
        current: visitors of the last five minutes; None: not known now.
        values: visitors by day, for a spark; empty where they are not known.
    """

    name: str
    url: str
    measurement_id: str
    is_public: bool
    visitors: int | None = None
    current: int | None = None
    values: tuple[int, ...] = ()


def listed(
    queries: Queries, counters: Counters, sites: Iterable[Site], now: datetime, zone: ZoneInfo
) -> tuple[SiteSummary, ...]:
    """The sites, those with the most visitors first; what a server that is away would know is left out. It is asked
    once then: one that hangs makes each question wait.

    `zone` is the installation's, whose days those sites have that do not say.
    """
    away: set[str] = set()
    summaries = [
        _counted(queries, counters, site, now, zone, away) if number < MAX_COUNTED else _plain(site)
        for number, site in enumerate(sites)
    ]
    return tuple(sorted(summaries, key=lambda each: (-(each.visitors or 0), each.name)))


def _plain(site: Site) -> SiteSummary:
    reference = site.domain or site.measurement_id or str(site.id)
    return SiteSummary(reference, f"/dashboard/{reference}", site.measurement_id, site.is_public)


def _counted(
    queries: Queries, counters: Counters, site: Site, now: datetime, zone: ZoneInfo, away: set[str]
) -> SiteSummary:
    """`away` are those of `values` and `current` that no server tells now."""
    values: tuple[int, ...] = ()
    current = None
    if "values" not in away:
        try:
            values = _by_day(queries, site, now)
        except Refusal:
            pass  # of this site alone: it is too large, say
        except Unavailable:
            away.add("values")
    if "current" not in away:
        try:
            current = counters.realtime(site.id, local_day(now, zone), now.timestamp()).current_visitors
        except Unavailable:
            away.add("current")
    # Ids change every night, so the visitors of several days are the sum of the days': docs/metrics.md.
    visitors = sum(values) if values else None
    return msgspec.structs.replace(_plain(site), visitors=visitors, current=current, values=values)


def _by_day(queries: Queries, site: Site, now: datetime) -> tuple[int, ...]:
    question = read(
        {
            "site_id": site.id,
            "metrics": ["visitors"],
            "date_range": f"{DAYS}d",
            "dimensions": ["time:day"],
            "include": {"time_labels": True},
        }
    )
    answer = queries.answer(question, site, now)
    found: dict[str, Figure] = {result.dimensions[0]: result.metrics[0] for result in answer.results}
    labels = answer.meta.time_labels
    return tuple(int(found.get(label) or 0) for label in (labels if isinstance(labels, list) else []))
