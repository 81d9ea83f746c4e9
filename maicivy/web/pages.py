"""Pages for people, and the OpenAPI document they are made from. They load nothing from elsewhere and run no script.

`/` is a list of what is where; with the demo mounted its own front page stands there instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, render_template, request
from markupsafe import Markup, escape

from maicivy import __version__
from maicivy.geo.package import credit_for
from maicivy.web.context import origin, parts
from maicivy.web.openapi import document
from maicivy.web.openapi.outline import outline
from maicivy.web.params import Query

# The pages run no script; connect-src is for what people paste into the console from the documentation, whose examples
# say localhost where the address bar may say 127.0.0.1.
CSP: Final = (
    "default-src 'none'; style-src 'self'; connect-src 'self' ws://localhost:* ws://127.0.0.1:*; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CACHE_CONTROL: Final = "public, max-age=300"

_STYLE: Final = Path(__file__).parent / "static" / "pages.css"
_CODE: Final = re.compile(r"`([^`]+)`")

blueprint = Blueprint("pages", __name__, template_folder="templates")


@blueprint.get("/")
def index() -> Response:
    """What is where."""
    return _page(render_template("pages/index.html", version=__version__, credit=_credit()))


@blueprint.get("/api/docs")
def docs() -> Response:
    """The OpenAPI document, for people."""
    return _page(_docs(origin(), _credit()))


@blueprint.get("/api/docs.css")
def style() -> Response:
    """How the pages look."""
    return _kept(_STYLE.read_bytes(), "text/css; charset=utf-8")


@blueprint.get("/api/openapi.json")
def openapi() -> Response:
    """The OpenAPI document."""
    Query(request.environ).known()
    return _kept(_document(), "application/json")


@blueprint.app_template_filter("prose")
def prose(text: str) -> Markup:
    """Text with its `code` marked as such."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


@blueprint.app_template_filter("pretty")
def pretty(value: Any) -> str:
    """JSON as people read it: short objects stay on one line."""
    return _pretty(value, 0)


_LINE_CHARS: Final = 72


def _pretty(value: Any, indent: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(flat) + indent <= _LINE_CHARS:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_pretty(item, indent + 2)}" for key, item in value.items()]
    else:
        lines = [f"{inner}{_pretty(item, indent + 2)}" for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join((opening, ",\n".join(lines), f"{' ' * indent}{closing}"))


def _credit() -> tuple[str, str]:
    """Whom the licence of the database of places wants to be named, and the link with it."""
    return credit_for(parts().atlas)


@lru_cache(maxsize=1)
def _document() -> bytes:
    return msgspec.json.encode(document())


@lru_cache(maxsize=4)
def _docs(origin: str, credit: tuple[str, str]) -> str:
    return render_template("pages/docs.html", origin=origin, credit=credit, version=__version__, **outline(document()))


def _page(html: str) -> Response:
    response = _kept(html.encode(), "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = CSP
    return response


def _kept(body: bytes, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = CACHE_CONTROL
    response.set_etag(hashlib.blake2b(body, digest_size=12).hexdigest(), weak=True)
    response.make_conditional(request)
    return response
