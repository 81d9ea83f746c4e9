"""What a route needs to know of the application it runs in."""

from __future__ import annotations

from typing import cast

from flask import current_app

from maicivy.bootstrap import Maicivy


def parts() -> Maicivy:
    """The wired installation of the current application."""
    return cast(Maicivy, current_app.extensions["maicivy"])
