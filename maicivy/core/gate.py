"""The only gate for outside data: what may become an event, and why the rest may not.

`parse_event` and `parse_batch` return a `Draft`: checked, cleaned, in canonical words, but with no identity yet;
`Draft.event` makes the `Event`. A refusal carries a code from `REASONS`, the closed set that clients, metrics and
docs share. The limits hold for every sender, the trusted ones too; docs/api.md lists them.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from maicivy.core import circumstances, seentics
from maicivy.core.circumstances import MAX_SESSION_S, click_id_of
from maicivy.core.event_data import MAX_DEPTH, MAX_KEY_CHARS, MAX_PROPERTIES, MAX_STRING_CHARS, event_data, storable
from maicivy.core.events import ALIASES, ENGAGEMENT, NO_TRAITS, Event, Traits
from maicivy.core.moments import moment
from maicivy.core.strict_json import read, split, unwrap
from maicivy.core.urls import clean_url, shortened
from maicivy.errors import Refusal

__all__ = [
    "MAX_BATCH_EVENTS",
    "MAX_BODY_BYTES",
    "MAX_DEPTH",
    "MAX_EVENT_BYTES",
    "MAX_FUTURE",
    "MAX_KEY_CHARS",
    "MAX_PROPERTIES",
    "MAX_SESSION_S",
    "MAX_STRING_CHARS",
    "MAX_URL_CHARS",
    "REASONS",
    "Draft",
    "Gate",
    "parse_batch",
    "parse_event",
]

MAX_BODY_BYTES: Final = 1 << 20
MAX_EVENT_BYTES: Final = 64 << 10
MAX_BATCH_EVENTS: Final = 500
MAX_URL_CHARS: Final = 500
MAX_FUTURE: Final = timedelta(minutes=5)

REASONS: Final = frozenset(
    {
        "body_too_large",
        "incomplete_body",
        "invalid_encoding",
        "invalid_json",
        "invalid_body",
        "empty_batch",
        "too_many_events",
        "event_too_large",
        "invalid_event",
        "unknown_field",
        "duplicate_key",
        "missing_event_type",
        "invalid_event_type",
        "invalid_event_data",
        "too_deep",
        "too_many_properties",
        "key_too_long",
        "string_too_long",
        "invalid_number",
        "invalid_page_url",
        "invalid_referrer",
        "invalid_session_duration",
        "invalid_id",
        "invalid_timestamp",
        "timestamp_too_old",
        "timestamp_in_future",
        "invalid_visitor",
        "invalid_site",
        "unknown_site",
        "host_not_allowed",
        "invalid_language",
        "invalid_screen",
        "invalid_utm",
        "invalid_interactive",
        "invalid_engagement",
        "invalid_bot",
        "unauthorized",
        "rate_limited",
        "do_not_track",
    }
)
_PLAIN = frozenset(
    {
        "id",
        "event_type",
        "event_data",
        "page_url",
        "referrer",
        "session_duration",
        "timestamp",
        "visitor_address",
        "visitor_user_agent",
    }
)
_FIELDS = _PLAIN | circumstances.FIELDS
_BESIDE_EVENTS = frozenset({*circumstances.SITE_FIELDS, circumstances.SEENTICS_SITE})
_OF_THE_BODY = frozenset({"invalid_encoding", "invalid_json"})  # codes that concern a batch as a whole
_EVENT_TYPE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,49}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_NIL = UUID(int=0)


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A checked event that nobody has signed yet: no visitor, and an id and a time only if the sender gave them.

    `sites` are the references to a site that it names, each behind its member; they should mean one and the same.
    """

    event_type: str
    event_data: dict[str, Any]
    page_url: str = ""
    referrer: str = ""
    session_duration: int = 0
    id: UUID | None = None
    timestamp: datetime | None = None
    visitor_address: str | None = None
    visitor_user_agent: str | None = None
    sites: tuple[tuple[str, int | str], ...] = ()
    traits: Traits = NO_TRAITS

    def event(
        self,
        *,
        new_id: UUID,
        site_id: int,
        visitor_id: UUID,
        previous_visitor_id: UUID | None,
        now: datetime,
        traits: Traits | None = None,
    ) -> Event:
        """The event; `new_id` and `now` stand in for an id and a timestamp that the sender did not give, and `traits`
        are its own with what the request says beside it."""
        return Event(
            self.id or new_id,
            site_id,
            visitor_id,
            previous_visitor_id,
            self.event_type,
            self.event_data,
            self.page_url,
            self.referrer,
            self.session_duration,
            self.timestamp or now,
            self.traits if traits is None else traits,
        )


class Gate(msgspec.Struct, frozen=True):
    """What parsing needs to know of the installation and of the moment.

    Attributes:
        now: aware, UTC.
        retention: an event older than this is refused, for it would be deleted at once.
        query_params: query parameters of stored URLs that are kept beside `utm_*`.
    """

    now: datetime
    retention: timedelta
    query_params: frozenset[str] = frozenset()


def parse_event(body: bytes, gate: Gate) -> Draft:
    """The one event in a JSON body.

    Raises:
        Refusal: with a code from `REASONS`.
    """
    return _draft(_read(body), gate)


def parse_batch(body: bytes, gate: Gate) -> list[Draft | Refusal]:
    """The events of a JSON array, or of an object with the member `events`; a refused one stands in its place.

    Each event is taken or refused exactly as if it had come alone. Beside `events` the object may name a site, which
    is that of its events that name none.

    Raises:
        Refusal: when the body as a whole is unusable; then no event of it is taken.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Refusal("body_too_large", f"the body has more than {MAX_BODY_BYTES} bytes")
    array, beside = unwrap(body, _BESIDE_EVENTS)
    sites = circumstances.sites(beside)
    of_seentics = circumstances.SEENTICS_SITE in beside
    elements = split(array, MAX_BATCH_EVENTS)
    if not elements:
        raise Refusal("empty_batch", "the batch holds no event")
    parsed: list[Draft | Refusal] = []
    for element in elements:
        try:
            raw = _read(element)
            if of_seentics and isinstance(raw, dict) and raw.keys() <= seentics.FIELDS:
                draft = _other(raw, gate)
            else:
                draft = _draft(raw, gate)
            parsed.append(msgspec.structs.replace(draft, sites=sites) if sites and not draft.sites else draft)
        except Refusal as refusal:
            if refusal.code in _OF_THE_BODY:
                read(body)  # fails, too, and knows the place in the whole body
                raise
            parsed.append(refusal)
    return parsed


def _read(body: bytes) -> Any:
    if len(body) > MAX_EVENT_BYTES:
        raise Refusal("event_too_large", f"the event has {len(body)} bytes; {MAX_EVENT_BYTES} are the most")
    return read(body)


def _draft(raw: Any, gate: Gate) -> Draft:
    if not isinstance(raw, dict):
        raise Refusal("invalid_event", "an event is a JSON object")
    if raw.keys() <= _FIELDS:
        return _native(raw, gate)
    if seentics.is_such(raw):
        return _other(raw, gate)
    unknown = raw.keys() - _FIELDS
    name = storable(min(unknown - seentics.FIELDS or unknown))[:MAX_KEY_CHARS]
    raise Refusal("unknown_field", f"an event has no member {name!r}", name)


def _native(raw: dict[str, Any], gate: Gate) -> Draft:
    event_type = _event_type(raw.get("event_type"))
    data = raw.get("event_data")
    told = not raw.keys() <= _PLAIN
    if told:
        data = circumstances.with_reading(raw, event_type, data)
    data = event_data(data)
    page_url = raw.get("page_url")
    click_id = click_id_of(page_url) if type(page_url) is str and "?" in page_url else ""
    if told or click_id or event_type == ENGAGEMENT or "interactive" in data:
        sites, traits = circumstances.sites(raw), circumstances.traits(raw, event_type, data, click_id)
    else:
        sites, traits = (), NO_TRAITS
    whole = _cleaned(page_url, "page_url", gate)
    if len(whole) > MAX_URL_CHARS:
        traits = circumstances.with_campaign_of(whole, traits)
    return Draft(
        event_type,
        data,
        _fitting(whole, "page_url"),
        _referrer(raw.get("referrer"), gate),
        _session_duration(raw.get("session_duration")),
        _id(raw.get("id")),
        _timestamp(raw.get("timestamp"), gate),
        _visitor(raw.get("visitor_address"), "visitor_address"),
        _visitor(raw.get("visitor_user_agent"), "visitor_user_agent"),
        sites,
        traits,
    )


def _other(raw: dict[str, Any], gate: Gate) -> Draft:
    """The draft of an event in Seentics' form; a refusal names the member that the sender knows."""
    said = seentics.native(raw)
    if not isinstance(said.get("referrer"), str):
        said["referrer"] = None
    try:
        return _native(said, gate)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.message, seentics.name_of(refusal.field)) from refusal


def _event_type(value: Any) -> str:
    if value is None:
        raise Refusal("missing_event_type", "event_type is required", "event_type")
    if not isinstance(value, str) or not _EVENT_TYPE.fullmatch(value):
        raise Refusal("invalid_event_type", f"event_type must match {_EVENT_TYPE.pattern}", "event_type")
    return ALIASES.get(value, value)


def _referrer(value: Any, gate: Gate) -> str:
    """The referrer, or none for a text that is no URL: browsers and their extensions tell all kinds of things, and an
    event is not worth less for it."""
    try:
        return _fitting(_cleaned(value, "referrer", gate), "referrer")
    except Refusal:
        if isinstance(value, str):
            return ""
        raise


def _cleaned(value: Any, field: str, gate: Gate) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise Refusal(f"invalid_{field}", f"{field} must be a string", field)
    try:
        return clean_url(storable(value), gate.query_params)
    except ValueError as error:
        raise Refusal(f"invalid_{field}", f"{field} must be an http(s) URL or a path: {error}", field) from error


def _fitting(url: str, field: str) -> str:
    """Of a query that is too long only some parameters are kept, if any: the page was viewed all the same."""
    url = shortened(url, MAX_URL_CHARS)
    if len(url) > MAX_URL_CHARS:
        message = f"{field} has more than {MAX_URL_CHARS} characters, even without its query"
        raise Refusal(f"invalid_{field}", message, field)
    return url


def _session_duration(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SESSION_S:
        raise Refusal(
            "invalid_session_duration",
            f"session_duration must be whole seconds from 0 to {MAX_SESSION_S}",
            "session_duration",
        )
    return value


def _id(value: Any) -> UUID | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise Refusal("invalid_id", "id must be a UUID", "id")
    event_id = msgspec.convert(value, UUID)  # six times as fast as UUID()
    if event_id == _NIL:  # says that there is no id; taken as one, all but the first event would be duplicates
        raise Refusal("invalid_id", "id must not be the nil UUID", "id")
    return event_id


def _timestamp(value: Any, gate: Gate) -> datetime | None:
    if value is None:
        return None
    try:
        at = moment(value)
    except (ValueError, OverflowError, OSError) as error:
        raise Refusal(
            "invalid_timestamp",
            "timestamp must be RFC 3339 with an offset, or Unix seconds or milliseconds",
            "timestamp",
        ) from error
    if at > gate.now + MAX_FUTURE:
        raise Refusal("timestamp_in_future", "timestamp is more than 5 minutes ahead of the server", "timestamp")
    if at < gate.now - gate.retention:
        raise Refusal("timestamp_too_old", f"timestamp is older than {gate.retention.days} days", "timestamp")
    return at


def _visitor(value: Any, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_STRING_CHARS:
        raise Refusal("invalid_visitor", f"{field} must be a string of at most {MAX_STRING_CHARS} characters", field)
    return storable(value)
