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
    return forwarded[-min(trusted, len(forwarded))]
