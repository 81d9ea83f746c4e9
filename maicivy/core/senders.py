"""Who sent a request and what they ask for, told from a WSGI environment. A few dictionary look-ups, nothing parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def client_address(environ: Mapping[str, Any], trusted_proxies: int) -> str:
    """The address of the client, believing as many proxies as are trusted and no more.

    With n trusted proxies it is the n-th entry of `X-Forwarded-For` from the right; a header with fewer entries
    did not pass all of them, so its leftmost is taken. Never stored: see core/identity.py.
    """
    remote = str(environ.get("REMOTE_ADDR") or "")
    if not trusted_proxies:
        return remote
    forwarded = [item.strip() for item in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if item.strip()]
    return _without_port(forwarded[-min(trusted_proxies, len(forwarded))]) if forwarded else remote


def client_scheme(environ: Mapping[str, Any], trusted_proxies: int) -> str:
    """`https` or `http`, as the client sees it: TLS often ends at a proxy, whose `X-Forwarded-Proto` counts if proxies
    are trusted."""
    if trusted_proxies:
        told = [item.strip().lower() for item in environ.get("HTTP_X_FORWARDED_PROTO", "").split(",") if item.strip()]
        found = told[-min(trusted_proxies, len(told))] if told else ""
        if found in ("http", "https"):
            return str(found)
    return str(environ["wsgi.url_scheme"])


def asks_not_to_be_tracked(environ: Mapping[str, Any]) -> bool:
    """Whether the browser sends Do Not Track or Global Privacy Control."""
    return environ.get("HTTP_DNT") == "1" or environ.get("HTTP_SEC_GPC") == "1"


def _without_port(entry: str) -> str:
    """Some proxies write `192.0.2.1:5678` or `[2001:db8::1]:5678`; a port would make each connection a new client."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
