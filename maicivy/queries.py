"""Answers of the query engine: what a question means now, the figures that it takes, and what is to be said of them.

The store counts; what is made of several answers is made here: shares, rates, and the comparison with another range.
An answer that was given before is given again as long as the cache vouches for it, and equal questions of one moment
are computed once.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from maicivy import __version__
from maicivy.core import date_ranges
from maicivy.core.answers import (
    CONVERSION_RATE,
    PERCENTAGE,
    SHARES,
    Answer,
    AnswerMeta,
    Echo,
    Figure,
    MetricHow,
    compared_results,
    laid_out,
    results,
    time_labels,
)
from maicivy.core.date_ranges import Comparison
from maicivy.core.ports import Days, QueryCache, VisitQueries
from maicivy.core.query import Filter, How, Query, Row, Rows
from maicivy.core.query_filters import without_events
from maicivy.core.query_language import MAX_LIMIT, Question, resolve, time_dimension
from maicivy.core.sites import Site
from maicivy.errors import Refusal, Unavailable
from maicivy.joint import Joint
from maicivy.metrics import CACHE_HITS, CACHE_MISSES, QUERY_DURATION

_NOTES: Final = {
    PERCENTAGE: "visitors of the row / visitors without the dimensions, in %",
    CONVERSION_RATE: "visitors of the row / visitors without the dimensions and conditions on events, in %",
}
_CUT: Final = f"the range compared with has more than {MAX_LIMIT} rows: for rows beyond them nothing is told of it"
_FIRST_IS_FRESH: Final = timedelta(minutes=1)
_MAX_FIRST: Final = 1000
_NO_IMPORTS: Final = "include.imports changes nothing: there are no imported figures"


class _Plan(msgspec.Struct, frozen=True):
    """What to ask: the query itself, and the same for the range to compare with."""

    question: Question
    query: Query
    other: Query | None


class Queries:
    """The use case. Safe for threads."""

    def __init__(self, store: VisitQueries, cache: QueryCache, zone: ZoneInfo) -> None:
        self._store = store
        self._cache = cache
        self._zone = zone
        self._joint: Joint[Answer] = Joint()
        self._first: OrderedDict[int, tuple[datetime, datetime]] = OrderedDict()

    def answer(self, question: Question, site: Site, now: datetime) -> Answer:
        """What `question` asks of `site`, at the time `now`.

        Raises:
            Refusal: `invalid_date_range`, `too_many_rows`, `query_too_slow` or `not_kept`.
            Unavailable: of the store; without the cache the answer is computed.
        """
        began = time.perf_counter()
        plan = self._plan(question, site, now)
        key = _key(plan, site)
        answer = self._joint.get(key, lambda: self._known_or_computed(plan, key, now))
        kind = "cached" if answer.meta.cached else _kind(plan.query)
        QUERY_DURATION.labels(kind).observe(time.perf_counter() - began)
        return answer

    def first_moment(self, site: Site, now: datetime) -> datetime | None:
        """When the first event of `site` that is still known of came, or up to a day before; None: never yet.

        What is known is told again for a minute: only retention moves it.

        Raises:
            Unavailable: of the store.
        """
        first, asked = self._first.get(site.id, (None, now))
        if first is None or not timedelta(0) <= now - asked < _FIRST_IS_FRESH:
            first = self._store.first_moment(site.id)
            if first is not None:
                self._first[site.id] = first, now
                while len(self._first) > _MAX_FIRST:
                    self._first.popitem(last=False)
        return first

    def _plan(self, question: Question, site: Site, now: datetime) -> _Plan:
        zone = question.zone or (ZoneInfo(site.timezone) if site.timezone is not None else self._zone)
        since = self._store.first_moment(site.id) if question.date_range == "all" else None
        meant = date_ranges.span(question.date_range, zone, now, since)
        query = resolve(question, site.id, zone, meant)
        comparison = question.include.comparisons
        if comparison is None:
            return _Plan(question, query, None)
        compared = date_ranges.compared(meant, comparison, zone, now)
        start, end = date_ranges.bounds(compared, zone, "include.comparisons")
        other = msgspec.structs.replace(query, start=start, end=end, limit=MAX_LIMIT, offset=0, count_rows=False)
        return _Plan(question, query, other)

    def _known_or_computed(self, plan: _Plan, key: bytes, now: datetime) -> Answer:
        try:
            known, epoch = self._cache.get(plan.query.site_id, key, [_days(query) for query in _queries(plan)])
        except Unavailable:
            CACHE_MISSES.inc()
            return self._computed(plan, now)[0]
        answer = None if known is None else _decoded(known)
        if answer is not None:
            CACHE_HITS.inc()
            return msgspec.structs.replace(answer, meta=msgspec.structs.replace(answer.meta, cached=True))
        CACHE_MISSES.inc()
        answer, seq = self._computed(plan, now)
        with suppress(Unavailable):  # it is computed again the next time
            self._cache.put(key, _encode(answer), seq, epoch)
        return answer

    def _computed(self, plan: _Plan, now: datetime) -> tuple[Answer, int]:
        """The answer, and the ledger number that it is true for."""
        query = plan.query
        labels = time_labels(query) if plan.question.include.time_labels else UNSET
        laid = laid_out(query, plan.other)
        rows = self._figures(query)
        warnings = [_NO_IMPORTS] if plan.question.include.imports else []
        if plan.other is None:
            seq, told = rows.seq, results(query, rows.rows)
        else:
            others = self._compared_with(plan.other)
            if len(others.rows) == MAX_LIMIT:
                warnings.append(_CUT)
            seq, told = min(rows.seq, others.seq), compared_results(query, plan.other, laid, rows.rows, others.rows)
        meta = AnswerMeta(
            metrics={name: _how(rows.how[name]) for name in query.metrics},
            timezone=str(query.zone),
            as_of=now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            warnings=warnings,
            imports_included=False if plan.question.include.imports else UNSET,
            total_rows=rows.total if query.count_rows and rows.total is not None else UNSET,
            time_labels=labels,
            comparison_date_range=UNSET if plan.other is None else _seconds(plan.other),
        )
        return Answer(told, meta, _echo(plan)), seq

    def _compared_with(self, other: Query) -> Rows:
        try:
            return self._figures(other)
        except Refusal as refusal:
            if refusal.code != "not_kept":
                raise
            raise Refusal(refusal.code, refusal.message, "include.comparisons") from refusal

    def _figures(self, query: Query) -> Rows:
        """The rows of `query`, shares and rates among the metrics."""
        if not any(name in SHARES for name in query.metrics):
            return self._store.ask(query)
        plain = tuple(dict.fromkeys([*(name for name in query.metrics if name not in SHARES), "visitors"]))
        # Each is a share of one number, whatever the row, so it is in the order of visitors.
        rows = self._store.ask(msgspec.structs.replace(query, metrics=plain, order_by=_by_visitors(query)))
        seqs, wholes = [rows.seq], {}
        for name, filter_ in ((PERCENTAGE, query.filter), (CONVERSION_RATE, without_events(query.filter))):
            if name in query.metrics:
                whole = self._store.ask(_visitors_only(query, filter_))
                seqs.append(whole.seq)
                wholes[name] = whole.rows[0].metrics[0]
        made = []
        for row in rows.rows:
            figures: dict[str, Figure] = dict(zip(plain, row.metrics, strict=True))
            shares = {name: _share(figures["visitors"], whole) for name, whole in wholes.items()}
            made.append(Row(row.dimensions, tuple((figures | shares)[name] for name in query.metrics)))
        how = dict(rows.how)
        for name in wholes:
            how[name] = msgspec.structs.replace(how["visitors"], method="ratio", note=_NOTES[name])
        return Rows(made, how, rows.total, min(seqs))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


def _decoded(known: bytes) -> Answer | None:
    """None for an answer of another form: another version may have left it."""
    try:
        return _decode(known)
    except msgspec.DecodeError:
        return None


def _key(plan: _Plan, site: Site) -> bytes:
    """What the answer depends on, but for the visits themselves."""
    question = plan.question
    # raw_filters tell `and` from `or`, which look alike once they are packed.
    asked = (question.site, question.raw_filters, question.include, str(question.zone))
    parts = (__version__, *asked, plan.query, plan.other, site)
    return hashlib.blake2b(msgspec.msgpack.encode(parts, enc_hook=str), digest_size=16).digest()


def _queries(plan: _Plan) -> list[Query]:
    return [plan.query] if plan.other is None else [plan.query, plan.other]


def _days(query: Query) -> Days:
    """The UTC days of a query, and the one before, on which a visit may have begun that touches it."""
    return query.start.date() - timedelta(days=1), (query.end - timedelta(microseconds=1)).date()


def _kind(query: Query) -> str:
    if not query.dimensions:
        return "aggregate"
    return "breakdown" if time_dimension(query.dimensions) is None else "timeseries"


def _visitors_only(query: Query, filter_: Filter | None) -> Query:
    return msgspec.structs.replace(
        query,
        metrics=("visitors",),
        dimensions=(),
        filter=filter_,
        order_by=(),
        limit=MAX_LIMIT,
        offset=0,
        count_rows=False,
    )


def _by_visitors(query: Query) -> Any:
    """The order of `query` with visitors in the place of shares of them."""
    order: dict[str, str] = {}
    for name, direction in query.order_by:
        order.setdefault("visitors" if name in SHARES else name, direction)
    return tuple(order.items())


def _share(part: Figure, whole: Figure) -> float | None:
    return None if not whole or part is None else part / whole * 100


def _how(how: How) -> MetricHow:
    error, note = how.standard_error, how.note
    told = (UNSET if error is None else error, UNSET if note is None else note)
    return MetricHow(how.method, list(how.tiers), how.exact, *told)


def _seconds(query: Query) -> list[str]:
    """First and last second of the range, by the clocks of the zone."""
    last = query.end - timedelta(seconds=1)
    return [at.astimezone(query.zone).isoformat(timespec="seconds") for at in (query.start, last)]


def _echo(plan: _Plan) -> Echo:
    question, query = plan.question, plan.query
    include: dict[str, Any] = {
        name: True for name in ("imports", "time_labels", "total_rows") if getattr(question.include, name)
    }
    if question.include.comparisons is not None:
        include["comparisons"] = _comparison(question.include.comparisons)
    return Echo(
        site_id=question.site,
        metrics=list(query.metrics),
        date_range=_seconds(query),
        filters=question.raw_filters,
        dimensions=list(query.dimensions),
        order_by=[list(order) for order in query.order_by],
        include=include,
        pagination={"offset": query.offset, "limit": query.limit},
        timezone=UNSET if question.zone is None else str(question.zone),
        include_bots=question.include_bots or UNSET,
    )


def _comparison(comparison: Comparison) -> dict[str, Any]:
    told: dict[str, Any] = {"mode": comparison.mode}
    if comparison.days is not None:
        told["date_range"] = [comparison.days.first.isoformat(), comparison.days.last.isoformat()]
    if comparison.match_day_of_week:
        told["match_day_of_week"] = True
    return told
