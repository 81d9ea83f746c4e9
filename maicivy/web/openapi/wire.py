"""The messages of the API as types, apart from the answers of `maicivy.reports`: documents are generated from these,
and tests decode real messages with them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from maicivy.core.circumstances import (
    _LANGUAGE,  # for the same reason as the type of an event below
    MAX_ENGAGEMENT_MS,
    MAX_LANGUAGE_CHARS,
    MAX_REFERENCE_CHARS,
    MAX_SCREEN_PX,
    MAX_SCROLL_DEPTH,
    MAX_UTM_CHARS,
)
from maicivy.core.gate import (
    _EVENT_TYPE,  # what the gate matches, so that the document cannot say anything else
    MAX_BATCH_EVENTS,
    MAX_KEY_CHARS,
    MAX_PROPERTIES,
    MAX_SESSION_S,
    MAX_STRING_CHARS,
    MAX_URL_CHARS,
)
from maicivy.core.ports import Snapshot
from maicivy.reports import Count, Time
from maicivy.web.openapi.error_codes import CODES, EVENT_CODES

_UUID_PATTERN: Final = "^[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\\1[0-9a-fA-F]{4}\\1[0-9a-fA-F]{4}\\1[0-9a-fA-F]{12}$"

EventType = Annotated[
    str,
    Meta(
        pattern=f"^{_EVENT_TYPE.pattern}$",
        description="What happened. `letter_generate`, `cv_theme_selected` and `pdf_downloaded` are stored as"
        " `letter_generated`, `cv_theme_change` and `pdf_download`.",
    ),
]
Url = str  # its limit holds for what is left after cleaning, which no schema can say
Visitor = Annotated[str, Meta(max_length=MAX_STRING_CHARS)]
SiteReference = (
    Annotated[int, Meta(ge=1, le=2**31 - 1)] | Annotated[str, Meta(min_length=1, max_length=MAX_REFERENCE_CHARS)]
)
Pixels = Annotated[int, Meta(ge=1, le=MAX_SCREEN_PX)]
Language = Annotated[str, Meta(pattern=f"^{_LANGUAGE.pattern}", max_length=MAX_LANGUAGE_CHARS)]
EventData = Annotated[
    dict[Annotated[str, Meta(max_length=MAX_KEY_CHARS)], Any],
    Meta(
        max_length=MAX_PROPERTIES,
        description="Anything. A string `theme` counts as a view of that theme; `x` and `y` appear in the heatmap;"
        " `type` is the kind of a letter, `motivation` or `anti_motivation`.",
    ),
]


class EventBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event. Only `event_type` is required; a member that is null counts as absent."""

    event_type: EventType
    event_data: EventData | None = None
    page_url: Annotated[
        Url | None,
        Meta(
            description="An http(s) URL or a path. Of its query, utm_* and an allow-list are kept, as far as the whole"
            f" fits into {MAX_URL_CHARS} characters; without the query it has to."
        ),
    ] = None
    referrer: Annotated[
        str | None,
        Meta(description="Where the visitor came from; cleaned like `page_url`. What is no URL is left out."),
    ] = None
    session_duration: Annotated[Annotated[int, Meta(ge=0, le=MAX_SESSION_S)] | None, Meta(description="Seconds.")] = (
        None
    )
    id: Annotated[
        Annotated[str, Meta(pattern=_UUID_PATTERN)] | None,
        Meta(description="A UUID. Sent again within seven days, the event is stored once."),
    ] = None
    timestamp: Annotated[
        str | float | None,
        Meta(description="When it happened, if not now: RFC 3339 with an offset, or Unix seconds or milliseconds."),
    ] = None
    visitor_address: Annotated[
        Visitor | None, Meta(description="Address of the visitor; believed with the ingest token, else ignored.")
    ] = None
    visitor_user_agent: Annotated[
        Visitor | None, Meta(description="User agent of the visitor; believed with the ingest token, else ignored.")
    ] = None
    site_id: Annotated[
        SiteReference | None,
        Meta(
            description="The site, by its number, measurement id or domain; without any of these four members it is"
            " that of the page's host, else the default site. `site_id`, `website_id`, `measurement_id` and `domain`"
            " mean the same."
        ),
    ] = None
    website_id: Annotated[SiteReference | None, Meta(description="See `site_id`.")] = None
    measurement_id: Annotated[SiteReference | None, Meta(description="See `site_id`.")] = None
    domain: Annotated[SiteReference | None, Meta(description="See `site_id`.")] = None
    screen_width: Annotated[Pixels | None, Meta(description="Of the screen, in CSS pixels.")] = None
    screen_height: Annotated[Pixels | None, Meta(description="Of the screen, in CSS pixels.")] = None
    language: Annotated[
        Language | None, Meta(description="Of the visitor, as a language tag; without it, `Accept-Language` tells.")
    ] = None
    utm_source: Annotated[str | None, Meta(description="Counts more than what `page_url` says.")] = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: Annotated[
        str | None, Meta(description=f"Of each of these five, the first {MAX_UTM_CHARS} characters are kept.")
    ] = None
    interactive: Annotated[
        bool | None, Meta(description="False: the event does not keep a visit from being a bounce.")
    ] = None
    engagement_ms: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_ENGAGEMENT_MS)] | None,
        Meta(description="For how long the page was visible; only in events of type `engagement`."),
    ] = None
    scroll_depth: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_SCROLL_DEPTH)] | None,
        Meta(description="How far the page was scrolled, in percent; only in events of type `engagement`."),
    ] = None
    bot: Annotated[bool | None, Meta(description="True: no person did this.")] = None


class SeenticsEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as clients of Seentics send it. Who they say the visitor is, and with which browser, is not believed."""

    event_type: EventType
    page: Annotated[Url | None, Meta(description="`page_url`.")] = None
    referrer: Annotated[Any, Meta(description="What is no URL is left out.")] = None
    properties: Annotated[EventData | None, Meta(description="`event_data`.")] = None
    timestamp: str | float | None = None
    id: Annotated[str, Meta(pattern=_UUID_PATTERN)] | None = None
    time_on_page: Annotated[
        Any, Meta(description="Seconds: kept in `event_data`, and as `session_duration` if whole.")
    ] = None
    screen_width: Annotated[Any, Meta(description="What is no number of pixels is left out.")] = None
    screen_height: Any = None
    language: Any = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    site: SiteReference | None = msgspec.field(default=None, name="siteId")
    site_id: SiteReference | None = None
    website_id: SiteReference | None = None
    measurement_id: SiteReference | None = None
    domain: SiteReference | None = None
    visitor_id: Annotated[Any, Meta(description="Dropped, like all that follow.")] = None
    session_id: Any = None
    user_agent: Any = None
    ip_address: Any = None
    country: Any = None
    browser: Any = None
    device: Any = None
    os: Any = None


Events = Annotated[list[EventBody], Meta(min_length=1, max_length=MAX_BATCH_EVENTS)]


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch as an object. The site is that of the events that name none."""

    events: Events
    site_id: SiteReference | None = None
    website_id: SiteReference | None = None
    measurement_id: SiteReference | None = None
    domain: SiteReference | None = None


class SeenticsBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch as clients of Seentics send it."""

    events: Annotated[list[SeenticsEvent], Meta(min_length=1, max_length=MAX_BATCH_EVENTS)]
    site: SiteReference | None = msgspec.field(default=None, name="siteId")
    website_id: SiteReference | None = None
    domain: SiteReference | None = None


class Tracked(msgspec.Struct, frozen=True):
    """The event is durable, under this id. Without an id it was not recorded: the browser asks not to be tracked."""

    success: Literal[True]
    message: str
    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})] | UnsetType = UNSET


class Rejected(msgspec.Struct, frozen=True):
    """An event of a batch that was refused, by its place from 0."""

    index: Count
    code: Annotated[str, Meta(extra_json_schema={"enum": sorted(EVENT_CODES)})]
    message: str


class BatchTracked(msgspec.Struct, frozen=True):
    """`accepted` events are durable; the refused ones are named."""

    success: Literal[True]
    accepted: Count
    rejected: list[Rejected]
    message: str | UnsetType = UNSET


class ErrorDetail(msgspec.Struct, frozen=True):
    """`code` is stable; `message` is for people; `field` names the member or parameter to blame, if one is."""

    code: Annotated[str, Meta(extra_json_schema={"enum": sorted(CODES)})]
    message: str
    field: str | UnsetType = UNSET


class Failure(msgspec.Struct, frozen=True):
    """Every error looks like this."""

    success: Literal[False]
    error: ErrorDetail


class PartState(msgspec.Struct, frozen=True):
    """How one part is; `reason` is there when it is not up."""

    status: Literal["up", "down", "unknown", "silent"]
    reason: str | UnsetType = UNSET


class Alive(msgspec.Struct, frozen=True):
    """The process serves requests."""

    status: Literal["ok"]


class Ready(msgspec.Struct, frozen=True):
    """Whether events can be taken and questions answered."""

    status: Literal["ok", "down"]
    parts: dict[str, PartState]


class Health(msgspec.Struct, frozen=True):
    """`degraded`: events are accepted but not being stored, because worker or beat show no sign of life."""

    status: Literal["ok", "degraded", "down"]
    service: str
    version: str
    timestamp: Time
    parts: dict[str, PartState]


class NotReady(msgspec.Struct, frozen=True):
    """An error that also says how each part is; from `/health` with its other members too."""

    success: Literal[False]
    error: ErrorDetail
    data: Ready


class InitialStats(msgspec.Struct, frozen=True, tag_field="type", tag="initial_stats"):
    """First message to a viewer, and the answer to `refresh_stats`."""

    data: Snapshot


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Every 5 seconds."""

    data: Snapshot


class LiveEvent(msgspec.Struct, frozen=True):
    """An event, once it is counted. `type` is its `event_type`."""

    type: EventType
    visitor_id: str
    timestamp: Time
    page_url: str
    data: dict[str, Any]


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """So many messages are missing here: the viewer was too slow."""

    dropped: Count


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """The answer to `ping`; `time` is Unix seconds."""

    time: int


class Complaint(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """A message of the client that was not understood. The connection stays open."""

    error: ComplaintDetail


class ComplaintDetail(msgspec.Struct, frozen=True):
    """Why."""

    code: Literal["invalid_message", "unknown_message", "unavailable"]
    message: str


class Ask(msgspec.Struct, frozen=True):
    """What a viewer may send."""

    type: Literal["refresh_stats", "ping"]


SERVER_MESSAGES: Final = (InitialStats, Heartbeat, LiveEvent, Gap, Pong, Complaint)
"""What the live socket sends."""
