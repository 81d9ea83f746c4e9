"""The one error shape, for every source of error, and the one place that knows which status an error has.

    {"success": false, "error": {"code": ..., "message": ..., "field": ...}}

`code` is stable; `field` is there when one member or parameter is to blame.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from maicivy.errors import InboxFull, RateLimited, Refusal, Unavailable

UNAVAILABLE_RETRY_S: Final = 2
FULL_RETRY_S: Final = 10

_STATUS: Final = {
    "body_too_large": 413,
    "rate_limited": 429,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "domain_taken": 409,
    "default_site": 409,
    "query_too_slow": 422,
}
_HTTP_CODES: Final = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    411: "length_required",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Answer every error of `app` in the one shape."""
    app.register_error_handler(Exception, answer)


def answer(error: Exception) -> Response:
    """The response to an error. Needs no application context; what is not expected is logged."""
    if isinstance(error, Refusal):
        return error_response(_STATUS.get(error.code, 400), error.code, error.message, error.field)
    if isinstance(error, RateLimited):
        message = f"too many events; try again in {error.retry_after_s} s"
        return _later(error_response(429, "rate_limited", message), error.retry_after_s)
    if isinstance(error, InboxFull):
        message = "the inbox is full; nothing of this request was kept"
        return _later(error_response(503, "inbox_full", message), FULL_RETRY_S)
    if isinstance(error, Unavailable):
        log.error("unavailable", extra={"part": error.part, "reason": error.reason})
        message = f"{error.part} does not answer; try again"
        return _later(error_response(503, "unavailable", message), UNAVAILABLE_RETRY_S)
    if isinstance(error, HTTPException):
        return _http(error)
    log.error("unexpected_error", exc_info=error)
    return error_response(500, "internal_error", "an error of ours; it was logged with the id in X-Request-ID")


def error_body(code: str, message: str, field: str | None = None) -> dict[str, Any]:
    """The error shape as a dict."""
    error = {"code": code, "message": message}
    if field is not None:
        error["field"] = field
    return {"success": False, "error": error}


def error_response(status: int, code: str, message: str, field: str | None = None) -> Response:
    """An error as a response."""
    body = msgspec.json.encode(error_body(code, message, field))
    return Response(body, status, {"Cache-Control": "no-store"}, content_type="application/json")


def _later(response: Response, retry_after_s: int) -> Response:
    response.headers["Retry-After"] = str(retry_after_s)
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # a redirect is no error
        return Response(error.get_response().response, status, error.get_headers())
    response = error_response(status, _HTTP_CODES.get(status, "error"), error.description or error.name)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After", "WWW-Authenticate"):
            response.headers[name] = value
    return response
