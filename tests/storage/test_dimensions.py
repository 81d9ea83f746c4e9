"""Rows of the dictionary tables on a real Postgres: one per value, and remembered only when they are there to stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from maicivy.core.dimensions import Action, Client, Origin, Place
from maicivy.storage.dimensions import FIELDS, DimensionBook, Kind

CLIENT = Client("Mozilla/5.0", "en", "1920x1080", "Desktop", "Firefox", "130.0", "Linux", "", "desktop", "")
CRAWLER = Client("Crawler/1.0", bot="user_agent")
EXAMPLES: dict[Kind, Any] = {
    "clients": CLIENT,
    "places": Place("FR", "Île-de-France", "Paris"),
    "origins": Origin("spam.example/", utm_source="x", click_id="gclid", source="x", channel="Referral", bot="y"),
    "actions": Action(7, "page_view", "example.org", "/é"),
}


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[psycopg.Connection[Any]]:
    with engine.connect() as outer:
        raw = outer.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        yield raw


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_row_holds_every_field_of_its_value(connection: psycopg.Connection[Any], kind: Kind) -> None:
    value = EXAMPLES[kind]
    cursor = connection.cursor()
    entry = DimensionBook().ids(cursor, 1, kind, [value])[value]
    cursor.execute(f"SELECT {', '.join(FIELDS[kind])}, id, digest FROM {kind}")
    assert cursor.fetchall() == [(*(getattr(value, field) for field in FIELDS[kind]), entry.id, value.digest)]
    assert entry.bot == getattr(value, "bot", "")


def test_a_value_has_one_id_in_a_call_in_the_next_and_in_another_process(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    book = DimensionBook()
    first = book.ids(cursor, 1, "clients", [CLIENT, CRAWLER, CLIENT])
    connection.commit()
    assert first[CLIENT].id != first[CRAWLER].id
    for other in (book, book, DimensionBook()):
        assert other.ids(cursor, 1, "clients", [CRAWLER, CLIENT]) == first


def test_a_value_that_is_judged_otherwise_by_now_has_the_row_and_the_verdict_that_are_stored(
    connection: psycopg.Connection[Any],
) -> None:
    cursor = connection.cursor()
    stored = DimensionBook().ids(cursor, 1, "clients", [CRAWLER])[CRAWLER]
    innocent = Client(CRAWLER.user_agent)
    assert DimensionBook().ids(cursor, 1, "clients", [innocent, CRAWLER]) == {innocent: stored, CRAWLER: stored}


def test_what_is_remembered_costs_no_question(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    book = DimensionBook()
    book.ids(cursor, 1, "clients", [CLIENT])
    connection.commit()
    entries = book.ids(cursor, 1, "clients", [CLIENT])
    cursor.close()
    assert book.ids(cursor, 1, "clients", [CLIENT]) == entries


def test_a_new_version_of_the_dictionary_has_everything_read_again(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    book = DimensionBook()
    for _ in range(2):
        assert book.ids(cursor, 1, "clients", [CLIENT])[CLIENT].bot == ""
        connection.commit()
    cursor.execute("UPDATE clients SET bot = 'user_agent'")
    connection.commit()
    assert book.ids(cursor, 1, "clients", [CLIENT])[CLIENT].bot == ""
    assert book.ids(cursor, 2, "clients", [CLIENT])[CLIENT].bot == "user_agent"


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_rows_of_a_transaction_that_was_rolled_back_are_not_remembered(
    connection: psycopg.Connection[Any], calls: int
) -> None:
    cursor = connection.cursor()
    book = DimensionBook()
    for _ in range(calls):
        lost = book.ids(cursor, 1, "clients", [CLIENT])[CLIENT]
    connection.rollback()
    again = book.ids(cursor, 1, "clients", [CLIENT])[CLIENT]
    assert again.id != lost.id
    connection.commit()
    assert cursor.execute("SELECT id FROM clients").fetchall() == [(again.id,)]


def test_rows_of_a_savepoint_that_was_rolled_back_are_not_remembered(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    book = DimensionBook()
    with connection.transaction(force_rollback=True):
        book.ids(cursor, 1, "clients", [CLIENT])
        book.ids(cursor, 1, "clients", [CLIENT])
    entry = book.ids(cursor, 1, "clients", [CLIENT])[CLIENT]
    connection.commit()
    assert cursor.execute("SELECT id FROM clients").fetchall() == [(entry.id,)]
    assert book.ids(cursor, 1, "clients", [CLIENT])[CLIENT] == entry


def test_a_process_remembers_the_latest_used_values_only(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    book = DimensionBook(remembered=2)
    places = [Place(city=name) for name in "abc"]
    ids = book.ids(cursor, 1, "places", places)
    connection.commit()
    for place in (*places[:2], places[0], places[2]):
        assert book.ids(cursor, 1, "places", [place]) == {place: ids[place]}
    cursor.execute("DELETE FROM places")
    connection.commit()
    assert [book.ids(cursor, 1, "places", [place])[place] == ids[place] for place in (places[0], places[2])] == [1, 1]
    assert book.ids(cursor, 1, "places", [places[1]])[places[1]] != ids[places[1]]


def test_nothing_is_asked_for_nothing(connection: psycopg.Connection[Any]) -> None:
    cursor = connection.cursor()
    cursor.close()
    assert DimensionBook().ids(cursor, 1, "places", []) == {}
