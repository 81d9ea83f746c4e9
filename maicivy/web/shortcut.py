"""Events straight to `collect.py`, past Flask's dispatch.

Matching the route, contexts, signals and response objects cost a third of an event. These three paths are matched by
one look into a dictionary instead; what is done with the event, every refusal and every answer is that of the routes,
which stay where they are for anything that is not exactly such a path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from flask import Flask

from maicivy.bootstrap import Maicivy
from maicivy.web import collect, errors
from maicivy.web.middleware import RULE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ROUTES: Final[dict[str, Callable[[Maicivy, WSGIEnvironment], dict[str, object]]]] = {
    "/api/v1/analytics/event": collect.take_event,
    "/api/v1/analytics/event/batch": collect.take_batch,
    "/api/v1/analytics/batch": collect.take_batch,
}
PATHS: Final = frozenset(_ROUTES)


def init_app(app: Flask, parts: Maicivy) -> None:
    """Put it before `app`."""
    app.wsgi_app = _Shortcut(app.wsgi_app, parts)  # type: ignore[method-assign]


class _Shortcut:
    """The WSGI application `inner`, but for POSTs of events."""

    def __init__(self, inner: WSGIApplication, parts: Maicivy) -> None:
        self._inner = inner
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        take = _ROUTES.get(path) if environ["REQUEST_METHOD"] == "POST" else None
        if take is None:
            return self._inner(environ, start_response)
        environ[RULE] = path
        try:
            body = collect.encode(take(self._parts, environ))
        except Exception as error:  # noqa: BLE001 - an edge, like Flask's own
            return errors.answer(error)(environ, start_response)
        start_response("202 ACCEPTED", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
