"""The only gate for outside data: what may become an event, and why the rest may not.

`parse_event` and `parse_batch` return a `Draft`: checked, cleaned, in canonical words, but with no identity yet;
`Draft.event` makes the `Event`. A refusal carries a code from `REASONS`, the closed set that clients, metrics and
docs share. The limits hold for every sender, the trusted ones too; docs/api.md lists them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from maicivy.core.events import ALIASES, Event
from maicivy.core.strict_json import read, split
from maicivy.core.urls import clean_url
from maicivy.errors import Refusal

MAX_BODY_BYTES: Final = 1 << 20
MAX_EVENT_BYTES: Final = 64 << 10
MAX_BATCH_EVENTS: Final = 500
MAX_DEPTH: Final = 10
MAX_PROPERTIES: Final = 64
MAX_KEY_CHARS: Final = 64
MAX_STRING_CHARS: Final = 2000
MAX_URL_CHARS: Final = 500
MAX_SESSION_S: Final = 31 * 86_400
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
        "unauthorized",
        "rate_limited",
        "do_not_track",
    }
)
_FIELDS = frozenset(
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
_OF_THE_BODY = frozenset({"invalid_encoding", "invalid_json"})  # codes that concern a batch as a whole
_EVENT_TYPE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,49}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_NIL = UUID(int=0)
# The limits of hours and minutes are here because fromisoformat takes 24:00 (from Python 3.13 on) and +12:99.
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres text holds no NUL, UTF-8 no lone surrogate
_MIN_NUMBER, _END_OF_NUMBERS = -(2**63), 2**64
# jsonb writes numbers out: 1e-300 would be 300 characters for every reader, and 1e20 an integer beyond 64 bits.
_LEAST_FRACTION = 1e-32
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138, so a larger number is in milliseconds


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A checked event that nobody has signed yet: no visitor, and an id and a time only if the sender gave them."""

    event_type: str
    event_data: dict[str, Any]
    page_url: str = ""
    referrer: str = ""
    session_duration: int = 0
    id: UUID | None = None
    timestamp: datetime | None = None
    visitor_address: str | None = None
    visitor_user_agent: str | None = None

    def event(
        self, *, new_id: UUID, site_id: int, visitor_id: UUID, previous_visitor_id: UUID | None, now: datetime
    ) -> Event:
        """The event; `new_id` and `now` stand in for an id and a timestamp that the sender did not give."""
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
    if len(body) > MAX_EVENT_BYTES:
        raise Refusal("event_too_large", f"the event has {len(body)} bytes; {MAX_EVENT_BYTES} are the most")
    return _draft(read(body), gate)


def parse_batch(body: bytes, gate: Gate) -> list[Draft | Refusal]:
    """The events of a JSON array, or of an object whose only member is `events`; a refused one stands in its place.

    Each event is taken or refused exactly as if it had come alone.

    Raises:
        Refusal: when the body as a whole is unusable; then no event of it is taken.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Refusal("body_too_large", f"the body has more than {MAX_BODY_BYTES} bytes")
    elements = split(body, MAX_BATCH_EVENTS)
    if not elements:
        raise Refusal("empty_batch", "the batch holds no event")
    parsed: list[Draft | Refusal] = []
    for element in elements:
        try:
            parsed.append(parse_event(element, gate))
        except Refusal as refusal:
            if refusal.code in _OF_THE_BODY:
                read(body)  # fails, too, and knows the place in the whole body
                raise
            parsed.append(refusal)
    return parsed


def _draft(raw: Any, gate: Gate) -> Draft:
    if not isinstance(raw, dict):
        raise Refusal("invalid_event", "an event is a JSON object")
    if not raw.keys() <= _FIELDS:
        name = _storable(min(raw.keys() - _FIELDS))[:MAX_KEY_CHARS]
        raise Refusal("unknown_field", f"an event has no member {name!r}", name)
    return Draft(
        _event_type(raw.get("event_type")),
        _event_data(raw.get("event_data")),
        _url(raw.get("page_url"), "page_url", gate),
        _url(raw.get("referrer"), "referrer", gate),
        _session_duration(raw.get("session_duration")),
        _id(raw.get("id")),
        _timestamp(raw.get("timestamp"), gate),
        _visitor(raw.get("visitor_address"), "visitor_address"),
        _visitor(raw.get("visitor_user_agent"), "visitor_user_agent"),
    )


def _event_type(value: Any) -> str:
    if value is None:
        raise Refusal("missing_event_type", "event_type is required", "event_type")
    if not isinstance(value, str) or not _EVENT_TYPE.fullmatch(value):
        raise Refusal("invalid_event_type", f"event_type must match {_EVENT_TYPE.pattern}", "event_type")
    return ALIASES.get(value, value)


def _event_data(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal("invalid_event_data", "event_data must be an object", "event_data")
    return _Checked().members(value, 1)


class _Checked:
    """One walk over event_data: refuses what breaks a limit, and returns it with every string storable."""

    __slots__ = ("_properties",)

    def __init__(self) -> None:
        self._properties = 0

    def members(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        self._properties += len(value)
        if self._properties > MAX_PROPERTIES:
            raise _bad_data("too_many_properties", f"has more than {MAX_PROPERTIES} members")
        checked = {}
        for key, item in value.items():
            if len(key) > MAX_KEY_CHARS:
                raise _bad_data("key_too_long", f"has a key of more than {MAX_KEY_CHARS} characters")
            checked[_storable(key)] = self._value(item, depth)
        if len(checked) != len(value):
            raise _bad_data("duplicate_key", "names a member twice")
        return checked

    def _value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            if len(value) > MAX_STRING_CHARS:
                raise _bad_data("string_too_long", f"has a string of more than {MAX_STRING_CHARS} characters")
            return _storable(value)
        if kind is int or kind is float:
            if not _MIN_NUMBER <= value < _END_OF_NUMBERS:  # nor is NaN
                raise _bad_data("invalid_number", "has a number that does not fit in 64 bits")
            if kind is float and 0.0 < abs(value) < _LEAST_FRACTION:
                raise _bad_data("invalid_number", f"has a number between 0 and {_LEAST_FRACTION}")
            return value
        if kind is bool or value is None:
            return value
        if depth >= MAX_DEPTH:
            raise _bad_data("too_deep", f"is nested deeper than {MAX_DEPTH} levels")
        if kind is dict:
            return self.members(value, depth + 1)
        return [self._value(item, depth + 1) for item in value]


def _bad_data(code: str, what: str) -> Refusal:
    return Refusal(code, f"event_data {what}", "event_data")


def _storable(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def _url(value: Any, field: str, gate: Gate) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise Refusal(f"invalid_{field}", f"{field} must be a string", field)
    try:
        url = clean_url(_storable(value), gate.query_params)
    except ValueError as error:
        raise Refusal(f"invalid_{field}", f"{field} must be an http(s) URL or a path: {error}", field) from error
    if len(url) > MAX_URL_CHARS:
        raise Refusal(f"invalid_{field}", f"{field} has more than {MAX_URL_CHARS} characters", field)
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
        moment = _moment(value)
    except (ValueError, OverflowError, OSError) as error:
        raise Refusal(
            "invalid_timestamp",
            "timestamp must be RFC 3339 with an offset, or Unix seconds or milliseconds",
            "timestamp",
        ) from error
    if moment > gate.now + MAX_FUTURE:
        raise Refusal("timestamp_in_future", "timestamp is more than 5 minutes ahead of the server", "timestamp")
    if moment < gate.now - gate.retention:
        raise Refusal("timestamp_too_old", f"timestamp is older than {gate.retention.days} days", "timestamp")
    return moment


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    if type(value) is int or type(value) is float:
        return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
    raise ValueError(value)


def _visitor(value: Any, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_STRING_CHARS:
        raise Refusal("invalid_visitor", f"{field} must be a string of at most {MAX_STRING_CHARS} characters", field)
    return _storable(value)
