"""A hit: what a request leaves behind in memory, and how it becomes an event that passed maicivy's gate.

The request only copies strings; everything that costs (parsing, cleaning, checking) happens later in the thread that
delivers. What is taken from a browser is treated leniently: a garbage `Referer` or query is left out and the view still
counts. What the site itself says, with `track`, is checked as strictly as in the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote
from uuid import UUID

from maicivy.core.circumstances import MAX_LANGUAGE_CHARS, click_id_of, language_of, with_click_id
from maicivy.core.events import PAGE_VIEW
from maicivy.core.gate import MAX_EVENT_BYTES, Draft, Gate, parse_event
from maicivy.core.identity import MAX_USER_AGENT_CHARS
from maicivy.core.tallies import MAX_LABEL_CHARS
from maicivy.core.urls import clean_url
from maicivy.errors import Refusal

MAX_HEADER_CHARS: Final = 2000
_HIT_BYTES: Final = 600  # a tuple, its strings' headers, a place in the deque: sys.getsizeof of each, rounded up
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*")


class Hit(NamedTuple):
    """One view or one `track`, not yet checked. It holds the visitor's address, in memory only, until delivered.

    `at` is Unix seconds; `data` is the JSON of event_data, None for a page view; `page_url` is None when it is the
    request's own.
    """

    at: float
    event_type: str
    data: bytes | None
    page_url: str | None
    path: str
    query: str
    referrer: str
    address: str
    user_agent: str
    language: str

    @property
    def size(self) -> int:
        """Bytes it takes in memory, roughly, rather more than less."""
        strings = len(self.path) + len(self.query) + len(self.referrer) + len(self.user_agent)
        strings += len(self.language)
        return _HIT_BYTES + strings + len(self.page_url or "") + len(self.data or b"")


def page_view(environ: Mapping[str, Any], address: str, at: float) -> Hit:
    """The hit of a request that showed a page."""
    return _hit(environ, address, at, PAGE_VIEW)


def tracked(
    environ: Mapping[str, Any], address: str, at: float, *, event_type: object, data: object, page_url: object
) -> Hit:
    """The hit of a `track` call; only what could not wait in memory is checked here.

    Raises:
        Refusal: when `data` is too large or cannot be JSON, or when another argument is no string.
    """
    try:
        body = json.dumps({} if data is None else data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refusal("invalid_event_data", f"event_data cannot be JSON: {error}", "event_data") from error
    if len(body) > MAX_EVENT_BYTES:
        raise Refusal("event_too_large", f"event_data has more than {MAX_EVENT_BYTES} bytes", "event_data")
    if not isinstance(event_type, str) or len(event_type) > MAX_HEADER_CHARS:
        raise Refusal("invalid_event_type", "event_type must be a short string", "event_type")
    if page_url is not None and (not isinstance(page_url, str) or len(page_url) > MAX_HEADER_CHARS):
        raise Refusal("invalid_page_url", "page_url must be a string", "page_url")
    return _hit(environ, address, at, event_type, data=body, page_url=page_url)


def draft(hit: Hit, event_id: UUID, gate: Gate, theme_param: str | None) -> Draft:
    """The checked event of a hit, with id, time and visitor in it.

    A page view's data is `{"theme": ..., "path": ...}`, without `theme` when the query names none.

    Raises:
        Refusal: see `core.gate.REASONS`.
    """
    path = hit.path or "/"
    if not _PLAIN_PATH.fullmatch(path):
        path = quote(path, safe="/~!$&'()*+,;=:@-")
    data = hit.data if hit.data is not None else json.dumps(_view_data(path, hit.query, theme_param)).encode()
    rest = {
        "id": str(event_id),
        "timestamp": hit.at,
        "event_type": hit.event_type,
        "page_url": hit.page_url if hit.page_url is not None else _page_url(path, hit.query, gate),
        "referrer": _referrer(hit.referrer, gate),
        "visitor_address": hit.address,
        "visitor_user_agent": hit.user_agent,
    }
    language = language_of(hit.language)
    if language:
        rest["language"] = language
    return parse_event(b'{"event_data":%b,%b' % (data, json.dumps(rest)[1:].encode()), gate)


def _hit(
    environ: Mapping[str, Any],
    address: str,
    at: float,
    event_type: str,
    *,
    data: bytes | None = None,
    page_url: str | None = None,
) -> Hit:
    return Hit(
        at,
        event_type,
        data,
        page_url,
        _decoded(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))[:MAX_HEADER_CHARS],
        environ.get("QUERY_STRING", "")[:MAX_HEADER_CHARS],
        environ.get("HTTP_REFERER", "")[:MAX_HEADER_CHARS],
        address[:MAX_USER_AGENT_CHARS],
        environ.get("HTTP_USER_AGENT", "")[:MAX_USER_AGENT_CHARS],
        environ.get("HTTP_ACCEPT_LANGUAGE", "")[:MAX_LANGUAGE_CHARS],
    )


def _decoded(wsgi_text: str) -> str:
    """What PEP 3333 carries as latin-1, as the UTF-8 that browsers send."""
    return wsgi_text if wsgi_text.isascii() else wsgi_text.encode("latin-1", "replace").decode("utf-8", "replace")


def _view_data(path: str, query: str, theme_param: str | None) -> dict[str, str]:
    if theme_param and theme_param in query:
        try:
            values = [value for name, value in parse_qsl(query, max_num_fields=100) if name == theme_param]
        except ValueError:
            values = []
        if values and len(values[0]) <= MAX_LABEL_CHARS:
            return {"theme": values[0], "path": path}
    return {"path": path}


def _page_url(path: str, query: str, gate: Gate) -> str:
    """Path and allowed query; without the query when that cannot be read.

    The gate, which notes the name of a click id and then leaves it out, too, is shown that name. It also is who
    shortens what is too long, for it notes the campaign before.
    """
    if not query:
        return path
    try:
        url = clean_url(f"{path}?{query}", gate.query_params)
    except ValueError:
        url = path
    return with_click_id(url, click_id_of(f"?{query}"))


def _referrer(referrer: str, gate: Gate) -> str:
    """The cleaned referrer, the site's own pages included; nothing when it is garbage."""
    try:
        return clean_url(_decoded(referrer), gate.query_params) if referrer else ""
    except ValueError:
        return ""
