"""`/live`: a site on a screen that hangs on a wall. What it shows is decided in `dashboard/wall.py`.

With `parts=` the page answers only what changes on it, and 503 where some of that is not known: the screen then keeps
what it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, render_template, request

from maicivy.core.sites import Site
from maicivy.dashboard.formats import formats_for
from maicivy.dashboard.wall import wall_of
from maicivy.dashboard.words import LANGUAGES, words_of
from maicivy.errors import Refusal
from maicivy.web import assets
from maicivy.web.context import parts
from maicivy.web.params import Query
from maicivy.web.sites import is_admin, readable_site

THEMES: Final = ("dark", "light")

_PARAMETERS: Final = ("lang", "theme", "parts")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

blueprint = Blueprint("wall", __name__, template_folder="templates")


@blueprint.get("/live")
def choose() -> Response:
    """The screen of the only site that the reader may see, or a list of them."""
    query = _query()
    everything = is_admin(parts(), request.environ)
    book = parts().site_directory.book(parts().now())
    sites = [site for site in book if everything or site.is_public]
    if len(sites) == 1:
        return _onward(_path(sites[0]))
    return _page(_drawn("live_sites", query, sites=[(_name(site), _path(site)) for site in sites]))


@blueprint.get("/live/<reference>")
def wall(reference: str) -> Response:
    """The screen of a site."""
    query = _query()
    try:
        site = readable_site(parts(), request.environ, reference, "site")
    except Refusal as refusal:
        if refusal.code not in ("unauthorized", "forbidden"):
            raise
        return _onward(f"/dashboard/{quote(reference, safe='')}")  # where it can be unlocked
    shown = wall_of(parts().queries, parts().counters, site, parts().settings.timezone, parts().now())
    only_parts = "parts" in query
    html = _drawn("live", query, wall=shown, reference=_name(site), only_parts=only_parts)
    return _page(html, 503 if only_parts and shown.problem is not None else 200)


def _query() -> Query:
    query = Query(request.environ)
    query.known(*_PARAMETERS)
    return query


def _drawn(template: str, query: Query, **values: object) -> str:
    lang = query.optional("lang", "", _one_of(LANGUAGES), " or ".join(LANGUAGES))
    theme = query.optional("theme", THEMES[0], _one_of(THEMES), " or ".join(THEMES))
    formats = formats_for(request.headers.get("Accept-Language", ""), lang or None)
    return render_template(
        f"dashboard/{template}.html",
        t=formats.t,
        formats=formats,
        theme=theme,
        version=assets.version(),
        types=_types(formats.lang),
        **values,
    )


@lru_cache(maxsize=len(LANGUAGES))
def _types(lang: str) -> str:
    """The words for types of events, for the ticker."""
    texts = words_of(lang)
    return json.dumps(
        {key.removeprefix("event."): texts(key) for key in sorted(texts.keys) if key.startswith("event.")}
    )


def _one_of(allowed: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return read


def _name(site: Site) -> str:
    """What a site is called, and found by."""
    return site.domain or site.measurement_id or str(site.id)


def _path(site: Site) -> str:
    return f"/live/{quote(_name(site), safe='')}"


def _onward(path: str) -> Response:
    asked = request.query_string.decode("ascii", "ignore")
    response = Response(status=302, headers={"Cache-Control": "no-store"})
    response.location = f"{path}?{asked}" if asked else path
    return response


def _page(html: str, status: int = 200) -> Response:
    response = Response(html, status, {"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")
    # What 'self' means for a WebSocket was settled late: older browsers want it said.
    host = request.host if _HOST.fullmatch(request.host) else ""
    sockets = f" ws://{host} wss://{host}" if host else ""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{sockets}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response
