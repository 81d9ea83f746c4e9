"""Panels with their rows: in a card, and on the details page and in files, where `details.py` says which.

Which properties events have is told by samples of them: there is no list of what may be sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from maicivy.core.answers import Answer, Result
from maicivy.core.circumstances import READING_FIELDS
from maicivy.core.events import ENGAGEMENT
from maicivy.core.ports import EventSamples
from maicivy.core.query import PROPERTY
from maicivy.core.query_filters import MAX_PROPERTY_CHARS
from maicivy.core.sites import Site
from maicivy.dashboard.links import Name
from maicivy.dashboard.page import Card, Link, Panel, Problem, Row
from maicivy.dashboard.panels import PANELS, PROPERTIES, PanelSpec, panels_of, shown_panel
from maicivy.dashboard.questions import Questions, problem_of
from maicivy.dashboard.view import View
from maicivy.errors import Refusal, Unavailable

MAX_EVENT_TYPES: Final = 50
MAX_SAMPLES: Final = 10
"""Of each type."""

MAX_KEYS: Final = 30
_OF_THE_TRACKER: Final = frozenset({*READING_FIELDS, "interactive", "x", "y"})
"""Properties that say how something was measured: they have figures and pictures of their own."""

_PAGES: Final = ("event:page", "visit:entry_page", "visit:exit_page")


class Lists:
    """The panels of one view of a site."""

    def __init__(
        self, questions: Questions, samples: EventSamples, site: Site, view: View, path: str, name: Name
    ) -> None:
        self._questions = questions
        self._samples = samples
        self._site = site
        self._view = view
        self._path = path
        self.name = name

    def card(self, key: str) -> Card:
        """A card with the panel on top of it; where that has no rows to show, with the reason."""
        spec = PANELS[shown_panel(key, self._view.show)]
        return Card(key, self._tabs(spec), self.panel(spec))

    def late(self, key: str, problem: Problem) -> Card:
        """A card whose panel is not there."""
        spec = PANELS[shown_panel(key, self._view.show)]
        return Card(key, self._tabs(spec), self.laid(spec, (), None, problem=problem))

    def panel(self, spec: PanelSpec) -> Panel:
        """The first rows of a panel."""
        try:
            spec, choices = self.of_property(spec)
            if spec.key == PROPERTIES and not choices:
                return self.laid(spec, (), None)
            answer = self.ask(spec, limit=spec.rows + 1)
        except (Refusal, Unavailable) as error:
            return self.laid(spec, (), None, problem=problem_of(error))
        rows = self.rows(spec, answer)
        panel = self.laid(spec, rows[: spec.rows], answer, choices=choices)
        return msgspec.structs.replace(panel, has_more=len(rows) > spec.rows)

    def ask(self, spec: PanelSpec, metrics: Sequence[str] = (), conditions: Sequence[Any] = (), **more: Any) -> Answer:
        """The rows of a panel as the query engine tells them. Where its outer dimension is not kept for so long, that
        is left out."""
        wanted = metrics or spec.metrics
        conditions = (*spec.conditions, *conditions)
        if spec.within:
            try:
                dimensions = (spec.within, spec.dimension)
                return self._questions.ask(wanted, dimensions=dimensions, conditions=conditions, **more)
            except Refusal as refusal:
                if refusal.code != "not_kept":
                    raise
        return self._questions.ask(wanted, dimensions=(spec.dimension,), conditions=conditions, **more)

    def rows(self, spec: PanelSpec, answer: Answer) -> tuple[Row, ...]:
        """Rows of an answer as they are shown."""
        most = max((result.metrics[0] or 0 for result in answer.results), default=0)
        return tuple(self._row(spec, tuple(answer.query.dimensions), result, most) for result in answer.results)

    def laid(
        self,
        spec: PanelSpec,
        rows: tuple[Row, ...],
        answer: Answer | None,
        *,
        metrics: tuple[str, ...] = (),
        choices: tuple[Link, ...] = (),
        problem: Problem | None = None,
    ) -> Panel:
        """A panel of these rows."""
        metrics = metrics or spec.metrics
        return Panel(
            spec.key,
            spec.dimension,
            metrics,
            rows,
            self._view.url(f"{self._path}/details/{spec.key}"),
            self._view.url(f"{self._path}/export/{spec.key}.csv"),
            None if answer is None else answer.meta.metrics[metrics[0]],
            choices,
            problem=problem,
        )

    def of_property(self, spec: PanelSpec) -> tuple[PanelSpec, tuple[Link, ...]]:
        """For `properties`: the panel of the property that is chosen, and all that can be."""
        if spec.key != PROPERTIES:
            return spec, ()
        names = self._property_names()
        chosen = self._view.prop or next(iter(names), "")
        if chosen and chosen not in names:
            names.append(chosen)
        choices = tuple(
            Link("property", self._view.with_property(name).url(self._path), name == chosen, name) for name in names
        )
        dimension = f"{PROPERTY}{chosen}"
        conditions = (("is_not", dimension, ("",)),) if chosen else ()
        return msgspec.structs.replace(spec, dimension=dimension, conditions=conditions), choices

    def _tabs(self, spec: PanelSpec) -> tuple[Link, ...]:
        return tuple(
            Link(name, self._view.with_panel(name).url(self._path), name == spec.key) for name in panels_of(spec.card)
        )

    def _property_names(self) -> list[str]:
        """Properties of the latest events in the range, the most frequent first; of those that the filters let
        through, as far as these are on the name of the event."""
        asked = self._questions.ask(("events",), dimensions=("event:name",), limit=MAX_EVENT_TYPES)
        types = [result.dimensions[0] for result in asked.results if result.dimensions[0] != ENGAGEMENT]
        start, end = self._questions.start, self._questions.end
        found: Counter[str] = Counter()
        for _, text in self._samples.latest(self._site.id, types, start, end, {}, MAX_SAMPLES):
            data: dict[str, Any] = msgspec.json.decode(text)
            found.update(key for key, value in data.items() if _is_listed(key, value))
        return [key for key, _ in sorted(found.items(), key=lambda each: (-each[1], each[0]))[:MAX_KEYS]]

    def _row(self, spec: PanelSpec, dimensions: tuple[str, ...], result: Result, most: float) -> Row:
        *outer, value = result.dimensions
        pairs = list(zip(dimensions, result.dimensions, strict=True))
        view = self._view
        is_set = all(view.is_filtered_by(*pair) for pair in pairs)
        for pair in pairs:
            if is_set or not view.is_filtered_by(*pair):
                view = view.toggled(*pair)
        first = result.metrics[0] or 0
        return Row(
            value,
            self.name(spec.dimension, value),
            tuple(result.metrics),
            first / most if most else 0.0,
            view.url(self._path),
            is_set,
            self._href(spec, value),
            self.name(spec.within, outer[0]) if outer else "",
        )

    def _href(self, spec: PanelSpec, value: str) -> str:
        if spec.dimension in _PAGES and self._site.domain and value.startswith("/"):
            return f"https://{self._site.domain}{value}"
        return ""


def _is_listed(key: str, value: Any) -> bool:
    if key in _OF_THE_TRACKER:
        return False
    return 0 < len(key) <= MAX_PROPERTY_CHARS and isinstance(value, str | int | float) and "\0" not in key
