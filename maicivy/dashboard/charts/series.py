"""A metric over time: an area under its line, the range compared with as a dashed line, and what is not whole or not
known shown as such.

The picture is as wide as its room: along, everything is in percent or inside a box that stretches; upwards it is in
pixels. So it needs no script to fit. Of the labels below there are three sets, for rooms of three widths.

What scripts and people find in it: one `[data-point]` for each bucket (the highest of a few where there are more than
`MAX_TOLD`), numbered from 0, with the whole story in its `<title>`, one fact per line: the time, the figure, the figure
compared with, the change. One of them is in the tab order; arrow keys are for scripts.

Classes: series-chart, series-plot, series-scale, series-room, series-canvas; series-label, tick-s, tick-m, tick-l
(shown in rooms of some width only); series-grid, series-base, series-area, series-line, series-partial, series-dot,
series-before, is-before, is-dense, series-gap, series-hatch, series-point (with is-partial), series-legend, series-key,
chart-empty, chart-table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from markupsafe import Markup

from maicivy.dashboard.charts.buckets import Buckets
from maicivy.dashboard.charts.paths import areas, dots, edges, strokes
from maicivy.dashboard.charts.scales import few_of, kind_of, round_ticks, value_ticks
from maicivy.dashboard.charts.svg import percent, table, tag
from maicivy.dashboard.formats import Formats
from maicivy.dashboard.page import Series
from maicivy.dashboard.words import Words

_TOP: Final = 14
_HEIGHT: Final = 236
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

    Costs about 0.1 milliseconds for each point up to `MAX_TOLD`, nearly all of it for writing figures and times as the
    reader does; 28 points take 3 ms, 2,000 take 60 ms (CPython 3.11, one core of a small server).
    """
    points = series.points
    if not points:
        return tag("p", t("series.empty"), class_="chart-empty")
    drawing = _Drawing(series, formats, t)
    title = t("series.title", metric=t(f"metric.{series.metric}"))
    plot = tag("div", drawing.scale(), tag("div", drawing.canvas(title), class_="series-room"), class_="series-plot")
    return tag("figure", plot, drawing.legend(), drawing.table(title), class_="series-chart", data_chart="series")


class _Drawing:
    """Where everything of one chart is."""

    def __init__(self, series: Series, formats: Formats, t: Words) -> None:
        self._series = series
        self._formats = formats
        self._t = t
        self._buckets = Buckets(series, formats, t)
        self._points = series.points
        self._ticks = value_ticks(self._buckets.highest(), kind_of(series.metric))

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
            *(self._hit(i, number) for number, i in enumerate(self._buckets.told)),
            width="100%",
            height=_TOP + _HEIGHT + _BOTTOM,
            class_="series-canvas",
            role="group",
            aria_label=title,
        )

    def legend(self) -> Markup:
        """What the lines stand for, where there is more than one kind; why in words that a pointer can ask for."""
        t = self._t
        kinds = (
            ("series-line", t("series.now"), "", True),
            ("series-before", t("series.before"), "", any(v is not None for v in self._buckets.befores)),
            ("series-line series-partial", t("series.partial"), t("series.partial_why"), self._buckets.has_partial()),
            ("series-hatch", t("series.unknown"), t("series.unknown_why"), bool(self._buckets.gaps())),
        )
        shown = [(name, text, why) for name, text, why, is_there in kinds if is_there]
        if len(shown) < 2:
            return Markup()
        keys = (tag("span", _key(name), text, title=why or None, class_="series-key") for name, text, why in shown)
        return tag("figcaption", *keys, class_="series-legend")

    def table(self, title: str) -> Markup:
        """What the picture shows, in figures."""
        caption = title if self._buckets.size == 1 else f"{title} ({self._t('chart.peaks')})"
        return table(caption, self._buckets.columns(), self._buckets.rows(), self._t)

    def _y(self, value: float) -> float:
        return _TOP + _HEIGHT * (1 - value / self._ticks[-1])

    def _middle(self, i: int) -> float:
        return (i + 0.5) / len(self._points)

    def _grid_line(self, tick: float) -> Markup:
        y = round(self._y(tick)) + 0.5
        return tag("line", x2="100%", y1=y, y2=y, class_="series-grid" if tick else "series-grid series-base")

    def _gaps(self) -> Iterable[tuple[Markup, Markup]]:
        """What was not recorded: a hatched area, and what it means where there is room."""
        points = self._points
        for first, end in self._buckets.gaps():
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
        heights, before = self._heights(self._buckets.values), self._heights(self._buckets.befores)
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
        buckets, count = self._buckets, len(self._points)
        first, value = number * buckets.size, buckets.values[i]
        width = min(buckets.size, count - first)
        dot = "" if value is None else tag("circle", cx=percent(self._middle(i)), cy=self._y(value), r=4)
        return tag(
            "g",
            tag("title", buckets.story(i)),
            tag("rect", x=percent(first / count), width=percent(width / count), height=_TOP + _HEIGHT),
            dot,
            class_="series-point is-partial" if self._points[i].is_partial else "series-point",
            data_point=number,
            tabindex=0 if number == (buckets.to_come - 1) // buckets.size else -1,
            role="img",
        )


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


def _key(name: str) -> Markup:
    """A sample of a line or an area, for the legend."""
    sample = (
        tag("rect", width=18, height=10, class_=name, fill="url(#series-hatch)")
        if name == "series-hatch"
        else tag("path", d="M1 5h16", class_=name)
    )
    return tag("svg", sample, width=18, height=10, aria_hidden="true")
