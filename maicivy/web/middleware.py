"""What happens to every request: an id, a time, headers, CORS, gzip, one log line.

This is seed 000's middleware list. It runs on the hot path too, where Flask's hooks and header objects are slow: 63 us
a POST, against 10 us this way (bench/middleware.py). So all but gzip wraps the application at the WSGI level and works
on plain lists. Answered events, pictures that are such, and probes are logged at debug, everything else at info.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Request, Response, request
from flask_compress import Compress
from prometheus_client import Histogram

from maicivy.config import Settings
from maicivy.logs import REQUEST_ID
from maicivy.metrics import METHODS, REQUEST_DURATION, method_label

if TYPE_CHECKING:  # typeshed's names for PEP 3333; there is no such module at run time
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

GZIP_MIN_BYTES: Final = 1024
GZIP_LEVEL: Final = 6

RULE: Final = "maicivy.rule"
"""Where in the environment a rule stands that was matched without Flask."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Each unless the view has set its own; by lower-case name, for that comparison.
_SECURITY_HEADERS: Final = {
    "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
    "x-frame-options": ("X-Frame-Options", "DENY"),
    "referrer-policy": ("Referrer-Policy", "strict-origin-when-cross-origin"),
    "cross-origin-resource-policy": ("Cross-Origin-Resource-Policy", "cross-origin"),
    "permissions-policy": ("Permissions-Policy", "interest-cohort=()"),
    "content-security-policy": ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
}
_CORS_HEADERS: Final = [("Access-Control-Expose-Headers", "X-Request-ID, Retry-After, ETag")]
_PREFLIGHT_HEADERS: Final = [
    ("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE, OPTIONS"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-ID"),
    ("Access-Control-Max-Age", "86400"),
]
_QUIET_RULES: Final = frozenset({"/health", "/healthz", "/readyz", "/metrics", "/p.gif"})

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Install it around `app`."""
    app.config.update(
        COMPRESS_ALGORITHM=["gzip"],
        COMPRESS_MIN_SIZE=GZIP_MIN_BYTES,
        COMPRESS_LEVEL=GZIP_LEVEL,
        COMPRESS_MIMETYPES=[
            "application/json",
            "application/msgpack",
            "text/html",
            "text/css",
            "text/csv",
            "text/javascript",
            "text/plain",
        ],
        COMPRESS_REGISTER=False,
    )
    compress: Callable[[Response], Response] = Compress(app).after_request

    @app.after_request
    def gzip(response: Response) -> Response:
        # What events get, receipts and refusals, is a hundred bytes: 9 us to find out that there is nothing to gain.
        return response if request.method == "POST" and response.status_code != 200 else compress(response)

    app.wsgi_app = _Envelope(app.wsgi_app, settings.cors_origins)  # type: ignore[method-assign]


class _Envelope:
    """The WSGI application `inner` with everything but gzip around it."""

    def __init__(self, inner: WSGIApplication, origins: tuple[str, ...]) -> None:
        self._inner = inner
        self._any_origin = "*" in origins
        self._origins = frozenset(origins)
        self._timers: dict[tuple[str, str, str], Histogram] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        preflight = environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            headers.append(("X-Request-ID", request_id))
            _secure(headers)
            self._share(environ.get("HTTP_ORIGIN"), preflight, headers)
            if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
                rule = "preflight" if preflight else _rule(environ)
                self._observe(rule, environ["REQUEST_METHOD"], status[:3], time.perf_counter() - began)
            return start_response(status, headers, exc_info)

        token = REQUEST_ID.set(request_id)
        try:
            if preflight:
                start("204 NO CONTENT", [])
                return []
            return self._inner(environ, start)
        finally:
            REQUEST_ID.reset(token)

    def _share(self, origin: str | None, preflight: bool, headers: list[tuple[str, str]]) -> None:
        if not self._any_origin:
            headers.append(("Vary", "Origin"))
        if origin is None or not (self._any_origin or origin in self._origins):
            return
        headers.append(("Access-Control-Allow-Origin", "*" if self._any_origin else origin))
        headers += _CORS_HEADERS
        if preflight:
            headers += _PREFLIGHT_HEADERS

    def _observe(self, rule: str, method: str, status: str, seconds: float) -> None:
        key = (rule, method, status)
        timer = self._timers.get(key)
        if timer is None:
            timer = REQUEST_DURATION.labels(rule, method_label(method), status)
            if method in METHODS:  # one of somebody's invention is looked up each time: no room for more
                self._timers[key] = timer
        timer.observe(seconds)
        level = _level(rule, status)
        if log.isEnabledFor(level):
            facts = {"method": method_label(method), "endpoint": rule, "status": int(status)}
            log.log(level, "request", extra={**facts, "ms": round(seconds * 1000, 2)})


def _rule(environ: WSGIEnvironment) -> str:
    """The rule that Flask matched the path with: one of a few, whatever paths people try."""
    if RULE in environ:
        return str(environ[RULE])
    handled: Request | None = environ.get("werkzeug.request")
    return handled.url_rule.rule if handled is not None and handled.url_rule is not None else "unmatched"


def _level(rule: str, status: str) -> int:
    if status == "202" or rule in _QUIET_RULES:
        return logging.DEBUG
    return logging.ERROR if status >= "500" else logging.INFO


def _secure(headers: list[tuple[str, str]]) -> None:
    headers += _missing(tuple([name for name, _ in headers]))


@lru_cache(256)
def _missing(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """The security headers to add to headers of these names: a view has few sets of them."""
    present = {name.lower() for name in names}
    return [pair for name, pair in _SECURITY_HEADERS.items() if name not in present]
