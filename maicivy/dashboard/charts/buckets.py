"""The buckets of a series as a chart and its table tell them: what is known of each, and the same in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from maicivy.dashboard.charts.paths import runs
from maicivy.dashboard.formats import IN_POINTS, NOTHING, Formats
from maicivy.dashboard.page import Number, Series
from maicivy.dashboard.words import Words

MAX_TOLD: Final = 400
"""More are too narrow to be pointed at, and a table that nobody reads."""


class Buckets:
    """At least one bucket of time.

    Attributes:
        values, befores: figures by bucket; None where there is none to draw.
        to_come: the first bucket of which nothing can be known yet: all after the last that is known.
        size: so many neighbours are told by one of them.
        told: the ones that are told, the highest of their neighbours.
    """

    def __init__(self, series: Series, formats: Formats, t: Words) -> None:
        self._series, self._formats, self._t = series, formats, t
        self.points = series.points
        self.values = [_known(None if point.is_unknown else point.value) for point in self.points]
        self.befores = [_known(point.before) if series.is_compared else None for point in self.points]
        known = [i for i, value in enumerate(self.values) if value is not None]
        self.to_come = known[-1] + 1 if known else len(self.points)
        self.size = math.ceil(len(self.points) / MAX_TOLD)
        firsts = range(0, len(self.points), self.size)
        self.told = [max(range(first, min(first + self.size, len(self.points))), key=self._height) for first in firsts]
        self._facts: dict[int, tuple[str, str, str, str]] = {}

    def highest(self) -> float:
        """The highest figure of both ranges; 0 where none is known."""
        return max((value for value in (*self.values, *self.befores) if value is not None), default=0)

    def gaps(self) -> list[tuple[int, int]]:
        """Half-open ranges of buckets that were not recorded; what is still to come is none."""
        return list(runs([point.is_unknown for point in self.points[: self.to_come]]))

    def has_partial(self) -> bool:
        """Whether a figure is known that is not that of a whole bucket."""
        return any(p.is_partial and value is not None for p, value in zip(self.points, self.values, strict=True))

    def story(self, i: int) -> str:
        """A bucket in words, a fact a line: its time, its figure, the figure beside it, the change."""
        t, point = self._t, self.points[i]
        when, figure, before, change = self._told(i)
        lines = [when, t("fact", name=t(f"metric.{self._series.metric}"), value=figure)]
        if self.befores[i] is not None:
            then = point.before_start and self._formats.bucket(point.before_start, self._series.interval)
            lines.append(t("fact", name=t("series.before"), value=f"{before} ({then})" if then else before))
            lines += [change] if change else []
        return "\n".join(lines)

    def columns(self) -> tuple[str, ...]:
        """The head of the table."""
        t = self._t
        first = (t("series.time"), t(f"metric.{self._series.metric}"))
        return (*first, t("series.before"), t("chart.change")) if self._series.is_compared else first

    def rows(self) -> list[Sequence[str]]:
        """What is told, below these columns."""
        rows: list[Sequence[str]] = []
        for when, figure, before, change in map(self._told, self.told):
            rows.append((when, figure, before, change or NOTHING) if self._series.is_compared else (when, figure))
        return rows

    def _height(self, i: int) -> tuple[float, float]:
        value, before = self.values[i], self.befores[i]
        return (-1 if value is None else value, -1 if before is None else before)

    def _told(self, i: int) -> tuple[str, str, str, str]:
        """Time, figure, figure compared with, change; written once for picture and table."""
        if i not in self._facts:
            when = self._formats.bucket(self.points[i].start, self._series.interval)
            if self.points[i].is_partial:
                when = f"{when} ({self._t('series.partial')})"
            before = self._formats.exactly(self._series.metric, self.befores[i])
            self._facts[i] = (when, self._figure(i), before, self._change(i))
        return self._facts[i]

    def _figure(self, i: int) -> str:
        if self.points[i].is_unknown:
            return self._t("series.unknown" if i < self.to_come else "chart.to_come")
        return self._formats.exactly(self._series.metric, self.values[i])

    def _change(self, i: int) -> str:
        """Against the bucket beside it; empty where there is nothing to compare, and of a bucket that is not whole."""
        value, before, metric = self.values[i], self.befores[i], self._series.metric
        if value is None or before is None or self.points[i].is_partial:
            return ""
        if metric in IN_POINTS:
            return self._formats.change(metric, round(value - before))
        return self._formats.change(metric, round((value - before) / before * 100)) if before else ""


def _known(value: Number) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= 0 else None
