"""Reading JSON: the fast way and the slow way agree, and neither loses a member."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maicivy.core.strict_json import _read_slowly, _split_slowly, read, split
from maicivy.errors import Refusal
from tests.naughty import EVENTS, NaughtyEvent

SCALARS = [
    "0",
    "-0",
    "1.5e3",
    "18446744073709551616",
    "-0.0",
    "1e999",
    "NaN",
    "true",
    "null",
    '"a"',
    '"\\u0061"',
    '"\\""',
    '"\\u0022"',
]
names = st.sampled_from(["a", "b", "é", "", ":", "\\u0061", "\\\\", "\\ud800", '\\"', "]"])
blanks = st.sampled_from(["", "", " ", "\r\n\t"])


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(names, values), max_size=5))
    return "{" + ",".join(f'{draw(blanks)}"{name}":{value}' for name, value in members) + draw(blanks) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(st.lists(values, max_size=4))) + draw(blanks) + "]"


texts = st.recursive(st.sampled_from(SCALARS), lambda inner: objects(inner) | arrays(inner), max_leaves=12)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON with a few bytes cut out, put in or exchanged."""
    body = bytearray(draw(texts).encode())
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 3))] = draw(
            st.sampled_from(list(b'"\\{}[]:,0-e.\x00\xff\xc3 \na')).map(lambda n: bytes([n]))
        )
    return bytes(body)


def outcome(parse: Any, *arguments: Any) -> str:
    """What a call returns or refuses, with every type visible (True is not 1, NaN is NaN)."""
    try:
        return repr(parse(*arguments))
    except Refusal as refusal:
        return refusal.code


@given(texts | st.text())
def test_both_ways_of_reading_agree_on_json(text: str) -> None:
    body = text.encode()
    assert outcome(read, body) == outcome(_read_slowly, body)


@given(damaged() | st.binary())
@example(b'{"a":1,"a":"')
@example(b'{"a":1,"a":2}"')
def test_both_ways_of_reading_agree_on_anything(body: bytes) -> None:
    assert outcome(read, body) == outcome(_read_slowly, body)


@pytest.mark.parametrize("naughty", EVENTS, ids=str)
def test_both_ways_of_reading_agree_on_naughty_events(naughty: NaughtyEvent) -> None:
    assert outcome(read, naughty.body) == outcome(_read_slowly, naughty.body)


def _names_twice(pairs: list[tuple[str, Any]]) -> Any:
    if len({name for name, _ in pairs}) < len(pairs):
        raise KeyError
    return dict(pairs)


@given(texts)
def test_a_name_given_twice_is_refused_wherever_it_is_and_nothing_else(text: str) -> None:
    try:
        expected = repr(json.loads(text, object_pairs_hook=_names_twice))
    except KeyError:
        expected = "duplicate_key"
    assert outcome(read, text.encode()) == expected


@pytest.mark.parametrize("levels", [100, 900, 960, 970, 980, 985, 990, 995, 1000, 1005, 2000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('["\\n",', "]")])
def test_no_depth_overflows_the_stack(levels: int, opening: str, closing: str) -> None:
    """Around Python's recursion limit above all. `gate` has a limit of its own; here it is only not to crash."""
    outcome(read, (opening * levels + "1" + closing * levels).encode())
    assert outcome(read, (opening * levels).encode()) in ("too_deep", "invalid_json")
    outcome(split, f"[{opening * levels}1{closing * levels}]".encode(), 5)


@given(st.lists(texts, min_size=1, max_size=6), blanks, blanks, st.booleans())
def test_an_array_is_split_into_its_elements(elements: list[str], before: str, after: str, in_object: bool) -> None:
    body = before + "[" + after + f"{after},{before}".join(elements) + before + "]" + after
    if in_object:
        body = f'{after}{{{before}"events"{after}:{body}}}{before}'
    assert split(body.encode(), 6) == [element.encode() for element in elements]


@given(damaged())
def test_both_ways_of_splitting_agree(body: bytes) -> None:
    """On what the slow one, which reads every element in full, takes for an array."""
    array = b"[" + body + b"]"
    with suppress(ValueError):
        slow = outcome(_split_slowly, array.decode(), 5)
        assert slow == outcome(split, array, 5)


@pytest.mark.parametrize("array", ["[1,2,3]", "[NaN,2,3]", '{"events":[NaN,[2],{}]}'])
def test_as_many_elements_as_allowed_and_not_one_more(array: str) -> None:
    assert len(split(array.encode(), 3)) == 3
    with pytest.raises(Refusal) as refused:
        split(array.encode(), 2)
    assert refused.value.code == "too_many_events"


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        (b'{"a": 1,}', "invalid_json", "character 8"),
        (b'{"a": "\xff"}', "invalid_encoding", "byte 7"),
        (b'{"events": [1, 2}', "invalid_json", "character 16"),
        (b'{"events": [1, \xff]}', "invalid_encoding", "byte 15"),
    ],
)
def test_a_refusal_names_the_place_in_the_body(body: bytes, code: str, place: str) -> None:
    with pytest.raises(Refusal, match=place) as refused:
        split(body, 5)
    assert refused.value.code == code
