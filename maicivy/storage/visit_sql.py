"""The SQL of visits: the relation that every figure is summed from.

With the other `visit_*.py` the only place where statements are put together at run time.

The relation has a row for each visit, bucket of time that it touches, and value of the event dimensions (a page, a
name) it has there. `visits` and the other figures that belong to a whole visit stand in a row once as what the bucket
alone would say, and once more (`_again`) as far as earlier rows of the same visit in the same group have said it: so
buckets can be shown apart, and added up without counting anything twice.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Final

from maicivy.core.query import And, Filter, Match
from maicivy.core.visits import Shape
from maicivy.storage.visit_filters import (
    OF_VISITS,
    Conditions,
    Values,
    is_one_value,
    pages_of,
    split,
)
from maicivy.storage.visit_happenings import elements, stored_events
from maicivy.storage.visit_hits import Named, NamedEvents, happenings, hits, needs_property
from maicivy.storage.visit_question import ENGAGED, PARTS, WHOLE, Question, Slice

IDS: Final = ("client_id", "place_id", "origin_id", "entry_id", "exit_id")
"""Columns of visits that may stand for dimensions, which are looked up afterwards."""

_KEY: Final = "site_id, visitor_id, started"
_DURATION: Final = "(date_part('epoch', v.ended - v.started) * 1000000)::bigint"
_BOUNCED: Final = "(v.pageviews <= 1 AND v.interactions = 0)::int"
_WHO: Final = "CASE WHEN v.shape & 1 <> 0 THEN NULL ELSE v.visitor_id END, v.bot <> 0"


class Relation:
    """The relation of a question over a slice, as SQL; values are bound to `values`."""

    def __init__(self, question: Question, part: Slice, values: Values) -> None:
        self._question = question
        self._part = part
        self._values = values
        bind = values.bind
        self._site = bind(question.site_id, "integer")
        self._conditions = Conditions(values, self._site, raw=question.raw)
        self._start, self._end = bind(part.slice_start, "timestamptz"), bind(part.slice_end, "timestamptz")
        self._range_start, self._range_end = bind(part.start, "timestamptz"), bind(part.end, "timestamptz")

    def parts(self) -> list[str]:
        """SELECTs of `Question.columns`: of visits that lie within one bucket, the short way, and of all others."""
        if self._question.named is not None:
            return [self._hits_inside(self._question.named), self._events_across()]
        if self._question.of_events:
            return [*self._events_inside(), self._events_across()]
        return [self._visits_inside(), self._visits_across()]

    def _visits_inside(self) -> str:
        figures = _OF_VISIT | {"readers": "(v.pageviews > 0)::int", "pageviews": "v.pageviews", "events": "v.events"}
        label = self._inside_label
        return (
            f"SELECT {self._group(label)}, {label}, {self._list('v.')}{_WHO}, 1"
            f"{self._figures(figures, dict.fromkeys(WHOLE, '0'))} FROM ({self._inside_visits()}) AS v"
        )

    def _visits_across(self) -> str:
        figures = _OF_VISIT | {"readers": "(v.views > 0)::int", "pageviews": "v.views", "events": "v.n"}
        again = {name: f"v.counted * {figure}" for name, figure in _OF_VISIT.items()}
        label = f"({self._bounds})[v.bucket]"
        counted = f"(b.bucket > greatest(a.first_bucket, ({self._firsts})[b.bucket]))::int AS counted"
        here, shown = "", "0 AS n, 0 AS views"
        if self._question.sums & {"readers", "pageviews", "events"}:
            here = (
                " LEFT JOIN (SELECT v.site_id, v.visitor_id, v.started,"
                f" {self._number('h.at')} AS bucket, sum(h.n) AS n,"
                " sum(h.n) FILTER (WHERE h.name = 'page_view') AS views"
                f" FROM {self._happenings('SELECT * FROM across', timed=True)}"
                f" WHERE {self._in_range} GROUP BY 1, 2, 3, 4"
                ") AS s USING (site_id, visitor_id, started, bucket)"
            )
            shown = "coalesce(s.n, 0) AS n, coalesce(s.views, 0) AS views"
        touched = (
            f"SELECT a.*, b.bucket, {shown}, {counted} FROM across AS a"
            f" CROSS JOIN LATERAL generate_series(a.first_bucket, a.last_bucket) AS b (bucket){here}"
        )
        return (
            f"(WITH across AS MATERIALIZED ({self._across_visits()})"
            f" SELECT {self._group(label)}, {label}, {self._list('v.')}{_WHO}, 1{self._figures(figures, again)}"
            f" FROM ({touched}) AS v WHERE {self._in_slice})"
        )

    def _hits_inside(self, named: Named) -> str:
        label = self._inside_label
        return (
            f"SELECT {self._group(label)}, {label}, {self._list('v.')}{_WHO}, 1"
            f"{self._figures(self._of_happenings(counts='1'), dict.fromkeys(WHOLE, '0'))}"
            f" FROM {hits(named, self._inside_visits(), self._values, self._label)}"
        )

    def _events_inside(self) -> list[str]:
        visits = self._inside_visits()
        if self._question.raw:
            return [self._happened_inside(visits, self._in_slice_time)]
        # Of few visits one pass costs less than two, of all more.
        if self._split[0] is not None or not self._tells_elements_apart:
            return [self._elements_inside(visits)]
        plain = f"{visits} AND v.shape >= {Shape.PLAIN:d}"
        others = f"{visits} AND v.shape < {Shape.PLAIN:d}"
        return [self._happened_inside(plain, "true", apart=True), self._happened_inside(others, "true")]

    def _happened_inside(self, visits: str, condition: str, *, apart: bool = False) -> str:
        label = self._inside_label
        return (
            f"SELECT {self._group(label)}, {label}, {self._list('v.')}{_WHO}, (v.n > 0)::int"
            f"{self._figures(self._of_happenings(), dict.fromkeys(WHOLE, '0'))}"
            f" FROM ({self._happened(visits, '', condition, apart=apart)}) AS v"
        )

    def _elements_inside(self, visits: str) -> str:
        """The same of elements, which are added up by visit only where one visit may have several with the same
        values; those of visitors who have no other visit, and no two such elements, are added up over all of them."""
        question = self._question
        apart = f"v.shape & {Shape.PLAIN:d} <> 0" if self._tells_elements_apart else "v.is_one"
        is_single = f"v.shape & {Shape.SINGLE:d} <> 0"
        label = self._inside_label
        keys = {
            "who": f"CASE WHEN {is_single} AND {apart} THEN NULL ELSE v.visitor_id END",
            "visit": f"CASE WHEN {apart} THEN NULL ELSE v.started END",
        }
        # Of who is not told apart from others days do not matter, unless groups are made of them.
        if len(set(self._part.groups)) == 1:
            keys["bucket"] = f"CASE WHEN {is_single} THEN NULL ELSE {label} END"
            single = "v.bucket IS NULL"
        else:
            keys |= {"bucket": label, "is_single": is_single}
            single = "v.is_single"
        is_bot = str(question.bots).lower()
        if question.bots is None:
            keys["is_bot"], is_bot = "v.bot <> 0", "v.is_bot"
        figures = {name: text for name, text in self._of_happenings().items() if name in {*question.sums, "visits"}}
        sums = [
            f"sum({text}) AS {name}"
            if name in PARTS
            else f"CASE WHEN {keys['visit']} IS NULL THEN sum({text}) ELSE max({text}) END AS {name}"
            for name, text in figures.items()
        ]
        shown = [f"{text} AS {name}" for name, text in keys.items()]
        happened = self._happened(visits, "", "true", apart=True)
        numbers = ", ".join(str(n + 1) for n in range(len(keys) + len(question.dims)))
        summed = (
            f"SELECT {', '.join(shown)}, {self._list('v.')}{', '.join(sums)} FROM ({happened}) AS v GROUP BY {numbers}"
        )
        own = {name: f"v.{name}" for name in figures}
        who = f"CASE WHEN {single} THEN NULL ELSE v.who END"
        return (
            f"SELECT {self._group('v.bucket')}, v.bucket, {self._list('v.')}{who}, {is_bot}, v.visits"
            f"{self._figures(own, dict.fromkeys(WHOLE, '0'))} FROM ({summed}) AS v"
        )

    @property
    def _tells_elements_apart(self) -> bool:
        """Whether of a visit that has each page in one element only, no two elements belong together."""
        return "event:page" in self._question.dimensions or _names_one_page(self._question.filter)

    def _events_across(self) -> str:
        happened = self._happened(self._across_visits(), f"{self._number('h.at')} AS bucket", self._in_range)
        over = (
            f"OVER (PARTITION BY {', '.join(['visitor_id', 'started', 'first_of_group', *self._question.dims])}"
            " ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        )
        ranked = (
            f"SELECT *, coalesce(max((n > 0)::int) {over}, 0) AS counted,"
            f" coalesce(max((views > 0)::int) {over}, 0) AS read, coalesce(max(scroll) {over}, -1) AS scrolled_to"
            f" FROM (SELECT *, ({self._firsts})[bucket] AS first_of_group FROM ({happened}) AS x) AS x"
        )
        figures = self._of_happenings()
        again = {name: f"v.counted * {figures[name]}" for name in ("visits", "bounces", "entries", "duration_us")}
        again |= {
            "readers": f"v.read * {figures['readers']}",
            "scrolled": "(v.scroll >= 0 AND v.scrolled_to >= 0)::int",
            "scroll_sum": "CASE WHEN v.scroll >= 0 AND v.scrolled_to >= 0 THEN least(v.scroll, v.scrolled_to)"
            " ELSE 0 END",
        }
        label = f"({self._bounds})[v.bucket]"
        return (
            f"SELECT {self._group(label)}, {label}, {self._list('v.')}{_WHO}, (v.n > 0)::int"
            f"{self._figures(figures, again)} FROM ({ranked}) AS v WHERE {self._in_slice}"
        )

    def _happened(self, visits: str, bucket: str, condition: str, *, apart: bool = False) -> str:
        """What happened in `visits` added up by visit, bucket and values of the dimensions; `apart`: not added up, with
        `is_one`: it is all that happened in the visit."""
        dims, keys = [], []
        for dim, name in zip(self._question.dims, self._question.dimensions, strict=True):
            dims.append(f"v.{dim}" if name.startswith("visit:") else f"{self._conditions.happening(name)} AS {dim}")
            keys.append(f"v.{dim}" if name.startswith("visit:") else dim)
        sums = self._question.sums
        visit = "v.visitor_id, v.started, v.shape, v.bot"  # and no more than is needed: all of it is grouped by
        visit += ", v.ended" if "duration_us" in sums else ""
        visit += ", v.pageviews, v.interactions" if "bounces" in sums else ""
        visit += ", v.entry_id" if sums & {"bounces", "entries"} else ""
        entered = ""
        if "event:page" in self._question.dimensions and sums & {"bounces", "entries"}:
            visit += ", entered.page"
            entered = " LEFT JOIN actions AS entered ON entered.id = v.entry_id"
        of_events = self._split[1]
        filtered = ""
        if of_events is not None and not isinstance(self._question.named, NamedEvents):
            filtered = f" AND {self._conditions.of(of_events)}"
        views = "CASE WHEN h.name = 'page_view' THEN h.n ELSE 0 END"
        figures = f"sum(h.n) AS n, sum({views}) AS views, sum(h.engaged_ms) AS engaged_ms, max(h.scroll) AS scroll"
        if apart:
            figures = f"cardinality(v.actions) = 1 AS is_one, h.n, {views} AS views, h.engaged_ms, h.scroll"
        group = "" if apart else f" GROUP BY {', '.join([visit, *keys, *(['bucket'] if bucket else [])])}"
        return (
            f"SELECT {', '.join([visit, *dims, *([bucket] if bucket else [])])}, {figures}"
            f" FROM {self._happenings(visits, timed=bool(bucket))}{entered} WHERE {condition}{filtered}{group}"
        )

    def _happenings(self, visits: str, *, timed: bool) -> str:
        if isinstance(self._question.named, NamedEvents):
            return happenings(self._question.named, visits, self._values)
        if not self._question.raw:
            return elements(visits, self._question.sums, timed=timed)
        # Engagement has properties too, but of what is counted it says nothing.
        of_events, counted = self._split[1], not self._question.sums & ENGAGED
        needed = counted and of_events is not None and needs_property(of_events)
        return stored_events(visits, all_have_properties=needed)

    def _inside_visits(self) -> str:
        return (
            f"SELECT v.*{self._selected} FROM visits v {self._joins}"
            f" WHERE {self._wanted} AND v.started < {self._end} AND {self._inside}{self._of_visits_alone}"
        )

    def _across_visits(self) -> str:
        """Visits that touch the slice but do not lie within a bucket of it, with the numbers of the first and the last
        bucket of the whole range that they touch."""
        day = f"date_trunc('day', {self._start}, 'UTC')"
        last_moment = f"least(v.ended, {self._range_end} - interval '1 us')"
        selected = (
            f"v.*{self._selected}, {self._number(f'greatest(v.started, {self._range_start})')} AS first_bucket,"
            f" {self._number(last_moment)} AS last_bucket"
        )
        wanted = f"{self._wanted} AND v.ended >= {self._start} AND NOT ({self._inside}){self._of_visits_alone}"
        if self._part.is_aligned:
            wanted += " AND v.shape IN (0, 1, 4, 5)"  # not short: says nothing new, but they have an index
        reach = f"v.started >= {self._values.bind(self._part.reach, 'timestamptz')}"
        crossing = (
            f"(v.site_id, v.visitor_id, v.started) IN (SELECT {_KEY} FROM crossings WHERE site_id = {self._site}"
            " AND day BETWEEN {first} AND {last})"
        )
        if self._part.is_of_utc_days:  # then all of them go on on another UTC day
            last = f"({self._end} AT TIME ZONE 'UTC')::date"
            listed = crossing.format(first=f"({self._start} AT TIME ZONE 'UTC')::date", last=last)
            return (
                f"SELECT {selected} FROM visits v {self._joins}"
                f" WHERE {wanted} AND {reach} AND v.started < {self._end} AND {listed}"
            )
        today = f"({day} AT TIME ZONE 'UTC')::date"
        return (
            f"SELECT {selected} FROM visits v {self._joins}"
            f" WHERE {wanted} AND v.started >= {day} AND v.started < {self._end}"
            f" UNION ALL SELECT {selected} FROM visits v {self._joins}"
            f" WHERE {wanted} AND {reach} AND v.started < {day} AND {crossing.format(first=today, last=today)}"
        )

    @property
    def _wanted(self) -> str:
        bots = self._question.bots
        of_bots = "" if bots is None else " AND v.bot <> 0" if bots else " AND v.bot = 0"
        return f"v.site_id = {self._site} AND v.events > 0{of_bots}"

    @property
    def _inside(self) -> str:
        """Whether a visit lies within the slice, and within one bucket of it."""
        if self._part.first == self._part.last:
            same = "true"
        else:
            same = f"{self._label('v.started')} = {self._label('v.ended')}"
            if self._part.is_aligned:  # what lies in one quarter of an hour lies in one bucket
                same = f"(v.shape & 2 <> 0 OR {same})"
        return f"v.started >= {self._start} AND v.ended < {self._end} AND {same}"

    @cached_property
    def _split(self) -> tuple[Filter | None, Filter | None]:
        return split(self._question.filter)

    @property
    def _of_visits_alone(self) -> str:
        condition = self._split[0]
        return "" if condition is None else f" AND {self._conditions.of(condition)}"

    @property
    def _in_range(self) -> str:
        return f"h.at >= {self._range_start} AND h.at < {self._range_end}"

    @property
    def _in_slice_time(self) -> str:
        """True of all that visits inside the slice did; tells which partitions of stored events have it."""
        return f"h.at >= {self._start} AND h.at < {self._end}" if self._question.raw else "true"

    @property
    def _in_slice(self) -> str:
        return f"v.bucket BETWEEN {self._part.first:d} AND {self._part.last:d}"

    # Dimensions and filters.

    @property
    def _joins(self) -> str:
        joins = []
        for dim, name in zip(self._question.dims, self._question.dimensions, strict=True):
            if name in OF_VISITS:
                column, table, _ = OF_VISITS[name]
                joins.append(f"LEFT JOIN {table} AS of_{dim} ON of_{dim}.id = v.{column}")
        return " ".join(joins)

    @property
    def _selected(self) -> str:
        selected = []
        for dim, name in zip(self._question.dims, self._question.dimensions, strict=True):
            if name in IDS:
                selected.append(f", v.{name} AS {dim}")
            elif name in OF_VISITS:
                selected.append(f", coalesce(of_{dim}.{OF_VISITS[name][2]}, '') AS {dim}")
        return "".join(selected)

    def _list(self, prefix: str) -> str:
        return "".join(f"{prefix}{dim}, " for dim in self._question.dims)

    # Figures.

    def _figures(self, figures: dict[str, str], again: dict[str, str]) -> str:
        sums = self._question.sums
        own = [figures.get(name, "0") for name in (*WHOLE, *PARTS) if name in sums]
        return "".join(f", {figure}" for figure in [*own, *(again.get(name, "0") for name in WHOLE if name in sums)])

    def _of_happenings(self, counts: str = "(v.n > 0)::int") -> dict[str, str]:
        entered = self._entered() if self._question.sums & {"bounces", "entries"} else "1"
        return {
            "visits": counts,
            "bounces": f"({counts} * {_BOUNCED} * {entered})",
            "entries": f"({counts} * {entered})",
            "duration_us": f"({counts} * {_DURATION})",
            "readers": "(v.views > 0)::int",
            "scrolled": "(v.scroll >= 0)::int",
            "scroll_sum": "greatest(v.scroll, 0)",
            "pageviews": "v.views",
            "events": "v.n",
            "engaged_ms": "v.engaged_ms",
        }

    def _entered(self) -> str:
        """1 for a visit that entered on the page that is asked about, where one is."""
        conditions = []
        pages = pages_of(self._question.filter)
        if pages is not None:
            conditions.append(self._conditions.of_entry(pages))
        for dim, name in zip(self._question.dims, self._question.dimensions, strict=True):
            if name == "event:page":
                conditions.append(f"v.{dim} = v.page")
        return f"({' AND '.join(conditions)})::int" if conditions else "1"

    # Time.

    @cached_property
    def _bounds(self) -> str:
        return self._values.bind(list(self._part.bounds), "timestamptz[]")

    @cached_property
    def _firsts(self) -> str:
        """For each bucket the number of the first one of its group."""
        firsts: dict[datetime, int] = {}
        numbers = [firsts.setdefault(group, number) for number, group in enumerate(self._part.groups, 1)]
        return self._values.bind(numbers, "integer[]")

    def _number(self, moment: str) -> str:
        """The number, from 1, of the bucket that a moment lies in."""
        return "1" if len(self._part.bounds) == 1 else f"width_bucket({moment}, {self._bounds})"

    @property
    def _inside_label(self) -> str:
        """The beginning of the bucket that a visit inside the slice lies in."""
        if self._part.first == self._part.last:
            return self._values.bind(self._part.bounds[self._part.first - 1], "timestamptz")
        return self._label("v.started")

    def _label(self, moment: str) -> str:
        """The beginning of the bucket that a moment lies in."""
        bounds = self._part.bounds
        first = self._values.bind(bounds[0], "timestamptz")
        if len(bounds) == 1:
            return first
        strides = {later - earlier for earlier, later in pairwise(bounds)}
        # Clocks are not changed in between, nor in the last: no need to search the bounds.
        if len(strides) == 1 and self._part.end - bounds[-1] <= max(strides):
            return f"date_bin({self._values.bind(strides.pop(), 'interval')}, {moment}, {first})"
        return f"({self._bounds})[{self._number(moment)}]"

    def _group(self, label: str) -> str:
        """The beginning of the group that a bucket belongs to."""
        groups = self._part.groups
        if len(set(groups)) == 1:
            return self._values.bind(groups[0], "timestamptz")
        if groups == self._part.bounds:
            return label
        return f"({self._values.bind(list(groups), 'timestamptz[]')})[{self._number(label)}]"


def _names_one_page(condition: Filter | None) -> bool:
    """Whether a filter is true on one page at the most."""
    if isinstance(condition, And):
        return any(_names_one_page(each) for each in condition.filters)
    return isinstance(condition, Match) and condition.dimension == "event:page" and is_one_value(condition)


_OF_VISIT: Final = {"visits": "1", "bounces": _BOUNCED, "entries": "1", "duration_us": _DURATION}
