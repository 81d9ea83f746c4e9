"""What is worked out over segments is what SQL gives, whatever is asked of whatever visits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from maicivy.core.buckets import Grain, start_of, starts
from maicivy.core.query import PROPERTY, Match
from maicivy.storage.segments.block import Block
from maicivy.storage.segments.bounds import Bounds
from maicivy.storage.segments.figures import OF_SINGLE, columns, properties, work_out
from maicivy.storage.segments.loading import load, load_crossing, load_day
from maicivy.storage.segments.lookups import Lookup
from maicivy.storage.visit_filters import Values
from maicivy.storage.visit_question import ENGAGED, PARTS, WHOLE, Question, Slice
from maicivy.storage.visit_sql import Relation
from maicivy.storage.visit_sums import added_up
from tests.oracle.generator import DIMENSIONS, ZONES, examples, filters, traffic
from tests.oracle.store import new_sites, send, store_of

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@settings(max_examples=examples(10), deadline=None)
@given(st.data())
def test_figures_are_those_of_the_relation_in_sql(engine_of_file: Engine, data: st.DataObject) -> None:
    sites = new_sites(engine_of_file)
    events = data.draw(traffic(sites))
    send(store_of(engine_of_file), [events])
    moments = [event.created_at for event in events]
    with engine_of_file.connect() as connection:
        for _ in range(20):
            part = data.draw(_slices(data.draw(st.sampled_from(moments)), moments[0]))
            question = data.draw(_questions(sites[0]))
            _check(connection, question, part, data)


VISITS = {"begin", "span", "flags"}
ELEMENTS = {"elements", "at", "count"}


@pytest.mark.parametrize(
    ("dimensions", "condition", "sums", "wanted"),
    [
        ((), None, {"visits", "bounces"}, VISITS),
        (("visit:source",), Match("is", "visit:country", ("FR",)), {"visits"}, VISITS | {"origin", "place"}),
        (("visit:exit_page", "visit:entry_page"), None, {"duration_us"}, VISITS | {"exit", "entry", "duration"}),
        ((), None, {"events", "engaged_ms"}, VISITS | ELEMENTS | {"events"}),
        ((), None, {"pageviews"}, VISITS | ELEMENTS | {"pageviews", "action"}),
        (("event:name",), None, {"visits", "entries"}, VISITS | ELEMENTS | {"action"}),
        (("event:page",), None, {"entries", "engaged_ms"}, VISITS | ELEMENTS | {"action", "entry", "engaged"}),
        (("event:props:plan",), None, {"visits", "bounces"}, VISITS | ELEMENTS | {"told"}),
    ],
)
def test_no_other_columns_are_read_than_a_question_needs(
    dimensions: tuple[str, ...], condition: Match | None, sums: set[str], wanted: set[str]
) -> None:
    question = Question(1, dimensions, condition, False, False, frozenset(sums))
    assert columns(question, with_visitors=False) == wanted
    assert columns(question, with_visitors=True) == wanted | {"several"}
    assert properties(question) == ({"plan"} if "told" in wanted else set())


def _check(connection: sa.Connection, question: Question, part: Slice, data: st.DataObject) -> None:
    with_visitors = data.draw(st.booleans())
    wanted = columns(question, with_visitors=with_visitors)
    names = properties(question)
    chunks = list(_chunks(connection, question, part, wanted, names, data))
    lookup = Lookup(connection, question, [block.ids for blocks in chunks for block in blocks])
    figures = work_out(question, part, chunks, lookup, Bounds(), with_visitors=with_visitors)
    sums = [figures.sums[name] for name in (*WHOLE, *PARTS) if name in question.sums]
    counted = [figures.touches, *sums]
    shown = [figures.visitors if figures.visitors is not None else [None] * len(figures.groups), *counted]
    found = {
        tuple(row[: 1 + len(question.dimensions)]): tuple(row[1 + len(question.dimensions) :])
        for row in zip(figures.groups, *figures.values, *shown, strict=True)
    }
    assert len(found) == len(figures.groups)
    expected = _in_sql(connection, question, part, with_visitors=with_visitors)
    assert found == expected, (question, part)


def _in_sql(connection: sa.Connection, question: Question, part: Slice, *, with_visitors: bool) -> dict[Any, Any]:
    values = Values()
    parts = Relation(question, part, values).parts()
    statement = added_up(question, parts, with_visitors=with_visitors, in_one_bucket=part.first == part.last)
    rows = connection.execute(sa.text(statement), values.bound)
    width = 1 + len(question.dimensions)
    found = {(row[0].astimezone(UTC), *row[1:width]): tuple(row[width:]) for row in rows}
    return {key: figures for key, figures in found.items() if any(figures)}


def _chunks(
    connection: sa.Connection, question: Question, part: Slice, wanted: set[str], names: set[str], data: st.DataObject
) -> Iterator[list[Block]]:
    """The visits of a slice as blocks: of whole days, of single hours, of both."""
    site_id = question.site_id
    all_of_them = wanted | ({OF_SINGLE} if "several" in wanted else set())
    day = part.slice_start.replace(hour=0, minute=0, second=0, microsecond=0)
    crossing = load_crossing(connection, site_id, day, all_of_them, names)
    blocks = [crossing] if crossing is not None else []
    while day < part.slice_end:
        hours = [day + n * _HOUR for n in range(24)]
        stale = data.draw(st.sampled_from(((), (), hours, hours[18:], hours[7:8] + hours[20:23])))
        if len(stale) < len(hours):
            base = int(day.timestamp()) // 900
            block = load_day(connection, site_id, day.date())
            quarters = tuple((hour.hour * 4, hour.hour * 4 + 4) for hour in stale)
            some = {name: block.columns[name] for name in (all_of_them if stale else wanted)}
            ids = {name: each for name, each in block.ids.items() if name in some}
            shown = {name: each for name, each in block.properties.items() if name in names}
            assert block.base == base
            blocks.append(msgspec.structs.replace(block, columns=some, ids=ids, properties=shown, passed_over=quarters))
        if data.draw(st.booleans()):
            blocks += load(connection, site_id, stale, all_of_them, names)
        else:
            blocks += [block for hour in stale for block in load(connection, site_id, [hour], all_of_them, names)]
        yield blocks
        blocks = []
        day += _DAY


@st.composite
def _questions(draw: st.DrawFn, site_id: int) -> Question:
    dimensions = tuple(
        draw(st.lists(st.sampled_from(DIMENSIONS), max_size=draw(st.sampled_from((1, 2, 5))), unique=True))
    )
    condition = draw(st.one_of(st.none(), filters()))
    plain = Question(site_id, dimensions, condition, draw(st.sampled_from((False, None, True))), False, frozenset())
    raw = any(name.startswith(PROPERTY) for name in dimensions) or bool(properties(plain))
    sums = draw(st.sets(st.sampled_from((*WHOLE, *PARTS)), min_size=draw(st.sampled_from((0, 10)))))
    return msgspec.structs.replace(plain, raw=raw, sums=frozenset(sums - ENGAGED if raw else sums))


@st.composite
def _slices(draw: st.DrawFn, around: datetime, since: datetime) -> Slice:
    zone = draw(st.sampled_from(ZONES))
    shown = draw(st.sampled_from((None, Grain.HOUR, Grain.DAY, Grain.WEEK, Grain.MONTH)))
    grain = shown if shown is Grain.HOUR else Grain.DAY
    start = start_of(grain, around, zone) - draw(st.integers(0, 2)) * (_HOUR if grain is Grain.HOUR else _DAY)
    end = start + draw(st.sampled_from((_HOUR, _DAY, 2 * _DAY, 7 * _DAY)))
    if draw(st.booleans()):
        start += draw(st.integers(0, 3)) * timedelta(minutes=15)
        end += draw(st.integers(0, 99)) * timedelta(minutes=15)
    bounds = tuple(starts(grain, start, end, zone))
    if shown in (Grain.WEEK, Grain.MONTH):
        groups = tuple(start_of(shown, bound, zone) for bound in bounds)
    else:
        groups = bounds if shown else (bounds[0],) * len(bounds)
    first = draw(st.integers(1, len(bounds))) if draw(st.booleans()) else 1
    last = draw(st.integers(first, len(bounds))) if draw(st.booleans()) else len(bounds)
    return Slice(start, end, bounds, groups, first, last, min(start, since) - 2 * _DAY)
