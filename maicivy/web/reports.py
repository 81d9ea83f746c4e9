"""GET routes of the read questions: strict parameters in, the answer of `maicivy.reports` out.

An answer may be kept for a second by whoever asked, and carries a weak ETag over its body: a poller that sends it
back as If-None-Match gets 304 without a body when nothing moved. Everything is taken from the WSGI environment, so
that `shortcut.py` can come here without Flask; equal questions of the same moment share one answer, body and all.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from flask import Blueprint, Response, request

from maicivy.bootstrap import Maicivy
from maicivy.core.gate import MAX_URL_CHARS
from maicivy.core.periods import Period
from maicivy.core.sites import Site
from maicivy.core.urls import clean_url
from maicivy.errors import Refusal
from maicivy.joint import Joint
from maicivy.reports import Report, Table, place
from maicivy.web.context import parts
from maicivy.web.middleware import GZIP_LEVEL
from maicivy.web.params import Query
from maicivy.web.sites import readable_site

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CACHE_CONTROL: Final = "private, max-age=1"

SITE: Final = "site_id"
"""The parameter that all of them take: a number, a measurement id or a domain; without it, the default site."""

MAX_THEMES: Final = 20
DEFAULT_THEMES: Final = 5
MAX_EVENTS: Final = 100
DEFAULT_EVENTS: Final = 50
MAX_OFFSET: Final = 10_000
MAX_HOURS: Final = 168
DEFAULT_HOURS: Final = 24

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Ask = Callable[[], "Answer"]

blueprint = Blueprint("reports", __name__, url_prefix="/api/v1/analytics")


@dataclass(frozen=True)
class Answer:
    """What all who asked the same get; each may want another form of it."""

    body: bytes
    content_type: str
    disposition: str = ""

    @cached_property
    def etag(self) -> str:
        """A weak one: the same bytes may be compressed or not."""
        return f'W/"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'

    @cached_property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Those that say something of the answer, but its length."""
        of_a_file = (("Content-Disposition", self.disposition),) if self.disposition else ()
        cached = (("Cache-Control", CACHE_CONTROL), ("ETag", self.etag))
        return (("Content-Type", self.content_type), *cached, *of_a_file)

    @cached_property
    def gzipped(self) -> bytes:
        """The body, a good deal smaller."""
        return gzip.compress(self.body, GZIP_LEVEL)


_joint: Final[Joint[Answer]] = Joint()


def take(maicivy: Maicivy, environ: WSGIEnvironment) -> Answer:
    """The answer to a GET of one of `PATHS`.

    Raises:
        Refusal: and `Unavailable`.
    """
    path = environ["PATH_INFO"]
    query = Query(environ)
    site = readable_site(maicivy, environ, query.get(SITE))
    ask = QUESTIONS[path](maicivy, site, query)
    return _joint.get((id(maicivy), path, environ.get("QUERY_STRING", "")), ask)


def _realtime(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Who is here now, and what happened today."""
    query.known(SITE)
    return lambda: _json(maicivy.reports.realtime(site.id, maicivy.now()))


def _stats(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """The current day, week or month in five numbers."""
    query.known(SITE, "period")
    period = query.period(None)
    return lambda: _json(maicivy.reports.stats(site.id, period, maicivy.now()))


def _themes(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """The most viewed themes."""
    query.known(SITE, "limit")
    limit = query.whole("limit", DEFAULT_THEMES, 1, MAX_THEMES)
    return lambda: _json(maicivy.reports.themes(site.id, limit))


def _letters(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Letters of the current day, week or month."""
    query.known(SITE, "period")
    period = query.period(Period.DAY)
    return lambda: _json(maicivy.reports.letters(site.id, period, maicivy.now()))


def _timeline(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """The latest events, page by page."""
    query.known(SITE, "limit", "offset", "before")
    limit = query.whole("limit", DEFAULT_EVENTS, 1, MAX_EVENTS)
    offset = query.whole("offset", 0, 0, MAX_OFFSET)
    before: tuple[datetime, UUID] | None = query.optional(
        "before", None, place, "a next_before of this API, or an RFC 3339 time such as 2025-12-08T12:34:56Z"
    )
    if before is not None and "offset" in query:
        raise Refusal("invalid_parameter", "offset and before exclude each other", "offset")
    return lambda: _json(maicivy.reports.timeline(site.id, limit, offset, before, maicivy.now()))


def _heatmap(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Where on a page things happened."""

    def clean(text: str) -> str:
        if len(text) > MAX_URL_CHARS:
            raise ValueError(text)
        return clean_url(text, maicivy.settings.query_params)

    query.known(SITE, "page_url", "page", "hours")
    if "page_url" in query and "page" in query:
        raise Refusal("invalid_parameter", "page is another name of page_url: give one of them", "page")
    page: str | None = query.optional(
        "page" if "page" in query else "page_url", None, clean, "a path that begins with /, or an http(s) URL"
    )
    hours = query.whole("hours", DEFAULT_HOURS, 1, MAX_HOURS)
    return lambda: _json(maicivy.reports.heatmap(site.id, page, hours, maicivy.now()))


def _export_visitors(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Visitors by day, as a file."""
    period = _exported(query)
    return lambda: _file(maicivy.reports.visitors_table(site.id, period, maicivy.now()))


def _export_themes(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Themes of a period, as a file."""
    period = _exported(query)
    return lambda: _file(maicivy.reports.themes_table(site.id, period, maicivy.now()))


def _export_letters(maicivy: Maicivy, site: Site, query: Query) -> Ask:
    """Letters by day, as a file."""
    period = _exported(query)
    return lambda: _file(maicivy.reports.letters_table(site.id, period, maicivy.now()))


QUESTIONS: Final[dict[str, Callable[[Maicivy, Site, Query], Ask]]] = {
    f"{blueprint.url_prefix}/{name}": question
    for name, question in {
        "realtime": _realtime,
        "stats": _stats,
        "themes": _themes,
        "letters": _letters,
        "timeline": _timeline,
        "heatmap": _heatmap,
        "export/visitors": _export_visitors,
        "export/themes": _export_themes,
        "export/letters": _export_letters,
    }.items()
}


def _respond() -> Response:
    answer = take(parts(), request.environ | {"PATH_INFO": str(request.url_rule)})
    response = Response(answer.body, headers=list(answer.headers))
    response.make_conditional(request)
    return response


for _path in QUESTIONS:
    _name = _path.removeprefix(f"{blueprint.url_prefix}/")
    blueprint.add_url_rule(f"/{_name}", _name.replace("/", "_"), _respond, methods=["GET"])


def csv_bytes(table: Table) -> bytes:
    """The table as RFC 4180 CSV in UTF-8, header first.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"): themes
    come from outside, and so do names of properties, which are columns.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([_defused(cell) for cell in row] for row in (table.columns, *table.rows))
    return out.getvalue().encode("utf-8")


def _defused(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _exported(query: Query) -> Period:
    query.known(SITE, "period", "format")
    query.optional("format", "csv", _csv_only, "csv")
    return query.period(Period.DAY)


def _csv_only(text: str) -> str:
    if text != "csv":
        raise ValueError(text)
    return text


_encode = msgspec.json.Encoder().encode


def _json(report: Report[Any, Any]) -> Answer:
    return Answer(_encode({"success": True, "data": report.data, "meta": report.meta}), "application/json")


def _file(table: Table) -> Answer:
    name = f'attachment; filename="maicivy-{table.name}.csv"'
    return Answer(csv_bytes(table), "text/csv; charset=utf-8", name)
