"""Answers of the query engine: what the store is asked, and what is made of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from maicivy.core.answers import Answer, Compared, Figure, Result, change
from maicivy.core.ports import Days
from maicivy.core.query import How, Match, Query, Row, Rows
from maicivy.core.query_language import MAX_LIMIT, read
from maicivy.core.sites import Site
from maicivy.errors import Refusal, Unavailable
from maicivy.metrics import CACHE_HITS, CACHE_MISSES
from maicivy.queries import Queries

SITE = Site(3, "example.org", "MC-ABCDEFGHIJ", "Europe/Berlin")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
COUNT = How("count", ("raw",), True)

Reply = Callable[[Query], list[Row]]


class FakeStore:
    """Answers with what it was given, in the given order, and remembers what it was asked."""

    def __init__(self, *replies: Reply | list[Row]) -> None:
        self.replies = list(replies)
        self.asked: list[Query] = []
        self.seq = 7

    def ask(self, query: Query) -> Rows:
        self.asked.append(query)
        assert not {"percentage", "conversion_rate"} & set(query.metrics)
        reply = self.replies.pop(0)
        rows = reply if isinstance(reply, list) else reply(query)
        self.seq += 1
        return Rows(rows, dict.fromkeys(query.metrics, COUNT), len(rows) if query.count_rows else None, self.seq)

    def first_moment(self, site_id: int) -> datetime | None:
        return datetime(2026, 10, 3, 12, tzinfo=UTC)


class FakeCache:
    """Keeps everything until it is told that something has changed."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, int]] = {}
        self.days: list[Days] = []
        self.away = False

    def get(self, site_id: int, key: bytes, days: Sequence[Days]) -> tuple[bytes | None, str]:
        if self.away:
            raise Unavailable("redis", "away")
        self.days = list(days)
        return self.kept[key][0] if key in self.kept else None, "epoch"

    def put(self, key: bytes, answer: bytes, seq: int, epoch: str) -> None:
        assert epoch == "epoch"
        self.kept[key] = (answer, seq)


def ask(
    store: FakeStore, cache: FakeCache | None = None, site: Site = SITE, now: datetime = NOW, **members: Any
) -> Answer:
    question = read({"site_id": 3, "metrics": ["visitors"], "date_range": "7d"} | members)
    return Queries(store, cache or FakeCache(), ZoneInfo("UTC")).answer(question, site, now)


def rows(*figures: Figure) -> list[Row]:
    return [Row((), figures)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def wire(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_an_answer_as_it_goes_over_the_wire() -> None:
    store = FakeStore([Row(("DE",), (10, 33.335)), Row(("",), (2, None))])
    answer = ask(
        store,
        metrics=["visitors", "bounce_rate"],
        dimensions=["visit:country"],
        filters=[["is", "visit:os", ["Linux"]]],
        include={"total_rows": True, "imports": True},
        pagination={"limit": 2},
        timezone="UTC",
    )
    assert wire(answer) == {
        "results": [
            {"metrics": [10, 33], "dimensions": ["DE"]},
            {"metrics": [2, None], "dimensions": [""]},
        ],
        "meta": {
            "metrics": {
                "visitors": {
                    "method": "count",
                    "tiers": ["raw"],
                    "exact": True,
                },
                "bounce_rate": {"method": "count", "tiers": ["raw"], "exact": True},
            },
            "timezone": "UTC",
            "as_of": "2026-11-20T18:30:00Z",
            "cached": False,
            "warnings": ["include.imports changes nothing: there are no imported figures"],
            "imports_included": False,
            "total_rows": 2,
        },
        "query": {
            "site_id": 3,
            "metrics": ["visitors", "bounce_rate"],
            "date_range": ["2026-11-14T00:00:00+00:00", "2026-11-20T23:59:59+00:00"],
            "filters": [["is", "visit:os", ["Linux"]]],
            "dimensions": ["visit:country"],
            "order_by": [["visitors", "desc"]],
            "include": {"imports": True, "total_rows": True},
            "pagination": {"offset": 0, "limit": 2},
            "timezone": "UTC",
        },
    }
    assert store.asked == [
        Query(
            site_id=3,
            zone=ZoneInfo("UTC"),
            start=at("2026-11-14T00:00Z"),
            end=at("2026-11-21T00:00Z"),
            metrics=("visitors", "bounce_rate"),
            dimensions=("visit:country",),
            filter=Match("is", "visit:os", ("Linux",)),
            order_by=(("visitors", "desc"),),
            limit=2,
            count_rows=True,
        )
    ]


@pytest.mark.parametrize(
    ("metric", "figure", "told"),
    [
        ("visitors", 7, 7),
        ("bounce_rate", 12.5, 13),
        ("bounce_rate", 0.0, 0),
        ("bounce_rate", None, None),
        ("visit_duration", 61.49, 61),
        ("visit_duration", 61.5, 62),
        ("views_per_visit", 1.23456, 1.23),
        ("views_per_visit", 2.0, 2.0),
        ("time_on_page", 59.9, 60),
        ("scroll_depth", 66.6667, 67),
    ],
)
def test_figures_are_rounded(metric: str, figure: Figure, told: Figure) -> None:
    answer = ask(FakeStore([Row(("/",), (figure,))]), metrics=[metric], dimensions=["event:page"])
    assert answer.results == [Result([told], ["/"])]


@pytest.mark.parametrize(
    ("site", "members", "zone"),
    [
        (SITE, {}, "Europe/Berlin"),
        (Site(3), {}, "UTC"),
        (SITE, {"timezone": "Asia/Tokyo"}, "Asia/Tokyo"),
    ],
)
def test_days_are_those_of_the_question_else_of_the_site_else_of_the_installation(
    site: Site, members: dict[str, Any], zone: str
) -> None:
    answer = ask(FakeStore(rows(1)), site=site, **members)
    assert answer.meta.timezone == zone


def test_what_the_store_says_of_a_metric_is_told() -> None:
    how = How("sum", ("day", "raw"), False, 0.01, "of days")

    class Store(FakeStore):
        def ask(self, query: Query) -> Rows:
            return Rows(rows(1), {"visitors": how}, None, 1)

    assert wire(ask(Store()).meta.metrics["visitors"]) == {
        "method": "sum",
        "tiers": ["day", "raw"],
        "exact": False,
        "standard_error": 0.01,
        "note": "of days",
    }


def test_all_begins_with_the_first_visit() -> None:
    store = FakeStore(rows(1))
    ask(store, date_range="all")
    assert (store.asked[0].start, store.asked[0].end) == (at("2026-10-02T22:00Z"), at("2026-11-20T23:00Z"))


def test_times_are_told_by_the_clocks_of_the_zone_and_listed_when_asked_for() -> None:
    store = FakeStore([Row((at("2026-10-25T00:00Z"),), (1,)), Row((at("2026-10-25T01:00Z"),), (2,))])
    answer = ask(store, date_range=["2026-10-25", "2026-10-25"], dimensions=["time"], include={"time_labels": True})
    assert [result.dimensions for result in answer.results] == [
        ["2026-10-25 02:00:00+02:00"],
        ["2026-10-25 02:00:00+01:00"],
    ]
    labels = answer.meta.time_labels
    assert isinstance(labels, list)
    assert (len(labels), labels[0], labels[-1]) == (25, "2026-10-25 00:00:00", "2026-10-25 23:00:00")
    assert answer.query.dimensions == ["time:hour"]
    assert answer.query.order_by == [["time:hour", "asc"], ["visitors", "desc"]]


def test_more_labels_than_anybody_reads_are_refused_before_the_store_is_asked() -> None:
    store = FakeStore()
    with pytest.raises(Refusal) as refused:
        ask(store, date_range="30d", dimensions=["time:minute"], include={"time_labels": True})
    assert (refused.value.code, refused.value.field) == ("too_many_rows", "include.time_labels")


def test_a_percentage_is_of_the_visitors_without_the_dimensions() -> None:
    store = FakeStore([Row(("DE",), (1,)), Row(("FR",), (2,))], rows(3))
    filters = [["is", "event:page", ["/"]]]
    answer = ask(
        store,
        metrics=["percentage"],
        dimensions=["visit:country"],
        filters=filters,
        order_by=[["percentage", "asc"], ["visit:country", "desc"]],
        pagination={"limit": 5, "offset": 1},
    )
    assert [result.metrics for result in answer.results] == [[33.33], [66.67]]
    assert store.asked[0].metrics == ("visitors",)
    assert store.asked[0].order_by == (("visitors", "asc"), ("visit:country", "desc"))
    assert store.asked[1] == msgspec.structs.replace(
        store.asked[0], dimensions=(), order_by=(), limit=MAX_LIMIT, offset=0
    )
    assert wire(answer.meta.metrics["percentage"])["method"] == "ratio"
    assert answer.query.order_by == [["percentage", "asc"], ["visit:country", "desc"]]


def test_a_conversion_rate_is_of_the_visitors_without_conditions_on_events() -> None:
    store = FakeStore([Row(("DE",), (20, 5))], rows(40))
    answer = ask(
        store,
        metrics=["visits", "conversion_rate", "visitors"],
        dimensions=["visit:country"],
        filters=[["is", "event:name", ["signup"]], ["is", "visit:os", ["Linux"]]],
    )
    assert answer.results == [Result([20, 12.5, 5], ["DE"])]
    assert store.asked[1].filter == Match("is", "visit:os", ("Linux",))
    assert store.asked[1].dimensions == ()


def test_a_share_of_nothing_is_none() -> None:
    answer = ask(FakeStore(rows(0), rows(0)), metrics=["conversion_rate"], filters=[["is", "event:name", ["x"]]])
    assert answer.results == [Result([None], [])]


def test_without_dimensions_two_numbers_are_compared() -> None:
    store = FakeStore(rows(150, 40.0, None), rows(100, 45.4, 10.0))
    answer = ask(
        store,
        metrics=["visitors", "bounce_rate", "visit_duration"],
        include={"comparisons": {"mode": "previous_period"}},
        pagination={"limit": 3, "offset": 0},
    )
    assert answer.results == [Result([150, 40, None], [], Compared([], [100, 45, 10], [50, -5, None]))]
    assert (store.asked[1].start, store.asked[1].end) == (at("2026-11-06T23:00Z"), at("2026-11-13T23:00Z"))
    assert answer.meta.comparison_date_range == ["2026-11-07T00:00:00+01:00", "2026-11-13T23:59:59+01:00"]
    assert answer.query.include == {"comparisons": {"mode": "previous_period"}}


def test_rows_are_compared_by_their_values_wherever_they_stand() -> None:
    store = FakeStore(
        [Row(("DE", "Linux"), (4, 2.0)), Row(("FR", "Linux"), (3, 1.0))],
        [Row(("CH", "Linux"), (9, 1.5)), Row(("DE", "Linux"), (2, 4.0))],
    )
    answer = ask(
        store,
        metrics=["visitors", "views_per_visit"],
        dimensions=["visit:country", "visit:os"],
        include={"comparisons": {"mode": "year_over_year"}},
        pagination={"limit": 2, "offset": 1},
    )
    assert answer.results == [
        Result([4, 2.0], ["DE", "Linux"], Compared(["DE", "Linux"], [2, 4.0], [100, -50])),
        Result([3, 1.0], ["FR", "Linux"], Compared(["FR", "Linux"], [0, None], [100, None])),
    ]
    assert (store.asked[1].limit, store.asked[1].offset, store.asked[1].count_rows) == (MAX_LIMIT, 0, False)


def test_where_the_range_compared_with_is_cut_off_nothing_is_told_of_a_row_that_is_missing() -> None:
    store = FakeStore([Row(("DE",), (4,))], [Row((f"{n}",), (5,)) for n in range(MAX_LIMIT)])
    answer = ask(store, dimensions=["visit:country"], include={"comparisons": {"mode": "previous_period"}})
    assert answer.results == [Result([4], ["DE"], Compared(["DE"], [None], [None]))]
    assert len(answer.meta.warnings) == 1


def test_times_are_compared_by_their_place_and_empty_buckets_have_one() -> None:
    store = FakeStore(
        [Row((at("2026-11-14T23:00Z"),), (6,)), Row((at("2026-11-16T23:00Z"),), (1,))],
        [Row((at("2026-11-06T23:00Z"),), (5,)), Row((at("2026-11-07T23:00Z"),), (3,))],
    )
    answer = ask(
        store,
        date_range=["2026-11-14", "2026-11-17"],
        dimensions=["time:day"],
        include={"comparisons": {"mode": "previous_period", "match_day_of_week": True}},
    )
    assert answer.results == [
        Result([0], ["2026-11-14"], Compared(["2026-11-07"], [5], [-100])),
        Result([6], ["2026-11-15"], Compared(["2026-11-08"], [3], [100])),
        Result([0], ["2026-11-16"], Compared(["2026-11-09"], [0], [0])),
        Result([1], ["2026-11-17"], Compared(["2026-11-10"], [0], [100])),
    ]


def test_the_rest_of_a_week_is_told_by_the_first_day_of_its_range() -> None:
    store = FakeStore([Row((at("2026-11-08T23:00Z"),), (6,))], [Row((at("2026-11-01T23:00Z"),), (5,))])
    answer = ask(
        store,
        date_range=["2026-11-12", "2026-11-18"],
        dimensions=["time:week"],
        include={"comparisons": {"mode": "previous_period"}, "time_labels": True},
    )
    assert answer.results == [
        Result([6], ["2026-11-12"], Compared(["2026-11-05"], [5], [20])),
        Result([0], ["2026-11-16"], Compared(["2026-11-09"], [0], [0])),
    ]
    assert answer.meta.time_labels == ["2026-11-12", "2026-11-16"]


def test_a_bucket_without_a_counterpart_is_compared_with_nothing() -> None:
    store = FakeStore(
        [Row((at("2026-10-25T22:00Z"),), (6,))],  # the 25th hour of its day
        [Row((at("2026-10-24T10:00Z"),), (5,))],
    )
    answer = ask(
        store,
        date_range=["2026-10-25", "2026-10-25"],
        dimensions=["time:hour"],
        order_by=[["visitors", "desc"]],
        include={"comparisons": {"mode": "previous_period"}},
        pagination={"limit": 2},
    )
    assert answer.results == [
        Result([6], ["2026-10-25 23:00:00"], Compared([None], [None], [None])),
        Result([0], ["2026-10-25 00:00:00"], Compared(["2026-10-24 00:00:00"], [0], [0])),
    ]


@pytest.mark.parametrize(
    ("order_by", "told"),
    [
        ([["visitors", "asc"]], ["18", "20", "17", "19"]),
        ([["visitors", "asc"], ["time:day", "desc"]], ["20", "18", "19", "17"]),
        ([["visitors", "desc"]], ["17", "19", "18", "20"]),
        ([["bounce_rate", "desc"]], ["17", "19", "18", "20"]),
        ([["bounce_rate", "asc"]], ["19", "17", "18", "20"]),
        ([["time:day", "desc"]], ["20", "19", "18", "17"]),
    ],
)
def test_buckets_without_a_row_stand_where_the_order_puts_them(order_by: list[list[str]], told: list[str]) -> None:
    some = [Row((at("2026-11-17T00:00+01:00"),), (5, 50.0)), Row((at("2026-11-19T00:00+01:00"),), (5, 40.0))]
    answer = ask(
        FakeStore(some, []),
        metrics=["visitors", "bounce_rate"],
        dimensions=["time:day"],
        date_range="4d",
        order_by=order_by,
        include={"comparisons": {"mode": "previous_period"}},
    )
    assert [result.dimensions[0][-2:] for result in answer.results] == told


def test_with_other_dimensions_or_on_a_later_page_no_rows_are_added() -> None:
    for members in (
        {"dimensions": ["time:day", "visit:os"]},
        {"dimensions": ["time:day"], "pagination": {"offset": 1}},
    ):
        store = FakeStore([], [])
        assert ask(store, include={"comparisons": {"mode": "previous_period"}}, **members).results == []


def test_what_is_not_kept_is_told_of_the_range_that_wanted_it() -> None:
    def not_kept(query: Query) -> list[Row]:
        raise Refusal("not_kept", "kept since yesterday only", "date_range")

    for replies, field in (([not_kept], "date_range"), ([rows(1), not_kept], "include.comparisons")):
        with pytest.raises(Refusal) as refused:
            ask(FakeStore(*replies), include={"comparisons": {"mode": "year_over_year"}})
        assert (refused.value.code, refused.value.field) == ("not_kept", field)


@pytest.mark.parametrize(
    ("metric", "before", "after", "changed"),
    [
        ("visitors", 100, 150, 50),
        ("visitors", 3, 2, -33),
        ("visitors", 8, 7, -13),  # 12.5
        ("visitors", 0, 5, 100),
        ("visitors", 0, 0, 0),
        ("visitors", 5, 0, -100),
        ("visitors", None, 5, None),
        ("visit_duration", 5, None, None),
        ("bounce_rate", 40, 55, 15),
        ("bounce_rate", 0, 55, None),
        ("bounce_rate", None, 55, None),
        ("conversion_rate", 1.25, 3.5, 2.2),
    ],
)
def test_a_change_is_in_percent_or_percentage_points(
    metric: str, before: Figure, after: Figure, changed: Figure
) -> None:
    assert change(metric, before, after) == changed


def test_an_answer_that_was_given_is_given_again() -> None:
    store, cache = FakeStore(rows(1), rows(2)), FakeCache()
    hits, misses = CACHE_HITS._value.get(), CACHE_MISSES._value.get()
    first = ask(store, cache)
    again = ask(store, cache, now=NOW.replace(hour=19))
    assert (first.meta.cached, again.meta.cached) == (False, True)
    assert again.results == first.results
    assert again.meta.as_of == "2026-11-20T18:30:00Z"
    assert len(store.asked) == 1
    assert cache.days == [(date(2026, 11, 12), date(2026, 11, 20))]
    assert (CACHE_HITS._value.get() - hits, CACHE_MISSES._value.get() - misses) == (1, 1)


@pytest.mark.parametrize(
    "members",
    [
        {"metrics": ["visits"]},
        {"date_range": "28d"},
        {"timezone": "UTC"},
        {"include_bots": True},
        {"pagination": {"limit": 7}},
        {"include": {"total_rows": True}},
        {"filters": [["and", [["is", "visit:os", ["a"]], ["is", "visit:os", ["b"]]]]]},
        {"filters": [["or", [["is", "visit:os", ["a"]], ["is", "visit:os", ["b"]]]]]},
        {"site": Site(3, "example.org", "MC-ABCDEFGHIJ", "Europe/Berlin", 30)},
        {"now": NOW.replace(day=21)},
    ],
)
def test_another_question_has_another_answer(members: dict[str, Any]) -> None:
    store, cache = FakeStore(rows(1), rows(2), rows(3)), FakeCache()
    ask(store, cache)
    ask(store, cache, filters=[["not", ["is", "visit:os", ["a"]]]])
    assert not ask(store, cache, **members).meta.cached


def test_an_answer_that_another_version_left_is_computed_again() -> None:
    store, cache = FakeStore(rows(1), rows(2)), FakeCache()
    ask(store, cache)
    cache.kept = dict.fromkeys(cache.kept, (b"\x93", 1))
    assert not ask(store, cache).meta.cached
    assert ask(store, cache).meta.cached


def test_an_answer_is_true_for_the_earliest_that_it_was_made_of() -> None:
    store, cache = FakeStore(rows(1), rows(2), rows(1), rows(2)), FakeCache()
    ask(
        store,
        cache,
        metrics=["conversion_rate"],
        filters=[["is", "event:name", ["x"]]],
        include={"comparisons": {"mode": "previous_period"}},
    )
    assert [seq for _, seq in cache.kept.values()] == [8]
    assert cache.days == [(date(2026, 11, 12), date(2026, 11, 20)), (date(2026, 11, 5), date(2026, 11, 13))]


def test_without_the_cache_the_answer_is_computed() -> None:
    cache = FakeCache()
    cache.away = True
    assert ask(FakeStore(rows(1)), cache).results == [Result([1], [])]


def test_when_a_site_began_is_looked_up_once_a_minute_and_again_at_once_while_there_is_nothing() -> None:
    class Beginning(FakeStore):
        began: datetime | None = None
        looked_up = 0

        def first_moment(self, site_id: int) -> datetime | None:
            self.looked_up += 1
            return self.began

    store = Beginning()
    queries = Queries(store, FakeCache(), ZoneInfo("UTC"))
    assert [queries.first_moment(SITE, NOW) for _ in range(2)] == [None, None]
    store.began = at("2026-01-01T00:00:00Z")
    told = [queries.first_moment(SITE, NOW + timedelta(seconds=seconds)) for seconds in (0, 59, 60, 61)]
    assert (told, store.looked_up) == ([store.began] * 4, 4)
    for number in range(2000):
        queries.first_moment(Site(number), NOW)
    assert len(queries._first) == 1000
