"""What a question may take of the process: beyond that Postgres works it out, to the same answer, or it is refused."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import Engine

from maicivy.core.query import And, Match, Query
from maicivy.errors import Refusal
from maicivy.storage import visit_plan
from maicivy.storage.segments import bounds
from maicivy.storage.segments.bounds import Bounds, TooMuch
from maicivy.storage.visit_queries import PostgresVisitQueries
from tests.events import NOON, event
from tests.oracle.store import new_sites, roll_up, send, store_of

PLAN = "event:props:plan"
PAGES = And((Match("contains", "event:page", ("/",)), Match("is", PLAN, ("pro",))))


@pytest.fixture
def query(engine: Engine) -> Query:
    """A question about two days, which segments answer, and whose answer has two rows of each day."""
    site_id, _ = new_sites(engine)
    visits = [
        event("signup", {"plan": "pro"}, at=NOON + day, visitor=visitor, page_url=f"/{visitor}", site_id=site_id)
        for day in (timedelta(0), timedelta(days=1))
        for visitor in (1, 2)
    ]
    send(store_of(engine), [visits])
    roll_up(engine)
    start = NOON - timedelta(hours=12)
    dimensions = ("time:day", "event:page")
    return Query(
        site_id, ZoneInfo("UTC"), start, start + timedelta(days=2), ("visitors",), dimensions, PAGES, include_bots=True
    )


@pytest.fixture
def in_sql(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The questions that Postgres works out."""
    asked: list[object] = []
    added_up = visit_plan.added_up

    def noted(question, *args, **kwargs):  # type: ignore[no-untyped-def]
        asked.append(question)
        return added_up(question, *args, **kwargs)

    monkeypatch.setattr(visit_plan, "added_up", noted)
    return asked


@pytest.mark.parametrize(
    ("bound", "is_too_much"), [(None, False), ("MOST_IDS", True), ("MOST_ROWS", True), ("MOST_CHARS", True)]
)
def test_postgres_answers_where_it_would_be_too_much(
    engine: Engine,
    query: Query,
    in_sql: list[object],
    monkeypatch: pytest.MonkeyPatch,
    bound: str | None,
    is_too_much: bool,
) -> None:
    if bound is not None:
        monkeypatch.setattr(bounds, bound, 1)
    rows = PostgresVisitQueries(engine, ZoneInfo("UTC")).ask(query).rows
    assert [(row.dimensions[1], row.metrics) for row in rows] == [("/1", (1,)), ("/2", (1,))] * 2
    assert bool(in_sql) == is_too_much


def test_a_question_that_takes_too_long_is_refused_between_two_days(
    engine: Engine, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ANSWER_S", -1)
    with pytest.raises(Refusal) as refusal:
        PostgresVisitQueries(engine, ZoneInfo("UTC")).ask(query)
    assert refusal.value.code == "query_too_slow"


@pytest.mark.parametrize(
    ("bound", "named"),
    [
        ("MOST_IDS", ("visit:browser", "visit:exit_page")),
        ("MOST_IDS", ("event:page",)),
        ("MOST_IDS_OF_FEW", ("event:name", "visit:referrer", "event:props:plan")),
        ("MOST_IDS_OF_FEW", ()),
    ],
)
def test_ids_are_counted_once_and_table_by_table(
    monkeypatch: pytest.MonkeyPatch, bound: str, named: tuple[str, ...]
) -> None:
    monkeypatch.setattr(bounds, bound, 3)
    some, others = np.array([1, 2, 3], np.uint32), np.array([2, 900], np.uint32)
    Bounds().check_ids([{"entry": some, "action": some, "client": others}, {"exit": some}], named)
    with pytest.raises(TooMuch):
        Bounds().check_ids([{"entry": some}, {"action": others}], named)


def test_texts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_CHARS", 4)
    checked = Bounds()
    checked.check(0, {"a": ["", "123"]})
    checked.check(0, {"a": ["", "123"], "b": ["4"]})
    with pytest.raises(TooMuch):
        checked.check(0, {"a": ["", "123", "4"], "b": ["4"]})
