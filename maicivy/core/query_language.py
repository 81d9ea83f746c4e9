"""The language of `POST /api/v2/query`: the JSON that a client sends in, a `Question` out, or a refusal that names the
member to blame. The words and shapes are those of Plausible's Stats API v2.

`read` knows nothing of sites or clocks; `resolve` makes of a question the `Query` that it means at one moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core import date_ranges
from maicivy.core.date_ranges import Comparison, DateRange, Mode, Span
from maicivy.core.query import METRICS, TIME_DIMENSIONS, Direction, Filter, Metric, Query
from maicivy.core.query_filters import check_dimension, is_of_events, matches_of, parse_filters, shown
from maicivy.core.sites import time_zone
from maicivy.errors import Refusal

MAX_LIMIT: Final = 10_000
MAX_OFFSET: Final = 1_000_000
MAX_DIMENSIONS: Final = 5

TIME: Final = "time"
"""The dimension whose interval follows from the range."""

MEMBERS: Final = (
    *("site_id", "metrics", "date_range", "dimensions", "filters", "order_by", "include", "pagination"),
    *("timezone", "include_bots"),
)
_REQUIRED: Final = ("site_id", "metrics", "date_range")
_OF_PAGES: Final = ("time_on_page", "scroll_depth")

T = TypeVar("T")


class Include(msgspec.Struct, frozen=True):
    """What an answer tells besides its rows. `imports` is understood and changes nothing: there are none."""

    imports: bool = False
    time_labels: bool = False
    total_rows: bool = False
    comparisons: Comparison | None = None


class Question(msgspec.Struct, frozen=True):
    """What a client asked, checked, but not yet of any site or moment.

    `raw_filters` are those of the client, to be told back; `zone` None is the site's.
    """

    site: int | str
    metrics: tuple[Metric, ...]
    date_range: DateRange
    dimensions: tuple[str, ...] = ()
    filter: Filter | None = None
    raw_filters: list[Any] = []
    order_by: tuple[tuple[str, Direction], ...] = ()
    include: Include = Include()
    limit: int = MAX_LIMIT
    offset: int = 0
    zone: ZoneInfo | None = None
    include_bots: bool = False


def read(value: Any) -> Question:
    """The question that a JSON value asks.

    Raises:
        Refusal: with the path of what is wrong as its field. `invalid_query`, `missing_field`, `unknown_field`,
            `unknown_metric`, `unknown_dimension`, `unknown_operator`, `unknown_timezone`, `invalid_date_range`,
            `invalid_filters`, `too_many_filters`, `invalid_pattern`.
    """
    if not isinstance(value, dict):
        raise Refusal("invalid_query", "a query is a JSON object")
    _known(value, MEMBERS, "")
    for name in _REQUIRED:
        if name not in value:
            raise Refusal("missing_field", f"{name} is required", name)
    metrics = _metrics(value["metrics"])
    dimensions = _dimensions(value.get("dimensions", []))
    raw_filters = value.get("filters", [])
    filter_ = parse_filters(raw_filters, "filters")
    _check_metrics(metrics, dimensions, filter_)
    limit, offset = _pagination(value.get("pagination", {}))
    return Question(
        site=_site(value["site_id"]),
        metrics=metrics,
        date_range=date_ranges.parse(value["date_range"], "date_range"),
        dimensions=dimensions,
        filter=filter_,
        raw_filters=raw_filters,
        order_by=_order_by(value.get("order_by", []), metrics, dimensions),
        include=_include(value.get("include", {}), dimensions),
        limit=limit,
        offset=offset,
        zone=_zone(value["timezone"]) if "timezone" in value else None,
        include_bots=_flag(value, "include_bots", ""),
    )


def resolve(question: Question, site_id: int, zone: ZoneInfo, meant: Span) -> Query:
    """What a question asks of one site in days or moments `meant` of `zone`, with nothing left to be chosen.

    Without `order_by` rows come by time, then with the largest of the first metric first.
    """
    start, end = date_ranges.bounds(meant, zone)
    dimensions = tuple(
        date_ranges.automatic(question.date_range, meant, zone) if name == TIME else name
        for name in question.dimensions
    )
    time = time_dimension(dimensions)
    named = dict(zip(question.dimensions, dimensions, strict=True))
    order_by = tuple((named.get(name, name), direction) for name, direction in question.order_by)
    if not order_by:
        by_time: list[tuple[str, Direction]] = [(time, "asc")] if time is not None else []
        order_by = (*by_time, (question.metrics[0], "desc"))
    return Query(
        site_id=site_id,
        zone=zone,
        start=start,
        end=end,
        metrics=question.metrics,
        dimensions=dimensions,
        filter=question.filter,
        order_by=order_by,
        limit=question.limit,
        offset=question.offset,
        include_bots=question.include_bots,
        count_rows=question.include.total_rows,
    )


def time_dimension(dimensions: tuple[str, ...]) -> str | None:
    """The one of them that is a time."""
    return next((name for name in dimensions if _is_time(name)), None)


def _site(value: Any) -> int | str:
    if type(value) is int or (isinstance(value, str) and value):
        return value
    raise Refusal("invalid_query", "site_id must be a domain, a measurement id or a number", "site_id")


def _metrics(value: Any) -> tuple[Metric, ...]:
    names: tuple[Metric, ...] = tuple(_list(value, _metric, "metrics"))
    if not names:
        raise Refusal("invalid_query", "metrics must name one metric or more", "metrics")
    return names


def _metric(name: Any, field: str) -> Metric:
    if isinstance(name, str) and name in METRICS:
        return name
    raise Refusal("unknown_metric", f"there is no metric {shown(name)}", field)


def _dimensions(value: Any) -> tuple[str, ...]:
    names = tuple(_list(value, _dimension, "dimensions"))
    if len(names) > MAX_DIMENSIONS:
        raise Refusal("invalid_query", f"there may be at most {MAX_DIMENSIONS} dimensions", "dimensions")
    times = [place for place, name in enumerate(names) if _is_time(name)]
    if len(times) > 1:
        raise Refusal("invalid_query", "there may be one dimension of time", f"dimensions[{times[1]}]")
    return names


def _dimension(name: Any, field: str) -> str:
    if isinstance(name, str) and (name == TIME or name in TIME_DIMENSIONS):
        return name
    return check_dimension(name, field)


def _check_metrics(metrics: tuple[Metric, ...], dimensions: tuple[str, ...], filter_: Filter | None) -> None:
    """Refuse metrics that say nothing about this choice of dimensions and filters."""
    named = {*dimensions, *(match.dimension for match in matches_of(filter_))}
    for place, metric in enumerate(metrics):
        message = ""
        if metric in _OF_PAGES and "event:page" not in named:
            message = f"{metric} needs event:page among the dimensions or in a filter"
        if metric == "percentage" and not dimensions:
            message = "percentage needs dimensions"
        if metric == "conversion_rate" and not any(map(is_of_events, named)):
            message = "conversion_rate needs a dimension of events, such as event:name, or a filter on one"
        if message:
            raise Refusal("invalid_query", message, f"metrics[{place}]")


def _order_by(
    value: Any, metrics: tuple[Metric, ...], dimensions: tuple[str, ...]
) -> tuple[tuple[str, Direction], ...]:
    def entry(pair: Any, field: str) -> tuple[str, Direction]:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise Refusal("invalid_query", 'an order is a list such as ["visitors", "desc"]', field)
        if pair[0] not in metrics and pair[0] not in dimensions:
            raise Refusal("invalid_query", f"{shown(pair[0])} is neither a metric nor a dimension here", f"{field}[0]")
        if pair[1] not in ("asc", "desc"):
            raise Refusal("invalid_query", "the direction must be asc or desc", f"{field}[1]")
        return pair[0], pair[1]

    orders = _list(value, entry, "order_by")
    if len({name for name, _ in orders}) != len(orders):
        raise Refusal("invalid_query", "order_by names something twice", "order_by")
    return tuple(orders)


def _include(value: Any, dimensions: tuple[str, ...]) -> Include:
    value = _object(value, ("imports", "time_labels", "total_rows", "comparisons"), "include")
    labels = _flag(value, "time_labels", "include.")
    if labels and time_dimension(dimensions) is None:
        raise Refusal("invalid_query", "time_labels needs a dimension of time", "include.time_labels")
    comparisons = value.get("comparisons")
    return Include(
        imports=_flag(value, "imports", "include."),
        time_labels=labels,
        total_rows=_flag(value, "total_rows", "include."),
        comparisons=None if comparisons is None else _comparison(comparisons, "include.comparisons"),
    )


def _comparison(value: Any, field: str) -> Comparison:
    value = _object(value, ("mode", "date_range", "match_day_of_week"), field)
    mode: Mode | None = value.get("mode")
    if mode not in date_ranges.MODES:
        raise Refusal("invalid_query", f"mode must be one of {', '.join(date_ranges.MODES)}", f"{field}.mode")
    if (mode == "custom") != ("date_range" in value):
        message = "date_range is for mode custom, which needs it"
        raise Refusal("invalid_query", message, f"{field}.date_range")
    days = date_ranges.parse_days(value["date_range"], f"{field}.date_range") if mode == "custom" else None
    return Comparison(mode, days, _flag(value, "match_day_of_week", f"{field}."))


def _pagination(value: Any) -> tuple[int, int]:
    value = _object(value, ("limit", "offset"), "pagination")
    return _whole(value, "limit", MAX_LIMIT, 1, MAX_LIMIT), _whole(value, "offset", 0, 0, MAX_OFFSET)


def _whole(value: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    number = value.get(name, default)
    if type(number) is not int or not low <= number <= high:
        wanted = f"{name} must be a whole number from {low} to {high}"
        raise Refusal("invalid_query", wanted, f"pagination.{name}")
    return number


def _zone(value: Any) -> ZoneInfo:
    try:
        return time_zone(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Refusal("unknown_timezone", f"there is no time zone {shown(value)}", "timezone") from error


def _flag(value: dict[str, Any], name: str, path: str) -> bool:
    flag = value.get(name, False)
    if type(flag) is not bool:
        raise Refusal("invalid_query", f"{name} must be true or false", f"{path}{name}")
    return flag


def _object(value: Any, names: tuple[str, ...], field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal("invalid_query", f"{field} must be an object", field)
    _known(value, names, f"{field}.")
    return value


def _known(value: dict[str, Any], names: tuple[str, ...], path: str) -> None:
    for name in value:
        if name not in names:
            told = name[:64].encode("ascii", "backslashreplace").decode()
            raise Refusal("unknown_field", f"there is no member {told!r}", f"{path}{told}")


def _list(value: Any, read_one: Callable[[Any, str], T], field: str) -> list[T]:
    """The elements of a short list in which nothing stands twice."""
    if not isinstance(value, list):
        raise Refusal("invalid_query", f"{field} must be a list", field)
    if len(value) > len(METRICS) + MAX_DIMENSIONS:
        raise Refusal("invalid_query", f"{field} has too many elements", field)
    read: list[T] = []
    for place, each in enumerate(value):
        one = read_one(each, f"{field}[{place}]")
        if one in read:
            raise Refusal("invalid_query", f"{field} names something twice", f"{field}[{place}]")
        read.append(one)
    return read


def _is_time(name: str) -> bool:
    return name == TIME or name in TIME_DIMENSIONS
