"""The operation of the query engine: limits out of the language, the answer out of its types."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from maicivy.core.answers import Answer, AnswerMeta, Compared, Echo, MetricHow, Result
from maicivy.core.date_ranges import MAX_DAYS, MAX_MONTHS, Mode
from maicivy.core.query import Metric
from maicivy.core.query_filters import MAX_FILTERS, MAX_NESTING, MAX_VALUE_CHARS, MAX_VALUES
from maicivy.core.query_language import MAX_DIMENSIONS, MAX_LIMIT, MAX_OFFSET
from maicivy.web.openapi.parts import QUERY, WHO, Json, errors, example, headers, operation, ref
from maicivy.web.packing import JSON, MESSAGE_PACK
from maicivy.web.query import MAX_QUERY_BYTES

_Pair = Annotated[list[str], Meta(min_length=2, max_length=2)]
_Dimension = Annotated[
    str,
    Meta(
        pattern="^(event:(page|name|hostname|props:[^\\x00]{1,64})|visit:[a-z_]+|time(:(minute|hour|day|week|month))?)$",
        description="docs/metrics.md lists them. `time` is the interval that suits the range.",
    ),
]


class ComparisonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to compare with. `date_range`, two dates, belongs to mode `custom`."""

    mode: Mode
    date_range: _Pair | msgspec.UnsetType = msgspec.UNSET
    match_day_of_week: bool = False


class IncludeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the answer is to tell besides its rows."""

    imports: Annotated[bool, Meta(description="Understood, and changes nothing: there are no imported figures.")] = (
        False
    )
    time_labels: Annotated[bool, Meta(description="All buckets of time, also those without a row.")] = False
    total_rows: Annotated[bool, Meta(description="How many rows there are without `pagination`.")] = False
    comparisons: ComparisonBody | None = None


class PaginationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows to tell."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = MAX_LIMIT
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0


class QueryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question about one site."""

    site_id: Annotated[int | str, Meta(description="Domain, measurement id or number.")]
    metrics: Annotated[list[Metric], Meta(min_length=1)]
    date_range: Annotated[
        str | _Pair,
        Meta(
            description="`day`, `24h`, `7d` or any number of days, `month`, `6mo` or any number of months, `year`,"
            " `all`, `30m`, `realtime`; or two dates, both included, or two times with an offset, the second not. At"
            f" most {MAX_DAYS} days or {MAX_MONTHS} months."
        ),
    ]
    dimensions: Annotated[list[_Dimension], Meta(max_length=MAX_DIMENSIONS)] = []
    filters: Annotated[
        list[list[Any]],
        Meta(
            max_length=MAX_FILTERS,
            description='`["is", "visit:country", ["DE"]]` with `is`, `is_not`, `contains`, `contains_not`, `matches`'
            ' or `matches_not`, and `{"case_sensitive": false}` as a fourth element if wanted; `["and", [...]]`,'
            f' `["or", [...]]`, `["not", ...]`. At most {MAX_FILTERS} in all, nested {MAX_NESTING} deep, of'
            f" {MAX_VALUES} values of {MAX_VALUE_CHARS} characters each.",
        ),
    ] = []
    order_by: Annotated[
        list[_Pair],
        Meta(description='Pairs such as `["visitors", "desc"]`, of metrics and dimensions that are asked for.'),
    ] = []
    include: IncludeBody = IncludeBody()
    pagination: PaginationBody = PaginationBody()
    timezone: Annotated[str | msgspec.UnsetType, Meta(description="IANA name; without it, the zone of the site.")] = (
        msgspec.UNSET
    )
    include_bots: Annotated[bool, Meta(description="Count what bots did, too.")] = False


TYPES: Final = (QueryBody, Answer)

_COUNT: Final = MetricHow("count_distinct", ["day", "raw"], True, note="sum of the visitors of each day")
_RATIO: Final = MetricHow("ratio", ["day", "raw"], True)
_METRICS: Final[list[Literal["visitors", "bounce_rate"]]] = ["visitors", "bounce_rate"]

_SAMPLE: Final[Json] = {
    "site_id": "shop.example",
    "metrics": _METRICS,
    "date_range": "7d",
    "dimensions": ["visit:source"],
    "filters": [["is", "visit:country", ["DE", "AT"]]],
    "include": {"total_rows": True, "comparisons": {"mode": "previous_period"}},
    "pagination": {"limit": 2},
}
_ANSWER: Final = Answer(
    [
        Result([120, 41], ["Google"], Compared(["Google"], [100, 45], [20, -4])),
        Result([31, 60], ["DuckDuckGo"], Compared(["DuckDuckGo"], [0, None], [100, None])),
    ],
    AnswerMeta(
        {"visitors": _COUNT, "bounce_rate": _RATIO},
        "Europe/Paris",
        "2025-12-08T12:34:56Z",
        total_rows=14,
        comparison_date_range=["2025-11-25T00:00:00+01:00", "2025-12-01T23:59:59+01:00"],
    ),
    Echo(
        "shop.example",
        list(_METRICS),
        ["2025-12-02T00:00:00+01:00", "2025-12-08T23:59:59+01:00"],
        _SAMPLE["filters"],
        ["visit:source"],
        [["visitors", "desc"]],
        {"total_rows": True, "comparisons": {"mode": "previous_period"}},
        {"offset": 0, "limit": 2},
    ),
)


def query_paths() -> Json:
    """Path -> what POST does there."""
    answer: Json = {
        "description": "The answer, in the form that `Accept` asks for.",
        "headers": headers("Cache-Control"),
        "content": {
            JSON: {"schema": ref(Answer), "example": example(_ANSWER)},
            MESSAGE_PACK: {"schema": ref(Answer)},
        },
    }
    described = (
        "Figures of one site over a range of time, by up to five dimensions, in the shapes of Plausible's Stats API v2."
        " docs/metrics.md says what each figure means. Rounded; null where there is nothing to divide by. `meta` says"
        f" how each was computed. The body has at most {MAX_QUERY_BYTES} bytes."
    )
    body = {"required": True, "content": {JSON: {"schema": ref(QueryBody), "example": _SAMPLE}}}
    answers = {"200": answer} | errors(400, 401, 403, 413, 422, 503)
    asked = operation(QUERY, "query", "Ask the query engine", described, answers, requestBody=body, **WHO)
    return {"/api/v2/query": {"post": asked}}
