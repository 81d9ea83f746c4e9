"""Every error code a client can meet: its status and what it means. Documents are made from this table; what is raised
where is decided elsewhere, and tests hold the two together."""

from __future__ import annotations

from typing import Final, NamedTuple

from maicivy.core.circumstances import MAX_ENGAGEMENT_MS, MAX_SCREEN_PX, MAX_SCROLL_DEPTH
from maicivy.core.events import ENGAGEMENT
from maicivy.core.gate import (
    MAX_BATCH_EVENTS,
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_FUTURE,
    MAX_KEY_CHARS,
    MAX_PROPERTIES,
    MAX_SESSION_S,
    MAX_STRING_CHARS,
    MAX_URL_CHARS,
)
from maicivy.core.query_filters import MAX_FILTERS


class Meaning(NamedTuple):
    """What a code says. Within a batch, a code of one event stands in `rejected` and the answer is 202 all the same."""

    status: int
    text: str


EVENT_CODES: Final[dict[str, Meaning]] = {
    "body_too_large": Meaning(413, f"The body has more than {MAX_BODY_BYTES} bytes."),
    "incomplete_body": Meaning(400, "The body broke off, took too long, or its chunks cannot be read."),
    "invalid_encoding": Meaning(400, "The body is not UTF-8."),
    "invalid_json": Meaning(400, "The body is not JSON."),
    "invalid_body": Meaning(
        400, "A batch is neither an array nor an object with `events` and at most members that name a site."
    ),
    "empty_batch": Meaning(400, "The batch holds no event."),
    "too_many_events": Meaning(400, f"The batch holds more than {MAX_BATCH_EVENTS} events."),
    "event_too_large": Meaning(400, f"The event has more than {MAX_EVENT_BYTES} bytes."),
    "invalid_event": Meaning(400, "An event is not a JSON object."),
    "unknown_field": Meaning(400, "The event, site or query has a member that it cannot have; `field` names it."),
    "duplicate_key": Meaning(400, "An object names a member twice."),
    "missing_event_type": Meaning(400, "`event_type` is required."),
    "invalid_event_type": Meaning(400, "`event_type` does not match its pattern."),
    "invalid_event_data": Meaning(400, "`event_data` is not an object."),
    "too_deep": Meaning(400, f"`event_data` is nested deeper than {MAX_DEPTH} levels."),
    "too_many_properties": Meaning(400, f"`event_data` has more than {MAX_PROPERTIES} members, all levels together."),
    "key_too_long": Meaning(400, f"A key of `event_data` has more than {MAX_KEY_CHARS} characters."),
    "string_too_long": Meaning(400, f"A string of `event_data` has more than {MAX_STRING_CHARS} characters."),
    "invalid_number": Meaning(400, "A number is not finite or does not fit in 64 bits."),
    "invalid_page_url": Meaning(
        400,
        f"`page_url` is neither an http(s) URL nor a path, or has more than {MAX_URL_CHARS} characters without its"
        " query.",
    ),
    "invalid_referrer": Meaning(400, "`referrer` is no string. One that is no URL is left out."),
    "invalid_session_duration": Meaning(400, f"`session_duration` is not whole seconds from 0 to {MAX_SESSION_S}."),
    "invalid_id": Meaning(400, "`id` is not a UUID."),
    "invalid_timestamp": Meaning(
        400, "`timestamp` is neither RFC 3339 with an offset nor Unix seconds or milliseconds."
    ),
    "timestamp_too_old": Meaning(400, "`timestamp` is older than events are kept (`MAICIVY_RETENTION_DAYS`)."),
    "timestamp_in_future": Meaning(
        400, f"`timestamp` is more than {int(MAX_FUTURE.total_seconds() // 60)} minutes ahead of the server."
    ),
    "invalid_visitor": Meaning(
        400, f"`visitor_address` or `visitor_user_agent` is not a string of at most {MAX_STRING_CHARS} characters."
    ),
    "invalid_site": Meaning(
        400,
        "A member cannot name a site, or members name different ones; or a site cannot be like that. `field` names"
        " the member to blame.",
    ),
    "unknown_site": Meaning(
        400, "There is no such site, or none with pages on that host. 404 where the path names it."
    ),
    "host_not_allowed": Meaning(400, "The event names a site that has no pages on the host of `page_url`."),
    "invalid_language": Meaning(400, "`language` is not a language tag."),
    "invalid_screen": Meaning(400, f"`screen_width` or `screen_height` is not whole pixels from 1 to {MAX_SCREEN_PX}."),
    "invalid_utm": Meaning(400, "A `utm_` member is not a string."),
    "invalid_interactive": Meaning(400, "`interactive` is not true or false."),
    "invalid_engagement": Meaning(
        400,
        f"`engagement_ms` is not a whole number from 0 to {MAX_ENGAGEMENT_MS}, or `scroll_depth` from 0 to"
        f" {MAX_SCROLL_DEPTH}, or the event is not of type `{ENGAGEMENT}`.",
    ),
    "invalid_bot": Meaning(400, "`bot` is not true or false."),
    "unauthorized": Meaning(
        401, "The bearer token is not `MAICIVY_INGEST_TOKEN` or, for sites, `MAICIVY_ADMIN_TOKEN`."
    ),
    "rate_limited": Meaning(429, "This client sent more events than it may in a minute; go on after `Retry-After`."),
    "do_not_track": Meaning(202, "The browser asks not to be tracked (DNT, Sec-GPC). Counted, not recorded; no error."),
}
"""The codes of `core.gate.REASONS`: why an event was not recorded. The same names are the labels of
`maicivy_events_rejected_total`."""

REQUEST_CODES: Final[dict[str, Meaning]] = {
    "missing_parameter": Meaning(400, "A required query parameter is absent; `field` names it."),
    "invalid_parameter": Meaning(400, "A query parameter has a value that is not allowed; `field` names it."),
    "unknown_parameter": Meaning(400, "The URL has no such query parameter; `field` names it."),
    "repeated_parameter": Meaning(400, "A query parameter is given twice; `field` names it."),
    "invalid_query": Meaning(400, "A member of the query has a value that is not allowed; `field` names its place."),
    "missing_field": Meaning(400, "The query lacks a member that it has to have; `field` names it."),
    "unknown_metric": Meaning(400, "There is no such metric."),
    "unknown_dimension": Meaning(400, "There is no such dimension."),
    "unknown_operator": Meaning(400, "There is no such operator of filters."),
    "unknown_timezone": Meaning(400, "The tz database has no zone of that name."),
    "invalid_date_range": Meaning(400, "The range is none, ends before it begins, is too long, or too far away."),
    "invalid_filters": Meaning(
        400, "A filter is not built as filters are, or lists too much; `field` names its place."
    ),
    "too_many_filters": Meaning(400, f"The query has more than {MAX_FILTERS} filters."),
    "invalid_pattern": Meaning(400, "A regular expression is none, or could take too long: see the limits."),
    "too_many_rows": Meaning(
        400, "The range has more buckets of time than are listed or compared; `field` says for what."
    ),
    "not_kept": Meaning(
        400,
        "What the query needs is not kept for so long. Figures beyond the life of raw events can be asked for in the"
        " zone of the site only, and by one dimension.",
    ),
    "query_too_slow": Meaning(422, "The query took longer than a query may; ask for less time, or fewer dimensions."),
    "bad_request": Meaning(400, "The request is not proper HTTP, or no WebSocket handshake."),
    "forbidden": Meaning(
        403,
        "Pages of this origin may not watch live (`MAICIVY_CORS_ORIGINS`), or it takes a token that the installation"
        " does not have (`MAICIVY_ADMIN_TOKEN`).",
    ),
    "domain_taken": Meaning(409, "Another site has this domain."),
    "default_site": Meaning(409, "The default site cannot be removed."),
    "not_found": Meaning(404, "There is nothing at this URL."),
    "method_not_allowed": Meaning(405, "The URL exists but not for this method; `Allow` lists those it has."),
    "request_timeout": Meaning(408, "The request took too long to arrive."),
    "length_required": Meaning(411, "The request says neither how long its body is nor that it comes in chunks."),
    "uri_too_long": Meaning(414, "The URL has more than 8,190 bytes."),
    "unsupported_media_type": Meaning(415, "The body has a content type that the URL does not take."),
    "expectation_failed": Meaning(417, "The request expects something else than `100-continue`."),
    "headers_too_large": Meaning(431, "The request has more than 100 headers, or one of more than 8,190 bytes."),
    "upgrade_required": Meaning(426, "The URL speaks WebSocket only."),
    "internal_error": Meaning(500, "An error of ours; it was logged with the id in `X-Request-ID`."),
    "unavailable": Meaning(503, "Redis or Postgres does not answer; try again after `Retry-After`."),
    "inbox_full": Meaning(503, "The inbox is full; nothing of the request was kept. Try again after `Retry-After`."),
    "overloaded": Meaning(
        503, "More requests at once than can be answered in time; this one was not read. Try again after `Retry-After`."
    ),
    "too_many_own_viewers": Meaning(
        429, "As many as may are watching from your address (`MAICIVY_WS_MAX_PER_ADDRESS`)."
    ),
    "too_many_viewers": Meaning(503, "All places of live viewers are taken (`MAICIVY_WS_MAX_CLIENTS`)."),
    "not_ready": Meaning(503, "A part that `/readyz` names is down."),
}
"""Codes of everything else."""

CODES: Final[dict[str, Meaning]] = EVENT_CODES | REQUEST_CODES
