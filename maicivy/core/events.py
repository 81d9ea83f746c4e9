"""The event: what it is, how it is named, and how it travels through the queue and to live viewers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

DEFAULT_SITE: Final = 1
PAGE_VIEW: Final = "page_view"
LETTER: Final = "letter_generated"
LETTER_TYPES: Final = ("motivation", "anti_motivation")
ENGAGEMENT: Final = "engagement"
"""How long a page was looked at and how far it was scrolled: extends a visit and counts as nothing else."""

# Older names of seed 001's clients, and the one name under which each is stored.
ALIASES: Final = {
    "letter_generate": LETTER,
    "cv_theme_selected": "cv_theme_change",
    "pdf_downloaded": "pdf_download",
    "pageview": PAGE_VIEW,
}


class Traits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of the circumstances of an event when it is taken in; what follows from it, the worker works out.

    Attributes:
        user_agent: as sent, cut to `core.identity.MAX_USER_AGENT_CHARS`.
        language: primary tag of the browser's first language, in lower case: `en`, `fr`.
        country: ISO 3166-1 alpha-2 in capitals; `region` and `city` are names in English. Empty: not known.
        screen_width, screen_height: CSS pixels; 0: not known.
        utm: source, medium, campaign, term, content, where the sender gave them apart from the URL.
        click_id: name of the click id that the landing page's URL carried (`gclid`), never its value.
        interactive: False for an event that does not keep a visit from being a bounce.
        engagement_ms, scroll_depth: of an engagement event: visible time, and percent of the page; 0: not told.
        bot: the sender says that no person did this.
    """

    user_agent: str = ""
    language: str = ""
    country: str = ""
    region: str = ""
    city: str = ""
    screen_width: int = 0
    screen_height: int = 0
    utm: tuple[str, str, str, str, str] | None = None
    click_id: str = ""
    interactive: bool = True
    engagement_ms: int = 0
    scroll_depth: int = 0
    bot: bool = False


NO_TRAITS: Final = Traits()


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened on a site, as it is queued, stored, counted and announced.

    `previous_visitor_id` is the id that the same client had under yesterday's salt; it is used when that id was
    active just before midnight and never stored. `created_at` is aware and in UTC, `session_duration` in seconds.
    """

    id: UUID
    site_id: int
    visitor_id: UUID
    previous_visitor_id: UUID | None
    event_type: str
    event_data: dict[str, Any]
    page_url: str
    referrer: str
    session_duration: int
    created_at: datetime
    traits: Traits = NO_TRAITS


def uuid_of(value: int) -> UUID:
    """The UUID of a 128-bit number, in a fifth of the time that `UUID(int=value)` takes."""
    return _decode_uuid(b"\xc4\x10" + value.to_bytes(16, "big"))  # MessagePack: binary, 16 bytes


def uuid7(unix_ms: int, random: bytes) -> UUID:
    """A UUIDv7 (RFC 9562, 5.7) of a time in milliseconds and ten random bytes."""
    value = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random[:10], "big")
    return uuid_of(value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


def timestamp_text(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`, and as few fractional digits as hold the value: none, three or six."""
    text = moment.astimezone(UTC).isoformat()[: -len("+00:00")]  # six digits, or none
    return f"{text[:-3] if moment.microsecond and not moment.microsecond % 1000 else text}Z"


def announcement(event: Event) -> dict[str, Any]:
    """The live message of an event, as seed 001 gives it."""
    return {
        "type": event.event_type,
        "visitor_id": str(event.visitor_id),
        "timestamp": timestamp_text(event.created_at),
        "page_url": event.page_url,
        "data": event.event_data,
    }


_decode_uuid = msgspec.msgpack.Decoder(UUID).decode
_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(list[Event])
_json_encoder = msgspec.json.Encoder()


def encode(events: Sequence[Event]) -> bytes:
    """Events as the queue carries them (MessagePack); `decode` is the inverse."""
    return _encoder.encode(events)


def decode(payload: bytes) -> list[Event]:
    """The events in a queue payload.

    Raises:
        ValueError: when the payload holds anything else, or data that no JSON can say: it could not be stored, and
            would be read again for ever.
    """
    try:
        events = _decoder.decode(payload)  # msgspec's own errors are ValueErrors
        _json_encoder.encode([event.event_data for event in events])
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the payload holds no events: {error}") from error
    return events
