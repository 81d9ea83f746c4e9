"""Events for tests, made of as few words as the test needs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from maicivy.core.events import DEFAULT_SITE, PAGE_VIEW, Event
from maicivy.core.identity import first_id_of

NOON = datetime(2025, 12, 8, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def visitor_id(number: int, moment: datetime = NOON) -> UUID:
    """The id of the n-th visitor of a day."""
    return UUID(int=first_id_of(moment.date()).int | 0x8000 << 64 | 0x8000 << 48 | number)


def event_id() -> UUID:
    """An id that no other call returns."""
    return UUID(int=next(_numbers) | 4 << 76 | 8 << 60 | 1 << 127)


def event(
    event_type: str = PAGE_VIEW,
    data: dict[str, Any] | None = None,
    *,
    at: datetime = NOON,
    visitor: int = 1,
    page_url: str = "/cv",
    id: UUID | None = None,  # noqa: A002
    site_id: int = DEFAULT_SITE,
    previous: UUID | None = None,
) -> Event:
    """An event that the gate would have let through."""
    return Event(
        id or event_id(), site_id, visitor_id(visitor, at), previous, event_type, data or {}, page_url, "", 0, at
    )
