"""Judging anew what is stored, by the lists of today: find, decide, act.

What was observed of a client or an origin is kept with it, so all that follows from it can be worked out again: bots,
and just as well browsers, devices, sources and channels, which a new version may know better. Visits take `bot` from
there, and the hours in which they lie are rolled up anew. Events are never changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Final

import msgspec

from maicivy.core.dimensions import Client
from maicivy.enrichment import lists
from maicivy.enrichment.clients import judged_client
from maicivy.enrichment.origins import judged_origin
from maicivy.storage.judgements import Count, Judged, JudgedKind, Judgements

PEOPLE: Final = ""
"""The reason under which those are counted who are not taken for bots."""

log = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """What was changed, or would be.

    Attributes:
        clients, origins: rows of the dictionary about which something is known better now.
        visits: those whose `bot` was changed; of a dry run 0.
        before, after: reason -> visits and events that it accounts for; `""` are people.
        seconds: that it took.
    """

    clients: int
    origins: int
    visits: int
    before: Mapping[str, Count]
    after: Mapping[str, Count]
    seconds: float
    dry_run: bool


def reclassify(judgements: Judgements, *, dry_run: bool = False) -> Report:
    """Judge every client and origin anew and have visits follow; with `dry_run`, only say what that would do.

    Storing goes on meanwhile; it waits for as long as one day's visits take. A repeat changes nothing more, and ends
    what was interrupted. Workers that were started before the lists were changed go on judging new clients by the old.

    Raises:
        Unavailable: some days may be done already; a repeat does the others.
    """
    started = monotonic()
    before = judgements.counts()
    clients = _revisions(judgements, "clients")
    origins = _revisions(judgements, "origins")
    visits = 0
    if dry_run:
        after = judgements.foreseen(clients, origins)
    else:
        if clients or origins:
            judgements.revise(clients, origins)
        visits = sum(judgements.rejudge(day) for day in reversed(judgements.days()))
        after = judgements.counts()
    report = Report(len(clients), len(origins), visits, before, after, monotonic() - started, dry_run)
    log.info(
        "bots_reclassified",
        extra={
            "clients": report.clients,
            "origins": report.origins,
            "visits": visits,
            "lists": lists.version(),
            "seconds": round(report.seconds, 3),
            "dry_run": dry_run,
        },
    )
    return report


def rejudged(stored: Judged) -> Judged:
    """What is known by today's lists of what was observed."""
    if isinstance(stored, Client):
        return judged_client(stored.user_agent, stored.language, stored.resolution)
    utm = (stored.utm_source, stored.utm_medium, stored.utm_campaign, stored.utm_term, stored.utm_content)
    return judged_origin(stored.referrer, utm, stored.click_id)


def _revisions(judgements: Judgements, kind: JudgedKind) -> dict[int, Judged]:
    revisions: dict[int, Judged] = {}
    last = 0
    while rows := judgements.rows(kind, last):
        for row_id, stored in rows:
            judged = rejudged(stored)
            if judged != stored:
                revisions[row_id] = judged
        last = rows[-1][0]
    return revisions
