"""A panel in full: the rows of the API, searched, sorted and page by page; and as the table of a file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from maicivy.bootstrap import Maicivy
from maicivy.core.answers import Answer
from maicivy.core.query_language import Question
from maicivy.core.sites import Site
from maicivy.dashboard import details
from maicivy.dashboard.asking import Asking
from maicivy.dashboard.details import MAX_PAGE, PER_PAGE, Listing, metrics_of, read_listing
from maicivy.dashboard.page import Details
from maicivy.dashboard.panels import PANELS
from maicivy.dashboard.view import View
from maicivy.errors import Refusal, Unavailable
from tests.dashboard.visited import BERLIN, NOW, ago, ask, asking, did, put, shown_name

SITE = Site(1, "example.org", "MC-0123456789")
MANY = 2 * PER_PAGE + 20


@pytest.fixture(scope="module")
def many(parts: Maicivy) -> Maicivy:
    """The handful of visits, and today one of 120 pages, each viewed a little more often than the one before."""
    at = ago(hours=3)
    put(
        parts,
        *(
            did("page_view", at + timedelta(seconds=n), 500 + time, f"/page/{n:03}", BERLIN)
            for n in range(MANY)
            for time in range(1 + n // 30)
        ),
    )
    return parts


def details_of(
    parts: Maicivy, key: str, query: str = "", view: View | None = None, asked: Asking | None = None
) -> Details:
    view = view or View()
    asked = asked or asking(parts)
    questions = asked.questions(SITE, view, NOW)
    lists = asked.lists(questions, SITE, view, shown_name)
    return details.details(lists, PANELS[key], read_listing(parse_qsl(query), PANELS[key]), view, SITE)


def values(found: Details) -> list[str]:
    return [row.value for row in found.panel.rows]


def test_all_rows_come_page_by_page(many: Maicivy) -> None:
    first = details_of(many, "pages")
    assert (first.first, first.total, len(first.panel.rows), first.previous_url) == (1, MANY + 2, PER_PAGE, "")
    assert first.next_url == "/dashboard/example.org/details/pages?page=2"
    second = details_of(many, "pages", "page=2")
    third = details_of(many, "pages", "page=3")
    assert (third.first, len(third.panel.rows), third.next_url) == (101, 22, "")
    assert second.previous_url == "/dashboard/example.org/details/pages"
    told = ask(many, metrics=["visitors", "pageviews"], dimensions=["event:page"], pagination={"limit": 200})
    assert [*values(first), *values(second), *values(third)] == [result.dimensions[0] for result in told.results]
    beyond = details_of(many, "pages", "page=9")
    assert (values(beyond), beyond.total, beyond.next_url) == ([], MANY + 2, "")


def test_rows_have_all_metrics_of_the_panel_and_those_are_the_apis(many: Maicivy) -> None:
    for key, spec in PANELS.items():
        found = details_of(many, key)
        assert found.panel.problem is None, key
        assert found.panel.rows, key
        assert found.panel.metrics == metrics_of(spec)
        assert [column.key for column in found.columns] == ["value", *metrics_of(spec)]
        assert found.total >= len(found.panel.rows)
        if key == "properties":
            continue
        answer = ask(
            many,
            metrics=list(metrics_of(spec)),
            dimensions=[name for name in (spec.within, spec.dimension) if name],
            filters=[[operator, dimension, list(values)] for operator, dimension, values in spec.conditions],
            pagination={"limit": PER_PAGE},
        )
        assert [list(row.numbers) for row in found.panel.rows] == [result.metrics for result in answer.results]


def test_a_search_finds_what_contains_it_in_any_case(many: Maicivy) -> None:
    assert values(details_of(many, "pages", "search=PRIC")) == ["/pricing"]
    found = details_of(many, "pages", "search=/page/&page=2")
    assert (found.search, found.total, found.first) == ("/page/", MANY, 51)
    assert found.next_url == "/dashboard/example.org/details/pages?search=/page/&page=3"
    assert values(details_of(many, "pages", "search=%25")) == []
    assert values(details_of(many, "pages", "search=.*")) == []
    assert "search=PRIC" in details_of(many, "pages", "search=PRIC").panel.csv_url


def test_what_has_a_name_is_found_by_it(many: Maicivy) -> None:
    assert values(details_of(many, "countries", "search=germ")) == ["DE"]
    assert values(details_of(many, "countries", "search=fr")) == ["FR"]
    assert values(details_of(many, "countries", "search=x")) == []
    assert [row.text for row in details_of(many, "countries", "sort=value").panel.rows] == ["France", "Germany"]
    assert [row.text for row in details_of(many, "countries", "sort=-value").panel.rows] == ["Germany", "France"]


def test_a_version_is_found_by_its_browser(many: Maicivy) -> None:
    assert values(details_of(many, "browser_versions", "search=fire")) == ["131.0"]
    assert values(details_of(many, "browser_versions", "search=130")) == ["130.0"]


def test_rows_are_sorted_by_any_column_both_ways(many: Maicivy) -> None:
    up = details_of(many, "pages", "sort=value")
    assert values(up) == sorted(values(up))
    assert (up.sorted_by, up.is_descending) == ("value", False)
    down = details_of(many, "pages", "sort=-value")
    assert values(down)[0] == "/pricing"
    least = details_of(many, "pages", "sort=pageviews")
    figures = [row.numbers[1] or 0 for row in least.panel.rows]
    assert figures == sorted(figures)


def test_a_column_is_sorted_by_and_then_the_other_way_round(many: Maicivy) -> None:
    def urls(query: str) -> dict[str, str]:
        columns = details_of(many, "pages", query).columns
        return {column.key: column.url.partition("?")[2] for column in columns}

    assert urls("")["visitors"] == "sort=visitors"
    assert urls("")["value"] == "sort=value"
    assert urls("sort=value")["value"] == "sort=-value"
    assert urls("sort=-value")["visitors"] == ""
    assert urls("sort=visitors")["visitors"] == ""
    assert urls("page=3&search=a")["pageviews"] == "search=a&sort=-pageviews"


def test_properties_have_details_of_each(many: Maicivy) -> None:
    found = details_of(many, "properties")
    assert values(found) == ["team"]
    assert [(choice.text, choice.url) for choice in found.panel.choices] == [
        ("plan", "/dashboard/example.org/details/properties?prop=plan"),
        ("seats", "/dashboard/example.org/details/properties?prop=seats"),
    ]
    assert found.panel.dimension == "event:props:plan", "its name is above the values"
    assert values(details_of(many, "properties", view=View(prop="seats"))) == ["3"]
    assert details_of(many, "properties", view=View().toggled("event:name", "page_view")).panel.rows == ()


@pytest.mark.parametrize(
    ("query", "listing"),
    [
        ("", Listing()),
        ("search=+a+", Listing("a")),
        ("sort=-visitors", Listing()),
        ("sort=visitors", Listing("", "visitors", False)),
        ("sort=-value&page=3", Listing("", "value", True, 3)),
        (f"page={MAX_PAGE}", Listing(page=MAX_PAGE)),
    ],
)
def test_a_listing_is_read_and_written(query: str, listing: Listing) -> None:
    assert read_listing(parse_qsl(query), PANELS["pages"]) == listing
    assert read_listing(listing.pairs(), PANELS["pages"]) == listing


def table_of(parts: Maicivy, key: str, query: str = "", view: View | None = None) -> Any:
    view = view or View()
    questions = asking(parts).questions(SITE, view, NOW)
    lists = asking(parts).lists(questions, SITE, view, shown_name)
    listing = read_listing(parse_qsl(query), PANELS[key])
    return details.table(lists, PANELS[key], listing, questions, SITE, shown_name)


def test_a_file_has_all_rows_in_the_order_that_was_chosen(many: Maicivy) -> None:
    table = table_of(many, "pages", "sort=value&page=2")
    assert table.name == "example.org-pages-2025-11-13-2025-12-10"
    assert [row[0] for row in table.rows][:2] == ["/", "/page/000"]
    assert len(table.rows) == MANY + 2
    assert table_of(many, "pages", "search=pric").rows[0][0] == "/pricing"
    assert table_of(many, "countries").rows[0][:2] == ("DE", "Germany")
    assert table_of(many, "properties", view=View().toggled("event:name", "page_view")).rows == []


def test_columns_of_a_file_are_called_as_dimensions_and_properties_are(many: Maicivy) -> None:
    assert table_of(many, "browser_versions").columns[:2] == ("browser", "browser_version")
    assert table_of(many, "countries").columns[:2] == ("country", "name")
    assert table_of(many, "events").columns == ("event", "name", "visitors", "events")
    for name in ("plan", "plan:tier", "plan:"):
        assert table_of(many, "properties", view=View(prop=name)).columns == (name, "visitors", "events")
    assert table_of(many, "properties", view=View().toggled("event:name", "page_view")).columns[0] == "properties"


def test_a_file_that_is_cut_says_so_in_its_last_row(many: Maicivy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MAX_LIMIT", 50)
    table = table_of(many, "pages")
    assert len(table.rows) == 51
    assert table.rows[-1] == (f"{MANY - 48} more rows are not in this file", "", "", "", "", "")


def test_a_failure_stands_in_the_place_of_the_rows(many: Maicivy) -> None:
    class Slow:
        first_moment = many.queries.first_moment

        def answer(self, *_: object) -> Answer:
            raise Refusal("query_too_slow", "too slow")

    slow: Any = Slow()
    found = details_of(many, "pages", asked=Asking(slow, many.reports, many.samples, many.settings.timezone))
    assert (found.panel.problem and found.panel.problem.code, found.total) == ("query_too_slow", 0)


def test_where_only_one_dimension_is_kept_versions_are_told_alone(many: Maicivy) -> None:
    class Forgetful:
        first_moment = many.queries.first_moment

        def answer(self, question: Question, site: Site, now: Any) -> Answer:
            if len(question.dimensions) > 1:
                raise Refusal("not_kept", "gone")
            return many.queries.answer(question, site, now)

    forgetful: Any = Forgetful()
    asked = Asking(forgetful, many.reports, many.samples, many.settings.timezone)
    rows = details_of(many, "browser_versions", asked=asked).panel.rows
    assert {(row.value, row.within) for row in rows} == {("130.0", ""), ("131.0", "")}


def test_properties_that_nobody_can_sample_now_are_a_problem(many: Maicivy) -> None:
    class Away:
        def latest(self, *_: object) -> list[tuple[str, str]]:
            raise Unavailable("postgres", "away")

    away: Any = Away()
    found = details_of(many, "properties", asked=Asking(many.queries, many.reports, away, many.settings.timezone))
    assert found.panel.problem is not None
    assert found.panel.problem.code == "unavailable"


def test_a_view_is_part_of_every_link(many: Maicivy) -> None:
    found = details_of(many, "pages", view=View("7d").toggled("visit:os", "Linux"))
    links = [found.panel.csv_url, *(column.url for column in found.columns)]
    assert all("period=7d&f=is,visit:os,Linux" in link for link in links)
    assert msgspec.structs.asdict(found)["previous_url"] == ""
