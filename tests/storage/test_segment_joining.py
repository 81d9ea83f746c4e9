"""Joined blocks say what each of them said."""

from __future__ import annotations

import numpy as np
import pytest

from maicivy.storage.segments import joining
from maicivy.storage.segments.block import Block, packed, unpacked
from maicivy.storage.segments.joining import joined

PLACES = [[7, 7, 7], [1, 7, 300], [2**31 - 1, 1], [70_000], [300, 1, 1, 2]]
"""Of the visits of several blocks; where all are the same, less is kept."""


def block(number: int, places: list[int], **more: object) -> Block:
    ids, codes = np.unique(places, return_inverse=True)
    kept = {"begin": np.arange(len(places)), "place": codes}
    columns = {name: unpacked(packed(column), len(places)) for name, column in kept.items()}
    few = unpacked(packed(ids), 1) if len(ids) == 1 else unpacked(packed(ids), len(ids))
    return Block(100 * number, len(places), columns, {"place": few}, {}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("span", [1 << 20, 0])
def test_places_and_times_are_those_of_each(monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    monkeypatch.setattr(joining, "_SPAN", span)
    for places in (PLACES, PLACES[:2], PLACES[:1] * 2, [[5], [5]]):
        (one,) = joined([block(number, each) for number, each in enumerate(places)])
        assert one.ids["place"].tolist() == sorted({number for each in places for number in each})
        assert one.ids["place"][one.columns["place"]].tolist() == [number for each in places for number in each]
        begins = [100 * number + n for number, each in enumerate(places) for n in range(len(each))]
        assert (one.base + one.columns["begin"].astype(np.int64)).tolist() == begins
        assert one.visits == len(begins)


def test_what_is_whole_or_passes_something_over_stays_by_itself() -> None:
    whole, cut = block(3, [1], is_whole=True), block(4, [1], passed_over=((0, 4),))
    assert joined([whole, block(1, [2])])[0] is whole
    found = joined([whole, block(1, [2]), cut, block(2, [3, 2])])
    assert [each.visits for each in found] == [3, 1, 1]
    assert found[1:] == [whole, cut]
