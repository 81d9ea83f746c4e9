"""What is shown before there is anything to show: lines to paste that work, and the list of sites."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from maicivy.core.query import Query, Row, Rows
from maicivy.core.sites import Site
from maicivy.dashboard.onboarding import ELSEWHERE, snippets
from maicivy.dashboard.sites import DAYS, MAX_COUNTED, listed
from maicivy.errors import Refusal, Unavailable
from maicivy.queries import Queries
from tests.events import NOON
from tests.test_queries import FakeCache, FakeStore
from tests.test_reports import FakeCounters

UTC_ZONE = ZoneInfo("UTC")
ORIGIN = "https://stats.example.net:8443"
SITE = Site(3, "shop.example", "MC-ABCDEFGHIJ")


def codes(origin: str = ORIGIN, site: Site = SITE) -> dict[str, str]:
    return {snippet.key: snippet.code for snippet in snippets(origin, site)}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_script_is_one_tag_that_names_the_site() -> None:
    parser = Tags()
    parser.feed(codes()["script"])
    wanted = {"defer": None, "src": f"{ORIGIN}/js/maicivy.js", "data-site": "MC-ABCDEFGHIJ"}
    assert parser.tags == [("script", wanted)]


def test_the_hook_is_python_that_names_the_site_where_it_is_not_the_default() -> None:
    for site, named in ((SITE, True), (Site(1, "", "MC-0000000000"), False)):
        code = codes(site=site)["flask"]
        compile(code, "snippet", "exec")
        assert ("site=" in code) is named
        assert f'url="{ORIGIN}"' in code


def test_the_curl_says_what_maicivy_takes() -> None:
    command, url, *rest = shlex.split(codes()["curl"])
    assert (command, url) == ("curl", f"{ORIGIN}/api/v1/analytics/event")
    assert json.loads(rest[rest.index("-d") + 1])["measurement_id"] == "MC-ABCDEFGHIJ"


@pytest.mark.parametrize(
    "origin", ["https://a'b", 'http://a"><script>', "https://a$(id)", "ftp://a", "https://a b", ""]
)
def test_an_address_that_no_shell_should_see_is_not_put_into_a_line_to_paste(origin: str) -> None:
    assert all(origin not in code or not origin for code in codes(origin).values())
    assert all(ELSEWHERE in code for code in codes(origin).values())


def days(*visitors: int) -> list[Row]:
    return [Row((datetime(2025, 12, day + 1, tzinfo=UTC_ZONE),), (count,)) for day, count in enumerate(visitors)]


def test_sites_come_with_their_visitors_by_day_the_largest_first() -> None:
    store = FakeStore(days(1, 2), days(5, 0, 9))
    sites = [Site(1, "", "MC-0000000000"), Site(2, "b.example", "MC-0000000001", is_public=False)]
    first, second = listed(Queries(store, FakeCache(), UTC_ZONE), FakeCounters(), sites, NOON, UTC_ZONE)
    assert (first.name, first.url, first.visitors, first.is_public) == ("b.example", "/dashboard/b.example", 14, False)
    assert (second.name, second.visitors, second.current) == ("MC-0000000000", 3, 0)
    assert len(first.values) == DAYS
    assert [value for value in first.values if value] == [5, 9]


class Away(FakeCounters):
    asked = 0

    def realtime(self, *_: object) -> object:  # type: ignore[override]
        self.asked += 1
        raise Unavailable("redis", "away")


class AwayStore(FakeStore):
    def ask(self, query: Query) -> Rows:
        super().ask(query)
        raise Unavailable("postgres", "away")


class Slow(FakeStore):
    def ask(self, query: object) -> object:  # type: ignore[override]
        raise Refusal("query_too_slow", "it took too long")


def test_a_site_whose_figures_are_not_to_be_had_is_listed_without() -> None:
    (only,) = listed(Queries(Slow(), FakeCache(), UTC_ZONE), Away(), [SITE], NOON, UTC_ZONE)
    assert (only.name, only.visitors, only.current, only.values) == ("shop.example", None, None, ())


def test_a_server_that_is_away_is_not_asked_for_each_site() -> None:
    store, counters = AwayStore([], []), Away()
    sites = [SITE, Site(4, "b.example", "MC-0000000004"), Site(5, "c.example", "MC-0000000005")]
    found = listed(Queries(store, FakeCache(), UTC_ZONE), counters, sites, NOON, UTC_ZONE)
    assert [(each.visitors, each.current) for each in found] == [(None, None)] * 3
    assert (len(store.asked), counters.asked) == (1, 1)


def test_of_very_many_sites_only_the_first_are_counted() -> None:
    store = FakeStore(*([days(1)] * MAX_COUNTED))
    sites = [Site(number, f"s{number:03}.example", f"MC-{number:010}") for number in range(1, MAX_COUNTED + 6)]
    found = listed(Queries(store, FakeCache(), UTC_ZONE), FakeCounters(), sites, NOON, UTC_ZONE)
    assert len(found) == MAX_COUNTED + 5
    assert sum(each.visitors is not None for each in found) == MAX_COUNTED
