"""What ids and texts stand for is what Postgres says of them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from maicivy.core.query import Filter, Match, Not, Operator, Or
from maicivy.storage.segments.lookups import Lookup, matches
from maicivy.storage.visit_filters import Values, matching
from maicivy.storage.visit_question import Question

CITIES = ("", "Paris", "paris", "100 %", "a_b", "Île", "île")
PLAN = "event:props:plan"


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


def lookup(connection: Connection, ids: list[int], asked: Question) -> Lookup:
    return Lookup(connection, asked, [{"place": np.array(sorted(ids), np.uint32)}])


def test_each_text_has_one_number_and_what_has_no_row_the_empty_text(engine: Engine, ids: dict[str, int]) -> None:
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
