"""The WSGI application: the routes, requests and answers of maicivy's collector, and a `delay()` per event."""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import redis
from flask import Flask, Response, jsonify, request
from kombu.exceptions import OperationalError

from bench.usual_design.tasks import persist

SALT = os.urandom(16)
MAX_EVENTS = 500

_EventType = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,49}$")]
_Url = Annotated[str, msgspec.Meta(max_length=500)]


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends."""

    event_type: _EventType
    event_data: dict[str, Any] = {}
    page_url: _Url = ""
    referrer: _Url = ""
    session_duration: Annotated[int, msgspec.Meta(ge=0)] = 0
    id: uuid.UUID | None = None
    timestamp: datetime | None = None


_event = msgspec.json.Decoder(Event)
_events = msgspec.json.Decoder(list[Event])

application = Flask(__name__)
application.config["MAX_CONTENT_LENGTH"] = 1 << 20


@application.post("/api/v1/analytics/event")
def event() -> tuple[Response, int]:
    """202 once the task of this event is with the broker."""
    event_id = _hand_over(_event.decode(request.get_data()))
    return jsonify(success=True, message="Event tracked successfully", id=event_id), 202


@application.post("/api/v1/analytics/batch")
@application.post("/api/v1/analytics/event/batch")
def batch() -> tuple[Response, int]:
    """The same for up to 500 events, each a task of its own."""
    events = _events.decode(request.get_data())
    if not 1 <= len(events) <= MAX_EVENTS:
        raise msgspec.ValidationError(f"a batch has 1 to {MAX_EVENTS} events")
    for each in events:
        _hand_over(each)
    return jsonify(success=True, accepted=len(events), rejected=[]), 202


@application.get("/healthz")
def healthz() -> str:
    """That it serves."""
    return "ok"


@application.errorhandler(msgspec.DecodeError)
def refuse(error: msgspec.DecodeError) -> tuple[Response, int]:
    """400 for what is no event."""
    return jsonify(success=False, error={"code": "invalid_event", "message": str(error)}), 400


@application.errorhandler(OperationalError)
@application.errorhandler(redis.RedisError)
def unavailable(_: Exception) -> tuple[Response, int, dict[str, str]]:
    """503 when the broker does not take the task: the client tries again."""
    return jsonify(success=False, error={"code": "unavailable", "message": "try again"}), 503, {"Retry-After": "1"}


def _hand_over(taken: Event) -> str:
    event_id = str(taken.id or uuid.uuid4())
    now = datetime.now(UTC)
    agent = request.headers.get("User-Agent", "")
    visitor = hashlib.blake2b(f"{now:%F}|{request.remote_addr}|{agent}".encode(), key=SALT, digest_size=16).hexdigest()
    persist.delay(
        {
            "id": event_id,
            "visitor_id": visitor,
            "event_type": taken.event_type,
            "event_data": taken.event_data,
            "page_url": taken.page_url,
            "referrer": taken.referrer,
            "session_duration": taken.session_duration,
            "created_at": (taken.timestamp or now).isoformat(),
        }
    )
    return event_id
