"""The Flask application: routes only. What they answer is decided in the use cases and in `core/`."""

from __future__ import annotations

from flask import Flask

from maicivy.bootstrap import Maicivy
from maicivy.web import (
    assets,
    collect,
    dashboard,
    errors,
    live,
    middleware,
    ops,
    pages,
    query,
    reports,
    seentics,
    shortcut,
    sites,
    tracker,
    wall,
)


def create_app(parts: Maicivy) -> Flask:
    """The WSGI application over one wired installation."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = None  # collect counts bytes itself, to answer in the one error shape
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # else a POST to //event would be sent elsewhere, by a page of HTML
    app.extensions["maicivy"] = parts
    shortcut.init_app(app, parts)
    middleware.init_app(app, parts.settings)
    errors.init_app(app)
    for module in (assets, tracker, collect, reports, query, seentics, sites, ops, pages, wall):
        app.register_blueprint(module.blueprint)
    dashboard.init_app(app)
    live.init_app(app, parts)
    return app
