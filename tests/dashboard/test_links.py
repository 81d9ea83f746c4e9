"""The choices of a page: each leads to the view that it names, and chips say what they filter by."""

from __future__ import annotations

from datetime import date
from urllib.parse import parse_qsl

import pytest

from maicivy.core.date_ranges import Days
from maicivy.core.sites import Site
from maicivy.dashboard import links
from maicivy.dashboard.page import Chip
from maicivy.dashboard.parameters import condition, read_view
from maicivy.dashboard.view import MAX_CHARS, PERIODS, View
from tests.dashboard.visited import shown_name

PATH = "/dashboard/example.org"


def view_of(url: str) -> View:
    path, _, query = url.partition("?")
    assert path == PATH
    return read_view(parse_qsl(query, keep_blank_values=True))


@pytest.mark.parametrize(
    ("site", "reference", "name"),
    [
        (Site(3, "example.org", "MC-0123456789"), "example.org", "example.org"),
        (Site(3, "", "MC-0123456789"), "MC-0123456789", "MC-0123456789"),
        (Site(3), "3", "#3"),
    ],
)
def test_a_site_is_named_by_the_best_that_is_known(site: Site, reference: str, name: str) -> None:
    assert (links.site_path(site), links.site_name(site)) == (f"/dashboard/{reference}", name)


def test_each_period_leads_to_itself_and_forgets_the_interval() -> None:
    view = View("custom", Days(date(2026, 1, 1), date(2026, 1, 2)), interval="hour", metric="visits")
    found = links.periods(view, PATH)
    assert [view_of(link.url) for link in found] == [View(period, metric="visits") for period in PERIODS]
    assert not any(link.is_selected for link in found)


def test_comparisons_are_chosen_and_weekdays_switched() -> None:
    def offered(view: View) -> dict[str, tuple[str, bool]]:
        return {link.key: (link.url.partition("?")[2], link.is_selected) for link in links.comparisons(view, PATH)}

    assert offered(View()) == {
        "previous": ("", True),
        "year": ("compare=year", False),
        "off": ("compare=off", False),
        "weekday": ("match=weekday", False),
    }
    assert offered(View(compare="year", match_weekday=True)) == {
        "previous": ("match=weekday", False),
        "year": ("compare=year&match=weekday", True),
        "off": ("compare=off", False),
        "weekday": ("compare=year", True),
    }
    assert "weekday" not in offered(View(compare="off"))


def test_bots_are_switched() -> None:
    for view in (View(), View(bots=True)):
        (bots,) = links.options(view, PATH)
        assert (view_of(bots.url).bots, bots.is_selected) == (not view.bots, view.bots)


def test_chips_say_what_is_filtered_and_leave_by_themselves() -> None:
    filters = (
        condition("contains", "visit:country", ["FR"]),
        condition("is", "event:props:plan", ["pro"]),
        condition("is", "visit:country", ["DE", "FR"]),
    )
    view = View()
    for each in filters:
        view = view.with_filter(each)
    found = links.chips(view, PATH, shown_name)
    assert found[0] == Chip(
        "is", "plan", ("pro",), view.without_filter(filters[1]).url(PATH), True, "is,event:props:plan,pro"
    )
    assert [(chip.operator, chip.label, chip.values) for chip in found[1:]] == [
        ("contains", "visit:country", ("FR",)),
        ("is", "visit:country", ("Germany", "France")),
    ]
    assert [len(view_of(chip.url).filters) for chip in found] == [2, 2, 2]


def test_another_site_is_looked_at_without_filters() -> None:
    view = View("7d", filters=(condition("is", "event:page", ["/x"]),), prop="plan", heat="/x")
    one, other = Site(1, "example.org"), Site(2, "other.test")
    found = links.sites(one, [one, other], view)
    assert [(link.text, link.url, link.is_selected) for link in found] == [
        ("example.org", "/dashboard/example.org?period=7d", True),
        ("other.test", "/dashboard/other.test?period=7d", False),
    ]
    assert len(links.sites(one, [Site(number) for number in range(1000)], view)) == links.MAX_SITES


def test_a_filter_can_be_taken_away_from_views_whose_links_are_too_long() -> None:
    def filtered(letters: str) -> View:
        filters = [condition("is", "event:page", [f"/{letter * 1990}"]) for letter in letters]
        return View(lang="fr", filters=tuple(filters), bots=True)

    def taken_away(view: View) -> list[View]:
        return [view_of(chip.url) for chip in links.chips(view, PATH, shown_name)]

    view = filtered("abcd")
    assert len(view.without_filter(view.filters[0]).query()) > MAX_CHARS
    assert taken_away(view) == [view.without_filter(each) for each in view.filters]
    assert taken_away(filtered("abcdef")) == [View(lang="fr", bots=True)] * 6
    (bots,) = links.options(filtered("abcdef"), PATH)
    assert view_of(bots.url) == View(lang="fr")
