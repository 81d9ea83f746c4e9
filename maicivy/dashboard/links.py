"""The choices that a page offers, each a link to the view that it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from maicivy.core.query import PROPERTY
from maicivy.core.sites import Site
from maicivy.dashboard.page import Chip, Link
from maicivy.dashboard.view import PERIODS, View

Name = Callable[[str, str], str]
"""How a value of a dimension is shown."""

MAX_SITES: Final = 100
"""In the menu; all of them are a page of their own."""

_COMPARED_BY_NAME: Final = ("previous", "year", "off")


def site_path(site: Site) -> str:
    """Where its dashboard is."""
    return f"/dashboard/{site_reference(site)}"


def site_reference(site: Site) -> str:
    """How a URL names it: by its domain, else by its measurement id, else by its number."""
    return site.domain or site.measurement_id or str(site.id)


def site_name(site: Site) -> str:
    """How people know it."""
    return site.domain or site.measurement_id or f"#{site.id}"


def sites(chosen: Site, others: Iterable[Site], view: View) -> tuple[Link, ...]:
    """The same view of the first of them, without the filters, whose values may not exist there."""
    plain, listed = view.for_any_site(), list(others)[:MAX_SITES]
    return tuple(Link("site", plain.url(site_path(site)), site.id == chosen.id, site_name(site)) for site in listed)


def periods(view: View, path: str) -> tuple[Link, ...]:
    """The named ranges."""
    return tuple(Link(name, view.with_period(name).url(path), name == view.period) for name in PERIODS)


def comparisons(view: View, path: str) -> tuple[Link, ...]:
    """What to compare with, by name; and `weekday`, whether by days of the week, to be switched."""
    found = [Link(name, view.with_comparison(name).url(path), name == view.compare) for name in _COMPARED_BY_NAME]
    if view.compare in ("previous", "year"):
        found.append(Link("weekday", view.with_weekday(not view.match_weekday).url(path), view.match_weekday))
    return tuple(found)


def options(view: View, path: str) -> tuple[Link, ...]:
    """What can be switched on and off."""
    other = view.with_bots(not view.bots)
    return (Link("bots", other.way_back(path) if view.bots else other.url(path), view.bots),)


def chips(view: View, path: str, name: Name) -> tuple[Chip, ...]:
    """The filters in force."""
    return tuple(
        Chip(
            each.operator,
            each.dimension.removeprefix(PROPERTY),
            tuple(_value(each.operator, each.dimension, value, name) for value in each.values),
            view.without_filter(each).way_back(path),
            each.dimension.startswith(PROPERTY),
            each.written(),
        )
        for each in view.filters
    )


def _value(operator: str, dimension: str, value: str, name: Name) -> str:
    """Only a whole value has a name: `FR` may be a part of many."""
    return name(dimension, value) if operator in ("is", "is_not") else value
