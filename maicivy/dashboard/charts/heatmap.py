"""Where a page was clicked: soft spots over the outline of a page, which stands for all pages and shows none.

The outline is as wide as the clicks reach and as long; a hairline each 1,000 px tells how far down one is. The numbers
stand in the table of the hottest places.

Classes: heat, heat-room, heat-page, heat-sheet, heat-ink, heat-fold, heat-label, heat-1 to heat-5 (of spots and
keys), heat-blob, heat-legend, heat-key, chart-empty, chart-table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup

from maicivy.dashboard.charts.svg import joined, table, tag
from maicivy.dashboard.charts.worldmap import CLASSES, shade
from maicivy.dashboard.formats import Formats
from maicivy.dashboard.page import HEAT_CELL_PX, HeatCell
from maicivy.dashboard.words import Words

MAX_SPOTS: Final = 1500
"""The hottest; more are a fog, and the page that carries them heavy."""
MAX_PLACES: Final = 20

_FOLD_PX: Final = 1000
_WIDTHS: Final = (390, 768, 1024, 1280, 1440, 1920, 2560, 3840)
"""Of common screens in CSS pixels: the outline is as wide as the first that has room for all clicks."""
_MAX_HEIGHT: Final = 20_000
_RADIUS: Final = (22, 25, 28, 32, 36)
"""Of a spot by its class: they flow into one another where cells touch."""


def heat_map(cells: Sequence[HeatCell], formats: Formats, t: Words) -> Markup:
    """The clicks over their outline, with a legend and the table of the hottest places. Cells may come in any order
    and lie anywhere; those left of or above the page, or beyond the last width, are left out. None: a sentence."""
    inside = [c for c in cells if c.count > 0 and 0 <= c.x < _WIDTHS[-1] and 0 <= c.y < _MAX_HEIGHT]
    if not inside:
        return tag("p", t("chart.no_clicks"), class_="chart-empty")
    hottest = sorted(inside, key=lambda c: (-c.count, c.y, c.x))
    spots = hottest[:MAX_SPOTS]
    width = next((w for w in _WIDTHS if w >= max(c.x for c in spots) + HEAT_CELL_PX), _WIDTHS[-1])
    height = max(_FOLD_PX, math.ceil((max(c.y for c in spots) + 5 * HEAT_CELL_PX) / 100) * 100)
    picture = tag(
        "svg",
        _GRADIENTS,
        *_outline(width, height, formats),
        *_spots(spots, formats, t),
        view_box=f"0 0 {width} {height}",
        font_size=max(14, width // 75),
        class_="heat-page",
        role="img",
        aria_label=t("extras.heatmap_about"),
    )
    title = t("extras.heatmap")
    room = tag("div", picture, class_="heat-room", tabindex=0, role="group", aria_label=title)
    columns = (t("chart.place"), t("chart.clicks"))
    places = ((_place(c, formats, t), formats.number(c.count)) for c in hottest[:MAX_PLACES])
    return tag(
        "figure", room, _legend(hottest[0].count, formats, t), table(title, columns, places, t),
        class_="heat", data_chart="heat",
    )  # fmt: skip


def _outline(width: int, height: int, formats: Formats) -> Iterable[Markup]:
    """A sheet with a header and lines where text would be, the same for each size."""
    margin = max(24, width // 10)
    inner = width - 2 * margin
    yield tag("rect", width=width, height=height, class_="heat-sheet")
    yield tag("rect", x=margin, y=28, width=min(120, inner // 3), height=16, rx=8, class_="heat-ink")
    for i in range(3):
        yield tag("rect", x=width - margin - (i + 1) * 64, y=30, width=44, height=12, rx=6, class_="heat-ink")
    yield tag("rect", x=margin, y=120, width=inner * 0.6, height=30, rx=8, class_="heat-ink")
    starts = enumerate(range(200, height - 60, 40))
    lengths = ((inner * _RAGGED[i % len(_RAGGED)], y) for i, y in starts)
    lines = "".join(f"M{margin} {y}h{length:.0f}" for length, y in lengths if length)
    yield tag("path", d=lines, class_="heat-ink heat-text")
    for y in range(_FOLD_PX, height, _FOLD_PX):
        yield tag("line", x2=width, y1=y, y2=y, class_="heat-fold")
        text = f"{formats.number(y)} px"
        yield tag("text", text, x=width - 10, y=y - 8, text_anchor="end", class_="heat-label")


def _spots(spots: Sequence[HeatCell], formats: Formats, t: Words) -> Iterable[Markup]:
    """The coldest first, so that the hottest lie on top; the hottest of all say how many."""
    highest = spots[0].count
    for of_class in range(1, CLASSES + 1):
        drawn = []
        for i, cell in enumerate(spots):
            if shade(cell.count / highest) == of_class:
                words = t("fact", name=_place(cell, formats, t), value=formats.number(cell.count))
                said = tag("title", words) if i < MAX_PLACES else ""
                x, y = cell.x + HEAT_CELL_PX // 2, cell.y + HEAT_CELL_PX // 2
                drawn.append(tag("circle", said, cx=x, cy=y, r=_RADIUS[of_class - 1]))
        if drawn:
            yield tag("g", joined(drawn), class_="heat-blob", fill=f"url(#heat-blob-{of_class})")


def _place(cell: HeatCell, formats: Formats, t: Words) -> str:
    return t("chart.at", x=formats.number(cell.x), y=formats.number(cell.y))


def _legend(highest: int, formats: Formats, t: Words) -> Markup:
    keys = (
        tag("rect", x=(number - 1) * 16, width=14, height=10, rx=2, class_=f"heat-key heat-{number}")
        for number in range(1, CLASSES + 1)
    )
    scale = tag("svg", *keys, width=16 * CLASSES, height=10, aria_hidden="true")
    return tag(
        "figcaption",
        tag("span", t("chart.clicks")), tag("span", formats.number(1)), scale, tag("span", formats.compact(highest)),
        class_="heat-legend",
    )  # fmt: skip


_RAGGED: Final = (0.92, 0.88, 0.95, 0.9, 0.55, 0, 0.94, 0.87, 0.91, 0.7, 0)
"""Lengths of the lines of text, with the ends of paragraphs between them."""

_GRADIENTS: Final = tag(
    "defs",
    *(
        tag(
            "radialGradient",
            tag("stop", class_=f"heat-{number}"),
            tag("stop", offset=1, class_=f"heat-{number}", stop_opacity=0),
            id=f"heat-blob-{number}",
        )
        for number in range(1, CLASSES + 1)
    ),
)
