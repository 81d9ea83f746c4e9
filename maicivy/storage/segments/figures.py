"""Figures of questions, worked out over blocks: what `visit_sql.Relation` and `visit_sums.added_up` give in SQL."""

from __future__ import annotations

import time as clock
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from maicivy.core.query import PROPERTY
from maicivy.storage.segments.block import OF_PROPERTIES, Block
from maicivy.storage.segments.bounds import Bounds
from maicivy.storage.segments.happenings import Happenings
from maicivy.storage.segments.joining import joined
from maicivy.storage.segments.judging import COLUMN_OF
from maicivy.storage.segments.keys import Keys
from maicivy.storage.segments.lookups import Lookup
from maicivy.storage.segments.rows import Outlines
from maicivy.storage.segments.sums import Sums
from maicivy.storage.segments.touches import Time, Visits
from maicivy.storage.visit_filters import names, pages_of, split
from maicivy.storage.visit_question import PARTS, WHOLE, Question, Slice

OF_SINGLE: Final = "alone"
"""The column that is needed besides `columns` in blocks that are not whole, where visitors are told apart."""

_A_MOMENT: Final = 0.00001
"""Waited for between days, so that others of the process get their turn; with 0 gevent would look for new input after
every fifty turns only (docs/performance.md)."""

_FIGURES: Final = {"engaged_ms": "engaged", "scrolled": "scroll", "scroll_sum": "scroll", "duration_us": "duration"}


class Figures(msgspec.Struct, frozen=True):
    """Figures by group and values of the dimensions, one list for each column.

    Attributes:
        groups: when each row's group begins.
        values: for each dimension.
        visitors: None: not asked for.
        sums: those of the question, without what would be counted again.
    """

    groups: list[datetime]
    values: list[list[str]]
    visitors: list[int] | None
    touches: list[int]
    sums: dict[str, list[int]]


def columns(question: Question, *, with_visitors: bool) -> set[str]:
    """The columns of blocks that a question needs, with the lists of those of them that have any. Where `several` is
    one of them, blocks that are not whole or pass something over need `OF_SINGLE` too."""
    sums = question.sums
    named = dimensions_of(question)
    found = {"begin", "span", "flags"} | {COLUMN_OF[name] for name in named if name in COLUMN_OF}
    found |= {"several"} if with_visitors else set()
    found |= {_FIGURES[name] for name in sums & _FIGURES.keys() if question.of_events or name == "duration_us"}
    if question.of_events:
        found |= {"elements", "at", "count"}
        of_actions = {name for name in named if name.startswith("event:") and not name.startswith(PROPERTY)}
        found |= {"action"} if of_actions or sums & {"readers", "pageviews"} else set()
        of_pages = "event:page" in question.dimensions or pages_of(question.filter) is not None
        found |= {"entry"} if of_pages and sums & {"bounces", "entries"} else set()
        found |= {OF_PROPERTIES} if properties(question) else set()
    elif sums & {"readers", "pageviews", "events"}:
        found |= {"pageviews"} if sums & {"readers", "pageviews"} else set()
        found |= {"events"} if "events" in sums else set()
        found |= {"elements", "at", "count"} | ({"action"} if sums & {"readers", "pageviews"} else set())
    return found


def properties(question: Question) -> set[str]:
    """The names of the properties that a question needs."""
    return {name.removeprefix(PROPERTY) for name in dimensions_of(question) if name.startswith(PROPERTY)}


def work_out(
    question: Question,
    part: Slice,
    chunks: Iterable[list[Block]],
    lookup: Lookup,
    bounds: Bounds,
    *,
    with_visitors: bool,
) -> Figures:
    """The figures of a slice, which is aligned.

    Args:
        chunks: for each UTC day of the slice, ascending, the visits that began on it; with those of the first day
            visits that began earlier and touch it.
        lookup: has been shown the lists of all of them.

    Raises:
        TooMuch, Refusal: as `Bounds.check` does.
    """
    time = Time(part)
    keys = Keys(question, lookup, time.groups)
    sums = Sums(keys, time, with_visitors=with_visitors, bots_apart=question.bots is None)
    of_visits, of_events = split(question.filter)
    maker: Happenings | Outlines
    if question.of_events:
        maker = Happenings(question, time, lookup, keys, of_events)
    else:
        maker = Outlines(question, time, lookup, keys)
    for blocks in chunks:
        day = joined([block for block in blocks if block.visits])
        sums.settle(min((block.base + int(block.columns["begin"].min()) for block in day), default=0))
        for block in day:
            visits = Visits(block, question, time, lookup, of_visits)
            for rows in maker.rows(visits):
                sums.add(rows, visits)
        bounds.check(keys.count, {name: lookup.texts(PROPERTY + name) for name in properties(question)})
        clock.sleep(_A_MOMENT)
    sums.settle(time.end)
    return _figures(question, keys, sums, with_visitors=with_visitors)


def _figures(question: Question, keys: Keys, sums: Sums, *, with_visitors: bool) -> Figures:
    names_of_sums = [name for name in (*WHOLE, *PARTS) if name in question.sums]
    found = {name: sums.total(name) for name in ("touches", "visitors", *names_of_sums)}
    cells = np.flatnonzero(np.logical_or.reduce([each != 0 for each in found.values()]))
    lists: dict[str, list[int]] = {name: each[cells].tolist() for name, each in found.items()}
    return Figures(
        *keys.decomposed(cells),
        lists["visitors"] if with_visitors else None,
        lists["touches"],
        {name: lists[name] for name in names_of_sums},
    )


def dimensions_of(question: Question) -> set[str]:
    """The dimensions that a question names."""
    return {*question.dimensions, *(names(question.filter) if question.filter is not None else ())}
