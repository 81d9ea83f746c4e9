"""What a route needs to know of the application it runs in."""

from __future__ import annotations

from typing import cast

from flask import current_app, request

from maicivy.bootstrap import Maicivy
from maicivy.core.senders import client_scheme


def parts() -> Maicivy:
    """The wired installation of the current application."""
    return cast(Maicivy, current_app.extensions["maicivy"])


def is_secure() -> bool:
    """Whether whoever asks does so by https."""
    return client_scheme(request.environ, parts().settings.trusted_proxies) == "https"


def origin() -> str:
    """Where whoever asks finds this installation: `https://stats.example.org`."""
    return f"http{'s' if is_secure() else ''}://{request.host}"
