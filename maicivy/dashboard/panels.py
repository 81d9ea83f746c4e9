"""The closed table of panels: which there are, in which card, and what each asks the query API.

A panel is a dimension with its metrics. Where one that has no value says nothing (visits without a campaign), those
rows are not asked for.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from maicivy.core.events import ENGAGEMENT, PAGE_VIEW
from maicivy.core.query import PROPERTY

ROWS: Final = 10
"""Of a panel in its card."""

MAP_ROWS: Final = 250
"""Of the map: more than there are countries."""

PROPERTIES: Final = "properties"
MAP: Final = "map"


class PanelSpec(msgspec.Struct, frozen=True):
    """A panel.

    Attributes:
        card: the place that it shares with others.
        dimension: of the query API; of `properties`, what stands before the property's name.
        within: a dimension without which its values say little (a version without its browser); empty: none.
        metrics: in its card, the first of them orders the rows; more: besides, in its details.
        conditions: filters of the query API that belong to it.
        rows: most of them in its card.
    """

    key: str
    card: str
    dimension: str
    within: str = ""
    metrics: tuple[str, ...] = ("visitors",)
    more: tuple[str, ...] = ("visits", "bounce_rate", "visit_duration")
    conditions: tuple[Any, ...] = ()
    rows: int = ROWS


_OF_PAGES: Final = ("pageviews", "bounce_rate", "time_on_page", "scroll_depth")
_OF_ENTRIES: Final = ("visits", "bounce_rate", "visit_duration")


def _named(dimension: str) -> tuple[Any, ...]:
    """Only what has a value."""
    return (("is_not", dimension, ("",)),)


_ALL: Final = (
    PanelSpec("pages", "pages", "event:page", more=_OF_PAGES),
    PanelSpec("entry_pages", "pages", "visit:entry_page", more=_OF_ENTRIES),
    PanelSpec("exit_pages", "pages", "visit:exit_page", more=_OF_ENTRIES),
    PanelSpec("hostnames", "pages", "event:hostname", more=("pageviews", "visits")),
    PanelSpec("channels", "sources", "visit:channel"),
    PanelSpec("sources", "sources", "visit:source"),
    PanelSpec("referrers", "sources", "visit:referrer", conditions=_named("visit:referrer")),
    *(
        PanelSpec(f"{name}s", "sources", f"visit:{name}", conditions=_named(f"visit:{name}"))
        for name in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    ),
    PanelSpec(MAP, "places", "visit:country", rows=MAP_ROWS),
    PanelSpec("countries", "places", "visit:country"),
    PanelSpec("regions", "places", "visit:region"),
    PanelSpec("cities", "places", "visit:city"),
    PanelSpec("languages", "places", "visit:language"),
    PanelSpec("devices", "devices", "visit:device"),
    PanelSpec("browsers", "devices", "visit:browser"),
    PanelSpec("browser_versions", "devices", "visit:browser_version", within="visit:browser"),
    PanelSpec("os", "devices", "visit:os"),
    PanelSpec("os_versions", "devices", "visit:os_version", within="visit:os"),
    PanelSpec("screens", "devices", "visit:screen"),
    PanelSpec(
        "events",
        "events",
        "event:name",
        metrics=("visitors", "events"),
        more=(),
        conditions=(("is_not", "event:name", (PAGE_VIEW, ENGAGEMENT)),),
    ),
    PanelSpec(PROPERTIES, "events", PROPERTY, metrics=("visitors", "events"), more=()),
)

PANELS: Final = {spec.key: spec for spec in _ALL}
"""In the order of cards, and of tabs in a card."""

CARDS: Final = tuple(dict.fromkeys(spec.card for spec in _ALL))


def card_of(key: str) -> str:
    """The card of a panel."""
    return PANELS[key].card


def panels_of(card: str) -> tuple[str, ...]:
    """The panels of a card, the one that is shown without being asked for first."""
    return tuple(spec.key for spec in _ALL if spec.card == card)


def default_panels() -> tuple[str, ...]:
    """The panels that are shown without being asked for."""
    return tuple(panels_of(card)[0] for card in CARDS)


def shown_panel(card: str, show: tuple[str, ...]) -> str:
    """The panel of a card that is on top."""
    return next((key for key in show if card_of(key) == card), panels_of(card)[0])
