"""URLs as they may be stored: without what could tell who somebody is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHORT_CHARS: Final = 200
"""URLs up to this length are remembered: nearly all, and never more than a megabyte or two."""

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
# Not urlsplit: it normalises the host, which takes 1.4 s for 60 KiB of well-chosen accents, and its idea of a host
# changes between versions of Python. The port is checked because `//name:pass/word@host` would hide a password there.
_ABSOLUTE = re.compile(
    r"(https?|android-app|ios-app)://"
    r"(?:[^/?#\\]*@)?"
    r"((?:[^/?#@:\\\[\]<>\"^`{|}]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)"
    r"(/[^?#]*)?(?:\?([^#]*))?(?:#.*)?",
    re.IGNORECASE | re.ASCII,
)


def clean_url(url: str, query_params: frozenset[str]) -> str:
    """`url` without user info and fragment, and of its query only `utm_*` and `query_params`, as they were written.

    Scheme and host come in lower case. Cleaning twice changes nothing. What was asked lately costs a
    tenth (measured).

    Raises:
        ValueError: when it is neither an absolute http(s) or app URL nor a path that begins with one slash.
    """
    return (_short if len(url) <= _SHORT_CHARS else _clean)(url, query_params)


def _clean(url: str, query_params: frozenset[str]) -> str:
    if _UNPRINTABLE.search(url):
        raise ValueError("white space or control characters")
    if url.startswith("/") and not url.startswith(("//", "/\\")):
        if "?" not in url and "#" not in url:
            return url
        path, _, query = url.partition("#")[0].partition("?")
        return _with_query(path, query, query_params)
    match = _ABSOLUTE.fullmatch(url)
    if match is None:
        raise ValueError("neither an absolute URL nor a path")
    scheme, host, path, query = match.groups("")
    if query and not path:
        path = "/"  # else a slash in the query would look like the beginning of the path
    return _with_query(f"{scheme.lower()}://{host.lower()}{path}", query, query_params)


_short = lru_cache(maxsize=4000)(_clean)


def shortened(url: str, most: int) -> str:
    """A cleaned URL without those parameters that do not fit into `most` characters, the first ones fitting first.

    They go as a whole, for half a value is another value. Longer than `most` only where it is without any of them.
    """
    if len(url) <= most:
        return url
    base, _, query = url.partition("?")
    room = most - len(base)
    kept = []
    for field in query.split("&"):
        if len(field) < room:  # there is a character before each
            kept.append(field)
            room -= len(field) + 1
    return f"{base}?{'&'.join(kept)}" if kept else base


def path_of(page_url: str) -> str:
    """The path of a stored URL: no scheme, host or query; `/` when there is none."""
    url = page_url.partition("?")[0]
    return url if url.startswith("/") else "/" + url.partition("://")[2].partition("/")[2]


def _with_query(base: str, query: str, query_params: frozenset[str]) -> str:
    if not query:
        return base
    kept = [field for field in query.split("&") if _is_kept(field.partition("=")[0], query_params)]
    return f"{base}?{'&'.join(kept)}" if kept else base


def _is_kept(name: str, query_params: frozenset[str]) -> bool:
    return name in query_params or name.startswith("utm_")
