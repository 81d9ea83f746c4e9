"""What carries events away: the small promise that both transports keep, and the one into maicivy's own Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from maicivy.core.circumstances import joined
from maicivy.core.dimensions import Place
from maicivy.core.events import Event, Traits
from maicivy.core.gate import Draft
from maicivy.core.identity import MAX_USER_AGENT_CHARS, visitor
from maicivy.core.ports import Inbox, SaltBox
from maicivy.errors import InboxFull, Unavailable

NOWHERE: Final = Place()
APPEND_EVENTS: Final = 500
"""Events of one append: as many as one batch of the API."""


class NotNow(Exception):
    """Delivery failed in a way that may pass; the same events may be sent again, ids see to that they count once.

    `after_s` is the pause that the other side asked for, 0 when it named none.
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class Receipt(NamedTuple):
    """How many parcels from the front were dealt with for good, how many of these were refused, and why."""

    done: int
    refused: int = 0
    why: str = ""


class Transport(Protocol):
    """Used by one thread of one process, and made in it."""

    def prepare(self, drafts: Sequence[Draft], now: datetime) -> list[Any]:
        """One parcel for each draft, each with all it needs to be sent again and, where possible, no address.

        Raises:
            NotNow: nothing was prepared.
        """

    def send(self, parcels: Sequence[Any]) -> Receipt:
        """Deliver parcels from the front, as many as go together.

        Raises:
            NotNow: some may have arrived, none is known to have.
        """

    def close(self) -> None:
        """Let go of connections."""


class InboxTransport:
    """Straight into the stream that maicivy's worker reads; durable when `send` returns.

    Nobody rings the worker: that would need Celery in the host's process. The sweeper of Celery beat looks into the
    inbox every 2 s, so an event of the hook is counted within about that time (at once when the API is in use too).

    The address ends in `prepare`, where it becomes the visitor id with the salts that `salts` keeps a copy of, and a
    place, as far as `locate` knows.
    """

    def __init__(
        self,
        inbox: Inbox,
        salts: SaltBox,
        site_id: int,
        domain: str,
        close: Callable[[], None],
        locate: Callable[[str], Place] = lambda _: NOWHERE,
    ) -> None:
        self._inbox = inbox
        self._salts = salts
        self._site_id = site_id
        self._domain = domain
        self._close = close
        self._locate = locate

    def prepare(self, drafts: Sequence[Draft], now: datetime) -> list[Event]:
        """See `Transport`."""
        try:
            salts = self._salts.current(now)
        except Unavailable as error:
            raise NotNow(str(error)) from error
        events = []
        for draft in drafts:
            address, user_agent = draft.visitor_address or "", draft.visitor_user_agent or ""
            who = visitor(salts, self._site_id, self._domain, address, user_agent)
            place = self._locate(address)
            seen = Traits(user_agent[:MAX_USER_AGENT_CHARS], "", place.country, place.region, place.city)
            events.append(
                draft.event(
                    new_id=draft.id or UUID(int=0),  # a draft of the hook always has an id
                    site_id=self._site_id,
                    visitor_id=who.id,
                    previous_visitor_id=who.previous_id,
                    now=now,
                    traits=joined(draft.traits, seen),
                )
            )
        return events

    def send(self, parcels: Sequence[Event]) -> Receipt:
        """See `Transport`."""
        chunk = parcels[:APPEND_EVENTS]
        try:
            self._inbox.append(chunk)
        except (Unavailable, InboxFull) as error:
            raise NotNow(str(error) or type(error).__name__) from error
        return Receipt(len(chunk))

    def close(self) -> None:
        """See `Transport`."""
        self._close()
