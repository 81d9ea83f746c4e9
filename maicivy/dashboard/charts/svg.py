"""SVG and HTML as text that is safe by the way it is made: whatever is not `Markup` already is escaped, and numbers
are as short as a picture needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup, escape

from maicivy.dashboard.words import Words


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element. `class_` is `class`, `aria_label` is `aria-label`; an attribute that is None is left out. Names are
    ours, children and values anybody's."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-") if key not in _CAMEL else _CAMEL[key]}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    if not inside and name in _EMPTY:
        return Markup(f"<{name}{written}/>")  # noqa: S704 - escaped above
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704 - escaped above


def joined(parts: Iterable[str]) -> Markup:
    """One after the other."""
    return Markup().join(parts)


def short(number: float) -> str:
    """At most two decimals, and no zeros that say nothing: `12.5`, `3`."""
    return f"{round(number, 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # no -0


def percent(share: float) -> str:
    """A length along the width of the picture, of a share from 0 to 1."""
    return f"{short(share * 100)}%"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], t: Words) -> Markup:
    """The table behind a chart, for those who read better than they see: closed until somebody opens it. The first
    cell of a row names it."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = joined(
        tag("tr", tag("th", name, scope="row"), *(tag("td", text) for text in texts)) for name, *texts in rows
    )
    return tag(
        "details",
        tag("summary", t("series.table_show")),
        tag(
            "div",
            tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body)),
            class_="chart-table-room",
            tabindex=0,
            role="group",
            aria_label=caption,
        ),
        class_="chart-table",
    )


_CAMEL: Final = {"view_box": "viewBox", "preserve_aspect_ratio": "preserveAspectRatio", "pattern_units": "patternUnits"}
_EMPTY: Final = frozenset({"path", "rect", "circle", "line", "stop", "use"})


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else short(value)
