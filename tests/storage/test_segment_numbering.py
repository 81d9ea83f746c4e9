"""Numbers for combinations stand for the same ones ever after, however many there are; sums are exact."""

from __future__ import annotations

import numpy as np
import pytest

from maicivy.storage.segments.numbering import OPEN, Cells, Composite, ranges, total
from maicivy.storage.segments.sums import _once


@pytest.mark.parametrize(
    "portions",
    [
        [[5, 5, 0], [0, 7], []],
        [[1 << 40, 3], [3, 1 << 41, 1 << 40]],
        [[3, 100], [100, (1 << 23) - 1, 3], [1 << 23, 100], [1 << 60, 1 << 23]],
    ],
    ids=["of a table", "sorted", "first of a table, then sorted"],
)
def test_each_code_has_one_small_number(portions: list[list[int]]) -> None:
    cells = Cells()
    given = [cells.of(np.array(codes, np.int64)) for codes in portions]
    assert cells.count == len({code for codes in portions for code in codes}) == len(cells.codes)
    assert [cells.codes[numbers].tolist() for numbers in given] == portions
    assert sorted({number for numbers in given for number in numbers.tolist()}) == [*range(cells.count)]


@pytest.mark.parametrize("sizes", [[], [1, 4], [3, 1, 5], [OPEN, 7], [OPEN, OPEN, OPEN, 9], [10**9] * 5])
def test_what_is_combined_comes_apart_again(sizes: list[int]) -> None:
    composite = Composite(sizes)
    numbers = [np.random.default_rng(size).integers(0, min(size, 40), 500) for size in sizes]
    codes = composite.of(numbers)
    assert isinstance(codes, np.ndarray) or not sizes
    found = composite.decomposed(codes if isinstance(codes, np.ndarray) else np.zeros(3, np.int64))
    assert [each.tolist() for each in found] == [each.tolist() for each in numbers]


def test_constants_are_combined_like_numbers_of_rows() -> None:
    composite = Composite([OPEN, OPEN, OPEN])
    many = composite.of([np.array([4, 4]), 5, np.array([1, 2])])
    assert isinstance(many, np.ndarray)
    assert [each.tolist() for each in composite.decomposed(many)] == [[4, 4], [5, 5], [1, 2]]
    one = composite.of([4, 5, 1])
    assert one == many[0]


def test_sums_beyond_what_floating_point_numbers_hold_are_exact() -> None:
    numbers = np.array([2**52 + 1, 2**52 + 1, 2**40 + 1, 3])
    assert total(np.array([2, 2, 0, 0]), numbers, 4).tolist() == [2**40 + 4, 0, 2**53 + 2, 0]
    assert total(np.zeros(0, np.int64), np.zeros(0, np.int64), 2).tolist() == [0, 0]


def test_ranges_follow_one_another() -> None:
    assert ranges(np.array([7, 1, 9]), np.array([2, 0, 3])).tolist() == [7, 8, 9, 10, 11]


@pytest.mark.parametrize("kinds", [1, 2, 300, 40_000])
def test_each_number_is_met_once(kinds: int) -> None:
    numbers = np.random.default_rng(kinds).integers(0, kinds, 30_000).astype(np.uint64)
    places = _once(numbers)
    assert sorted(numbers[places].tolist()) == sorted(set(numbers.tolist()))
