"""URLs as they may be stored: without what could tell who somebody is."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_SCHEMES = ("http", "https", "android-app", "ios-app")


def clean_url(url: str, query_params: frozenset[str]) -> str:
    """`url` without user info and fragment, and of its query only `utm_*` and `query_params`.

    Raises:
        ValueError: when it is neither an absolute http(s) or app URL nor a path that begins with one slash.
    """
    if _CONTROL.search(url):
        raise ValueError("white space or control characters")
    if url.startswith("/") and not url.startswith(("//", "/\\")):
        if "?" not in url and "#" not in url:
            return url
        path, _, query = url.partition("#")[0].partition("?")
        return _with_query(path, query, query_params)
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("neither an absolute URL nor a path")
    host = parts.netloc.rpartition("@")[2].lower()
    return _with_query(f"{parts.scheme}://{host}{parts.path}", parts.query, query_params)


def path_of(page_url: str) -> str:
    """The path of a stored URL: no scheme, host or query; `/` when there is none."""
    if not page_url.startswith("/"):
        page_url = "/" + page_url.partition("://")[2].partition("/")[2]
    return page_url.partition("?")[0]


def _with_query(base: str, query: str, query_params: frozenset[str]) -> str:
    kept = [
        (name, value)
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=100)
        if name in query_params or name.startswith("utm_")
    ]
    return f"{base}?{urlencode(kept)}" if kept else base
