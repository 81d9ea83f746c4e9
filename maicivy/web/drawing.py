"""How a page of the dashboard leaves the server: drawn for one reader's language and region, and with headers that let
the browser load nothing but maicivy's own files, and let nobody else keep it.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from flask import Flask, Response, render_template, request

from maicivy import __version__
from maicivy.dashboard.charts.bars import bar
from maicivy.dashboard.charts.heatmap import heat_map
from maicivy.dashboard.charts.series import series_chart
from maicivy.dashboard.charts.spark import spark
from maicivy.dashboard.charts.worldmap import world_map
from maicivy.dashboard.formats import Formats, formats_for
from maicivy.dashboard.view import MAX_CHARS, View
from maicivy.dashboard.words import LANGUAGES
from maicivy.geo.package import credit_for
from maicivy.web.context import parts
from maicivy.web.unlocking import LIFE_H, is_unlocked

START: Final = "/dashboard"

_HOST: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,260}", re.ASCII)
_OURS: Final = re.compile(r"/(?:dashboard|live)(?:[/?][!-\[\]-~]*)?", re.ASCII)
_SITE: Final = re.compile(r"/(?:dashboard|live)/([^/?]+)", re.ASCII)


def init_app(app: Flask) -> None:
    """Have templates draw charts."""
    for draw in (bar, heat_map, series_chart, spark, world_map):
        app.add_template_global(draw)


def formats_of(view: View | None) -> Formats:
    """What writes for whoever asks."""
    return formats_for(request.headers.get("Accept-Language", ""), view.lang or None if view is not None else None)


def drawn(template: str, view: View | None, *, is_private: bool, status: int = 200, **values: Any) -> Response:
    """A page. `is_private` is one that not everybody may see, or that is not always the same."""
    formats = formats_of(view)
    nonce = secrets.token_urlsafe(16)
    opened = is_unlocked(parts().settings, request.environ, parts().now())
    html = render_template(
        f"dashboard/{template}.html",
        view=view,
        formats=formats,
        t=formats.t,
        nonce=nonce,
        status=status,
        is_unlocked=opened,
        can_unlock=parts().settings.admin_token is not None and not opened,
        version=__version__,
        credit=credit_for(parts().atlas),
        demo_url="/" if parts().settings.demo else "",
        **values,
    )
    response = Response(html, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _policy(nonce)
    response.headers["Content-Language"] = formats.lang
    # Whoever has unlocked it finds other sites named on pages of public ones.
    return kept_by_nobody_else(response, is_private=is_private or opened)


def locked(status: int, problem: str, following: str) -> Response:
    """The form that takes the admin token; `following` is where it leads, and says in which language."""
    return drawn(
        "unlock",
        in_language_of(following),
        is_private=True,
        to_language=_towards_language(following),
        status=status,
        site_name=_site_of(following),
        action=f"{START}/unlock",
        next=own_path(following),
        problem=problem,
        hours=LIFE_H,
        is_possible=parts().settings.admin_token is not None,
    )


def in_language_of(url: str) -> View | None:
    """A view of nothing but the language that a URL asks for, for where the rest of it cannot be shown."""
    lang = dict(reversed(parse_qsl(url.partition("?")[2]))).get("lang", "")
    return View(lang=lang) if lang in LANGUAGES else None


def moved(url: str) -> Response:
    """To another page of ours; an empty URL is that of the start."""
    return Response(b"", 302, {"Location": url or START, "Cache-Control": "no-store"})


def own_path(text: str) -> str:
    """`text` if it is the path of a dashboard or wall, which no browser takes for another host; else that of the
    start."""
    return text if _OURS.fullmatch(text) else START


def kept_by_nobody_else(response: Response, *, is_private: bool) -> Response:
    """A browser may show a page that everybody may see again when somebody goes back to it, but asks before."""
    response.headers["Cache-Control"] = "no-store" if is_private else "private, no-cache"
    response.headers["Vary"] = "Accept-Language, Cookie"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def towards_language(url: str) -> str:
    """The query string of a URL without its language, to be followed by another one, for links of pages that cannot
    tell what the rest of it means."""
    kept = [pair for pair in url.partition("?")[2].split("&") if pair and pair.partition("=")[0] != "lang"]
    query = "&".join([*kept, "lang="])
    return f"?{query if len(query) <= MAX_CHARS else 'lang='}"


def _towards_language(following: str) -> str:
    """Of the form: the page that it is shown on; where the form was sent, the one that it was to open."""
    where = own_path(following).partition("?")[0] if request.method == "POST" else ""
    return f"{f'{START}/unlock' if where == START else where}{towards_language(following)}"


def _site_of(path: str) -> str:
    """The site that the path of a dashboard or wall names; else maicivy, whose sites are all there are."""
    found = _SITE.match(path)
    return unquote(found[1]) if found else "maicivy"


def _policy(nonce: str) -> str:
    """What the browser may load. `'self'` does not cover WebSockets everywhere (Safari before 15.4)."""
    host = request.host
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'{sockets}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
