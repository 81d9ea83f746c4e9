"""The last eight weeks of the demo, as if its visitors had always come: so that its dashboard has something to tell.

The same visits that the simulator plays, at times that have passed, made into the events that the hook and the API
would have made of them, through the same gate, and handed to the inbox like any others. The latest come first: what
somebody looks at in the first minute is there in the first seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from maicivy.core.circumstances import joined, language_of
from maicivy.core.events import DEFAULT_SITE, Event, Traits, uuid7
from maicivy.core.gate import MAX_BATCH_EVENTS, Draft, Gate, parse_event
from maicivy.core.identity import Salts, visitor_on
from maicivy.demo.places import place_of
from maicivy.demo.visitors import Person, Step, person, visit
from maicivy.tracking import hits

DAYS: Final = 56
"""Twice the range that a dashboard opens with, so that there is something to compare it with."""

VISITS_A_DAY: Final = 200
"""On an ordinary day, in the last week. A day of the first week has two thirds of it."""

RECENT: Final = 90
"""Visits of the last half hour, more and more of them: as many a minute in its end as the simulator goes on with."""

FAME: Final = {9: 2.1, 8: 1.5}
"""So many days ago somebody with many readers linked to the site."""

_WEEK: Final = (1.05, 1.12, 1.1, 1.08, 0.95, 0.62, 0.68)
_HOURS: Final = (8, 6, 5, 4, 4, 5, 9, 17, 28, 36, 38, 36, 33, 36, 39, 38, 35, 31, 28, 27, 26, 22, 17, 12)
"""Visits by hour of the day, in UTC, of a thousand or so."""
_UNFINISHED: Final = timedelta(seconds=5)
_THEME_PARAM: Final = "theme"


def events(dice: random.Random, now: datetime, days: int, origin: str, gate: Gate, salts: Salts) -> Iterator[Event]:
    """Everything that happened in the last `days` days up to `now`, day by day, the latest day first."""
    for ago in range(days):
        start = (now - timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
        arrivals = _arrivals(dice, start, ago)
        if not ago:
            arrivals += [now - timedelta(minutes=30 * (1 - dice.random() ** 0.5)) for _ in range(RECENT)]
        for at in arrivals:
            if at < now:
                yield from _visit(dice, at, now, origin, gate, salts)


def hand_in(
    made: Iterator[Event],
    append: Callable[[Sequence[Event]], None],
    ring: Callable[[], None],
    ended: Callable[[], bool],
) -> int:
    """Give the events to the inbox in batches, until there are no more or `ended`; the number of those given.

    Raises:
        InboxFull: and `Unavailable`: what was given is safe, and the rest is left out.
    """
    count = 0
    batch: list[Event] = []
    for event in made:
        batch.append(event)
        if len(batch) == MAX_BATCH_EVENTS:
            append(batch)
            ring()
            count += len(batch)
            batch = []
            if ended():
                return count
    if batch:
        append(batch)
        ring()
    return count + len(batch)


def _arrivals(dice: random.Random, start: datetime, ago: int) -> list[datetime]:
    usual = VISITS_A_DAY * (1 - 0.35 * min(1.0, ago / DAYS)) * _WEEK[start.weekday()]
    visits = int(usual * FAME.get(ago, 1.0) * dice.uniform(0.88, 1.12))
    hours = dice.choices(range(24), _HOURS, k=visits)
    return sorted(start + timedelta(hours=hour, seconds=dice.uniform(0, 3600)) for hour in hours)


def _visit(dice: random.Random, at: datetime, now: datetime, origin: str, gate: Gate, salts: Salts) -> Iterator[Event]:
    who = person(dice)
    # The salts of days that have passed are gone: an id of the day on which the visit began, as imports have it.
    visitor_id = visitor_on(salts, at.date(), DEFAULT_SITE, "", who.address, who.user_agent)
    place = place_of(who.address)
    seen = Traits(who.user_agent, language_of(who.language), place.country, place.region, place.city)
    for step in visit(dice, origin, who):
        at += timedelta(seconds=step.wait_s)
        if at > now - _UNFINISHED:
            return
        event_id = uuid7(int(at.timestamp() * 1000), dice.randbytes(10))
        draft = _draft(step, who, at, event_id, gate)
        yield draft.event(
            new_id=event_id,
            site_id=DEFAULT_SITE,
            visitor_id=visitor_id,
            previous_visitor_id=None,
            now=at,
            traits=joined(draft.traits, seen),
        )


def _draft(step: Step, who: Person, at: datetime, event_id: UUID, gate: Gate) -> Draft:
    """What the hook or the API makes of a request."""
    if step.path.startswith("/api/"):
        return parse_event(step.body, gate)
    url = urlsplit(step.path)
    environ = {
        "PATH_INFO": url.path,
        "QUERY_STRING": url.query,
        "HTTP_REFERER": step.referrer,
        "HTTP_USER_AGENT": who.user_agent,
        "HTTP_ACCEPT_LANGUAGE": who.language,
    }
    if step.method == "GET":
        hit = hits.page_view(environ, "", at.timestamp())
    else:
        form = parse_qs(step.body.decode())
        letter = {"type": form["kind"][0], "role": form["role"][0]}
        hit = hits.tracked(environ, "", at.timestamp(), event_type="letter_generated", data=letter, page_url=None)
    return hits.draft(hit, event_id, gate, _THEME_PARAM)
