"""What seed 001 shows of its own site: letters, themes, where people click, and what happened last, event by event.

All of it is what the older API answers (`maicivy.reports`), by that API's own periods: the filters of a view change
nothing here, and the words of the page say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.periods import Period
from maicivy.dashboard.page import HEAT_CELL_PX, Extras, HeatCell, Link, Moment
from maicivy.errors import Refusal
from maicivy.reports import HeatPoint, Reports, TimelineEvent, place

MAX_THEMES: Final = 10
MAX_HEAT_PAGES: Final = 10
MAX_HEAT_HOURS: Final = 168
TRIED_PAGES: Final = 3
"""Pages that are asked for clicks when none was chosen: each costs a question."""

MAX_MOMENTS: Final = 20
MAX_DETAILS: Final = 4
MAX_DETAIL_CHARS: Final = 80
VISITOR_CHARS: Final = 6
_HOST: Final = re.compile(r"^https?://[^/?]*", re.IGNORECASE)
_SHOWN_ELSEWHERE: Final = frozenset({"path", "x", "y"})

UrlOf = Callable[[str], str]


def answered(
    reports: Reports,
    site_id: int,
    *,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    pages: Sequence[str],
    heat_page: str,
    before: str,
    now: datetime,
    heat_url: UrlOf,
    earlier_url: UrlOf,
) -> Extras:
    """All of it, for a view from `start` to `end`.

    Args:
        pages: paths that the heatmap may be asked for, the most viewed first.
        heat_page: the one that was chosen; empty: the first of them that was clicked on.
        before: cursor of the timeline; empty: from now.
        heat_url: the view with the heatmap of a path; earlier_url: the timeline from a cursor on.

    Raises:
        Refusal: `invalid_parameter`, naming `before`.
        Unavailable: of the store or the counters.
    """
    period = nearest_period(start, end)
    counted = reports.letters(site_id, period, now).data
    hours = heat_hours(start, now)
    shown, cells = _heat(reports, site_id, pages, heat_page, hours, now)
    latest = moments(reports, site_id, before=before, zone=zone, now=now, earlier_url=earlier_url)
    return Extras(
        letters=_letters(counted.motivation, counted.anti_motivation, counted.total),
        letters_period=str(period),
        themes=tuple((each.theme, each.views) for each in reports.themes(site_id, MAX_THEMES).data),
        heat_page=shown,
        heat_pages=_choices(pages, shown, heat_url) if shown else (),
        heat_hours=hours,
        heat=cells,
        moments=latest.moments,
        earlier_url=latest.earlier_url,
    )


def moments(
    reports: Reports, site_id: int, *, before: str, zone: ZoneInfo, now: datetime, earlier_url: UrlOf
) -> Extras:
    """The timeline alone, from a cursor on; empty: from now.

    Raises:
        Refusal: `invalid_parameter`, naming `before`.
        Unavailable: of the store.
    """
    report = reports.timeline(site_id, MAX_MOMENTS, 0, _place(before), now)
    following = report.meta.next_before
    return Extras(
        moments=tuple(_moment(event, zone) for event in report.data),
        earlier_url="" if following is None else earlier_url(following),
    )


def nearest_period(start: datetime, end: datetime) -> Period:
    """The period of seed 001 whose length is nearest to that of a range."""
    days = (end - start) / timedelta(days=1)
    if days <= 3:
        return Period.DAY
    return Period.WEEK if days <= 14 else Period.MONTH


def heat_hours(start: datetime, now: datetime) -> int:
    """The hours since the start of a range, as far back as a heatmap can be asked for."""
    return min(MAX_HEAT_HOURS, max(1, -((start - now) // timedelta(hours=1))))


def cells_of(points: Iterable[HeatPoint]) -> tuple[HeatCell, ...]:
    """Clicks by squares of `HEAT_CELL_PX`, each called by its top left corner, the most clicked on first."""
    counts: Counter[tuple[int, int]] = Counter()
    for point in points:
        if point.x >= 0 and point.y >= 0:
            counts[point.x // HEAT_CELL_PX * HEAT_CELL_PX, point.y // HEAT_CELL_PX * HEAT_CELL_PX] += point.count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][1], item[0][0]))
    return tuple(HeatCell(x, y, count) for (x, y), count in ordered)


def details_of(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The first few of an event's own properties, as text cut short; what holds others is left out."""
    plain = [
        (name, _text(value))
        for name, value in data.items()
        if name not in _SHOWN_ELSEWHERE and isinstance(value, str | int | float) and value != ""
    ]
    return tuple((_cut(name), _cut(text)) for name, text in plain[:MAX_DETAILS])


def _letters(motivation: int, anti_motivation: int, total: int) -> tuple[tuple[str, int], ...]:
    kinds = {
        "motivation": motivation,
        "anti_motivation": anti_motivation,
        "other": total - motivation - anti_motivation,
    }
    return tuple((kind, count) for kind, count in kinds.items() if count > 0)


def _heat(
    reports: Reports, site_id: int, pages: Sequence[str], chosen: str, hours: int, now: datetime
) -> tuple[str, tuple[HeatCell, ...]]:
    """The page that is shown, and its clicks. A page that was chosen is shown without any, too."""
    if chosen:
        return chosen, cells_of(reports.heatmap(site_id, chosen, hours, now).data)
    for page in pages[:TRIED_PAGES]:
        if cells := cells_of(reports.heatmap(site_id, page, hours, now).data):
            return page, cells
    return "", ()


def _choices(pages: Sequence[str], shown: str, heat_url: UrlOf) -> tuple[Link, ...]:
    known = list(dict.fromkeys([*pages[:MAX_HEAT_PAGES], shown]))
    return tuple(Link("heat_page", heat_url(page), is_selected=page == shown, text=page) for page in known)


def _place(before: str) -> tuple[datetime, UUID] | None:
    try:
        return place(before) if before else None
    except ValueError as error:
        raise Refusal("invalid_parameter", "before must be where a page of the timeline ended", "before") from error


def page_of(url: str) -> str:
    """Path and query of a stored URL: the hook tells no host, the tracker does, and both mean the same page. ticker.js
    does the same."""
    return _HOST.sub("", url) or ("/" if url else "")


def _moment(event: TimelineEvent, zone: ZoneInfo) -> Moment:
    return Moment(
        id=str(event.id),
        event_type=event.event_type,
        page=page_of(event.page_url),
        at=datetime.fromisoformat(event.created_at).astimezone(zone),
        visitor=str(event.visitor_id)[-VISITOR_CHARS:],
        details=details_of(msgspec.json.decode(event.event_data, type=dict[str, Any])),
    )


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DETAIL_CHARS else f"{text[: MAX_DETAIL_CHARS - 1]}…"
