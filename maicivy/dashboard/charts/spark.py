"""A line as small as a word: how a figure went, without axes or labels. What it shows stands beside it in figures, so
it says nothing to screen readers.

Classes: spark, spark-area, spark-line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from maicivy.dashboard.charts.paths import areas, dots, edges, strokes
from maicivy.dashboard.charts.svg import tag
from maicivy.dashboard.page import Number

_HEIGHT: Final = 200
"""Of the box that is stretched; the element is as high as its style says."""
_MARGIN: Final = 10


def spark(values: Sequence[Number]) -> Markup:
    """A tiny line over values in order; gaps where they are None. Of no values: an empty picture, that keeps the
    place."""
    known = [v if v is not None and math.isfinite(v) and v >= 0 else None for v in values]
    highest = max((v for v in known if v), default=1)
    room = _HEIGHT - 2 * _MARGIN
    heights = [None if v is None else round(_HEIGHT - _MARGIN - room * (v / highest)) for v in known]
    line = strokes(heights, edges(heights)) + dots(heights)
    paths = (("spark-area", areas(heights, _HEIGHT)), ("spark-line", line))
    return tag(
        "svg",
        *(tag("path", d=path, class_=name, vector_effect="non-scaling-stroke") for name, path in paths if path),
        view_box=f"0 0 {2 * max(1, len(values))} {_HEIGHT}",
        preserve_aspect_ratio="none",
        class_="spark",
        aria_hidden="true",
    )
