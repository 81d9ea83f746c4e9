"""`/live`: a site on a screen that hangs on a wall. What it shows is decided in `dashboard/wall.py`.

With `parts=` the page answers only what changes on it, and 503 where some of that is not known: the screen then keeps
what it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, Final

from flask import Blueprint, Response, request

from maicivy.core.sites import Site
from maicivy.dashboard import links
from maicivy.dashboard.view import View
from maicivy.dashboard.wall import latest, wall_of
from maicivy.dashboard.words import LANGUAGES, words_of
from maicivy.web import assets
from maicivy.web.context import parts
from maicivy.web.dashboard import failed
from maicivy.web.drawing import drawn, formats_of, locked, moved
from maicivy.web.params import Query
from maicivy.web.sites import is_admin, readable_site

THEMES: Final = ("dark", "light")

_PARAMETERS: Final = ("lang", "theme", "parts")

blueprint = Blueprint("wall", __name__, template_folder="templates")
blueprint.register_error_handler(Exception, failed)


@blueprint.get("/live")
def choose() -> Response:
    """The screen of the only site that the reader may see, or a list of them; of none the form that shows more."""
    view, theme = _asked()
    book = parts().site_directory.book(parts().now())
    everything = is_admin(parts(), request.environ)
    sites = [site for site in book if everything or site.is_public]
    if not sites:
        return locked(401 if parts().settings.admin_token else 403, "", request.full_path.rstrip("?"))
    asked = request.query_string.decode("ascii", "replace")
    paths = [(links.site_name(site), f"{_path(site)}{'?' if asked else ''}{asked}") for site in sites]
    if len(paths) == 1:
        return moved(paths[0][1])
    return drawn("live_sites", view, is_private=True, sites=paths, theme=theme)


@blueprint.get("/live/<reference>")
def wall(reference: str) -> Response:
    """The screen of a site."""
    view, theme = _asked()
    site = readable_site(parts(), request.environ, reference, "site")
    zone, now = parts().settings.timezone, parts().now()
    shown = wall_of(parts().queries, parts().reports, site, zone, now)
    only_parts = "parts" in request.args
    values: dict[str, Any] = {
        "wall": shown,
        "only_parts": only_parts,
        "moments": () if only_parts else latest(parts().reports, site, zone, now),
        "theme": theme,
        "assets_version": assets.version(),
        "types": _types(formats_of(view).lang),
        "dashboard_url": view.url(links.site_path(site)),
    }
    status = 503 if only_parts and shown.problem is not None else 200
    return drawn("live", view, is_private=not site.is_public, status=status, **values)


def _asked() -> tuple[View, str]:
    query = Query(request.environ)
    query.known(*_PARAMETERS)
    lang = query.optional("lang", "", _one_of(LANGUAGES), " or ".join(LANGUAGES))
    return View(lang=lang), query.optional("theme", THEMES[0], _one_of(THEMES), " or ".join(THEMES))


def _one_of(allowed: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return read


@lru_cache(maxsize=len(LANGUAGES))
def _types(lang: str) -> str:
    """The words for types of events, for the ticker."""
    return json.dumps(words_of(lang).under("event"))


def _path(site: Site) -> str:
    return f"/live/{links.site_reference(site)}"
