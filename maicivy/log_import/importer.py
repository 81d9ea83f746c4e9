"""Use case: the lines of access logs become page views in the inbox, each once however often they are read.

Memory does not grow with the input. What was handed in is durable; a run that was interrupted is finished by running
it again, for every event's id is derived from its line (`core.access_log.Ordinals`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from maicivy.core.access_log import (
    Line,
    Ordinals,
    PageView,
    Skip,
    excerpt,
    line_key,
    out_of_time,
    page_view,
    parse_line,
)
from maicivy.core.dimensions import Place
from maicivy.core.event_data import storable
from maicivy.core.events import DEFAULT_SITE, PAGE_VIEW, Event, Traits
from maicivy.core.gate import MAX_BATCH_EVENTS
from maicivy.core.identity import MAX_USER_AGENT_CHARS, Salts, visitor_on
from maicivy.errors import InboxFull, Unavailable
from maicivy.log_import.source import InputUnreadable, Source

SHOWN_UNREADABLE: Final = 10
RING_EVERY_EVENTS: Final = 10 * MAX_BATCH_EVENTS
LINES_PER_STEP: Final = 2_000
_NOWHERE: Final = Place()
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0


class Collector(Protocol):
    """The side of `core.ports.Inbox` that events go in by."""

    def append(self, events: Sequence[Event]) -> None:
        """See `core.ports.Inbox.append`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import needs to know of the installation and of the moment. `now` is aware and UTC."""

    now: datetime
    retention: timedelta
    query_params: frozenset[str]
    salts: Salts
    secret_key: str
    site_id: int = DEFAULT_SITE
    domain: str = ""
    shift_to_now: bool = False
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is in neither format: where it stands, counted from 1, and what of it may be shown."""

    source: str
    number: int
    reason: str
    excerpt: str


@dataclass(slots=True)
class Report:
    """What became of every line: `lines` = `unreadable` + all `skipped` + `handed_in`, and what was being handed in
    when a run ended early.

    `first` and `last` are the times of the page views handed in, after the shift.
    """

    lines: int = 0
    handed_in: int = 0
    unreadable: int = 0
    skipped: Counter[Skip] = field(default_factory=Counter)
    shown: list[Unreadable] = field(default_factory=list)
    broken: list[InputUnreadable] = field(default_factory=list)
    shift: timedelta = timedelta()
    first: datetime | None = None
    last: datetime | None = None
    gave_up: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an import does to the world besides reading: all of it can be watched by a test.

    Attributes:
        inbox: where page views go.
        ring: tells the worker, now and then; must not raise.
        step: called every `LINES_PER_STEP` lines with the source being read: progress.
        say: one line for the person who waits.
        sleep: seconds -> waits that long.
        monotonic: seconds that only go forward.
        locate: the place of an address, as far as it is known.
    """

    inbox: Collector
    ring: Callable[[], None]
    step: Callable[[Source], None]
    say: Callable[[str], None]
    sleep: Callable[[float], Any]
    monotonic: Callable[[], float]
    locate: Callable[[str], Place] = lambda _: _NOWHERE


class LogImport:
    """One run over some sources. `report` may be read at any time, also after an interruption."""

    def __init__(self, plan: Plan, around: Surroundings) -> None:
        self.report = Report()
        self._plan = plan
        self._around = around
        self._batch: list[Event] = []
        self._since_ring = 0

    def run(self, sources: Sequence[Source]) -> Report:
        """Read every source and hand in its page views. Reads twice with `shift_to_now`: spool pipes before."""
        if self._plan.shift_to_now:
            self.report.shift = self._shift(sources)
        try:
            for source in sources:
                self._read(source)
            self._hand_in()
        except _GaveUp as error:
            self.report.gave_up = str(error)
        if self._since_ring:
            self._ring()
        return self.report

    def _read(self, source: Source) -> None:
        # Counted anew in each source, so that a file which is given twice is not counted twice.
        ordinals = Ordinals(line_key(self._plan.secret_key), self._plan.site_id)
        try:
            for number, raw in self._numbered(source):
                self._take(source, number, raw, ordinals)
        except InputUnreadable as error:
            self.report.broken.append(error)

    def _shift(self, sources: Sequence[Source]) -> timedelta:
        """From the latest time of all input to now; the latest, for requests are logged in the order of their end."""
        latest: datetime | None = None
        for source in sources:
            try:
                for _, raw in self._numbered(source):
                    try:
                        at = parse_line(raw).at
                    except ValueError:
                        continue
                    if latest is None or at > latest:
                        latest = at
            except InputUnreadable:
                continue  # the second pass meets it again, and reports it
        return self._plan.now - latest if latest is not None else timedelta()

    def _numbered(self, source: Source) -> Iterator[tuple[int, bytes]]:
        for number, raw in enumerate(source.lines(), 1):
            yield number, raw
            if number % LINES_PER_STEP == 0:
                self._around.step(source)
        self._around.step(source)

    def _take(self, source: Source, number: int, raw: bytes, ordinals: Ordinals) -> None:
        report = self.report
        report.lines += 1
        if not raw.strip():
            report.skipped[Skip.BLANK] += 1
            return
        try:
            line = parse_line(raw)
        except ValueError as error:
            report.unreadable += 1
            if len(report.shown) < SHOWN_UNREADABLE:
                report.shown.append(Unreadable(source.name, number, str(error), excerpt(raw)))
            return
        view = page_view(line, self._plan.query_params)
        if isinstance(view, Skip):
            report.skipped[view] += 1
            return
        at = line.at + report.shift
        late = out_of_time(at, self._plan.now, self._plan.retention)
        if late is not None:
            report.skipped[late] += 1
            return
        self._batch.append(self._event(ordinals.event_id(raw), line, view, at))
        if len(self._batch) == MAX_BATCH_EVENTS:
            self._hand_in()

    def _event(self, event_id: UUID, line: Line, view: PageView, at: datetime) -> Event:
        plan = self._plan
        data = {"path": view.path} if view.theme is None else {"path": view.path, "theme": view.theme}
        visitor = visitor_on(plan.salts, at.date(), plan.site_id, plan.domain, line.address, line.user_agent)
        place = self._around.locate(line.address)
        traits = Traits(
            user_agent=storable(line.user_agent[:MAX_USER_AGENT_CHARS]),
            country=place.country,
            region=place.region,
            city=place.city,
            click_id=view.click_id,
            utm=view.utm,
        )
        return Event(
            event_id, plan.site_id, visitor, None, PAGE_VIEW, data, view.page_url, view.referrer, 0, at, traits
        )

    def _hand_in(self) -> None:
        """Append the batch, waiting while the inbox is full or away.

        Raises:
            _GaveUp: that lasted for `timeout_s`.
        """
        if self._batch:
            self._append()
            report = self.report
            report.handed_in += len(self._batch)
            times = [event.created_at for event in self._batch]
            report.first = min(times if report.first is None else [report.first, *times])
            report.last = max(times if report.last is None else [report.last, *times])
            self._since_ring += len(self._batch)
            self._batch = []
        if self._since_ring >= RING_EVERY_EVENTS:
            self._ring()

    def _append(self) -> None:
        around = self._around
        since: float | None = None
        pause = _FIRST_WAIT_S
        while True:
            try:
                around.inbox.append(self._batch)
            except (InboxFull, Unavailable) as error:
                now = around.monotonic()
                if since is None:
                    since = now
                    around.say(f"{_trouble(error)}; waiting up to {self._plan.timeout_s:.0f} s")
                if now - since >= self._plan.timeout_s:
                    raise _GaveUp(_trouble(error)) from error
            else:
                if since is not None:
                    around.say("going on")
                return
            around.ring()  # a full inbox wants a worker
            around.sleep(min(pause * random.uniform(0.5, 1.0), self._plan.timeout_s))
            pause = min(pause * 2, _LONGEST_WAIT_S)

    def _ring(self) -> None:
        self._around.ring()
        self._since_ring = 0


class _GaveUp(Exception):
    """The inbox was full or away for too long."""


def _trouble(error: InboxFull | Unavailable) -> str:
    if isinstance(error, InboxFull):
        return "the inbox is full: the worker is behind, or not running"
    return f"{error.part} does not answer ({error.reason})"
