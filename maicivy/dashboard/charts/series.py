"""A metric over time: an area under its line, the range compared with as a dashed line, and what is not whole or not
known shown as such.

The picture is as wide as its room: along, everything is in percent or inside a box that stretches; upwards it is in
pixels. So it needs no script to fit. Of the labels below there are three sets, for rooms of three widths.

What scripts and people find in it: one `[data-point]` for each bucket (the highest of a few where there are more than
`MAX_HITS`), numbered from 0, with the whole story in its `<title>`, one fact per line: the time, the figure, the figure
compared with, the change. One of them is in the tab order; arrow keys are for scripts.

Classes: series-chart, series-plot, series-scale, series-room, series-canvas; series-label, tick-s, tick-m, tick-l
(shown in rooms of some width only); series-grid, series-base, series-area, series-line, series-partial, series-dot,
series-before, is-before, is-dense, series-gap, series-hatch, series-point (with is-partial), chart-empty, chart-table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from markupsafe import Markup

from maicivy.dashboard.charts.paths import areas, dots, edges, runs, strokes
from maicivy.dashboard.charts.scales import few_of, kind_of, round_ticks, value_ticks
from maicivy.dashboard.charts.svg import percent, table, tag
from maicivy.dashboard.formats import IN_POINTS, NOTHING, Formats
from maicivy.dashboard.page import Number, Series
from maicivy.dashboard.words import Words

MAX_HITS: Final = 400
"""More are too narrow to be hit, and a table nobody reads."""

_TOP: Final = 14
_HEIGHT: Final = 196
"""Of the plot, in pixels."""
_BOTTOM: Final = 28
_FINE: Final = 10
"""Heights inside the stretched box are whole tenths of a pixel."""

_ROOMS: Final = (("tick-s", 260), ("tick-m", 460), ("tick-l", 820))
"""Sets of labels and the narrowest room in pixels that they must fit in; the bounds stand in charts.css as well."""
_CHAR_PX: Final = 6.7
"""A digit at 12 px in the system fonts of today is 6.2 to 6.7 wide: Segoe UI, San Francisco, Roboto, DejaVu."""
_GAP_PX: Final = 16
_MAX_LABELS: Final = 12
_DENSE: Final = 300
"""Points; beyond, lines are thinner."""


def series_chart(series: Series, formats: Formats, t: Words) -> Markup:
    """The chart of a metric with its table. Of no points: a sentence that says so.

    Costs about 0.1 milliseconds for each point up to `MAX_HITS`, nearly all of it for writing figures and times as the
    reader does; 28 points take 3 ms, 2,000 take 60 ms (CPython 3.11, one core of a small server).
    """
    points = series.points
    if not points:
        return tag("p", t("series.empty"), class_="chart-empty")
    drawing = _Drawing(series, formats, t)
    title = t("series.title", metric=t(f"metric.{series.metric}"))
    plot = tag("div", drawing.scale(), tag("div", drawing.canvas(title), class_="series-room"), class_="series-plot")
    return tag("figure", plot, drawing.table(title), class_="series-chart", data_chart="series")


class _Drawing:
    """Where everything of one chart is."""

    def __init__(self, series: Series, formats: Formats, t: Words) -> None:
        self._series = series
        self._points = series.points
        self._formats = formats
        self._t = t
        self._values = [_known(None if point.is_unknown else point.value) for point in self._points]
        self._befores = [_known(point.before) if series.is_compared else None for point in self._points]
        highest = max((value for value in (*self._values, *self._befores) if value is not None), default=0)
        self._ticks = value_ticks(highest, kind_of(series.metric))
        shown = next((i for i in reversed(range(len(self._values))) if self._values[i] is not None), None)
        self._to_come = len(self._points) if shown is None else shown + 1
        """From here on nothing can be known yet."""
        self._told: dict[int, tuple[str, str, str, str]] = {}
        self._represented = _representatives(self._values, self._befores)

    def scale(self) -> Markup:
        """The labels of the axis upwards, as wide as the widest."""
        metric, formats = self._series.metric, self._formats
        texts = [formats.metric(metric, tick) for tick in self._ticks]
        if len(set(texts)) < len(texts):  # 10 000 and 10 010 are both 10K
            texts = [formats.exactly(metric, tick) for tick in self._ticks]
        width = math.ceil(max(map(len, texts)) * _CHAR_PX) + 10
        labels = (
            tag("text", text, x=width - 10, y=self._y(tick) + 4, text_anchor="end", class_="series-label")
            for tick, text in zip(self._ticks, texts, strict=True)
        )
        height = _TOP + _HEIGHT + _BOTTOM
        return tag("svg", *labels, width=width, height=height, class_="series-scale", aria_hidden="true")

    def canvas(self, title: str) -> Markup:
        """The picture itself."""
        return tag(
            "svg",
            _HATCH,
            *(self._grid_line(tick) for tick in self._ticks),
            *(area for area, _ in self._gaps()),
            self._curves(),
            *(text for _, text in self._gaps()),
            *self._time_labels(),
            *(self._hit(i, number) for number, i in enumerate(self._represented)),
            width="100%",
            height=_TOP + _HEIGHT + _BOTTOM,
            class_="series-canvas",
            role="group",
            aria_label=title,
        )

    def table(self, title: str) -> Markup:
        """What the picture shows, in figures."""
        t, metric = self._t, self._series.metric
        columns = [t("series.time"), t(f"metric.{metric}")]
        if self._series.is_compared:
            columns += [t("series.before"), t("chart.change")]
        rows = []
        for when, figure, before, change in map(self._facts, self._represented):
            rows.append((when, figure, before, change or NOTHING) if self._series.is_compared else (when, figure))
        is_whole = len(rows) == len(self._points)
        return table(title if is_whole else f"{title} ({t('chart.peaks')})", columns, rows, t)

    def _y(self, value: float) -> float:
        return _TOP + _HEIGHT * (1 - value / self._ticks[-1])

    def _middle(self, i: int) -> float:
        return (i + 0.5) / len(self._points)

    def _grid_line(self, tick: float) -> Markup:
        y = round(self._y(tick)) + 0.5
        return tag("line", x2="100%", y1=y, y2=y, class_="series-grid" if tick else "series-grid series-base")

    def _gaps(self) -> Iterable[tuple[Markup, Markup]]:
        """What is not known between what is, or before it: a hatched area, and what it means where there is room."""
        points = self._points
        for first, end in runs([p.is_unknown and i < self._to_come for i, p in enumerate(points)]):
            x, width = first / len(points), (end - first) / len(points)
            area = tag(
                "rect", x=percent(x), y=_TOP, width=percent(width), height=_HEIGHT,
                class_="series-hatch", fill="url(#series-hatch)",
            )  # fmt: skip
            text = self._t("series.unknown")
            rooms = " ".join(name for name, px in _ROOMS if width * px > len(text) * _CHAR_PX + _GAP_PX)
            classes, middle = f"series-label series-gap {rooms}", percent(x + width / 2)
            label = tag("text", text, x=middle, y=_TOP + _HEIGHT / 2, text_anchor="middle", class_=classes)
            yield area, label if rooms else Markup()

    def _curves(self) -> Markup:
        """Lines and areas, in a box that is stretched: two units for each bucket, so that its middle is whole."""
        heights, before = self._heights(self._values), self._heights(self._befores)
        joints = edges(heights)
        partial = [point.is_partial for point in self._points]
        broken = [i for i in joints if partial[i] or partial[i + 1]]
        whole = [i for i in joints if not (partial[i] or partial[i + 1])]
        drawn = (
            ("series-area", areas(heights, _HEIGHT * _FINE)),
            ("series-before", strokes(before, edges(before))),
            ("series-dot is-before", dots(before)),
            ("series-line series-partial", strokes(heights, broken)),
            ("series-line", strokes(heights, whole)),
            ("series-dot", dots(heights)),
        )
        return tag(
            "svg",
            *(tag("path", d=path, class_=name, vector_effect="non-scaling-stroke") for name, path in drawn if path),
            y=_TOP,
            width="100%",
            height=_HEIGHT,
            class_="is-dense" if len(self._points) > _DENSE else None,
            view_box=f"0 0 {2 * len(self._points)} {_HEIGHT * _FINE}",
            preserve_aspect_ratio="none",
            overflow="visible",
            aria_hidden="true",
        )

    def _heights(self, values: Sequence[float | None]) -> list[int | None]:
        return [None if v is None else round((self._y(v) - _TOP) * _FINE) for v in values]

    def _time_labels(self) -> Iterable[Markup]:
        """Labels below; each says by its classes in rooms of which width it is shown."""
        distances = round_ticks([point.start for point in self._points], self._series.interval)

        @cache
        def labels(limit: int) -> tuple[tuple[int, ...], list[str], float]:
            ticks = few_of(distances, limit)
            texts = [self._tick(i, ticks) for i in ticks]
            return ticks, texts, max(map(len, texts)) * _CHAR_PX

        shown: dict[tuple[int, str], list[str]] = {}
        for name, room_px in _ROOMS:
            limit = _MAX_LABELS
            ticks, texts, label_px = labels(limit)
            while limit > 1 and limit * (label_px + _GAP_PX) > room_px:  # fewer may be longer
                limit -= 1
                ticks, texts, label_px = labels(limit)
            half = label_px / 2 / room_px
            for i, text in zip(ticks, texts, strict=True):
                if self._middle(i) <= 1 - half or len(ticks) == 1:
                    shown.setdefault((i, text), []).append(name)
        for (i, text), names in sorted(shown.items()):
            classes, x = " ".join(["series-label", *names]), percent(self._middle(i))
            yield tag("text", text, x=x, y=_TOP + _HEIGHT + 20, text_anchor="middle", class_=classes)

    def _tick(self, i: int, ticks: Sequence[int]) -> str:
        """The label of a tick: among hours the date at midnight, of months without days in between their name."""
        at, interval = self._points[i].start, self._series.interval
        if interval in {"minute", "hour"}:
            days = {self._points[tick].start.date() for tick in ticks}
            is_first = i == 0 or self._points[i - 1].start.date() != at.date()
            if len(days) > 1 and is_first and (i or (at.hour, at.minute) == (0, 0)):
                interval = "day"
        elif all(self._points[tick].start.day <= (7 if interval == "week" else 1) for tick in ticks) and len(ticks) > 1:
            interval = "month"
        return self._formats.tick(at, interval)

    def _hit(self, i: int, number: int) -> Markup:
        """Where a bucket is pointed at, from top to bottom, and the dot that shows then."""
        count, value = len(self._represented), self._values[i]
        dot = ""
        if value is not None:
            dot = tag("circle", cx=percent(self._middle(i)), cy=self._y(value), r=4)
        last_known = self._to_come - 1 if self._to_come < len(self._points) else len(self._points) - 1
        step = len(self._points) / count
        return tag(
            "g",
            tag("title", self._story(i)),
            tag("rect", x=percent(number / count), width=percent(1 / count), height=_TOP + _HEIGHT),
            dot,
            class_="series-point is-partial" if self._points[i].is_partial else "series-point",
            data_point=number,
            tabindex=0 if number == min(count - 1, int(last_known / step)) else -1,
            role="img",
        )

    def _story(self, i: int) -> str:
        """A bucket in words, a fact a line."""
        t, point = self._t, self._points[i]
        when, figure, before, change = self._facts(i)
        lines = [when, f"{t(f'metric.{self._series.metric}')}: {figure}"]
        if self._befores[i] is not None:
            then = point.before_start and self._formats.bucket(point.before_start, self._series.interval)
            lines.append(f"{t('series.before')}: {before}" + (f" ({then})" if then else ""))
            lines += [change] if change else []
        return "\n".join(lines)

    def _facts(self, i: int) -> tuple[str, str, str, str]:
        """A bucket's time, figure, figure compared with, and change, as the picture and the table tell them."""
        if i not in self._told:
            when = self._formats.bucket(self._points[i].start, self._series.interval)
            if self._points[i].is_partial:
                when = f"{when} ({self._t('series.partial')})"
            before = self._formats.exactly(self._series.metric, self._befores[i])
            self._told[i] = (when, self._figure(i), before, self._change(i))
        return self._told[i]

    def _figure(self, i: int) -> str:
        if self._points[i].is_unknown:
            return self._t("series.unknown" if i < self._to_come else "chart.to_come")
        return self._formats.exactly(self._series.metric, self._values[i])

    def _change(self, i: int) -> str:
        """Against the bucket beside it; empty where there is nothing to compare, and of a bucket that goes on."""
        value, before, metric = self._values[i], self._befores[i], self._series.metric
        if value is None or before is None or self._points[i].is_partial:
            return ""
        if metric in IN_POINTS:
            return self._formats.change(metric, round(value - before))
        return self._formats.change(metric, round((value - before) / before * 100)) if before else ""


_HATCH: Final = tag(
    "defs",
    tag(
        "pattern",
        tag("path", d="M0 8L8 0M-2 2L2-2M6 10L10 6"),
        id="series-hatch",
        width=8,
        height=8,
        pattern_units="userSpaceOnUse",
    ),
)


def _known(value: Number) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _representatives(values: Sequence[float | None], befores: Sequence[float | None]) -> list[int]:
    """One bucket of every few, the highest, so that there are no more than `MAX_HITS`."""
    size = math.ceil(len(values) / MAX_HITS)

    def height(i: int) -> tuple[float, float]:
        value, before = values[i], befores[i]
        return (-1 if value is None else value, -1 if before is None else before)

    return [max(range(first, min(first + size, len(values))), key=height) for first in range(0, len(values), size)]
