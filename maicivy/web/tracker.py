"""What other people's pages load: the tracker script, and a picture for browsers that run no scripts.

`/js/maicivy.js` may be kept for an hour. `/js/maicivy.VERSION.js`, and `?v=VERSION`, may be kept for ever while VERSION
is that of the file; `/js/maicivy.json` tells it, with the hash for the attribute `integrity`.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flask import Blueprint, Response, request

from maicivy.core.events import PAGE_VIEW
from maicivy.web import errors
from maicivy.web.assets import FOR_EVER, read, respond
from maicivy.web.collect import take_event
from maicivy.web.context import parts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SCRIPT: Final = "tracker/maicivy.js"
AN_HOUR: Final = "public, max-age=3600"

_PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# Of a request for a picture, what an event without a page of its own says nothing by.
_NOT_OF_THE_VIEW: Final = ("HTTP_AUTHORIZATION", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING")

blueprint = Blueprint("tracker", __name__)


@blueprint.get("/js/maicivy.js")
@blueprint.get("/js/maicivy.<wanted>.js")
def script(wanted: str | None = None) -> Response:
    """The tracker."""
    found = read(SCRIPT)
    is_of_now = (wanted or request.args.get("v")) == found.etag
    response = respond(found, FOR_EVER if is_of_now else AN_HOUR)
    # With `integrity` it is asked for with an Origin, and what caches keep has to fit.
    response.headers["Vary"] = "Accept-Encoding, Origin"
    return response


@blueprint.get("/js/maicivy.json")
def versions() -> Response:
    """How the tracker of this version is named and verified."""
    told = {"script": f"/js/maicivy.{read(SCRIPT).etag}.js", "integrity": integrity()}
    return Response(msgspec.json.encode(told), 200, {"Cache-Control": "no-cache"}, content_type="application/json")


@blueprint.get("/p.gif")
def pixel() -> Response:
    """A picture, whatever else happens; and a view of the page that it is on, which `page` or the Referer tells."""
    if request.method != "HEAD":
        try:
            take_event(parts(), _as_event(request.environ, request.args))
        except Exception as error:  # noqa: BLE001 - an edge: the page must not look broken
            errors.answer(error)  # logs what is not a refusal; those are counted already
    return Response(_PIXEL, 200, {"Cache-Control": "no-store"}, content_type="image/gif")


def integrity() -> str:
    """What the attribute `integrity` of a script element has to say (Subresource Integrity)."""
    return f"sha384-{base64.b64encode(hashlib.sha384(read(SCRIPT).body).digest()).decode()}"


def _as_event(environ: WSGIEnvironment, said: Mapping[str, str]) -> WSGIEnvironment:
    """The environment of a request that posts the view. One without a page is posted, too, to be refused as such."""
    event: dict[str, Any] = {"event_type": PAGE_VIEW, "page_url": said.get("page") or environ.get("HTTP_REFERER") or 0}
    if site := said.get("site"):
        event["site_id"] = site
    body = msgspec.json.encode(event)
    kept = {name: value for name, value in environ.items() if name not in _NOT_OF_THE_VIEW}
    return kept | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), "REQUEST_METHOD": "POST"}
