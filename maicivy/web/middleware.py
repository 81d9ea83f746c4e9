"""What happens to every request: an id, a time, headers, CORS, gzip, one log line.

This is seed 000's middleware list. It runs on the hot path too, so each step is a few dictionary operations; POSTs of
events are logged at debug, everything else at info.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Final

from flask import Flask, Response, g, request
from flask_compress import Compress

from maicivy.config import Settings
from maicivy.metrics import REQUEST_DURATION, method_label

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECURITY_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Permissions-Policy", "interest-cohort=()"),
)
_API_CSP: Final = "default-src 'none'; frame-ancestors 'none'"
_PREFLIGHT_S: Final = "86400"

log = logging.getLogger(__name__)


def init_app(app: Flask, settings: Settings) -> None:
    """Install the hooks."""
    any_origin = "*" in settings.cors_origins
    origins = frozenset(settings.cors_origins)

    def begin() -> Response | None:
        g.began = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Response(status=204)
        return None

    def finish(response: Response) -> Response:
        headers = response.headers
        headers["X-Request-ID"] = g.get("request_id", "")
        for name, value in _SECURITY_HEADERS:
            headers.setdefault(name, value)
        headers.setdefault("Content-Security-Policy", _API_CSP)
        origin = request.headers.get("Origin")
        if origin is not None and (any_origin or origin in origins):
            _allow(response, "*" if any_origin else origin)
        _observe(response)
        return response

    app.before_request(begin)
    app.after_request(finish)
    app.config.update(
        COMPRESS_ALGORITHM=["gzip"],
        COMPRESS_MIN_SIZE=1024,
        COMPRESS_MIMETYPES=["application/json", "text/html", "text/css", "text/csv", "text/javascript", "text/plain"],
    )
    Compress(app)


def _allow(response: Response, origin: str) -> None:
    headers = response.headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "X-Request-ID, Retry-After, ETag"
    if origin != "*":
        headers.add("Vary", "Origin")
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-Request-ID"
        headers["Access-Control-Max-Age"] = _PREFLIGHT_S


def _observe(response: Response) -> None:
    if "began" not in g or request.headers.get("Upgrade", "").lower() == "websocket":
        return
    seconds = time.perf_counter() - g.began
    rule = request.url_rule.rule if request.url_rule is not None else "unmatched"
    REQUEST_DURATION.labels(rule, method_label(request.method), str(response.status_code)).observe(seconds)
    level = logging.INFO
    if response.status_code >= 500:
        level = logging.ERROR
    elif response.status_code == 202 or rule in ("/healthz", "/readyz", "/metrics"):
        level = logging.DEBUG
    if log.isEnabledFor(level):
        log.log(
            level,
            "request",
            extra={
                "method": method_label(request.method),
                "endpoint": rule,
                "status": response.status_code,
                "ms": round(seconds * 1000, 2),
            },
        )
