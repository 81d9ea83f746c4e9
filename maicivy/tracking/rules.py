"""What counts as a page view: decided from a WSGI environment and a response's status and type.

Pure, and cheap: a request pays for a few dictionary look-ups here, nothing is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

NOT_PAGES: Final = ("/api/*", "/ws/*", "/health", "/healthz", "/readyz", "/metrics", "/favicon.ico", "/robots.txt")
"""Path rules that are excluded unless `include` is given."""

_NO_PAGE = frozenset({204, 205, 206})  # without a body to look at, or with a part of one
_PREFETCH_HEADERS = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_PREFETCH_WORDS = ("prefetch", "prerender", "preview")


class Paths:
    """Include and exclude rules over paths; `*` in a rule stands for any characters, `/` too."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _pattern(include)
        self._exclude = _pattern([*exclude, *(() if include else NOT_PAGES)])

    def allow(self, path: str) -> bool:
        """Whether a page at `path` may be recorded."""
        if self._exclude is not None and self._exclude(path) is not None:
            return False
        return self._include is None or self._include(path) is not None


def is_page(environ: Mapping[str, Any], status: int, mimetype: str | None) -> bool:
    """Whether somebody was shown a page: HTML, asked for with GET by a person who goes there.

    A 304 counts: the browser shows its copy. 204, 205 and 206 do not, nor do redirects and errors. A fetch for a part
    of a page (XHR, htmx, Turbo frames, iframes) is known by its headers; htmx's boosted links are pages.
    """
    if environ.get("REQUEST_METHOD") != "GET" or mimetype != "text/html":
        return False
    if not (200 <= status < 300 and status not in _NO_PAGE) and status != 304:
        return False
    return not (_is_fragment(environ) or _is_prefetch(environ))


def _is_fragment(environ: Mapping[str, Any]) -> bool:
    if environ.get("HTTP_HX_BOOSTED") == "true":
        return False
    return (
        environ.get("HTTP_SEC_FETCH_DEST", "document") != "document"
        or environ.get("HTTP_X_REQUESTED_WITH", "").lower() == "xmlhttprequest"
        or "HTTP_HX_REQUEST" in environ
        or "HTTP_TURBO_FRAME" in environ
        or environ.get("HTTP_UPGRADE", "").lower() == "websocket"
    )


def _is_prefetch(environ: Mapping[str, Any]) -> bool:
    for header in _PREFETCH_HEADERS:
        value = environ.get(header)
        if value and any(word in value.lower() for word in _PREFETCH_WORDS):
            return True
    return False


def _pattern(rules: Sequence[str]) -> Callable[[str], re.Match[str] | None] | None:
    """The `fullmatch` of one regular expression for all rules; None for no rule."""
    if not rules:
        return None
    return re.compile("|".join(".*".join(map(re.escape, rule.split("*"))) for rule in rules), re.S).fullmatch
