"""What ids and texts stand for is what Postgres says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from maicivy.core.events import Traits
from maicivy.core.ports import Parcel
from maicivy.core.query import Filter, Match, Not, Operator, Or, Query
from maicivy.storage.disuse import forget_disused
from maicivy.storage.event_store import PostgresEventStore
from maicivy.storage.segments import lookups
from maicivy.storage.segments.dictionaries import Dictionaries, Memory
from maicivy.storage.segments.lookups import Lookup, matches
from maicivy.storage.visit_filters import Values, matching
from maicivy.storage.visit_plan import Plan
from maicivy.storage.visit_question import Question
from tests.events import NOON, event

CITIES = ("", "Paris", "paris", "100 %", "a_b", "Île", "île")
PLAN = "event:props:plan"
NOTHING = cast(Any, None)
"""Where nothing is asked."""

STRANGE = (
    "",
    " ",
    "%",
    "_",
    "\\",
    "\\\\",
    "\\%",
    "a%b",
    "a_b",
    "axb",
    "A",
    "a",
    "é",
    "e\u0301",
    "\u0301",
    "É",
    "ß",
    "ss",
    "ẞ",
    "ı",
    "I",
    "i",
    "İ",
    "ﬁ",
    "\x01",
    "\x1d",
    "\x1e",
    "\x1f",
    "a\x1fb",
    "\n",
    "\u200d",
    "👩\u200d💻",
    "👩",
    "\ud7ff",
    "\uffff",
    "\U0010ffff",
    "ÿ",
    "¿",
)


@pytest.fixture
def ids(engine: Engine) -> dict[str, int]:
    """A place for each city, and one more for Paris."""
    insert = sa.text(
        "INSERT INTO places (digest, country, region, city)"
        " VALUES (decode(md5(:digest), 'hex'), '', '', :city) RETURNING id"
    )
    with engine.begin() as connection:
        return {
            city: connection.execute(insert, {"digest": str(number), "city": city}).scalar_one()
            for number, city in enumerate((*CITIES, "Paris"))
        }


def question(condition: Filter | None = None, *dimensions: str) -> Question:
    return Question(1, dimensions, condition, False, False, frozenset())


def lookup(connection: Connection, ids: list[int], asked: Question, memory: Memory | None = None) -> Lookup:
    return Lookup(connection, asked, [{"place": np.array(sorted(ids), np.uint32)}], memory)


def cities(connection: Connection, ids: list[int], memory: Memory) -> list[str]:
    found = lookup(connection, ids, question(None, "visit:city"), memory)
    return [found.texts("visit:city")[number] for number in found.numbers("visit:city", np.array(ids))]


def add(connection: Connection, city: str) -> int:
    """The id of a new place."""
    insert = sa.text(
        "INSERT INTO places (digest, country, region, city)"
        " VALUES (decode(md5(:city), 'hex'), 'XX', '', :city) RETURNING id"
    )
    return int(connection.execute(insert, {"city": city}).scalar_one())


@pytest.mark.parametrize("at_once", [1, 3, lookups.AT_ONCE])
def test_each_text_has_one_number_and_what_has_no_row_the_empty_text(
    engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(lookups, "AT_ONCE", at_once)
    asked = [*range(1, max(ids.values()) + 1), 2**31 - 1]
    with engine.connect() as connection:
        found = lookup(connection, asked, question(None, "visit:city"))
    texts = [found.texts("visit:city")[number] for number in found.numbers("visit:city", np.array(asked))]
    assert texts == [*CITIES, "Paris", ""]
    assert len(set(found.numbers("visit:city", np.array(asked)).tolist())) == len(CITIES)


@pytest.mark.parametrize("case_sensitive", [True, False])
@pytest.mark.parametrize("operator", ["is", "is_not", "contains", "contains_not", "matches", "matches_not"])
def test_matches_are_judged_as_postgres_does(
    engine: Engine, ids: dict[str, int], operator: Operator, case_sensitive: bool
) -> None:
    each = [Match(operator, "visit:city", values, case_sensitive) for values in (("Paris",), ("%", "_"), ("^î", "a.b"))]
    with engine.connect() as connection:
        found = lookup(connection, [*ids.values()], question(Or((each[0], Not(Or(tuple(each)))))))
        for match in each:
            values = Values()
            statement = f"SELECT id FROM places WHERE {matching('city', match, values)}"
            true = connection.execute(sa.text(statement), values.bound).scalars().all()
            wanted = np.array(sorted(ids.values()))
            assert found.truths(match, wanted).tolist() == [number in true for number in wanted]


def test_what_is_judged_here_is_what_postgres_says(engine: Engine) -> None:
    wanted = [(value,) for value in STRANGE] + [STRANGE[:3], STRANGE[3:], ()]
    each = [
        Match(operator, PLAN, values) for operator in ("is", "is_not", "contains", "contains_not") for values in wanted
    ]
    decided = Lookup(NOTHING, question(Or(tuple(each))), [])
    numbers = decided.numbers_of_texts(PLAN, STRANGE)
    values = Values()
    judged = ", ".join(matching("text", match, values) for match in each)
    statement = f"SELECT {judged} FROM unnest({values.bind(list(STRANGE), 'text[]')}) AS each (text)"
    with engine.connect() as connection:
        rows = connection.execute(sa.text(statement), values.bound).all()
    for n, match in enumerate(each):
        assert decided.truths_of_texts(match)[numbers].tolist() == [row[n] for row in rows], match


def test_texts_come_to_postgres_as_they_are_whatever_is_in_them(engine: Engine) -> None:
    matches_ = [Match("is", PLAN, (value,), case_sensitive=False) for value in STRANGE]
    separators = "\x1f\x1e\x1d\x01"
    with engine.connect() as connection:
        for texts in (STRANGE, ("", "a", ""), ("\x1f",), (separators, "\x1f"), ("a", *separators, "a b")):
            found = Lookup(connection, question(Or(tuple(matches_))), [])
            numbers = found.numbers_of_texts(PLAN, texts)
            for match in matches_:
                values = Values()
                condition = matching("text", match, values)
                statement = f"SELECT {condition} FROM unnest({values.bind(list(texts), 'text[]')}) AS each (text)"
                judged = connection.execute(sa.text(statement), values.bound).scalars().all()
                assert found.truths_of_texts(match)[numbers].tolist() == judged, (texts, match)


def test_what_is_remembered_is_not_asked_again(engine: Engine, ids: dict[str, int]) -> None:
    memory, places = Memory(), [*ids.values()]
    match = Match("contains", "visit:city", ("ari",))
    with engine.connect() as connection:
        assert cities(connection, places[1:3], memory) == ["Paris", "paris"]
        assert cities(connection, places, memory) == [*ids]
    assert cities(NOTHING, [0, *places], memory) == ["", *ids]
    found = lookup(NOTHING, places, question(match), memory)
    assert found.truths(match, np.array(places)).tolist() == ["ari" in city for city in ids]


def test_one_column_of_what_is_remembered_says_nothing_of_another(engine: Engine) -> None:
    memory = Memory()
    with engine.begin() as connection:
        oslo, rome = add(connection, "Oslo"), add(connection, "Rome")
        assert cities(connection, [oslo], memory) == ["Oslo"]
        found = lookup(connection, [oslo, rome], question(None, "visit:city", "visit:country"), memory)
        for name, texts in (("visit:city", ["Oslo", "Rome"]), ("visit:country", ["XX", "XX"])):
            assert [found.texts(name)[n] for n in found.numbers(name, np.array([oslo, rome]))] == texts


def test_what_is_not_found_is_not_remembered(engine: Engine) -> None:
    memory = Memory()
    with engine.connect() as connection, engine.connect() as other:
        given_up = add(connection, "Oslo")
        assert cities(other, [given_up], memory) == [""]
        connection.rollback()
        oslo = add(connection, "Oslo")
        assert cities(other, [given_up, oslo], memory) == ["", ""]
        connection.commit()
        assert cities(other, [given_up, oslo], memory) == ["", "Oslo"]


def seen(city: str, day: int) -> list[Parcel]:
    traits = Traits(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101", country="FR", city=city)
    one = msgspec.structs.replace(event(city, at=NOON + timedelta(days=day), page_url=f"/{city}"), traits=traits)
    return [Parcel(f"{one.id.int}-0", 1, [one], [])]


def top(connection: Connection, dictionaries: Dictionaries, dimension: str = "visit:city") -> list[str]:
    """The values of a dimension, as far as they are read from visits."""
    start, zone = datetime(2025, 12, 8, tzinfo=UTC), ZoneInfo("UTC")
    query = Query(1, zone, start, start + timedelta(days=2), ("visitors",), (dimension,))
    plan = Plan(connection, query, zone, dictionaries)
    return sorted(row[0] for row in connection.execute(sa.text(plan.statement()), plan.values.bound))


def test_who_has_an_older_snapshot_sees_what_was_and_others_what_is(engine: Engine) -> None:
    store, dictionaries = PostgresEventStore(engine, ZoneInfo("UTC")), Dictionaries()
    store.store(seen("Oslo", 0))
    snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
    with snapshots.connect() as older, snapshots.connect() as newer:
        assert top(older, dictionaries) == ["Oslo"]
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE places SET city = 'Bergen'"))
            connection.execute(sa.text("UPDATE ledger SET dictionary_version = dictionary_version + 1"))
        for _ in range(2):
            assert top(newer, dictionaries) == ["Bergen"]
            assert top(older, dictionaries) == ["Oslo"]


def test_what_disuse_has_deleted_is_known_no_more_and_what_comes_again_is(engine: Engine) -> None:
    store, dictionaries = PostgresEventStore(engine, ZoneInfo("UTC")), Dictionaries()
    store.store(seen("Oslo", 0))
    store.store(seen("Rome", 1))
    snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
    with snapshots.connect() as older, snapshots.connect() as newer:
        assert top(older, dictionaries, "event:page") == ["/Oslo", "/Rome"]
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM visits WHERE started < '2025-12-09 00:00+00'"))
        assert forget_disused(engine) > 0
        store.store(seen("Oslo", 0))
        for _ in range(2):
            assert top(newer, dictionaries, "event:page") == ["/Oslo", "/Rome"]
            assert top(older, dictionaries, "event:page") == ["/Oslo", "/Rome"]
            assert top(newer, dictionaries) == ["Oslo", "Rome"]


def test_ids_far_apart_are_found_too(engine: Engine, ids: dict[str, int]) -> None:
    match = Match("is", "visit:city", ("Paris", ""))
    asked = [ids["paris"], ids["Paris"], 2**31 - 2, 2**31 - 1]
    with engine.connect() as connection:
        found = lookup(connection, asked, question(match, "visit:city"))
    assert found.truths(match, np.array(asked)).tolist() == [False, True, True, True]
    for unknown in (ids["Île"], 0, 2**31 - 3):
        with pytest.raises(LookupError):
            found.truths(match, np.array([ids["paris"], unknown]))


def test_without_ids_there_is_nothing_to_look_up(engine: Engine) -> None:
    with engine.connect() as connection:
        found = lookup(connection, [], question(None, "visit:city", "visit:country"))
    assert found.numbers("visit:city", np.zeros(0, np.uint32)).tolist() == []
    with pytest.raises(LookupError):
        found.numbers("visit:city", np.array([1]))


def test_texts_of_properties_are_judged_as_they_come(engine: Engine) -> None:
    match = Match("matches", PLAN, ("^P", "^$"), case_sensitive=False)
    with engine.connect() as connection:
        found = lookup(connection, [], msgspec.structs.replace(question(match, PLAN), raw=True))
        first = found.numbers_of_texts(PLAN, ["pro", "free"])
        second = found.numbers_of_texts(PLAN, ["free", "Pro", ""])
        assert (first[1], second[2]) == (second[0], 0)
        assert [found.texts(PLAN)[number] for number in (*first, *second)] == ["pro", "free", "free", "Pro", ""]
        assert found.truths_of_texts(match)[[*first, *second]].tolist() == [True, False, False, True, True]


def test_a_filter_is_made_of_each_match_once() -> None:
    one, other = Match("is", "visit:city", ("a",)), Match("is", "visit:city", ("b",))
    assert matches(Or((one, Not(other), one))) == (one, other)
    assert matches(None) == ()


def test_many_searches_are_left_to_postgres(
    engine: Engine, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_SEARCHES", 2 * len(ids))
    few = [Match("contains", "visit:city", (value,)) for value in ("a", "b", "par")]
    with engine.connect() as connection:
        asked: list[str] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2]))
        found = lookup(connection, [*ids.values()], question(Or(tuple(few)), "visit:city"))
    assert len([statement for statement in asked if "LIKE" in statement]) == 1
    texts = [found.texts("visit:city")[number] for number in found.numbers("visit:city", np.array([*ids.values()]))]
    for match in few:
        expected = [match.values[0] in text for text in texts]
        assert found.truths(match, np.array([*ids.values()])).tolist() == expected
