"""The oracle: what the query engine has to answer, worked out from the visits that `recount.py` finds.

Slow and obvious on purpose: every row of every bucket looks at every visit. The definitions are those of
docs/metrics.md; where this file and the engine differ, one of the three is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from maicivy.core.events import Event
from maicivy.core.query import And, Filter, Match, Not, Or, Query
from tests.oracle.recount import Deed, Run, recounted

Span = tuple[datetime, datetime]
Key = tuple[str, ...]
Row = tuple[tuple[str | datetime, ...], tuple[float | int | None, ...]]


@dataclass(frozen=True)
class Answer:
    """Rows in the order asked for, cut to limit and offset; `total` as if they were not."""

    rows: list[Row]
    total: int


def answer(events: Iterable[Event], query: Query, own_hosts: frozenset[str] = frozenset()) -> Answer:
    """The answer to a question about events that came in any order, any number of times."""
    runs = [run for run in recounted(events, query.site_id, own_hosts) if query.include_bots or not run.is_bot]
    whole = (query.start, query.end)
    everybody = _Count(_everybody(query), runs).visitors((), whole)
    candidates = _Count(_candidates(query), runs).visitors((), whole)
    count = _Count(query, runs)
    rows: list[Row] = []
    for label, span in buckets(query):
        for key in count.keys(span):
            figures = count.figures(key, span)
            figures["percentage"] = _percent(figures["visitors"], everybody)
            figures["conversion_rate"] = _percent(figures["visitors"], candidates)
            rows.append((_labelled(query, key, label), tuple(figures[metric] for metric in query.metrics)))
    return Answer(_ordered(query, rows)[query.offset : query.offset + query.limit], len(rows))


def _labelled(query: Query, key: Key, label: datetime | None) -> tuple[str | datetime, ...]:
    values = iter(key)
    return tuple(label if name.startswith("time:") and label is not None else next(values) for name in query.dimensions)


def _ordered(query: Query, rows: list[Row]) -> list[Row]:
    """By dimensions; before that by what was asked for, what is unknown last."""
    rows = sorted(rows, key=lambda row: row[0])
    for name, direction in reversed(query.order_by):
        of_metric = name in query.metrics
        at = query.metrics.index(name) if name in query.metrics else query.dimensions.index(name)
        values: dict[int, Any] = {id(row): row[1][at] if of_metric else row[0][at] for row in rows}
        known = [row for row in rows if values[id(row)] is not None]
        known.sort(key=lambda row: values[id(row)], reverse=direction == "desc")
        rows = known + [row for row in rows if values[id(row)] is None]
    return rows


# Time


def buckets(query: Query) -> Iterator[tuple[datetime | None, Span]]:
    """Each bucket's own start, and the part of it that lies in the range."""
    grain = _grain(query)
    if grain is None:
        yield None, (query.start, query.end)
        return
    start = bucket_start(query.start, grain, query.zone)
    while start < query.end:
        end = _next(start, grain, query.zone)
        yield start, (max(start, query.start), min(end, query.end))
        start = end


def days(span: Span, zone: ZoneInfo) -> Iterator[Span]:
    """The local days of a range, those at its ends cut off."""
    start = bucket_start(span[0], "day", zone)
    while start < span[1]:
        end = _next(start, "day", zone)
        yield max(start, span[0]), min(end, span[1])
        start = end


def bucket_start(moment: datetime, grain: str, zone: ZoneInfo) -> datetime:
    """When the local minute, hour, day, week (Monday) or month of a moment began; UTC."""
    local = moment.astimezone(zone)
    if grain in ("minute", "hour"):
        gone = timedelta(seconds=local.second, microseconds=local.microsecond)
        return moment - gone - (timedelta(minutes=local.minute) if grain == "hour" else timedelta())
    day = local.date()
    if grain == "week":
        day -= timedelta(days=day.weekday())
    if grain == "month":
        day = day.replace(day=1)
    return _midnight(day, zone)


def _next(start: datetime, grain: str, zone: ZoneInfo) -> datetime:
    if grain in ("minute", "hour"):
        return start + (timedelta(minutes=1) if grain == "minute" else timedelta(hours=1))
    day = start.astimezone(zone).date()
    if grain == "month":
        return _midnight((day + timedelta(days=31)).replace(day=1), zone)
    return _midnight(day + timedelta(days=7 if grain == "week" else 1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _grain(query: Query) -> str | None:
    grains = [name.removeprefix("time:") for name in query.dimensions if name.startswith("time:")]
    return grains[0] if grains else None


# Filters


def names_of(condition: Filter | None) -> set[str]:
    """The dimensions that a filter mentions."""
    if condition is None:
        return set()
    if isinstance(condition, Match):
        return {condition.dimension}
    parts = (condition.filter,) if isinstance(condition, Not) else condition.filters
    return set().union(*(names_of(part) for part in parts))


def holds(condition: Filter | None, value: Callable[[str], str]) -> bool:
    """Whether a filter is true of what has these values."""
    if condition is None:
        return True
    if isinstance(condition, And):
        return all(holds(part, value) for part in condition.filters)
    if isinstance(condition, Or):
        return any(holds(part, value) for part in condition.filters)
    if isinstance(condition, Not):
        return not holds(condition.filter, value)
    found = any(_matches(condition, value(condition.dimension), wanted) for wanted in condition.values)
    return not found if condition.operator.endswith("_not") else found


def _matches(condition: Match, value: str, wanted: str) -> bool:
    operator = condition.operator.removesuffix("_not")
    if operator == "matches":
        return re.search(wanted, value, re.NOFLAG if condition.case_sensitive else re.IGNORECASE) is not None
    if not condition.case_sensitive:
        value, wanted = value.lower(), wanted.lower()
    return value == wanted if operator == "is" else wanted in value


def of_pages(condition: Filter | None) -> Filter | None:
    """What a filter says of pages: of an `and` the parts that are about them, of an `or` only if all of them are, of a
    `not` only if it is about nothing else."""
    if condition is None or isinstance(condition, Match | Not):
        return condition if names_of(condition) == {"event:page"} else None
    parts = [of_pages(part) for part in condition.filters]
    about = tuple(part for part in parts if part is not None)
    if isinstance(condition, And):
        return And(about) if about else None
    return Or(about) if len(about) == len(parts) else None


def _everybody(query: Query) -> Query:
    """What a percentage is a part of: the same question without dimensions."""
    return _changed(query, dimensions=())


def _candidates(query: Query) -> Query:
    """What a conversion rate is a part of: the same without dimensions, and without the conditions that mention
    single events."""
    return _changed(query, dimensions=(), filter=_of_visits(query.filter))


def _of_visits(condition: Filter | None) -> Filter | None:
    if isinstance(condition, And):
        return And(tuple(part for part in map(_of_visits, condition.filters) if part is not None))
    return None if any(name.startswith("event:") for name in names_of(condition)) else condition


def _changed(query: Query, **changes: Any) -> Query:
    return Query(**({name: getattr(query, name) for name in query.__struct_fields__} | changes))


# What counts


class _Count:
    """One question to some visits."""

    def __init__(self, query: Query, runs: list[Run]) -> None:
        self.query = query
        self.runs = runs
        self.names = [name for name in query.dimensions if not name.startswith("time:")]
        self.of_events = any(name.startswith("event:") for name in {*self.names, *names_of(query.filter)})
        self.hits = [
            (run, deed, self._key(run, deed))
            for run in runs
            for deed in run.deeds
            if holds(query.filter, _values(run, deed))
        ]

    def keys(self, span: Span) -> set[Key]:
        """The rows there are: those that a visit counts in; without dimensions there is always one."""
        return {key for _, key in self._presences(span)} if self.query.dimensions else {()}

    def visitors(self, key: Key, span: Span) -> int:
        """Distinct within a minute or an hour; over longer times the sum of those of each day."""
        short = _grain(self.query) in ("minute", "hour")
        spans = [span] if short else list(days(span, self.query.zone))
        return sum(len({(run.visitor_id, run.is_bot) for run in self._present(key, part)}) for part in spans)

    def figures(self, key: Key, span: Span) -> dict[str, Any]:
        present = self._present(key, span)
        entered = self._entered(present, key)
        hits: dict[int, list[Deed]] = {}
        for run, deed, its in self.hits:
            if its == key and span[0] <= deed.at < span[1]:
                hits.setdefault(id(run), []).append(deed)
        counted = [deed for deeds in hits.values() for deed in deeds if not deed.is_engagement]
        views = [deed for deed in counted if deed.is_page_view]
        readers = [deeds for deeds in hits.values() if any(deed.is_page_view for deed in deeds)]
        engaged_ms = sum(deed.event.traits.engagement_ms for deeds in hits.values() for deed in deeds)
        depths = [max(deed.event.traits.scroll_depth for deed in deeds) for deeds in hits.values()]
        deepest = [depth for depth in depths if depth > 0]
        return {
            "visitors": self.visitors(key, span),
            "visits": len(present),
            "pageviews": len(views),
            "events": len(counted),
            "views_per_visit": _ratio(len(views), len(present)),
            "bounce_rate": _percent(len([run for run in entered if run.bounced]), len(entered)),
            "visit_duration": _ratio(sum(run.duration_s for run in present), len(present)),
            "time_on_page": _ratio(engaged_ms / 1000, len(readers)),
            "scroll_depth": _ratio(sum(deepest), len(deepest)),
        }

    def _presences(self, span: Span) -> list[tuple[Run, Key]]:
        """Visits and the rows they count in: those that touch the time or, where single events are asked about, have
        such an event in it."""
        if self.of_events:
            return [(r, key) for r, deed, key in self.hits if not deed.is_engagement and span[0] <= deed.at < span[1]]
        return [
            (run, self._key(run)) for run in self.runs if run.touches(*span) and holds(self.query.filter, _values(run))
        ]

    def _present(self, key: Key, span: Span) -> list[Run]:
        return list({id(run): run for run, its in self._presences(span) if its == key}.values())

    def _entered(self, present: list[Run], key: Key) -> list[Run]:
        """Whose bounces are looked at: where pages are asked about, only visits that entered on such a page."""
        if "event:page" in self.names:
            page = key[self.names.index("event:page")]
            present = [run for run in present if run.values["visit:entry_page"] == page]
        pages = of_pages(self.query.filter)
        return [run for run in present if holds(pages, lambda _, run=run: run.values["visit:entry_page"])]

    def _key(self, run: Run, deed: Deed | None = None) -> Key:
        return tuple(_values(run, deed)(name) for name in self.names)


def _values(run: Run, deed: Deed | None = None) -> Callable[[str], str]:
    return lambda name: deed.value(name) if deed and name.startswith("event:") else run.values[name]


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(part: float, whole: int) -> float | None:
    return _ratio(100 * part, whole)
