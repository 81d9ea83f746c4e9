"""The parameters of a view's URL: whatever is no view is refused by its name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maicivy.core.query_language import read
from maicivy.dashboard.parameters import condition, read_condition, read_view
from maicivy.dashboard.view import NAMES, Condition
from maicivy.errors import Refusal


@pytest.mark.parametrize(
    ("pairs", "code", "field"),
    [
        ([("colour", "red")], "unknown_parameter", "colour"),
        ([("period", "7d"), ("period", "7d")], "repeated_parameter", "period"),
        ([("period", "fortnight")], "invalid_parameter", "period"),
        ([("period", "custom")], "invalid_parameter", "from"),
        ([("period", "custom"), ("from", "2026-01-01")], "invalid_parameter", "to"),
        ([("period", "custom"), ("from", "2026-01-32"), ("to", "2026-02-01")], "invalid_parameter", "from"),
        ([("period", "custom"), ("from", "2026-01-01"), ("to", "yesterday")], "invalid_parameter", "to"),
        ([("period", "custom"), ("from", "2026-01-02"), ("to", "2026-01-01")], "invalid_parameter", "to"),
        ([("period", "custom"), ("from", "1999-01-02"), ("to", "2026-01-01")], "invalid_parameter", "to"),
        ([("from", "2026-01-01")], "invalid_parameter", "from"),
        ([("tz", "Mars/Base")], "invalid_parameter", "tz"),
        ([("compare", "nothing")], "invalid_parameter", "compare"),
        ([("compare", "custom")], "invalid_parameter", "compare_from"),
        ([("compare_to", "2026-01-01")], "invalid_parameter", "compare_to"),
        ([("match", "month")], "invalid_parameter", "match"),
        ([("match", "weekday"), ("compare", "off")], "invalid_parameter", "match"),
        ([("metric", "clicks")], "invalid_parameter", "metric"),
        ([("interval", "second")], "invalid_parameter", "interval"),
        ([("f", "is")], "invalid_parameter", "f"),
        ([("f", "is,event:page")], "invalid_parameter", "f"),
        ([("f", "like,event:page,/")], "invalid_parameter", "f"),
        ([("f", "is,event:mood,/")], "invalid_parameter", "f"),
        ([("f", "is,event:page,100%")], "invalid_parameter", "f"),
        ([("f", "is,event:page,%2F")], "invalid_parameter", "f"),
        ([("f", "matches,event:page,(a+")], "invalid_parameter", "f"),
        ([("f", "is,event:page,\0")], "invalid_parameter", "f"),
        ([("f", f"is,event:page,{'x' * 2001}")], "invalid_parameter", "f"),
        ([("f", f"is,event:page,{n}") for n in range(21)], "invalid_parameter", "f"),
        ([("show", "letters")], "invalid_parameter", "show"),
        ([("show", "countries"), ("show", "cities")], "invalid_parameter", "show"),
        ([("prop", "x" * 65)], "invalid_parameter", "prop"),
        ([("heat", "elsewhere")], "invalid_parameter", "heat"),
        ([("lang", "tlh")], "invalid_parameter", "lang"),
        ([("bots", "yes")], "invalid_parameter", "bots"),
    ],
)
def test_what_is_malformed_is_refused_by_its_name(pairs: list[tuple[str, str]], code: str, field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read_view(pairs)
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_whatever_may_be_in_a_url_is_a_view_or_a_refusal() -> None:
    for text in ("\ud800", "a" * 10_000, "%", ",,,", "is,,", "İ", "'; --", "<script>"):
        for name in NAMES:
            with suppress(Refusal):
                assert read_view([(name, text)]).pairs() == [(name, text)]


def test_a_filter_is_one_that_the_api_takes() -> None:
    for operator in ("is", "contains", "matches_not"):
        filters = [condition(operator, "visit:source", ["a", "b"]).asked()]
        assert (
            read({"site_id": 1, "metrics": ["visitors"], "date_range": "7d", "filters": filters}).raw_filters == filters
        )
    assert read_condition("is,visit:source,b,a,b") == Condition("visit:source", "is", ("a", "b"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.text(max_size=40)), max_size=6))
def test_any_parameters_are_a_view_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    with suppress(Refusal):
        view = read_view(pairs)
        assert read_view(view.pairs()) == view
