"""The language of the query engine: what a question becomes, and which member a wrong one is refused for."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.date_ranges import Comparison, Days, span
from maicivy.core.query import METRICS, TIME_DIMENSIONS, Match, Query
from maicivy.core.query_language import MAX_LIMIT, MAX_OFFSET, MEMBERS, Include, Question, read, resolve
from maicivy.errors import Refusal

LEAST = {"site_id": "example.org", "metrics": ["visitors"], "date_range": "7d"}
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)


def test_the_least_that_can_be_asked() -> None:
    assert read(LEAST) == Question("example.org", ("visitors",), "7d")


def test_everything_that_can_be_asked() -> None:
    filters = [["is", "event:page", ["/"]]]
    assert read(
        {
            "site_id": 7,
            "metrics": list(METRICS),
            "date_range": ["2024-01-01", "2024-01-31"],
            "dimensions": ["time:week", "visit:country", "event:props:plan"],
            "filters": filters,
            "order_by": [["visit:country", "asc"], ["bounce_rate", "desc"]],
            "include": {
                "imports": True,
                "time_labels": True,
                "total_rows": True,
                "comparisons": {
                    "mode": "custom",
                    "date_range": ["2023-01-01", "2023-01-31"],
                    "match_day_of_week": True,
                },
            },
            "pagination": {"limit": 1, "offset": MAX_OFFSET},
            "timezone": "America/Argentina/Buenos_Aires",
            "include_bots": True,
        }
    ) == Question(
        site=7,
        metrics=METRICS,
        date_range=Days(date(2024, 1, 1), date(2024, 1, 31)),
        dimensions=("time:week", "visit:country", "event:props:plan"),
        filter=Match("is", "event:page", ("/",)),
        raw_filters=filters,
        order_by=(("visit:country", "asc"), ("bounce_rate", "desc")),
        include=Include(True, True, True, Comparison("custom", Days(date(2023, 1, 1), date(2023, 1, 31)), True)),
        limit=1,
        offset=MAX_OFFSET,
        zone=ZoneInfo("America/Argentina/Buenos_Aires"),
        include_bots=True,
    )


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_may_be_asked_for(metric: str) -> None:
    assert read(LEAST | {"metrics": [metric], "dimensions": ["event:page"]}).metrics == (metric,)


@pytest.mark.parametrize("dimension", [*TIME_DIMENSIONS, "time"])
def test_each_time_may_be_a_dimension(dimension: str) -> None:
    assert read(LEAST | {"dimensions": [dimension]}).dimensions == (dimension,)


def change(**members: Any) -> dict[str, Any]:
    return LEAST | members


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ([], "invalid_query", None),
        (None, "invalid_query", None),
        ({}, "missing_field", "site_id"),
        ({"site_id": 1, "date_range": "7d"}, "missing_field", "metrics"),
        ({"site_id": 1, "metrics": ["visits"]}, "missing_field", "date_range"),
        (change(limit=10), "unknown_field", "limit"),
        (change(**{"é\ud800" * 50: 1}), "unknown_field", ("\\xe9\\ud800" * 50)[: 32 * 10]),
        (change(site_id=None), "invalid_query", "site_id"),
        (change(site_id=True), "invalid_query", "site_id"),
        (change(site_id=""), "invalid_query", "site_id"),
        (change(site_id=1.0), "invalid_query", "site_id"),
        (change(metrics="visitors"), "invalid_query", "metrics"),
        (change(metrics=[]), "invalid_query", "metrics"),
        (change(metrics=["visits", "visitor"]), "unknown_metric", "metrics[1]"),
        (change(metrics=["Visits"]), "unknown_metric", "metrics[0]"),
        (change(metrics=[["visits"]]), "unknown_metric", "metrics[0]"),
        (change(metrics=["group_conversion_rate"]), "unknown_metric", "metrics[0]"),
        (change(metrics=["visits", "visits"]), "invalid_query", "metrics[1]"),
        (change(metrics=["visits"] * 10_000), "invalid_query", "metrics"),
        (change(metrics=["visits", "time_on_page"]), "invalid_query", "metrics[1]"),
        (change(metrics=["scroll_depth"], dimensions=["visit:entry_page"]), "invalid_query", "metrics[0]"),
        (change(metrics=["percentage"]), "invalid_query", "metrics[0]"),
        (change(metrics=["conversion_rate"], dimensions=["visit:os"]), "invalid_query", "metrics[0]"),
        (change(dimensions="visit:os"), "invalid_query", "dimensions"),
        (change(dimensions=["visit:OS"]), "unknown_dimension", "dimensions[0]"),
        (change(dimensions=["event:goal"]), "unknown_dimension", "dimensions[0]"),
        (change(dimensions=["time:year"]), "unknown_dimension", "dimensions[0]"),
        (change(dimensions=["visit:os", None]), "unknown_dimension", "dimensions[1]"),
        (change(dimensions=["visit:os", "visit:os"]), "invalid_query", "dimensions[1]"),
        (change(dimensions=["time:day", "visit:os", "time"]), "invalid_query", "dimensions[2]"),
        (change(dimensions=[f"event:props:{n}" for n in range(6)]), "invalid_query", "dimensions"),
        (change(date_range="7 days"), "invalid_date_range", "date_range"),
        (change(date_range=["2024-02-01", "2024-01-01"]), "invalid_date_range", "date_range"),
        (change(filters=[["is", "visit:os", [1]]]), "invalid_filters", "filters[0][2][0]"),
        (change(order_by={}), "invalid_query", "order_by"),
        (change(order_by=["visitors"]), "invalid_query", "order_by[0]"),
        (change(order_by=[["visitors"]]), "invalid_query", "order_by[0]"),
        (change(order_by=[["visits", "asc"]]), "invalid_query", "order_by[0][0]"),
        (change(order_by=[["1; DROP TABLE visits", "asc"]]), "invalid_query", "order_by[0][0]"),
        (change(order_by=[["visitors", "up"]]), "invalid_query", "order_by[0][1]"),
        (change(order_by=[["visitors", []]]), "invalid_query", "order_by[0][1]"),
        (change(order_by=[["visitors", "asc"], ["visitors", "desc"]]), "invalid_query", "order_by"),
        (change(include=[]), "invalid_query", "include"),
        (change(include={"labels": True}), "unknown_field", "include.labels"),
        (change(include={"total_rows": 1}), "invalid_query", "include.total_rows"),
        (change(include={"time_labels": True}), "invalid_query", "include.time_labels"),
        (change(include={"comparisons": "previous_period"}), "invalid_query", "include.comparisons"),
        (change(include={"comparisons": {}}), "invalid_query", "include.comparisons.mode"),
        (change(include={"comparisons": {"mode": "last_week"}}), "invalid_query", "include.comparisons.mode"),
        (change(include={"comparisons": {"mode": "custom"}}), "invalid_query", "include.comparisons.date_range"),
        (
            change(include={"comparisons": {"mode": "previous_period", "date_range": ["2024-01-01", "2024-01-02"]}}),
            "invalid_query",
            "include.comparisons.date_range",
        ),
        (
            change(include={"comparisons": {"mode": "custom", "date_range": ["2024-01-01", "2024-02-30"]}}),
            "invalid_date_range",
            "include.comparisons.date_range[1]",
        ),
        (
            change(include={"comparisons": {"mode": "previous_period", "match_day_of_week": "yes"}}),
            "invalid_query",
            "include.comparisons.match_day_of_week",
        ),
        (change(pagination=None), "invalid_query", "pagination"),
        (change(pagination={"page": 1}), "unknown_field", "pagination.page"),
        (change(pagination={"limit": 0}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": -1}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": MAX_LIMIT + 1}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": True}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": 10.0}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": "10"}), "invalid_query", "pagination.limit"),
        (change(pagination={"limit": "١٠"}), "invalid_query", "pagination.limit"),
        (change(pagination={"offset": -1}), "invalid_query", "pagination.offset"),
        (change(pagination={"offset": MAX_OFFSET + 1}), "invalid_query", "pagination.offset"),
        (change(pagination={"offset": None}), "invalid_query", "pagination.offset"),
        (change(timezone="Mars/Olympus_Mons"), "unknown_timezone", "timezone"),
        (change(timezone="UTC'; DROP TABLE visits; --"), "unknown_timezone", "timezone"),
        (change(timezone="Ｅurope/Berlin"), "unknown_timezone", "timezone"),
        (change(timezone="../../etc/passwd"), "unknown_timezone", "timezone"),
        (change(timezone="Europe"), "unknown_timezone", "timezone"),
        (change(timezone=""), "unknown_timezone", "timezone"),
        (change(timezone=None), "unknown_timezone", "timezone"),
        (change(timezone=2), "unknown_timezone", "timezone"),
        (change(include_bots="true"), "invalid_query", "include_bots"),
    ],
)
def test_a_wrong_question_is_refused_with_the_member(value: Any, code: str, field: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        read(value)
    assert refused.value.code == code
    assert refused.value.field == field
    assert refused.value.message.isascii()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(
        ["is", "and", "or", "not", "matches", "visit:os", "event:page", "time", "visitors", "desc", "7d", "(a+)+"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_whatever_is_asked_is_understood_or_refused(value: dict[str, Any]) -> None:
    try:
        read(LEAST | value)
    except Refusal as refused:
        json.dumps([refused.code, refused.message, refused.field]).encode()


def resolved(**members: Any) -> Query:
    question = read(LEAST | members)
    return resolve(question, 3, BERLIN, span(question.date_range, BERLIN, NOW, None))


def test_a_question_means_one_query_at_one_moment() -> None:
    assert resolved(pagination={"limit": 5, "offset": 2}, include={"total_rows": True}, include_bots=True) == Query(
        site_id=3,
        zone=BERLIN,
        start=datetime(2026, 11, 13, 23, tzinfo=UTC),
        end=datetime(2026, 11, 20, 23, tzinfo=UTC),
        metrics=("visitors",),
        order_by=(("visitors", "desc"),),
        limit=5,
        offset=2,
        include_bots=True,
        count_rows=True,
    )


@pytest.mark.parametrize(
    ("members", "dimensions", "order_by"),
    [
        ({"dimensions": ["visit:os"]}, ("visit:os",), (("visitors", "desc"),)),
        ({"dimensions": ["visit:os", "time"]}, ("visit:os", "time:day"), (("time:day", "asc"), ("visitors", "desc"))),
        ({"dimensions": ["time"], "order_by": [["time", "desc"]]}, ("time:day",), (("time:day", "desc"),)),
        (
            {"dimensions": ["time:hour"], "metrics": ["visits"]},
            ("time:hour",),
            (("time:hour", "asc"), ("visits", "desc")),
        ),
    ],
)
def test_without_an_order_rows_come_by_time_and_then_largest_first(
    members: dict[str, Any], dimensions: tuple[str, ...], order_by: Any
) -> None:
    query = resolved(**members)
    assert (query.dimensions, query.order_by) == (dimensions, order_by)
