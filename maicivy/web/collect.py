"""Taking events in: read, refuse or sign, append, 202. Nothing is stored here; docs/architecture.md has the whole path.

A 202 promises that the event survives anything but the loss of Redis's disk. A 503 promises nothing: send it again,
with the same id. Everything is taken from the WSGI environment, so that `shortcut.py` can come here without Flask.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from flask import Blueprint, Response, request

from maicivy.bootstrap import Maicivy
from maicivy.core.events import DEFAULT_SITE, Event, uuid7
from maicivy.core.gate import MAX_BODY_BYTES, Draft, Gate, parse_batch, parse_event
from maicivy.core.identity import Salts, Visitor, client_key, visitor
from maicivy.core.ports import Sender
from maicivy.core.senders import asks_not_to_be_tracked, client_address
from maicivy.errors import InboxFull, RateLimited, Refusal, Unavailable
from maicivy.web.bodies import read_body
from maicivy.web.context import parts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

blueprint = Blueprint("collect", __name__, url_prefix="/api/v1/analytics")

TRACKED: Final = "Event tracked successfully"
NOT_TRACKED: Final = "Not recorded: the browser asks not to be tracked"

encode = msgspec.json.Encoder().encode


@blueprint.post("/event")
def event() -> Response:
    """Take one event."""
    return Response(encode(take_event(parts(), request.environ)), 202, content_type="application/json")


@blueprint.post("/event/batch")
@blueprint.post("/batch")
def batch() -> Response:
    """Take up to 500 events; refused ones are named and do not keep the others out."""
    return Response(encode(take_batch(parts(), request.environ)), 202, content_type="application/json")


def take_event(maicivy: Maicivy, environ: WSGIEnvironment) -> dict[str, object]:
    """The body of the 202 for a request with one event.

    Raises:
        Refusal: and `RateLimited`, `InboxFull`, `Unavailable`; each is counted already.
    """
    if asks_not_to_be_tracked(environ):
        maicivy.refusals.rejected("do_not_track")
        return {"success": True, "message": NOT_TRACKED}
    now = maicivy.now()
    try:
        drafts = [parse_event(read_body(environ, MAX_BODY_BYTES), _gate(maicivy, now))]
        trusted = _is_trusted(maicivy, environ)
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    signed = _take(_Signer(maicivy, environ, now, trusted), drafts)
    return {"success": True, "message": TRACKED, "id": signed[0].id}


def take_batch(maicivy: Maicivy, environ: WSGIEnvironment) -> dict[str, object]:
    """The body of the 202 for a request with a batch. Raises what `take_event` does."""
    now = maicivy.now()
    try:
        parsed = parse_batch(read_body(environ, MAX_BODY_BYTES), _gate(maicivy, now))
        trusted = _is_trusted(maicivy, environ)
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    if asks_not_to_be_tracked(environ):
        maicivy.refusals.rejected("do_not_track", len(parsed))
        return {"success": True, "message": NOT_TRACKED, "accepted": 0, "rejected": []}
    rejected = []
    for index, draft in enumerate(parsed):
        if isinstance(draft, Refusal):
            maicivy.refusals.rejected(draft.code)
            rejected.append({"index": index, "code": draft.code, "message": draft.message})
    drafts = [draft for draft in parsed if isinstance(draft, Draft)]
    signed = _take(_Signer(maicivy, environ, now, trusted), drafts)
    return {"success": True, "accepted": len(signed), "rejected": rejected}


def _take(signer: _Signer, drafts: Sequence[Draft]) -> list[Event]:
    """Sign the drafts and make them durable; on return they are."""
    if not drafts:
        return []
    maicivy = signer.maicivy
    try:
        signed = signer.sign(drafts)
        maicivy.inbox.append(signed, signer.sender())
    except RateLimited:
        maicivy.refusals.rejected("rate_limited", len(drafts))
        raise
    except (InboxFull, Unavailable):
        maicivy.refusals.shed(len(drafts))
        raise
    maicivy.doorbell.ring()
    return signed


class _Signer:
    """Gives the drafts of one request their visitor, and says who pays for them."""

    def __init__(self, maicivy: Maicivy, environ: WSGIEnvironment, now: datetime, trusted: bool) -> None:
        self.maicivy = maicivy
        self._now = now
        self._address = client_address(environ, maicivy.settings.trusted_proxies)
        self._user_agent: str = environ.get("HTTP_USER_AGENT", "")
        self._trusted = trusted

    def sign(self, drafts: Sequence[Draft]) -> list[Event]:
        """The events that the drafts become.

        Raises:
            Unavailable: Redis does not tell the salts.
        """
        salts = self.maicivy.salts.current(self._now)
        own = visitor(salts, DEFAULT_SITE, "", self._address, self._user_agent)
        unix_ms = int(self._now.timestamp() * 1000)
        events = []
        for draft in drafts:
            who = self._named(salts, draft) or own
            events.append(
                draft.event(
                    new_id=uuid7(unix_ms, os.urandom(10)),
                    site_id=DEFAULT_SITE,
                    visitor_id=who.id,
                    previous_visitor_id=who.previous_id,
                    now=self._now,
                )
            )
        return events

    def sender(self) -> Sender | None:
        """Who is limited for these events; None for whom no limit holds."""
        limit = self.maicivy.settings.event_rate_limit
        if self._trusted or not limit:
            return None
        return Sender(client_key(self.maicivy.salts.current(self._now), self._address), limit)

    def _named(self, salts: Salts, draft: Draft) -> Visitor | None:
        """The visitor that a trusted sender names."""
        if not self._trusted or (draft.visitor_address is None and draft.visitor_user_agent is None):
            return None
        return visitor(
            salts,
            DEFAULT_SITE,
            "",
            self._address if draft.visitor_address is None else draft.visitor_address,
            self._user_agent if draft.visitor_user_agent is None else draft.visitor_user_agent,
        )


def _gate(maicivy: Maicivy, now: datetime) -> Gate:
    return Gate(now, timedelta(days=maicivy.settings.retention_days), maicivy.settings.query_params)


def _is_trusted(maicivy: Maicivy, environ: WSGIEnvironment) -> bool:
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    token = maicivy.settings.ingest_token
    if token is None or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Refusal("unauthorized", "the bearer token is not MAICIVY_INGEST_TOKEN")
    return True
