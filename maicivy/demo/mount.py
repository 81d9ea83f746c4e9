"""Puts the demo beside maicivy in one web process: a few paths go to the CV site, all others to maicivy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from maicivy.config import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask

PATHS: Final = frozenset({"/", "/cv", "/letters", "/projects"})
PREFIXES: Final = ("/demo/", "/projects/")


class Dispatcher:
    """A WSGI application that is two, told apart by path."""

    def __init__(self, product: WSGIApplication, demo: WSGIApplication) -> None:
        self._product = product
        self._demo = demo

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        chosen = self._demo if path in PATHS or path.startswith(PREFIXES) else self._product
        return chosen(environ, start_response)


def mount(app: Flask, settings: Settings) -> Flask:
    """`app`; with `MAICIVY_DEMO=1` it serves the demo site as well, which records itself into the inbox of `settings`.

    The same object comes back, so that whatever else holds it (gunicorn's hooks, extensions) need not know.
    """
    if settings.demo:
        from maicivy.demo.site import create_site  # nobody else pays for it

        site = create_site(**hook_options(settings))
        app.wsgi_app = Dispatcher(app.wsgi_app, site.wsgi_app)  # type: ignore[method-assign]
    return app


def hook_options(settings: Settings) -> dict[str, Any]:
    """How a site on the same machine hooks into the installation of `settings`."""
    return {
        "redis_url": settings.redis_url,
        "secret_key": settings.secret_key,
        "inbox_max_bytes": settings.inbox_max_bytes,
        "trusted_proxies": settings.trusted_proxies,
        "geo_db": settings.geo_db,
    }
