"""A visit comes back from its row as it went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from maicivy.core.visits import NO_SCROLL, Element, Entry, Exit, Happening, Visit, of_events, slot_of
from maicivy.storage.visit_rows import BEGIN, COLUMNS, END, READ, Kept, Who, kept, packed
from tests.events import NOON

SLOT = slot_of(NOON)
LATER = NOON + timedelta(hours=13, microseconds=1)
LAST = 2**128 - 1, 2**63 - 1, 2**31 - 1  # what a visitor id, a tie and a count can be


def happening(minute: float = 0, tie: int = 0, action_id: int = 4, **told: Any) -> Happening:
    plain = Happening(NOON + timedelta(minutes=minute), tie, False, True, True, False, 0, NO_SCROLL, 1, 2, 3, action_id)
    return plain._replace(**told)


def visit(*happenings: Happening) -> Visit:
    (made,) = of_events(list(happenings))
    return made


VISITS: list[tuple[Who, Kept]] = [
    ((1, 0), Kept(visit(happening()), 0, 7)),
    ((1, 1), Kept(visit(happening(0.000001 / 60, LAST[1])), 4, 0)),
    ((1, 2), Kept(visit(happening(), happening(1)), 0, 3)),
    ((1, 3), Kept(visit(happening(), happening(1, action_id=5), happening(29, is_page_view=False)), 0, 4)),
    ((1, 4), Kept(visit(happening(is_page_view=False)), 0, 7)),
    ((1, 5), Kept(visit(happening(is_engagement=True, is_page_view=False, engaged_ms=9, scroll=100)), 0, 7)),
    ((1, 6), Kept(visit(happening(), happening(2, is_engagement=True, is_page_view=False, scroll=0)), 0, 7)),
    ((1, 7), Kept(visit(happening(declared=True)), 1, 7)),
    (
        (LAST[2], LAST[0]),
        Kept(
            Visit(
                NOON,
                LATER,
                Entry(False, NOON, LAST[1], LAST[2], LAST[2], LAST[2], LAST[2]),
                Exit(LATER, LAST[1], LAST[2]),
                *(LAST[2], LAST[2], LAST[2], True),
                {(SLOT, 7): Element(LAST[2], LAST[2], 100), (slot_of(LATER), LAST[2]): Element(0, 0, NO_SCROLL)},
            ),
            4,
            0,
        ),
    ),
]


@pytest.fixture
def connection(engine: Engine) -> Any:
    with engine.connect() as each:
        yield each.connection.driver_connection


def test_what_is_packed_is_found_again(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE packed_visits (LIKE visits) ON COMMIT DROP")
    with cursor.copy(f"COPY packed_visits ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(b"".join([BEGIN, *[packed(who, each) for who, each in VISITS], END]))
    cursor.execute(f"SELECT site_id, visitor_id, {READ} FROM packed_visits ORDER BY 1, 2", binary=True)
    found = [((site_id, visitor_id.int), kept(row)) for site_id, visitor_id, *row in cursor.fetchall()]
    assert found == VISITS


def test_arrays_that_go_without_saying_are_null(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE packed_visits (LIKE visits) ON COMMIT DROP")
    with cursor.copy(f"COPY packed_visits ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(b"".join([BEGIN, *[packed(who, each) for who, each in VISITS[:4]], END]))
    cursor.execute(
        "SELECT actions, slots, counts, engaged, scrolls FROM packed_visits ORDER BY visitor_id", binary=True
    )
    assert cursor.fetchall() == [
        ([4], None, None, None, None),
        ([4], None, None, None, None),
        ([4], None, [2], None, None),
        ([4, 5, 4], [0, 0, 1], None, None, None),
    ]
