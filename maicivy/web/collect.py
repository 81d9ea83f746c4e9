"""Taking events in: read, refuse or sign, append, 202. Nothing is stored here; docs/architecture.md has the whole path.

A 202 promises that the event survives anything but the loss of Redis's disk. A 503 promises nothing: send it again,
with the same id.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from flask import Blueprint, Response, request

from maicivy.bootstrap import Maicivy
from maicivy.core.events import DEFAULT_SITE, Event, uuid7
from maicivy.core.gate import MAX_BODY_BYTES, Draft, Gate, parse_batch, parse_event
from maicivy.core.identity import Visitor, client_key, visitor
from maicivy.core.ports import Sender
from maicivy.core.senders import asks_not_to_be_tracked, client_address
from maicivy.errors import InboxFull, RateLimited, Refusal, Unavailable
from maicivy.web.bodies import read_body
from maicivy.web.context import parts

blueprint = Blueprint("collect", __name__, url_prefix="/api/v1/analytics")

TRACKED: Final = "Event tracked successfully"
NOT_TRACKED: Final = "Not recorded: the browser asks not to be tracked"

_encode = msgspec.json.Encoder().encode


@blueprint.post("/event")
def event() -> Response:
    """Take one event."""
    maicivy = parts()
    if asks_not_to_be_tracked(request.environ):
        maicivy.refusals.rejected("do_not_track")
        return _accepted({"success": True, "message": NOT_TRACKED})
    now = maicivy.now()
    try:
        drafts = [parse_event(read_body(MAX_BODY_BYTES), _gate(maicivy, now))]
        trusted = _is_trusted(maicivy)
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    signed = _take(maicivy, now, drafts, trusted)
    return _accepted({"success": True, "message": TRACKED, "id": str(signed[0].id)})


@blueprint.post("/event/batch")
@blueprint.post("/batch")
def batch() -> Response:
    """Take up to 500 events; refused ones are named and do not keep the others out."""
    maicivy = parts()
    now = maicivy.now()
    try:
        parsed = parse_batch(read_body(MAX_BODY_BYTES), _gate(maicivy, now))
        trusted = _is_trusted(maicivy)
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    if asks_not_to_be_tracked(request.environ):
        maicivy.refusals.rejected("do_not_track", len(parsed))
        return _accepted({"success": True, "message": NOT_TRACKED, "accepted": 0, "rejected": []})
    rejected = []
    for index, draft in enumerate(parsed):
        if isinstance(draft, Refusal):
            maicivy.refusals.rejected(draft.code)
            rejected.append({"index": index, "code": draft.code, "message": draft.message})
    signed = _take(maicivy, now, [draft for draft in parsed if isinstance(draft, Draft)], trusted)
    return _accepted({"success": True, "accepted": len(signed), "rejected": rejected})


def _take(maicivy: Maicivy, now: datetime, drafts: Sequence[Draft], trusted: bool) -> list[Event]:
    """Sign the drafts and make them durable; on return they are."""
    if not drafts:
        return []
    try:
        signer = _Signer(maicivy, now, trusted)
        signed = [signer.sign(draft) for draft in drafts]
        maicivy.inbox.append(signed, signer.sender)
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

    def __init__(self, maicivy: Maicivy, now: datetime, trusted: bool) -> None:
        settings = maicivy.settings
        self._now = now
        self._salts = maicivy.salts.current(now)
        environ = request.environ  # its headers cost a tenth of those of request.headers
        self._address = client_address(environ, settings.trusted_proxies)
        self._user_agent: str = environ.get("HTTP_USER_AGENT", "")
        self._trusted = trusted
        self._own: Visitor | None = None
        self._unix_ms = int(now.timestamp() * 1000)
        self.sender = (
            None
            if trusted or not settings.event_rate_limit
            else Sender(client_key(self._salts, self._address), settings.event_rate_limit)
        )

    def sign(self, draft: Draft) -> Event:
        """The event that a draft becomes."""
        who = self._visitor(draft)
        return draft.event(
            new_id=uuid7(self._unix_ms, os.urandom(10)),
            site_id=DEFAULT_SITE,
            visitor_id=who.id,
            previous_visitor_id=who.previous_id,
            now=self._now,
        )

    def _visitor(self, draft: Draft) -> Visitor:
        if self._trusted and (draft.visitor_address is not None or draft.visitor_user_agent is not None):
            return visitor(
                self._salts,
                DEFAULT_SITE,
                "",
                self._address if draft.visitor_address is None else draft.visitor_address,
                self._user_agent if draft.visitor_user_agent is None else draft.visitor_user_agent,
            )
        if self._own is None:
            self._own = visitor(self._salts, DEFAULT_SITE, "", self._address, self._user_agent)
        return self._own


def _gate(maicivy: Maicivy, now: datetime) -> Gate:
    return Gate(now, timedelta(days=maicivy.settings.retention_days), maicivy.settings.query_params)


def _is_trusted(maicivy: Maicivy) -> bool:
    scheme, _, given = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    token = maicivy.settings.ingest_token
    if token is None or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Refusal("unauthorized", "the bearer token is not MAICIVY_INGEST_TOKEN")
    return True


def _accepted(body: dict[str, object]) -> Response:
    return Response(_encode(body), 202, content_type="application/json")
