"""A panel in full: searched, sorted and page by page, or all of it as a table for a file.

Where what is shown is not what is stored (`Germany` for `DE`), all rows are asked for and looked through by their
names; else Postgres does the searching.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from maicivy.core.answers import Answer
from maicivy.core.query import PROPERTY
from maicivy.core.query_filters import shown
from maicivy.core.query_language import MAX_LIMIT
from maicivy.core.sites import Site
from maicivy.dashboard.links import Name, site_name, site_path
from maicivy.dashboard.lists import Lists
from maicivy.dashboard.page import Details, Link, Problem, Row
from maicivy.dashboard.panels import PROPERTIES, PanelSpec
from maicivy.dashboard.questions import Questions, problem_of
from maicivy.dashboard.view import View
from maicivy.errors import Refusal, Unavailable
from maicivy.reports import Table

PER_PAGE: Final = 50
MAX_PAGE: Final = 20_000
MAX_SEARCH_CHARS: Final = 200
VALUE: Final = "value"
"""What rows are sorted by, other than a metric."""

NAMES: Final = ("search", "sort", "page")
"""Parameters besides those of a view."""

_SHOWN_OTHERWISE: Final = frozenset(
    {"visit:country", "visit:language", "visit:channel", "visit:device", "visit:screen", "event:name"}
)
_NO_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)


class Listing(msgspec.Struct, frozen=True):
    """Which rows, in which order. `sort` is a metric or `VALUE`; `page` counts from 1."""

    search: str = ""
    sort: str = ""
    is_descending: bool = True
    page: int = 1

    def pairs(self, *without: str) -> list[tuple[str, str]]:
        """Its parameters."""
        found = [("search", self.search)] if self.search else []
        if self.sort:
            found.append(("sort", f"-{self.sort}" if self.is_descending else self.sort))
        found += [("page", str(self.page))] if self.page > 1 else []
        return [pair for pair in found if pair[0] not in without]


def read_listing(pairs: Sequence[tuple[str, str]], spec: PanelSpec) -> Listing:
    """What the parameters of a URL ask for, besides the view.

    Raises:
        Refusal: `repeated_parameter` or `invalid_parameter`, naming the parameter.
    """
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in NAMES:
            if name in given:
                raise Refusal("repeated_parameter", f"{name} is given twice", name)
            given[name] = text
    search = given.get("search", "").strip()
    if len(search) > MAX_SEARCH_CHARS or "\0" in search or any("\ud800" <= char <= "\udfff" for char in search):
        raise _invalid("search", f"must be text of at most {MAX_SEARCH_CHARS} characters")
    sort = given.get("sort", "")
    if sort and sort.removeprefix("-") not in (*metrics_of(spec), VALUE):
        raise _invalid("sort", f"must be a column, perhaps with - in front, not {shown(sort)}")
    page = given.get("page", "") or "1"
    if not (page.isascii() and page.isdigit() and len(page) <= 6 and 1 <= int(page) <= MAX_PAGE):
        raise _invalid("page", f"must be a whole number from 1 to {MAX_PAGE}")
    name = sort.removeprefix("-")
    is_descending = sort.startswith("-") if sort else True
    if (name, is_descending) == (spec.metrics[0], True):
        name = ""
    return Listing(search, name, is_descending if name else True, int(page))


def metrics_of(spec: PanelSpec) -> tuple[str, ...]:
    """The columns of a panel in full."""
    return (*spec.metrics, *spec.more)


def details(lists: Lists, spec: PanelSpec, listing: Listing, view: View, site: Site) -> Details:
    """A page of a panel's rows; where they cannot be told, the reason in the panel."""
    path = f"{site_path(site)}/details/{spec.key}"
    metrics = metrics_of(spec)
    sorted_by = listing.sort or spec.metrics[0]
    first = (listing.page - 1) * PER_PAGE
    columns = tuple(_column(name, sorted_by, spec, listing, view.url, path) for name in (VALUE, *metrics))

    def page(number: int) -> str:
        return view.url(path, msgspec.structs.replace(listing, page=number).pairs())

    rows: tuple[Row, ...] = ()
    choices: tuple[Link, ...] = ()
    answer: Answer | None = None
    problem: Problem | None = None
    total = 0
    found = spec
    try:
        found, choices = lists.of_property(spec)
        if spec.key != PROPERTIES or choices:
            rows, total, answer = _rows(lists, found, listing, first, PER_PAGE)
    except (Refusal, Unavailable) as error:
        problem = problem_of(error)
    choices = tuple(
        msgspec.structs.replace(each, url=view.with_property(each.text).url(path, listing.pairs("page")))
        for each in choices
    )
    panel = lists.laid(found, rows, answer, metrics=metrics, choices=choices, problem=problem)
    csv_url = view.url(f"{site_path(site)}/export/{spec.key}.csv", listing.pairs("page"))
    return Details(
        panel=msgspec.structs.replace(panel, csv_url=csv_url),
        search=listing.search,
        sorted_by=sorted_by,
        is_descending=listing.is_descending,
        columns=columns,
        first=first + 1,
        total=total,
        previous_url=page(listing.page - 1) if listing.page > 1 else "",
        next_url=page(listing.page + 1) if first + PER_PAGE < total and listing.page < MAX_PAGE else "",
    )


def table(lists: Lists, spec: PanelSpec, listing: Listing, questions: Questions, site: Site, name: Name) -> Table:
    """All rows that there may be in a file; a last one says how many there are besides.

    Raises:
        Refusal: and `Unavailable`, of the query engine.
    """
    found, choices = lists.of_property(spec)
    outer = spec.within.rpartition(":")[2]
    own = found.dimension.removeprefix(PROPERTY) if spec.key == PROPERTIES else _column_of(found.dimension)
    is_named = spec.dimension in _SHOWN_OTHERWISE
    columns = (*((outer,) if outer else ()), own or spec.key, *(("name",) if is_named else ()), *metrics_of(spec))
    cells: list[tuple[str | int, ...]] = []
    if spec.key != PROPERTIES or choices:
        results, total, answer = _results(lists, found, listing, 0, MAX_LIMIT)
        has_outer = len(answer.query.dimensions) > 1
        for result in results:
            *outers, value = result.dimensions
            before = (outers[0] if has_outer else "",) if outer else ()
            named = (name(spec.dimension, value),) if is_named else ()
            cells.append((*before, value, *named, *map(_cell, result.metrics)))
        if (left := total - len(results)) > 0:
            cells.append((f"{left} more rows are not in this file", *[""] * (len(columns) - 1)))
    days = f"{questions.start:%Y-%m-%d}-{questions.end - timedelta(microseconds=1):%Y-%m-%d}"
    file = _NO_FILE_NAME.sub("-", f"{site_name(site)}-{spec.key}-{days}").strip("-")
    return Table(file, columns, cells)


def _rows(
    lists: Lists, spec: PanelSpec, listing: Listing, first: int, most: int
) -> tuple[tuple[Row, ...], int, Answer]:
    results, total, answer = _results(lists, spec, listing, first, most)
    return lists.rows(spec, msgspec.structs.replace(answer, results=results)), total, answer


def _results(lists: Lists, spec: PanelSpec, listing: Listing, first: int, most: int) -> tuple[list[Any], int, Answer]:
    """Rows of one page, how many there are of all, and the answer that they are from."""
    by_name = spec.dimension in _SHOWN_OTHERWISE and bool(listing.search or listing.sort == VALUE)
    if not by_name:
        answer = lists.ask(
            spec,
            metrics_of(spec),
            _searched(spec, listing.search),
            limit=most,
            offset=first,
            order_by=_order(spec, listing),
            count_rows=True,
        )
        total = answer.meta.total_rows
        return answer.results, total if isinstance(total, int) else len(answer.results), answer
    order = () if listing.sort == VALUE else _order(spec, listing)
    answer = lists.ask(spec, metrics_of(spec), limit=MAX_LIMIT, order_by=order)
    wanted = listing.search.casefold()
    texts = [(lists.name(spec.dimension, each.dimensions[-1]), each) for each in answer.results]
    found = [
        (text, each) for text, each in texts if wanted in text.casefold() or wanted in each.dimensions[-1].casefold()
    ]
    if listing.sort == VALUE:
        found.sort(key=lambda pair: pair[0].casefold(), reverse=listing.is_descending)
    return [each for _, each in found[first : first + most]], len(found), answer


def _searched(spec: PanelSpec, search: str) -> tuple[Any, ...]:
    if not search:
        return ()
    parts = [
        ("contains", dimension, (search,), {"case_sensitive": False})
        for dimension in (spec.within, spec.dimension)
        if dimension
    ]
    return (parts[0],) if len(parts) == 1 else (("or", tuple(parts)),)


def _order(spec: PanelSpec, listing: Listing) -> tuple[tuple[str, str], ...]:
    if not listing.sort:
        return ()
    direction = "desc" if listing.is_descending else "asc"
    if listing.sort == VALUE:
        return ((spec.dimension, direction),)
    return ((listing.sort, direction),)


def _column(name: str, sorted_by: str, spec: PanelSpec, listing: Listing, url: Callable[..., str], path: str) -> Link:
    """A click sorts numbers with the largest first, texts from A to Z; the next one the other way round."""
    is_selected = name == sorted_by
    is_descending = not listing.is_descending if is_selected else name != VALUE
    is_default = (name, is_descending) == (spec.metrics[0], True)
    again = msgspec.structs.replace(listing, sort="" if is_default else name, is_descending=is_descending, page=1)
    return Link(name, url(path, again.pairs()), is_selected)


def _column_of(dimension: str) -> str:
    """`country`; the name of an event is `event`, beside the `name` that people read."""
    kind, _, own = dimension.partition(":")
    return kind if own == "name" else own


def _cell(value: float | None) -> str | int:
    return "" if value is None else value if isinstance(value, int) else repr(value)


def _invalid(name: str, message: str) -> Refusal:
    return Refusal("invalid_parameter", f"{name} {message}", name)
