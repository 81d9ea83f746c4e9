"""The bar behind a row of a panel: its share of the largest row, as a rectangle, since pages have no inline styles.

Classes: bar, bar-fill.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from maicivy.dashboard.charts.svg import percent, tag


def bar(share: float) -> Markup:
    """A bar over `share`, 0 to 1, of the width of its place; what is beyond is cut, what is no number is nothing. The
    figures stand in the row, so it says nothing to screen readers."""
    length = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    rect = tag("rect", width=percent(length), height="100%", rx=3, class_="bar-fill")
    return tag("svg", rect, width="100%", height="100%", class_="bar", aria_hidden="true")
