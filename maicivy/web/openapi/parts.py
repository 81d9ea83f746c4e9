"""What the operations of the OpenAPI document are put together from."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from maicivy.core.periods import Period
from maicivy.web.openapi import wire

Json = dict[str, Any]

REF: Final = "#/components/schemas/{name}"

READ, QUERY, SEENTICS, COLLECT, LIVE = "Read", "Query", "Seentics", "Collect", "Live"
SITES, OPS, DOCS = "Sites", "Operate", "Describe"
TAGS: Final = (
    (READ, "Answers to questions. Each may be kept for a second and revalidated with its ETag."),
    (QUERY, "Any figure of a site, by any dimension: in the shapes of Plausible's Stats API v2."),
    (SEENTICS, "Figures of a site in the shapes that clients of Seentics expect, without the envelope."),
    (COLLECT, "Events in. 202 means durable: from then on no crash of any process loses the event."),
    (LIVE, "Events as they are counted, over a WebSocket."),
    (SITES, "What is measured. Changing them takes the admin token, and so does reading one that is not public."),
    (OPS, "For those who run maicivy; keep these paths inside your network."),
    (DOCS, "What you are reading."),
)


HEADERS: Final[Json] = {
    "X-Request-ID": {
        "description": "Names this request in the log: the client's own, if it sent a proper one, or ours.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 0}},
    "ETag": {"description": "Send it as If-None-Match to get 304 when nothing moved.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long the answer may be kept.", "schema": {"type": "string"}},
}
WHY: Final = {
    304: "Nothing has moved since the ETag that was sent as If-None-Match.",
    400: "Malformed, or a limit is exceeded.",
    401: "A wrong bearer token, or none.",
    403: "A page of another origin, or a token is needed that the installation does not have.",
    404: "There is nothing at this URL.",
    405: "Not with this method.",
    409: "Another site has this domain, or it is the default site.",
    413: "The body is too large.",
    414: "The URL is too long.",
    422: "It would take too long.",
    426: "WebSocket only.",
    429: "Too many events from this client.",
    431: "The headers are too many or too long.",
    500: "An error of ours.",
    503: "Redis or Postgres does not answer, there is no room, or too many ask. Nothing is promised: try again.",
}


WHO: Final[Json] = {"security": [{}, {"adminToken": []}]}
"""Anybody; where what is asked for is not public, whoever has the admin token."""


def ref(kind: type) -> Json:
    """A reference to the schema of a type."""
    return {"$ref": REF.format(name=kind.__name__)}


def headers(*names: str) -> Json:
    """Headers of an answer; `X-Request-ID` is on every one."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def errors(*statuses: int, schema: Json | None = None) -> Json:
    """The error answers with `statuses`, and those that every route has. `schema` is that of a 503 that says more."""
    answers: Json = {}
    for status in sorted({*statuses, 405, 414, 431, 500}):
        answers[str(status)] = {
            "description": WHY[status],
            "headers": headers(*(("Retry-After",) if status in (429, 503) else ())),
            "content": {"application/json": {"schema": (schema if status == 503 else None) or ref(wire.Failure)}},
        }
    return answers


def success(data: Json, meta: Json | None = None) -> Json:
    """The schema of a successful answer."""
    properties: Json = {"success": {"const": True}, "data": data}
    if meta is not None:
        properties["meta"] = meta
    return {"type": "object", "properties": properties, "required": list(properties)}


def json_answer(description: str, schema: Json, sample: Any, *header_names: str) -> Json:
    """An answer in JSON with its example."""
    return {
        "description": description,
        "headers": headers(*header_names),
        "content": {"application/json": {"schema": schema, "example": sample}},
    }


def query(name: str, description: str, schema: Json, *, required: bool = False) -> Json:
    """A query parameter."""
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def site_id() -> Json:
    """The parameter that names a site."""
    text = (
        "A site: its number, measurement id or domain; without it the default site. One that is not public takes"
        " the admin token."
    )
    return query("site_id", text, {"type": "string", "examples": ["MC-7Q2M4X9T0A"]})


def whole(low: int, high: int, default: int) -> Json:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": low, "maximum": high, "default": default}


def period(*, required: bool = False) -> Json:
    """The parameter that chooses a day, week or month."""
    schema: Json = {"type": "string", "enum": [str(period) for period in Period]}
    text = "The current calendar day, ISO week or month, in the zone that `meta.timezone` names."
    return query("period", text, schema if required else schema | {"default": "day"}, required=required)


def operation(tag: str, name: str, summary: str, description: str, answers: Json, **more: Any) -> Json:
    """One method of one path."""
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        **more,
        "responses": answers,
    }


def example(value: Any) -> Any:
    """A typed value as JSON would have it."""
    return json.loads(msgspec.json.encode(value))
