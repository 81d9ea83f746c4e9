"""What the dashboard shows, as values: the asking makes them, templates and charts take these and nothing else.

Figures are raw numbers; how they are written is decided where they are shown, by the locale of the reader. Times have
the zone of the view. Every URL is relative to the server and complete, so that a link needs no script.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec

from maicivy.core.answers import MetricHow

Number = int | float | None
"""None: not known."""


def last_day(end: datetime) -> date:
    """The day of the last moment before `end`, which begins at 01:00 where the clocks skip midnight."""
    return (end.astimezone(UTC) - timedelta(microseconds=1)).astimezone(end.tzinfo).date()


class Problem(msgspec.Struct, frozen=True):
    """Why a part of the page has nothing to show. `code` is an error code of the API, whose words are chosen by it."""

    code: str
    message: str


class Link(msgspec.Struct, frozen=True):
    """A choice among several: `key` names it in the words of the page."""

    key: str
    url: str
    is_selected: bool = False
    text: str = ""
    """What to show instead of words for `key`, where it is data."""


class Figure(msgspec.Struct, frozen=True):
    """A metric of the whole range.

    Attributes:
        change: against the range compared with, in percent; of rates in percentage points. None: nothing to compare.
        is_good: whether the change is for the better; None when it is neither or unknown.
        url: the view with this metric in the time series; empty where it cannot be shown there.
    """

    metric: str
    value: Number
    before: Number = None
    change: Number = None
    is_good: bool | None = None
    how: MetricHow | None = None
    url: str = ""
    is_selected: bool = False


class Point(msgspec.Struct, frozen=True):
    """A bucket of time.

    Attributes:
        start: of the bucket, in the zone of the view.
        before_start, before: the bucket beside it in the range compared with.
        is_partial: it goes on, or the range covers a part of it only.
        is_unknown: nothing was recorded yet, or is kept no more: a gap, and no zero.
    """

    start: datetime
    value: Number
    before_start: datetime | None = None
    before: Number = None
    is_partial: bool = False
    is_unknown: bool = False


class Series(msgspec.Struct, frozen=True):
    """A metric over time. `interval` is `minute`, `hour`, `day`, `week` or `month`."""

    metric: str
    interval: str
    points: tuple[Point, ...]
    is_compared: bool
    how: MetricHow | None
    metrics: tuple[Link, ...]
    intervals: tuple[Link, ...]
    problem: Problem | None = None


class Row(msgspec.Struct, frozen=True):
    """A value of a dimension.

    Attributes:
        value: as it is stored and asked for; empty: none, or not known.
        text: how it is shown: the name of a country for its code.
        numbers: by the metrics of the panel.
        share: of the largest row, 0 to 1, in the first metric: the length of the bar.
        url: the view filtered by this value, or without that filter where `is_filtered`; empty: it filters nothing.
        href: the page itself on the site, where the value is a path whose host is known; empty else.
    """

    value: str
    text: str
    numbers: tuple[Number, ...]
    share: float
    url: str
    is_filtered: bool = False
    href: str = ""
    within: str = ""
    """How the value is shown that this one belongs to: the browser of a version."""


class Panel(msgspec.Struct, frozen=True):
    """A list of the values of one dimension, largest first.

    Attributes:
        key: of the panel table (`panels.py`), which its title goes by.
        metrics: names, in the order of `Row.numbers`.
        details_url: the whole list with search, sorting and paging; csv_url: the same as a file.
        choices: of `properties`: the properties whose values may be listed, by `Link.text`.
        has_more: there are more rows than these.
    """

    key: str
    dimension: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    details_url: str
    csv_url: str
    how: MetricHow | None = None
    choices: tuple[Link, ...] = ()
    has_more: bool = False
    problem: Problem | None = None


class Card(msgspec.Struct, frozen=True):
    """Panels that share a place; one of them is shown. `key`: pages, sources, places, devices, events."""

    key: str
    tabs: tuple[Link, ...]
    panel: Panel


class Chip(msgspec.Struct, frozen=True):
    """A filter in force. `label` is its dimension (`visit:country`), or the property's own name where `is_property`;
    `values` are as people read them; `url` is the view without it; `written` is how it stands in a URL."""

    operator: str
    label: str
    values: tuple[str, ...]
    url: str
    is_property: bool = False
    written: str = ""


class Period(msgspec.Struct, frozen=True):
    """The range as it was understood: half-open, in the zone of the view. `before_*` is the range compared with."""

    key: str
    start: datetime
    end: datetime
    before_start: datetime | None = None
    before_end: datetime | None = None

    @property
    def last_day(self) -> date:
        """The last day of the range."""
        return last_day(self.end)

    @property
    def before_last_day(self) -> date | None:
        """That of the range compared with."""
        return None if self.before_end is None else last_day(self.before_end)


class Details(msgspec.Struct, frozen=True):
    """One panel in full: a page of its rows, with search, sorting and paging.

    Attributes:
        search: what was searched for.
        sorted_by: metric or dimension, and whether descending.
        columns: a link for the dimension and each metric that sorts by it (again: the other way round).
        first: number of the first row shown, from 1; total: of all rows.
    """

    panel: Panel
    search: str
    sorted_by: str
    is_descending: bool
    columns: tuple[Link, ...]
    first: int
    total: int
    previous_url: str
    next_url: str


HEAT_CELL_PX = 20
"""Clicks are counted by squares of so many CSS pixels."""


class HeatCell(msgspec.Struct, frozen=True):
    """Clicks around a place of a page, in CSS pixels from its top left corner."""

    x: int
    y: int
    count: int


class Moment(msgspec.Struct, frozen=True):
    """A stored event, for the ticker and the timeline."""

    id: str
    event_type: str
    page: str
    at: datetime
    visitor: str
    """The last characters of the visitor id: enough to tell a few apart."""
    details: tuple[tuple[str, str], ...] = ()


class Extras(msgspec.Struct, frozen=True):
    """What seed 001 shows of its own site: letters, themes, clicks, the latest events. Counted for the period that
    the API of seed 001 knows (day, week, month) nearest to that of the view."""

    letters: tuple[tuple[str, int], ...] = ()
    """(`motivation` or `anti_motivation` or `other`, count)"""
    letters_period: str = ""
    """`day`, `week` or `month`: the current one."""
    themes: tuple[tuple[str, int], ...] = ()
    heat_page: str = ""
    heat_pages: tuple[Link, ...] = ()
    heat_hours: int = 0
    """The last so many are shown."""
    heat: tuple[HeatCell, ...] = ()
    moments: tuple[Moment, ...] = ()
    earlier_url: str = ""
    problem: Problem | None = None
    """Why there is nothing of it."""


class Page(msgspec.Struct, frozen=True):
    """A view of a site.

    Attributes:
        state: `new`, no event has ever come; `empty`, none in this view; `ok`.
        current_visitors: of the last five minutes; None: not known now.
        current_url: the view of these five minutes.
        problem: why there are no figures.
        notices: what else is to be known of this page.
        comparisons: `previous`, `year`, `off`; and `weekday` (equal days of the week are compared), to be switched.
        options: what else can be switched: `bots`.
        as_of: when the figures were computed; nothing has changed in them since.
    """

    site_id: int
    site_name: str
    measurement_id: str
    state: str
    period: Period
    timezone: str
    current_visitors: int | None
    figures: tuple[Figure, ...]
    series: Series
    cards: tuple[Card, ...]
    chips: tuple[Chip, ...]
    periods: tuple[Link, ...]
    comparisons: tuple[Link, ...]
    sites: tuple[Link, ...]
    live_url: str
    current_url: str = ""
    problem: Problem | None = None
    notices: tuple[Problem, ...] = ()
    options: tuple[Link, ...] = ()
    as_of: datetime | None = None
    extras: Extras | None = None
