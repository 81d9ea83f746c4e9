"""The world as a field of dots, in which the countries that visitors came from are shaded by their number.

`data/world.txt` has one line for each row of dots from north to south and two letters for each dot: the ISO 3166-1
code of its country, `..` for water. Rows of odd numbers are shifted by half a dot. The grid was computed once from the
outlines of Natural Earth 1:50m (public domain) in Robinson's projection around 11 degrees east, a dot going to the
country that has most of its surroundings; countries too small for that got the dot nearest to them. It draws no
borders and takes no side: a dot stands for the code that ISO gives to whoever lives there (`XK` is what databases of
addresses say for Kosovo).

A country is one `[data-point]` with a `<title>`, as in the chart over time, and one path: a line for each run of dots,
dashed so that only the round ends of dashes without length remain.

Classes: world, world-map, world-land, world-country, world-reach, world-1 to world-5, world-legend,
world-key, chart-table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup

from maicivy.dashboard.charts.svg import table, tag
from maicivy.dashboard.formats import Formats
from maicivy.dashboard.page import Row
from maicivy.dashboard.words import Words

CLASSES: Final = 5

_GRID: Final = Path(__file__).parent / "data" / "world.txt"
_COLUMN: Final = 4
_ROW: Final = 3.46
"""Rows of equilateral triangles are as far apart as columns times the half root of three."""
_WATER: Final = ".."

Run = tuple[int, int, int]
"""Dots side by side: row, first column, how many."""


@cache
def grid() -> Mapping[str, tuple[Run, ...]]:
    """The dots of every country by its code, from north to south."""
    runs: dict[str, list[Run]] = {}
    for row, line in enumerate(_GRID.read_text("ascii").splitlines()):
        codes = [line[i : i + 2] for i in range(0, len(line), 2)]
        for column, code in enumerate(codes):
            if code == _WATER:
                continue
            of_code = runs.setdefault(code, [])
            if of_code and (of_code[-1][0], sum(of_code[-1][1:])) == (row, column):
                of_code[-1] = (row, of_code[-1][1], of_code[-1][2] + 1)
            else:
                of_code.append((row, column, 1))
    return {code: tuple(of_code) for code, of_code in runs.items()}


def shade(share: float) -> int:
    """The class of a share of the largest, above 0 up to 1, by its square root: few visitors show, too."""
    return min(CLASSES, max(1, math.ceil(round(math.sqrt(max(share, 0)) * CLASSES, 9))))


def world_map(rows: Sequence[Row], formats: Formats, t: Words) -> Markup:
    """The map with its legend and table. Of each row the value is the code and the first number the visitors; rows
    without either are not drawn, and those whose code has no place stand in the table only.

    A country is a link to the view filtered by it, where it has one. Of 60 countries it is below 25 KB.
    """
    counted = [(row, float(row.numbers[0])) for row in rows if row.value and row.numbers and row.numbers[0]]
    highest = max((count for _, count in counted), default=0.0)
    placed = [(row, count) for row, count in counted if row.value in grid()]
    shaded = {row.value for row, _ in placed}
    land = _path(_merged(runs for code, runs in grid().items() if code not in shaded))
    width, height = _size()
    picture = tag(
        "svg",
        tag("path", d=land, class_="world-land"),
        *(_country(row, shade(count / highest), formats, t) for row, count in placed),
        view_box=f"0 0 {width} {height:.0f}",
        class_="world-map",
        role="group",
        aria_label=t("map.title"),
    )
    columns = (t("chart.country"), t("metric.visitors"))
    listed = ((row.text, formats.number(row.numbers[0])) for row, _ in counted)
    return tag(
        "figure",
        picture,
        _legend(highest, formats, t) if counted else "",
        table(t("map.title"), columns, listed, t) if counted else "",
        class_="world",
        data_chart="map",
    )


def _country(row: Row, of_class: int, formats: Formats, t: Words) -> Markup:
    name = t("map.country", country=row.text, count=formats.number(row.numbers[0]))
    dots = _path(grid()[row.value])
    shape = tag("path", d=dots) + tag("path", d=dots, class_="world-reach")  # between the dots, too
    title = tag("title", name)
    classes = f"world-country world-{of_class}"
    if not row.url:
        return tag("g", title, shape, class_=classes, data_point=row.value)
    current = "true" if row.is_filtered else None
    return tag(
        "a", title, shape, href=row.url, class_=classes, aria_label=name, aria_current=current, data_nav="",
        data_point=row.value,
    )  # fmt: skip


def _legend(highest: float, formats: Formats, t: Words) -> Markup:
    """From fewer to more, and the number that the darkest stands for."""
    keys = (
        tag("rect", x=(number - 1) * 16, width=14, height=10, rx=2, class_=f"world-key world-{number}")
        for number in range(1, CLASSES + 1)
    )
    scale = tag("svg", *keys, width=16 * CLASSES, height=10, aria_hidden="true")
    texts = (tag("span", text) for text in (formats.number(1), formats.compact(highest)))
    return tag(
        "figcaption", tag("span", t("map.legend")), next(texts), scale, next(texts), class_="world-legend"
    )  # fmt: skip


def _merged(countries: Iterable[Iterable[Run]]) -> list[Run]:
    """The runs of several countries, those that touch made one."""
    merged: list[Run] = []
    for row, column, length in sorted(run for runs in countries for run in runs):
        if merged and (merged[-1][0], merged[-1][1] + merged[-1][2]) == (row, column):
            merged[-1] = (row, merged[-1][1], merged[-1][2] + length)
        else:
            merged.append((row, column, length))
    return merged


def _path(runs: Iterable[Run]) -> str:
    """Lines that end a little behind their last dot: whether one at the very end is drawn would be left to rounding."""
    parts = []
    for row, column, length in runs:
        x = column * _COLUMN + (_COLUMN // 2 if row % 2 else 0) + _COLUMN // 2
        parts.append(f"M{x} {round(row * _ROW + 2):d}h{(length - 1) * _COLUMN or ''}.5")
    return "".join(parts)


@cache
def _size() -> tuple[int, float]:
    runs = [run for of_code in grid().values() for run in of_code]
    columns = max(column + length for _, column, length in runs)
    return (columns + 1) * _COLUMN, (max(row for row, _, _ in runs) + 1) * _ROW + 1
