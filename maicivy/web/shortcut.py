"""Events and reads straight to `collect.py` and `reports.py`, past Flask's dispatch.

Matching the route, contexts, signals and response objects cost a third of an event and most of a read. These paths
are matched by one look into a dictionary instead; what is done with the request, every refusal and every answer is
that of the routes, which stay where they are for anything that is not exactly such a path, or leaves a choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from flask import Flask

from maicivy.bootstrap import Maicivy
from maicivy.web import collect, errors, reports
from maicivy.web.middleware import GZIP_MIN_BYTES, RULE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ROUTES: Final[dict[str, Callable[[Maicivy, WSGIEnvironment], dict[str, object]]]] = {
    "/api/v1/analytics/event": collect.take_event,
    "/api/v1/analytics/event/batch": collect.take_batch,
    "/api/v1/analytics/batch": collect.take_batch,
}
PATHS: Final = frozenset(_ROUTES)

_OF_CHOICE: Final = ("HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE")
_OUR_ETAG: Final = re.compile(r'W/"[0-9a-f]{24}"')
_CODINGS: Final = re.compile(r"[a-z0-9]+(?:, [a-z0-9]+)*")  # no weights, no star: as browsers write it
_VARY: Final = ("Vary", "Accept-Encoding")


def init_app(app: Flask, parts: Maicivy) -> None:
    """Put it before `app`."""
    app.wsgi_app = _Shortcut(app.wsgi_app, parts)  # type: ignore[method-assign]


class _Shortcut:
    """The WSGI application `inner`, but for POSTs of events and plain GETs of reports."""

    def __init__(self, inner: WSGIApplication, parts: Maicivy) -> None:
        self._inner = inner
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "GET" and path in reports.QUESTIONS and _is_plain(environ):
            environ[RULE] = path
            return self._read(environ, start_response)
        take = _ROUTES.get(path) if method == "POST" else None
        if take is None:
            return self._inner(environ, start_response)
        environ[RULE] = path
        try:
            body = collect.encode(take(self._parts, environ))
        except Exception as error:  # noqa: BLE001 - an edge, like Flask's own
            return errors.answer(error)(environ, start_response)
        start_response("202 ACCEPTED", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _read(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = reports.take(self._parts, environ)
        except Exception as error:  # noqa: BLE001 - an edge, like Flask's own
            response = errors.answer(error)
            response.headers.add(*_VARY)
            return response(environ, start_response)
        headers = [*answer.headers, _VARY]
        if environ.get("HTTP_IF_NONE_MATCH") == answer.etag:
            start_response("304 NOT MODIFIED", [header for header in headers if header[0] != "Content-Type"])
            return []
        body = answer.body
        if len(body) >= GZIP_MIN_BYTES and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "").split(", "):
            body = answer.gzipped
            headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [body]


def _is_plain(environ: WSGIEnvironment) -> bool:
    """Whether nothing in the request leaves a choice of answers that would take more than comparing two texts."""
    known = environ.get("HTTP_IF_NONE_MATCH")
    codings = environ.get("HTTP_ACCEPT_ENCODING")
    return (
        (known is None or _OUR_ETAG.fullmatch(known) is not None)
        and (codings is None or _CODINGS.fullmatch(codings) is not None)
        and not any(name in environ for name in _OF_CHOICE)
    )
