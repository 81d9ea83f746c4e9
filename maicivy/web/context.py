"""What a route needs to know of the application it runs in."""

from __future__ import annotations

from typing import cast

from flask import current_app, request

from maicivy.bootstrap import Maicivy


def parts() -> Maicivy:
    """The wired installation of the current application."""
    return cast(Maicivy, current_app.extensions["maicivy"])


def client_address() -> str:
    """The address of the client, believing as many proxies as `MAICIVY_TRUSTED_PROXIES` says and no more.

    With n trusted proxies it is the n-th entry of `X-Forwarded-For` from the right; a header with fewer entries
    did not pass all of them, so its leftmost is taken. Never stored: see core/identity.py.
    """
    remote = request.remote_addr or ""
    trusted = parts().settings.trusted_proxies
    if not trusted:
        return remote
    forwarded = [item.strip() for item in request.headers.get("X-Forwarded-For", "").split(",") if item.strip()]
    if not forwarded:
        return remote
    return _without_port(forwarded[-min(trusted, len(forwarded))])


def _without_port(entry: str) -> str:
    """Some proxies write `192.0.2.1:5678` or `[2001:db8::1]:5678`; a port would make each connection a new client."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
