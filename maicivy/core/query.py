"""A question to the query engine, once it has been understood: names checked, dates resolved, nothing left to guess.

`core/query_language.py` makes it of what a client sent; `storage/visit_queries.py` answers it. The words are those of
Plausible's Stats API v2.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

Metric: TypeAlias = Literal[
    "visitors",
    "visits",
    "pageviews",
    "events",
    "views_per_visit",
    "bounce_rate",
    "visit_duration",
    "time_on_page",
    "scroll_depth",
    "percentage",
    "conversion_rate",
]
Operator: TypeAlias = Literal["is", "is_not", "contains", "contains_not", "matches", "matches_not"]
Direction: TypeAlias = Literal["asc", "desc"]

METRICS: Final[tuple[Metric, ...]] = Metric.__args__  # type: ignore[attr-defined]

EVENT_DIMENSIONS: Final = ("event:page", "event:name", "event:hostname")
PROPERTY: Final = "event:props:"
"""Followed by the name of a property: a dimension too."""

VISIT_DIMENSIONS: Final = (
    *("visit:source", "visit:channel", "visit:referrer"),
    *("visit:utm_source", "visit:utm_medium", "visit:utm_campaign", "visit:utm_term", "visit:utm_content"),
    *("visit:country", "visit:region", "visit:city"),
    *("visit:device", "visit:browser", "visit:browser_version", "visit:os", "visit:os_version"),
    *("visit:screen", "visit:resolution", "visit:language"),
    *("visit:entry_page", "visit:exit_page"),
)
TIME_DIMENSIONS: Final = ("time:minute", "time:hour", "time:day", "time:week", "time:month")


class Match(msgspec.Struct, frozen=True):
    """True where the dimension's value is, contains or matches (RE2's syntax is the common ground) any of `values`;
    the `_not` operators are true where that is false. A dimension that is absent has the value `""`."""

    operator: Operator
    dimension: str
    values: tuple[str, ...]
    case_sensitive: bool = True


class And(msgspec.Struct, frozen=True):
    """True where all are."""

    filters: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True):
    """True where any is."""

    filters: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True):
    """True where it is not."""

    filter: Filter


Filter: TypeAlias = Match | And | Or | Not


class Query(msgspec.Struct, frozen=True):
    """One question about one site.

    Attributes:
        start, end: aware, UTC, half-open.
        zone: whose days, weeks (from Monday) and months are meant.
        filter: None for all.
        order_by: names of metrics or dimensions of this query; the rest of the order is that of the dimensions.
        include_bots: counts what bots did, too; a visitor that was seen as both counts as two.
        count_rows: whether the answer tells how many rows there are without `limit` and `offset`.
    """

    site_id: int
    zone: ZoneInfo
    start: datetime
    end: datetime
    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...] = ()
    filter: Filter | None = None
    order_by: tuple[tuple[str, Direction], ...] = ()
    limit: int = 10_000
    offset: int = 0
    include_bots: bool = False
    count_rows: bool = False


class How(msgspec.Struct, frozen=True):
    """How a metric was computed: `method` (count, sum, ratio, mean ...), `tiers` that the figures were read from (raw,
    minute, hour, day), `exact` or its relative `standard_error`, and what is to be known besides."""

    method: str
    tiers: tuple[str, ...]
    exact: bool
    standard_error: float | None = None
    note: str | None = None


class Row(msgspec.Struct, frozen=True, gc=False):
    """Values of the dimensions (text, or the start of a bucket of time as an aware time) and of the metrics; None where
    there is nothing to divide by."""

    dimensions: tuple[str | datetime, ...]
    metrics: tuple[float | int | None, ...]


class Rows(msgspec.Struct, frozen=True):
    """An answer. `total` is the number of rows without limit and offset, when it was asked for; `seq` the ledger number
    that it is true for."""

    rows: list[Row]
    how: dict[str, How]
    total: int | None
    seq: int
