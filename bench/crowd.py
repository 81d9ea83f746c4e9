"""Batches of events of many visitors, as a trusted sender posts them: what visits cost the store.

Events of one visit lie far apart, as on a site where many are at once: nearly each comes in another batch than the one
before, so its visit is read and written again. Whenever all batches were sent, they come from other addresses.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from bench.days import Span, stays
from bench.population import population
from bench.traffic_check import events_of

BATCHES: Final = 200
_FAR: Final = 0.15  # of all batches, from one event of a visit to the next
_FIRST: Final = b'"10.100.'


def bodies(size: int, batches: int = BATCHES, seed: int = 1) -> Iterator[bytes]:
    """Bodies of `POST /api/v1/analytics/batch` with `size` events each, without end."""
    made = _made(size, batches, seed)  # now, and not when the first is asked for
    return (body.replace(_FIRST, b'"10.%03d.' % (100 + turn % 150)) for turn in itertools.count() for body in made)


@cache
def _made(size: int, batches: int, seed: int) -> list[bytes]:
    people = population(seed)
    chance = random.Random(seed)
    span = Span.until(datetime(2026, 6, 10, tzinfo=UTC), size * batches * 10, seed, length=4)
    events: list[tuple[float, dict[str, Any]]] = []
    day = span.days()[1]
    visits = [span.visits(people)[day][0], *(0 for _ in people.sites[1:])]
    for number, stay in enumerate(stays(people, span, day, visits)):
        place = chance.random() * (1 - _FAR)
        for event in events_of(people, stay):
            traits = event.traits
            body: dict[str, Any] = {
                "event_type": event.event_type,
                "page_url": event.page_url,
                "visitor_address": f"10.100.{number >> 8}.{number & 255}",
                "visitor_user_agent": traits.user_agent,
            }
            if event.referrer:
                body["referrer"] = event.referrer
            if event.event_data:
                body["event_data"] = event.event_data
            if traits.language:
                body |= {"language": traits.language}
            if traits.screen_width:
                body |= {"screen_width": traits.screen_width, "screen_height": traits.screen_height}
            events.append((place, body))
            place += chance.random() * 2 * _FAR
    events.sort(key=lambda placed: placed[0])
    chosen = [body for _, body in events[: size * batches]]
    return [
        json.dumps(chosen[start : start + size], separators=(",", ":")).encode()
        for start in range(0, len(chosen) - size + 1, size)
    ]
