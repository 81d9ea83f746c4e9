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
from maicivy.core.circumstances import MAX_LANGUAGE_CHARS, joined, language_of
from maicivy.core.dimensions import Place
from maicivy.core.event_data import storable
from maicivy.core.events import NO_TRAITS, Event, Traits, uuid7
from maicivy.core.gate import MAX_BODY_BYTES, Draft, Gate, parse_batch, parse_event
from maicivy.core.identity import MAX_USER_AGENT_CHARS, Salts, Visitor, client_key, visitor
from maicivy.core.placing import check_age, site_of
from maicivy.core.ports import Sender
from maicivy.core.senders import asks_not_to_be_tracked, client_address
from maicivy.core.sites import Site
from maicivy.errors import InboxFull, RateLimited, Refusal, Unavailable
from maicivy.geo.atlas import country_code
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
        sites = _Sites(maicivy, now)
        draft = parse_event(read_body(environ, MAX_BODY_BYTES), sites.gate())
        trusted = _is_trusted(maicivy, environ)
        placed = [(draft, sites.of(draft))]
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    except Unavailable:
        maicivy.refusals.shed(1)
        raise
    signed = _take(_Signer(maicivy, environ, now, trusted), placed)
    return {"success": True, "message": TRACKED, "id": signed[0].id}


def take_batch(maicivy: Maicivy, environ: WSGIEnvironment) -> dict[str, object]:
    """The body of the 202 for a request with a batch. Raises what `take_event` does."""
    now = maicivy.now()
    sites = _Sites(maicivy, now)
    try:
        parsed = parse_batch(read_body(environ, MAX_BODY_BYTES), sites.gate())
        trusted = _is_trusted(maicivy, environ)
    except Refusal as refusal:
        maicivy.refusals.rejected(refusal.code)
        raise
    if asks_not_to_be_tracked(environ):
        maicivy.refusals.rejected("do_not_track", len(parsed))
        return {"success": True, "message": NOT_TRACKED, "accepted": 0, "rejected": []}
    placed = []
    rejected = []
    for index, draft in enumerate(parsed):
        try:
            if isinstance(draft, Refusal):
                raise draft
            placed.append((draft, sites.of(draft)))
        except Refusal as refusal:
            maicivy.refusals.rejected(refusal.code)
            rejected.append({"index": index, "code": refusal.code, "message": refusal.message})
        except Unavailable:
            maicivy.refusals.shed(len(parsed) - len(rejected))
            raise
    signed = _take(_Signer(maicivy, environ, now, trusted), placed)
    return {"success": True, "accepted": len(signed), "rejected": rejected}


def _take(signer: _Signer, placed: Sequence[tuple[Draft, Site]]) -> list[Event]:
    """Sign the drafts and make them durable; on return they are."""
    if not placed:
        return []
    maicivy = signer.maicivy
    try:
        signed = signer.sign(placed)
        maicivy.inbox.append(signed, signer.sender())
    except RateLimited:
        maicivy.refusals.rejected("rate_limited", len(placed))
        raise
    except (InboxFull, Unavailable):
        maicivy.refusals.shed(len(placed))
        raise
    maicivy.doorbell.ring()
    return signed


class _Sites:
    """Finds the sites of the drafts of one request, and says what they take."""

    def __init__(self, maicivy: Maicivy, now: datetime) -> None:
        self._settings = maicivy.settings
        self._now = now
        self._directory = maicivy.site_directory
        self._book = self._directory.book(now)
        self._is_fresh = False

    def gate(self) -> Gate:
        """What no site takes is refused before it is known whose it is."""
        days = self._book.longest_retention(self._settings.retention_days)
        return Gate(self._now, timedelta(days=days), self._settings.query_params)

    def of(self, draft: Draft) -> Site:
        """The site of a draft; one that was added a moment ago is found, too.

        Raises:
            Refusal: as `site_of` and `check_age` do.
            Unavailable: it names a site, and nobody tells which ones there are.
        """
        site = self._site_of(draft)
        check_age(site, draft, self._now, self._settings.retention_days)
        return site

    def _site_of(self, draft: Draft) -> Site:
        try:
            return site_of(self._book, draft)
        except Refusal:
            if self._is_fresh:
                raise
            self._is_fresh, self._book = True, self._directory.refresh()
            if draft.sites and not self._directory.knows():  # a refusal would be for good
                raise Unavailable("redis", "nobody tells which sites there are") from None
            return site_of(self._book, draft)


class _Signer:
    """Gives the drafts of one request their visitor and what else the request tells, and says who pays for them."""

    def __init__(self, maicivy: Maicivy, environ: WSGIEnvironment, now: datetime, trusted: bool) -> None:
        self.maicivy = maicivy
        self._now = now
        self._environ = environ
        self._address = client_address(environ, maicivy.settings.trusted_proxies)
        self._user_agent: str = environ.get("HTTP_USER_AGENT", "")
        self._trusted = trusted

    def sign(self, placed: Sequence[tuple[Draft, Site]]) -> list[Event]:
        """The events that the drafts become. The domain of a site is not part of its visitors' ids: its number is.

        Ids that are made here ascend, also in the bits that visits look at: of events of one moment they tell which
        came first, and with it how a visit began.

        Raises:
            Unavailable: Redis does not tell the salts.
        """
        salts = self.maicivy.salts.current(self._now)
        unix_ms = int(self._now.timestamp() * 1000)
        same, different = os.urandom(2), os.urandom(6 * len(placed))
        seen = self._seen()
        own: dict[int, Visitor] = {}
        events = []
        for number, (draft, site) in enumerate(placed):
            if self._trusted and (draft.visitor_address is not None or draft.visitor_user_agent is not None):
                who, traits = self._named(salts, site, draft)
            else:
                who = own.get(site.id) or own.setdefault(
                    site.id, visitor(salts, site.id, "", self._address, self._user_agent)
                )
                traits = seen
            events.append(
                draft.event(
                    new_id=uuid7(unix_ms, same + number.to_bytes(2, "big") + different[6 * number : 6 * number + 6]),
                    site_id=site.id,
                    visitor_id=who.id,
                    previous_visitor_id=who.previous_id,
                    now=self._now,
                    traits=traits if draft.traits is NO_TRAITS else joined(draft.traits, traits),
                )
            )
        return events

    def sender(self) -> Sender | None:
        """Who is limited for these events; None for whom no limit holds."""
        limit = self.maicivy.settings.event_rate_limit
        if self._trusted or not limit:
            return None
        return Sender(client_key(self.maicivy.salts.current(self._now), self._address), limit)

    def _seen(self) -> Traits:
        """What the request tells of whoever sent it."""
        return self._traits(self._user_agent, self._own_place(), language_of(self._language_header()))

    def _named(self, salts: Salts, site: Site, draft: Draft) -> tuple[Visitor, Traits]:
        """The visitor that a trusted sender names, of whom its own headers tell nothing."""
        user_agent = self._user_agent if draft.visitor_user_agent is None else draft.visitor_user_agent
        if draft.visitor_address is None:
            address, place = self._address, self._own_place()
        else:
            address, place = draft.visitor_address, self.maicivy.atlas.locate(draft.visitor_address)
        return visitor(salts, site.id, "", address, user_agent), self._traits(user_agent, place, "")

    def _traits(self, user_agent: str, place: Place, language: str) -> Traits:
        return Traits(storable(user_agent[:MAX_USER_AGENT_CHARS]), language, place.country, place.region, place.city)

    def _language_header(self) -> str:
        return str(self._environ.get("HTTP_ACCEPT_LANGUAGE", ""))[:MAX_LANGUAGE_CHARS]

    def _own_place(self) -> Place:
        """Where the request comes from: a proxy's word on the country counts more than ours, if it is trusted."""
        settings = self.maicivy.settings
        place = self.maicivy.atlas.locate(self._address)
        if settings.country_header is not None and settings.trusted_proxies:
            told = country_code(self._environ.get("HTTP_" + settings.country_header.upper().replace("-", "_")))
            if told and told != place.country:
                return Place(told)
        return place


def _is_trusted(maicivy: Maicivy, environ: WSGIEnvironment) -> bool:
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    token = maicivy.settings.ingest_token
    if token is None or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Refusal("unauthorized", "the bearer token is not MAICIVY_INGEST_TOKEN")
    return True
