"""The query engine over HTTP: `POST /api/v2/query`, in the shapes of Plausible's Stats API v2.

Its answers stand alone, not in the envelope of the other endpoints; its errors are in theirs.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, request

from maicivy.core import strict_json
from maicivy.core.query_language import read
from maicivy.web.bodies import read_body
from maicivy.web.context import parts
from maicivy.web.packing import packed
from maicivy.web.params import Query
from maicivy.web.sites import readable_site

MAX_QUERY_BYTES: Final = 1 << 20
"""More than the limits of a query leave room for, so that a query beyond them is told which one it is."""

blueprint = Blueprint("query", __name__, url_prefix="/api/v2")


@blueprint.post("/query")
def ask() -> Response:
    """What the query in the body asks."""
    Query(request.environ).known()
    question = read(strict_json.read(read_body(request.environ, MAX_QUERY_BYTES)))
    site = readable_site(parts(), request.environ, question.site)
    answer = parts().queries.answer(question, site, parts().now())
    body, content_type = packed(answer, request.headers.get("Accept", ""))
    return Response(body, 200, {"Cache-Control": "no-store", "Vary": "Accept"}, content_type=content_type)
