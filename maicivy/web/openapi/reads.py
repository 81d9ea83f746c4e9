"""The read operations: parameters out of the constants of `web.reports`, answers out of `maicivy.reports`."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from maicivy import reports
from maicivy.core.gate import MAX_URL_CHARS
from maicivy.core.periods import Period
from maicivy.core.ports import Snapshot
from maicivy.reports import HLL_ERROR, MAX_HEAT_POINTS, How
from maicivy.web.openapi.parts import (
    READ,
    WHO,
    WHY,
    Json,
    errors,
    example,
    headers,
    json_answer,
    operation,
    period,
    query,
    ref,
    site_id,
    success,
    whole,
)
from maicivy.web.reports import (
    DEFAULT_EVENTS,
    DEFAULT_HOURS,
    DEFAULT_THEMES,
    MAX_EVENTS,
    MAX_HOURS,
    MAX_OFFSET,
    MAX_THEMES,
)

_UNIQUE: Final = How("hyperloglog", HLL_ERROR)
_COUNT: Final = How("count")
_PERIOD_META: Final = reports.PeriodMeta(
    "2025-12-08",
    "2025-12-08T00:00:00Z",
    "2025-12-09T00:00:00Z",
    "UTC",
    {
        "total_events": _COUNT,
        "letters_generated": _COUNT,
        "unique_visitors": _UNIQUE,
        "conversion_rate": How("ratio", HLL_ERROR, "letters / unique_visitors"),
    },
)
_LETTERS_META: Final = msgspec.structs.replace(
    _PERIOD_META,
    numbers=dict.fromkeys(("total", "motivation", "anti_motivation", "history"), _COUNT)
    | {name: _PERIOD_META.numbers[name] for name in ("unique_visitors", "conversion_rate")},
)
EVENT_ID: Final = UUID("0193a6c5-3f42-7b1e-9c0a-5d2e8f417b36")
VISITOR_ID: Final = UUID("087a51d2-9e0c-8b47-a3f6-1c9d20e84b75")
SNAPSHOT: Final = Snapshot(12, 145, 2340, 23, 1_733_683_200)


def read_paths() -> Json:
    """Path -> what GET does there."""
    base = "/api/v1/analytics"
    return {
        f"{base}/realtime": _read(
            "realtime",
            "Who is here now",
            "Visitors of the last 300 seconds, and what happened today.",
            ref(Snapshot),
            (
                SNAPSHOT,
                reports.RealtimeMeta(
                    "2024-12-08",
                    "UTC",
                    {
                        "current_visitors": How("count", note="visitors with an event in the last 300 s"),
                        "unique_today": _UNIQUE,
                        "total_events": _COUNT,
                        "letters_today": _COUNT,
                    },
                ),
            ),
        ),
        f"{base}/stats": _read(
            "stats",
            "A period in numbers",
            "Events, letters, visitors and the conversion rate of the current day, week or month.",
            ref(reports.Stats),
            (reports.Stats(Period.DAY, "2025-12-08", 2340, 23, 145, 0.1586), _PERIOD_META),
            period(required=True),
        ),
        f"{base}/themes": _read(
            "themes",
            "Top themes",
            "The most viewed themes since the beginning. A view is any event with a string `event_data.theme`.",
            {"type": "array", "items": ref(reports.ThemeViews)},
            (
                [reports.ThemeViews("backend", 523), reports.ThemeViews("fullstack", 312)],
                reports.ThemesMeta(5, 2, {"views": _COUNT}),
            ),
            query("limit", "How many themes.", whole(1, MAX_THEMES, DEFAULT_THEMES)),
        ),
        f"{base}/letters": _read(
            "letters",
            "Letters of a period",
            "Letters by kind, and by day up to today.",
            ref(reports.Letters),
            (
                reports.Letters(Period.DAY, 23, 15, 8, 145, 0.1586, [reports.DayLetters("2025-12-08", 23)]),
                _LETTERS_META,
            ),
            period(),
        ),
        f"{base}/timeline": _read(
            "timeline",
            "Latest events",
            "Stored events, latest first, ordered by time and then by id. Page with `before`: it costs the same at any"
            " depth and misses nothing while events arrive.",
            {"type": "array", "items": ref(reports.TimelineEvent)},
            (
                [
                    reports.TimelineEvent(
                        EVENT_ID,
                        VISITOR_ID,
                        "page_view",
                        msgspec.Raw(b'{"path": "/cv", "theme": "backend"}'),
                        "/cv?theme=backend",
                        "https://duckduckgo.com/",
                        0,
                        "2025-12-08T12:34:56Z",
                    )
                ],
                reports.TimelineMeta(50, 0, 1, None),
            ),
            query("limit", "How many events.", whole(1, MAX_EVENTS, DEFAULT_EVENTS)),
            query("offset", "How many of the latest to skip; not with `before`.", whole(0, MAX_OFFSET, 0)),
            query(
                "before",
                "A `meta.next_before` of an earlier answer: events after that place. Or an RFC 3339 time with an"
                " offset: events before it.",
                {"type": "string", "examples": ["2025-12-08T12:34:56Z"]},
            ),
        ),
        f"{base}/heatmap": _read(
            "heatmap",
            "Where people clicked",
            f"Positions of events with numeric `event_data.x` and `event_data.y`, the {MAX_HEAT_POINTS} most frequent,"
            " rounded to whole pixels. Up to five seconds old.",
            {"type": "array", "items": ref(reports.HeatPoint)},
            (
                [reports.HeatPoint(450, 200, 23), reports.HeatPoint(320, 450, 18)],
                reports.HeatmapMeta(
                    "/cv", 24, 2, False, "2025-12-07T12:34:56Z", "2025-12-08T12:34:56Z", {"count": _COUNT}
                ),
            ),
            query(
                "page_url",
                "Only this page: a path, or an http(s) URL. What it does not name, host or query, may be any.",
                {"type": "string", "maxLength": MAX_URL_CHARS, "examples": ["/cv"]},
            ),
            query("page", "Another name of `page_url`.", {"type": "string", "maxLength": MAX_URL_CHARS}),
            query("hours", "How far to look back.", whole(1, MAX_HOURS, DEFAULT_HOURS)),
        ),
        f"{base}/export/visitors": _export(
            "visitors",
            "Visitors and events of each day of the period up to today.",
            "date,unique_visitors,total_events\r\n2025-12-08,145,2340\r\n",
        ),
        f"{base}/export/themes": _export(
            "themes",
            "Views of each theme within the period, most viewed first. Up to five seconds old.",
            "theme,views\r\nbackend,523\r\nfullstack,312\r\n",
        ),
        f"{base}/export/letters": _export(
            "letters",
            "Letters of each day of the period up to today, by kind.",
            "date,total,motivation,anti_motivation\r\n2025-12-08,23,15,8\r\n",
        ),
    }


def _read(
    name: str, summary: str, description: str, data: Json, sample: tuple[Any, msgspec.Struct], *parameters: Json
) -> Json:
    body = {"success": True, "data": example(sample[0]), "meta": example(sample[1])}
    answers = {
        "200": json_answer("The answer.", success(data, ref(type(sample[1]))), body, "ETag", "Cache-Control"),
        "304": {"description": WHY[304], "headers": headers("ETag", "Cache-Control")},
    }
    answers |= errors(400, 401, 403, 503)
    return {"get": operation(READ, name, summary, description, answers, parameters=[*parameters, site_id()], **WHO)}


def _export(what: str, description: str, sample: str) -> Json:
    answers = {
        "200": {
            "description": "CSV (RFC 4180) in UTF-8 with a header line. A cell that a spreadsheet would run as a"
            " formula begins with an apostrophe.",
            "headers": headers("ETag", "Cache-Control")
            | {"Content-Disposition": {"description": "A name for the file.", "schema": {"type": "string"}}},
            "content": {"text/csv": {"schema": {"type": "string"}, "example": sample}},
        },
        "304": {"description": WHY[304], "headers": headers("ETag", "Cache-Control")},
    }
    parameters = [period(), query("format", "The only one there is.", {"const": "csv", "default": "csv"}), site_id()]
    answers |= errors(400, 401, 403, 503)
    summary = f"Export {what}"
    return {"get": operation(READ, f"export_{what}", summary, description, answers, parameters=parameters, **WHO)}
