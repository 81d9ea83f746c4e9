"""GET routes of the read questions: strict parameters in, the answer of `maicivy.reports` out.

An answer may be kept for a second by whoever asked, and carries a weak ETag over its body: a poller that sends it
back as If-None-Match gets 304 without a body when nothing moved.
"""

from __future__ import annotations

import csv
import hashlib
import io
import time
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from flask import Blueprint, Response, request

from maicivy.core.events import DEFAULT_SITE
from maicivy.core.gate import MAX_URL_CHARS
from maicivy.core.periods import Period
from maicivy.core.urls import clean_url
from maicivy.errors import Refusal
from maicivy.reports import Report, Table, place
from maicivy.web import params
from maicivy.web.context import parts

CACHE_CONTROL: Final = "private, max-age=1"

MAX_THEMES: Final = 20
DEFAULT_THEMES: Final = 5
MAX_EVENTS: Final = 100
DEFAULT_EVENTS: Final = 50
MAX_OFFSET: Final = 10_000
MAX_HOURS: Final = 168
DEFAULT_HOURS: Final = 24

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

blueprint = Blueprint("reports", __name__, url_prefix="/api/v1/analytics")


@blueprint.get("/realtime")
def realtime() -> Response:
    """Who is here now, and what happened today."""
    params.known()
    return _answer(parts().reports.realtime(DEFAULT_SITE, parts().now()))


@blueprint.get("/stats")
def stats() -> Response:
    """The current day, week or month in five numbers."""
    params.known("period")
    return _answer(parts().reports.stats(DEFAULT_SITE, params.period(None), parts().now()))


@blueprint.get("/themes")
def themes() -> Response:
    """The most viewed themes."""
    params.known("limit")
    return _answer(parts().reports.themes(DEFAULT_SITE, params.whole("limit", DEFAULT_THEMES, 1, MAX_THEMES)))


@blueprint.get("/letters")
def letters() -> Response:
    """Letters of the current day, week or month."""
    params.known("period")
    return _answer(parts().reports.letters(DEFAULT_SITE, params.period(Period.DAY), parts().now()))


@blueprint.get("/timeline")
def timeline() -> Response:
    """The latest events, page by page."""
    params.known("limit", "offset", "before")
    limit = params.whole("limit", DEFAULT_EVENTS, 1, MAX_EVENTS)
    offset = params.whole("offset", 0, 0, MAX_OFFSET)
    before: tuple[datetime, UUID] | None = params.optional(
        "before", None, place, "a next_before of this API, or an RFC 3339 time such as 2025-12-08T12:34:56Z"
    )
    if before is not None and "offset" in request.args:
        raise Refusal("invalid_parameter", "offset and before exclude each other", "offset")
    return _answer(parts().reports.timeline(DEFAULT_SITE, limit, offset, before, parts().now()))


@blueprint.get("/heatmap")
def heatmap() -> Response:
    """Where on a page things happened."""
    params.known("page_url", "page", "hours")
    if "page_url" in request.args and "page" in request.args:
        raise Refusal("invalid_parameter", "page is another name of page_url: give one of them", "page")
    page: str | None = params.optional(
        "page" if "page" in request.args else "page_url", None, _page, "a path that begins with /, or an http(s) URL"
    )
    hours = params.whole("hours", DEFAULT_HOURS, 1, MAX_HOURS)
    _give_way()
    return _answer(parts().reports.heatmap(DEFAULT_SITE, page, hours, parts().now()))


@blueprint.get("/export/visitors")
def export_visitors() -> Response:
    """Visitors by day, as a file."""
    return _download(parts().reports.visitors_table(DEFAULT_SITE, _exported(), parts().now()))


@blueprint.get("/export/themes")
def export_themes() -> Response:
    """Themes of a period, as a file."""
    period = _exported()
    _give_way()
    return _download(parts().reports.themes_table(DEFAULT_SITE, period, parts().now()))


@blueprint.get("/export/letters")
def export_letters() -> Response:
    """Letters by day, as a file."""
    return _download(parts().reports.letters_table(DEFAULT_SITE, _exported(), parts().now()))


def csv_bytes(table: Table) -> bytes:
    """The table as RFC 4180 CSV in UTF-8, header first.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"): themes
    come from outside.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(table.columns)
    writer.writerows([_defused(cell) for cell in row] for row in table.rows)
    return out.getvalue().encode("utf-8")


def _defused(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _give_way() -> None:
    """A turn for other requests: an answer from memory waits for nothing, so under gevent one connection after another
    would be served over and over while the rest queue (p99 60 ms instead of 15 with 8 pollers of one heatmap)."""
    time.sleep(0)


def _exported() -> Period:
    params.known("period", "format")
    params.optional("format", "csv", _csv_only, "csv")
    return params.period(Period.DAY)


def _csv_only(text: str) -> str:
    if text != "csv":
        raise ValueError(text)
    return text


def _page(text: str) -> str:
    if len(text) > MAX_URL_CHARS:
        raise ValueError(text)
    return clean_url(text, parts().settings.query_params)


def _answer(report: Report[Any, Any]) -> Response:
    return _cachable(
        msgspec.json.encode({"success": True, "data": report.data, "meta": report.meta}), "application/json"
    )


def _download(table: Table) -> Response:
    response = _cachable(csv_bytes(table), "text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="maicivy-{table.name}.csv"'
    return response


def _cachable(body: bytes, content_type: str) -> Response:
    response = Response(body, content_type=content_type)
    response.headers["Cache-Control"] = CACHE_CONTROL
    response.set_etag(hashlib.blake2b(body, digest_size=12).hexdigest(), weak=True)
    response.make_conditional(request)
    return response
