"""The operations that are no reads: collect, live, operate, describe."""

from __future__ import annotations

from typing import Any

import msgspec

from maicivy import __version__
from maicivy.web.openapi import wire
from maicivy.web.openapi.parts import (
    COLLECT,
    DOCS,
    LIVE,
    OPS,
    WHO,
    WHY,
    Json,
    errors,
    example,
    headers,
    json_answer,
    operation,
    ref,
    site_id,
    success,
)
from maicivy.web.openapi.reads import EVENT_ID, SNAPSHOT, VISITOR_ID


def collect_paths() -> Json:
    """Events in."""
    one = {"event_type": "button_click", "event_data": {"button": "cta", "x": 450, "y": 200}, "page_url": "/cv"}
    many = [one, {"event_type": "letter_generated", "event_data": {"type": "motivation"}, "page_url": "/letters"}]
    tracked = wire.Tracked(True, "Event tracked successfully", str(EVENT_ID))
    batch_tracked = wire.BatchTracked(True, 1, [wire.Rejected(1, "missing_event_type", "event_type is required")])

    def taken(name: str, summary: str, description: str, body: Json, sample: wire.Tracked | wire.BatchTracked) -> Json:
        answers = {"202": json_answer("Durable.", ref(type(sample)), example(sample))}
        answers |= errors(400, 401, 413, 429, 503)
        more = {"security": [{}, {"ingestToken": []}], "requestBody": {"required": True, "content": body}}
        return {"post": operation(COLLECT, name, summary, description, answers, **more)}

    one_schema = {"anyOf": [ref(wire.EventBody), ref(wire.SeenticsEvent)]}
    one_body = {"application/json": {"schema": one_schema, "example": one}}
    batch = {"anyOf": [{"type": "array", "items": ref(wire.EventBody)}, ref(wire.BatchBody), ref(wire.SeenticsBatch)]}
    limits = msgspec.json.schema(wire.Events)
    batch["anyOf"][0] |= {name: limits[name] for name in ("minItems", "maxItems")}
    many_body = {"application/json": {"schema": batch, "example": many}}
    about_one = (
        "Parsed as JSON whatever the content type, for beacons send text/plain. DNT: 1 and Sec-GPC: 1 are honoured:"
        " 202 without an id, nothing recorded."
    )
    about_batch = (
        "Events that are refused are named in `rejected` and do not keep the others out. The body is an array, or an"
        " object with `events` and, where it is the same for all, the site. Parsed as JSON whatever the content type."
    )
    return {
        "/api/v1/analytics/event": taken("event", "Record an event", about_one, one_body, tracked),
        "/api/v1/analytics/event/batch": taken(
            "event_batch", "Record many events", about_batch, many_body, batch_tracked
        ),
        "/api/v1/analytics/batch": taken(
            "batch", "Record many events, by a shorter name", about_batch, many_body, batch_tracked
        ),
    }


def live_paths() -> Json:
    """The live socket: OpenAPI has no words for its messages, so `x-websocket` holds them."""
    samples = [
        {"type": "initial_stats", "data": example(SNAPSHOT)},
        {"type": "heartbeat", "data": example(SNAPSHOT)},
        {
            "type": "page_view",
            "visitor_id": str(VISITOR_ID),
            "timestamp": "2025-12-08T12:34:56Z",
            "page_url": "/cv?theme=backend",
            "data": {"theme": "backend", "path": "/cv"},
        },
        {"type": "gap", "dropped": 17},
        {"type": "pong", "time": 1_733_683_200},
        {"type": "error", "error": {"code": "unknown_message", "message": "known types are refresh_stats and ping"}},
    ]
    answers = {"101": {"description": "Switching to WebSocket."}} | errors(400, 401, 403, 404, 426, 429, 503)
    extra = {
        "x-websocket": {
            "server": [ref(kind) for kind in wire.SERVER_MESSAGES],
            "client": ref(wire.Ask),
            "examples": {"server": samples, "client": [{"type": "refresh_stats"}, {"type": "ping"}]},
        }
    }
    description = (
        "A WebSocket (RFC 6455) of JSON text messages. Nothing on it is durable: what a viewer misses is told by `gap`."
        " Origin, site and capacity are checked before the handshake."
    )
    return {
        "/ws/analytics": {
            "get": operation(
                LIVE,
                "live",
                "Watch live",
                description,
                answers,
                parameters=[site_id() | {"name": "site"}],
                **WHO,
                **extra,
            )
        }
    }


def ops_paths() -> Json:
    """What operators ask."""
    up = wire.PartState("up")
    three = {"redis": up, "postgres": up, "migrations": up}
    health = wire.Health("ok", "maicivy", __version__, "2025-12-08T12:34:56Z", three | {"worker": up, "beat": up})

    def state(name: str, summary: str, description: str, kind: type, sample: Any, *statuses: int) -> Json:
        body = {"success": True, "data": example(sample)}
        answers = {"200": json_answer("As it says.", success(ref(kind)), body)}
        answers |= errors(*statuses, schema=ref(wire.NotReady))
        return {"get": operation(OPS, name, summary, description, answers)}

    metrics: Json = {
        "200": {
            "description": "The text format of Prometheus.",
            "headers": headers(),
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "maicivy_current_visitors 12.0\n"}},
        }
    }
    return {
        "/health": state("health", "How everything is", "For people.", wire.Health, health, 503),
        "/healthz": state("healthz", "Alive", "Asks nothing of anybody.", wire.Alive, wire.Alive("ok")),
        "/readyz": state(
            "readyz",
            "Ready",
            "Redis and Postgres answer, and the schema fits.",
            wire.Ready,
            wire.Ready("ok", three),
            503,
        ),
        "/metrics": {"get": operation(OPS, "metrics", "Metrics", "Scraped by Prometheus.", metrics | errors())},
    }


def docs_paths() -> Json:
    """The document itself."""
    answers: Json = {
        "200": {
            "description": "This document.",
            "headers": headers("ETag", "Cache-Control"),
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        "304": {"description": WHY[304], "headers": headers("ETag", "Cache-Control")},
    }
    text = "OpenAPI 3.1. `/api/docs` shows it to people."
    return {"/api/openapi.json": {"get": operation(DOCS, "openapi", "This API", text, answers | errors())}}
