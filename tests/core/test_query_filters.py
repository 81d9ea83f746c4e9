"""Filters of a question: what they become, and at which place a wrong one is refused."""

from __future__ import annotations

from typing import Any

import pytest

from maicivy.core.query import EVENT_DIMENSIONS, VISIT_DIMENSIONS, And, Filter, Match, Not, Or
from maicivy.core.query_filters import MAX_FILTERS, MAX_NESTING, MAX_VALUES, matches_of, parse_filters, without_events
from maicivy.errors import Refusal

DE = ["is", "visit:country", ["DE"]]
PAGE = ["contains", "event:page", ["/blog"]]
DE_MATCH = Match("is", "visit:country", ("DE",))
PAGE_MATCH = Match("contains", "event:page", ("/blog",))


def nested(depth: int) -> list[Any]:
    filter_: list[Any] = DE
    for _ in range(depth - 1):
        filter_ = ["not", filter_]
    return filter_


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ([], None),
        ([DE], DE_MATCH),
        ([DE, PAGE], And((DE_MATCH, PAGE_MATCH))),
        ([["or", [DE, PAGE]]], Or((DE_MATCH, PAGE_MATCH))),
        ([["and", [DE]]], And((DE_MATCH,))),
        ([["not", DE]], Not(DE_MATCH)),
        ([["is_not", "visit:os", ["", "Linux", ""]]], Match("is_not", "visit:os", ("", "Linux"))),
        ([[*PAGE, {"case_sensitive": False}]], Match("contains", "event:page", ("/blog",), False)),
        ([[*PAGE, {}]], PAGE_MATCH),
        ([["matches", "event:props:plan", ["^pro"]]], Match("matches", "event:props:plan", ("^pro",))),
    ],
)
def test_what_filters_become(value: Any, parsed: Filter | None) -> None:
    assert parse_filters(value, "filters") == parsed


@pytest.mark.parametrize("dimension", [*EVENT_DIMENSIONS, *VISIT_DIMENSIONS, "event:props:a b'\";--", "event:props:é"])
def test_every_dimension_but_time_may_be_filtered_by(dimension: str) -> None:
    assert parse_filters([["is", dimension, ["x"]]], "filters") == Match("is", dimension, ("x",))


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        (None, "invalid_filters", "filters"),
        ({}, "invalid_filters", "filters"),
        ("is", "invalid_filters", "filters"),
        ([[]], "invalid_filters", "filters[0]"),
        (["is"], "invalid_filters", "filters[0]"),
        ([None], "invalid_filters", "filters[0]"),
        ([["IS", "visit:os", ["x"]]], "unknown_operator", "filters[0][0]"),
        ([["has_done", PAGE]], "unknown_operator", "filters[0][0]"),
        ([[1, "visit:os", ["x"]]], "unknown_operator", "filters[0][0]"),
        ([[["is"], "visit:os", ["x"]]], "unknown_operator", "filters[0][0]"),
        ([["is"]], "invalid_filters", "filters[0]"),
        ([["is", "visit:os"]], "invalid_filters", "filters[0]"),
        ([["is", "visit:os", ["x"], {}, 1]], "invalid_filters", "filters[0]"),
        ([["is", "event:goal", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "time:day", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "event:props:", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "event:props:" + "x" * 65, ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "event:props:\0", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "visit:os\ud800", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([["is", "visits.os; DROP TABLE visits", ["x"]]], "unknown_dimension", "filters[0][1]"),
        ([DE, ["is", ["visit:os"], ["x"]]], "unknown_dimension", "filters[1][1]"),
        ([["is", "visit:os", "x"]], "invalid_filters", "filters[0][2]"),
        ([["is", "visit:os", []]], "invalid_filters", "filters[0][2]"),
        ([["is", "visit:os", ["x"] * (MAX_VALUES + 1)]], "invalid_filters", "filters[0][2]"),
        ([["is", "visit:os", ["x", 1]]], "invalid_filters", "filters[0][2][1]"),
        ([["is", "visit:os", ["x\0"]]], "invalid_filters", "filters[0][2][0]"),
        ([["is", "visit:os", ["\udfff"]]], "invalid_filters", "filters[0][2][0]"),
        ([["is", "visit:os", ["x" * 2001]]], "invalid_filters", "filters[0][2][0]"),
        ([["matches", "visit:os", ["x", "(a+)+$"]]], "invalid_pattern", "filters[0][2][1]"),
        ([["matches_not", "visit:os", ["("]]], "invalid_pattern", "filters[0][2][0]"),
        ([[*DE, None]], "invalid_filters", "filters[0][3]"),
        ([[*DE, {"case_sensitive": 1}]], "invalid_filters", "filters[0][3]"),
        ([[*DE, {"case": True}]], "unknown_field", "filters[0][3]"),
        ([["not"]], "invalid_filters", "filters[0]"),
        ([["not", DE, DE]], "invalid_filters", "filters[0]"),
        ([["not", []]], "invalid_filters", "filters[0][1]"),
        ([["and", []]], "invalid_filters", "filters[0][1]"),
        ([["or", DE]], "invalid_filters", "filters[0][1][0]"),
        ([["or", [DE, ["not", ["is", "x", ["y"]]]]]], "unknown_dimension", "filters[0][1][1][1][1]"),
        ([nested(MAX_NESTING + 1)], "invalid_filters", "filters[0]" + "[1]" * MAX_NESTING),
        ([DE] * 10_000, "too_many_filters", "filters"),
        ([["or", [DE] * MAX_FILTERS]], "too_many_filters", "filters"),
        ([["and", [["or", [DE] * 30], ["or", [DE] * 30]]]] * 2, "too_many_filters", "filters"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place(value: Any, code: str, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_filters(value, "filters")
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.message.isascii()


def test_limits_are_inclusive() -> None:
    assert len(list(matches_of(parse_filters([DE] * MAX_FILTERS, "f")))) == MAX_FILTERS
    assert list(matches_of(parse_filters([nested(MAX_NESTING)], "f"))) == [DE_MATCH]
    parse_filters([["is", "visit:os", [f"{n}" * 400 for n in range(MAX_VALUES)]]], "f")


@pytest.mark.parametrize(
    ("filter_", "left"),
    [
        (None, None),
        (PAGE_MATCH, None),
        (DE_MATCH, DE_MATCH),
        (And((DE_MATCH, PAGE_MATCH)), DE_MATCH),
        (And((DE_MATCH, DE_MATCH, PAGE_MATCH)), And((DE_MATCH, DE_MATCH))),
        (And((PAGE_MATCH, And((PAGE_MATCH, Not(DE_MATCH))))), Not(DE_MATCH)),
        (Or((DE_MATCH, PAGE_MATCH)), None),
        (Or((DE_MATCH, DE_MATCH)), Or((DE_MATCH, DE_MATCH))),
        (Not(PAGE_MATCH), None),
    ],
)
def test_without_its_events_a_filter_asks_of_visits_only(filter_: Filter | None, left: Filter | None) -> None:
    assert without_events(filter_) == left
