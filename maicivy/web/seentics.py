"""Seentics' API over HTTP: GET routes with the site in the path, answers without the envelope of the other endpoints.

All of them take the same parameters, as Seentics' clients send the same to all; each is checked, wherever it counts
for something or not. Errors are in the envelope.
"""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request

from maicivy.core.query_filters import MAX_VALUE_CHARS
from maicivy.core.sites import time_zone
from maicivy.errors import Refusal
from maicivy.joint import Joint
from maicivy.seentics import QUESTIONS
from maicivy.seentics.asking import FILTERS, Asked
from maicivy.web.context import parts
from maicivy.web.errors import error_response
from maicivy.web.packing import packed
from maicivy.web.params import Query
from maicivy.web.reports import Answer
from maicivy.web.sites import readable_site

MAX_DAYS: Final = 365
DEFAULT_DAYS: Final = 7
MAX_ROWS: Final = 1000
DEFAULT_ROWS: Final = 10

WEBSITE: Final = "website_id"

blueprint = Blueprint("seentics", __name__, url_prefix="/api/v1/analytics")

_joint: Final[Joint[Answer]] = Joint()


def _respond(website_id: str) -> Response:
    name = str(request.endpoint).removeprefix(f"{blueprint.name}.")
    maicivy = parts()
    query = Query(request.environ)
    query.known("days", "timezone", "limit", *FILTERS)
    try:
        site = readable_site(maicivy, request.environ, website_id, WEBSITE)
    except Refusal as refusal:
        if refusal.code != "unknown_site":
            raise
        return error_response(404, "unknown_site", refusal.message, WEBSITE)  # the URL names nothing
    asked = Asked(
        site,
        website_id,
        days=query.whole("days", DEFAULT_DAYS, 1, MAX_DAYS),
        limit=query.whole("limit", DEFAULT_ROWS, 1, MAX_ROWS),
        zone=_zone(query),
        filters=tuple((name, _text(query, name)) for name in FILTERS if name in query),
    )
    accept = request.headers.get("Accept", "")

    def ask() -> Answer:
        return Answer(*packed(maicivy.seentics.answer(name, asked, maicivy.now()), accept))

    answer = _joint.get((id(maicivy), name, asked, accept), ask)
    response = Response(answer.body, headers=[*answer.headers, ("Vary", "Accept")])
    response.make_conditional(request)
    return response


def _zone(query: Query) -> ZoneInfo | None:
    name = query.get("timezone")
    try:
        return None if name is None else time_zone(name)
    except ValueError as error:
        raise Refusal("unknown_timezone", "there is no such time zone", "timezone") from error


def _text(query: Query, name: str) -> str:
    def read(text: str) -> str:
        if len(text) > MAX_VALUE_CHARS or "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            raise ValueError(text)
        return text

    return query.optional(name, "", read, f"a text of at most {MAX_VALUE_CHARS} characters without NUL")


for _name in QUESTIONS:
    blueprint.add_url_rule(f"/{_name}/<{WEBSITE}>", _name, _respond, methods=["GET"])
