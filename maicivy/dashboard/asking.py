"""From a view to the page that shows it: each part asks for itself, several at a time, and one that fails says why in
its own place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.ports import EventSamples
from maicivy.core.sites import Site
from maicivy.dashboard import extras, links, over_time
from maicivy.dashboard.lists import Lists
from maicivy.dashboard.over_time import Figures
from maicivy.dashboard.page import Card, Extras, Figure, Page, Problem, Row, Series
from maicivy.dashboard.panels import CARDS, PANELS
from maicivy.dashboard.questions import Questions, problem_of
from maicivy.dashboard.view import View
from maicivy.errors import Refusal, Unavailable
from maicivy.queries import Queries
from maicivy.reports import Reports

PARTS: Final = ("current", "figures", "series", *(f"card-{key}" for key in CARDS), "extras", "ticker")
"""What can be asked for alone. The ticker is by scripts that have none of its rows; it is of what the extras are of."""

AT_ONCE: Final = 4
"""Parts that are worked out at the same time: as many questions as Postgres answers a process at a time."""

PATIENCE_S: Final = 12.0
"""For a whole page: a little longer than for one question, however many of them wait for their turn."""

_TOO_SLOW: Final = Problem("query_too_slow", f"it was not there after {PATIENCE_S:.0f} s; ask again, or for less time")
_NOT_COMPARED: Final = Problem("comparison_not_kept", "the range compared with is not kept for so long")

T = TypeVar("T")

log = logging.getLogger(__name__)


class Asking:
    """Asks for whole pages. Safe for threads."""

    def __init__(self, queries: Queries, reports: Reports, samples: EventSamples, zone: ZoneInfo) -> None:
        self._queries = queries
        self._reports = reports
        self._samples = samples
        self._zone = zone

    def questions(self, site: Site, view: View, now: datetime) -> Questions:
        """The questions of a view.

        Raises:
            Unavailable: the store does not tell when the site began.
        """
        return Questions(self._queries, site, view, self._zone, now)

    def lists(self, questions: Questions, site: Site, view: View, name: links.Name) -> Lists:
        """The panels of a view."""
        return Lists(questions, self._samples, site, view, links.site_path(site), name)

    def page(
        self,
        view: View,
        site: Site,
        sites: Sequence[Site],
        now: datetime,
        name: links.Name,
        parts: Collection[str] = PARTS,
    ) -> Page:
        """The page that shows `view`, with these parts only; of others there is nothing in it.

        Args:
            sites: what else may be looked at.
            name: how a value of a dimension is shown.

        Raises:
            Unavailable: the store does not answer at all.
        """
        questions = self.questions(site, view, now)
        path = links.site_path(site)
        asked = _Answers(self, questions, view, site, path, name, set(parts))
        told = asked.figures
        return Page(
            site_id=site.id,
            site_name=links.site_name(site),
            measurement_id=site.measurement_id,
            state=_state(questions, told.figures),
            period=questions.period(),
            timezone=str(questions.zone),
            current_visitors=asked.current,
            figures=told.figures,
            series=asked.series,
            cards=asked.cards,
            chips=links.chips(view, path, name),
            periods=links.periods(view, path),
            comparisons=links.comparisons(view, path),
            sites=links.sites(site, sites, view),
            live_url=f"/live/{links.site_reference(site)}",
            current_url=view.with_period("realtime").url(path),
            problem=told.problem,
            notices=() if told.is_comparison_kept else (_NOT_COMPARED,),
            options=links.options(view, path),
            as_of=told.as_of,
            extras=asked.extras,
        )

    def current_visitors(self, site: Site, now: datetime) -> int | None:
        """People of the last five minutes; None where nobody can tell now."""
        try:
            return self._reports.realtime(site.id, now).data.current_visitors
        except Unavailable:
            return None

    def moments(self, questions: Questions, site: Site, view: View, before: str) -> Extras:
        """A part of the timeline alone.

        Raises:
            Refusal: `invalid_parameter`, naming `before`.
            Unavailable: of the store.
        """
        return extras.moments(
            self._reports,
            site.id,
            before=before,
            zone=questions.zone,
            now=questions.now,
            earlier_url=_earlier(view, links.site_path(site)),
        )

    def extras(self, questions: Questions, site: Site, view: View, pages: Sequence[str]) -> Extras:
        """What seed 001 shows, or why that cannot be told now."""
        path = links.site_path(site)
        try:
            return extras.answered(
                self._reports,
                site.id,
                start=questions.start,
                end=questions.end,
                zone=questions.zone,
                pages=pages,
                heat_page=view.heat,
                before="",
                now=questions.now,
                heat_url=lambda page: f"{view.with_heat(page).url(path)}#heatmap",
                earlier_url=_earlier(view, path),
            )
        except (Refusal, Unavailable) as error:
            return Extras(problem=problem_of(error))


class _Answers:
    """The parts of one page, once all of them are there."""

    def __init__(
        self,
        asking: Asking,
        questions: Questions,
        view: View,
        site: Site,
        path: str,
        name: links.Name,
        parts: set[str],
    ) -> None:
        lists = asking.lists(questions, site, view, name)
        tasks: dict[str, Callable[[], Any]] = {
            "current": lambda: asking.current_visitors(site, questions.now),
            "figures": lambda: over_time.figures(questions, view, path),
            "series": lambda: over_time.series(questions, view, path),
        }
        tasks |= {f"card-{key}": _card(lists, key) for key in CARDS}
        tasks["extras"] = lambda: asking.extras(questions, site, view, _pages(lists))
        parts = parts | {"extras"} if "ticker" in parts else parts
        wanted = {part: task for part, task in tasks.items() if part in parts}
        found = at_once(wanted, PATIENCE_S)
        late = {part for part in wanted if part not in found}
        self.current: int | None = found.get("current")
        self.figures: Figures = found.get("figures") or Figures(problem=_TOO_SLOW if "figures" in late else None)
        self.series: Series = found.get("series") or over_time.no_series(view, _TOO_SLOW if "series" in late else None)
        self.cards: tuple[Card, ...] = tuple(
            found.get(f"card-{key}") or lists.late(key, _TOO_SLOW) for key in CARDS if f"card-{key}" in wanted
        )
        self.extras: Extras | None = found.get("extras") or (Extras(problem=_TOO_SLOW) if "extras" in late else None)


def at_once(tasks: Mapping[str, Callable[[], T]], patience_s: float) -> dict[str, T]:
    """What the tasks return, by their names. They run side by side, each in the context of the caller.

    Of several, those that are not over after `patience_s` are left to themselves, or not begun, and not in the answer.

    Raises:
        Exception: what one of them raises.
    """
    if len(tasks) < 2:
        return {name: task() for name, task in tasks.items()}
    pool = ThreadPoolExecutor(min(AT_ONCE, len(tasks)))
    try:
        running: dict[str, Future[T]] = {name: pool.submit(copy_context().run, task) for name, task in tasks.items()}
        over, _ = wait(running.values(), patience_s)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for name, future in running.items():
        if future not in over:
            future.add_done_callback(partial(_tell_of_failure, name))
    return {name: future.result() for name, future in running.items() if future in over}


def _tell_of_failure(name: str, late: Future[Any]) -> None:
    """Nobody waits for it any more, and still it must not fail in silence."""
    if not late.cancelled() and (error := late.exception()) is not None:
        log.error("late_part_failed", extra={"part": name, "error": type(error).__name__})


def _card(lists: Lists, key: str) -> Callable[[], Card]:
    return lambda: lists.card(key)


def _state(questions: Questions, figures: Sequence[Figure]) -> str:
    if questions.began is None:
        return "new"
    return "empty" if figures and not any(each.value for each in figures) else "ok"


def _pages(lists: Lists) -> list[str]:
    """The most viewed pages, which the heatmap may be asked for. The same question as that of the first panel."""
    rows: tuple[Row, ...] = lists.panel(PANELS["pages"]).rows
    return [row.value for row in rows if row.value.startswith("/")]


def _earlier(view: View, path: str) -> Callable[[str], str]:
    plain = msgspec.structs.replace(view, show=(), prop="", heat="")
    return lambda cursor: plain.url(f"{path}/moments", [("before", cursor)])
