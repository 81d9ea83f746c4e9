"""Answers that may be a few seconds old."""

from __future__ import annotations

import threading

import pytest

from maicivy.memo import Memo


class Source:
    """Counts how often it was asked; `gate` holds the answer back."""

    def __init__(self) -> None:
        self.asked = 0
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        self.entered.set()
        assert self.gate.wait(10)
        return number


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def memo() -> Memo[int]:
    return Memo(fresh_s=5.0, stale_s=30.0, max_entries=2)


def test_a_fresh_answer_is_not_asked_for_again(memo: Memo[int], source: Source) -> None:
    assert [memo.get("k", now, source) for now in (100.0, 104.9, 105.0, 109.9, 110.0)] == [1, 1, 2, 2, 3]


def test_a_clock_that_steps_back_does_not_freeze_an_answer(memo: Memo[int], source: Source) -> None:
    assert [memo.get("k", now, source) for now in (100.0, 50.0, 54.0)] == [1, 2, 2]


def test_while_one_asks_again_the_others_get_the_old_answer(memo: Memo[int], source: Source) -> None:
    memo.get("k", 100.0, source)
    source.entered.clear()
    source.gate.clear()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(memo.get("k", 110.0, source)))
    asking.start()
    assert source.entered.wait(10)

    assert memo.get("k", 110.0, source) == 1
    source.gate.set()
    asking.join(10)
    assert answers == [2]
    assert memo.get("k", 110.0, source) == 2


@pytest.mark.parametrize("now", [100.0, 200.0], ids=["never asked before", "too old to show"])
def test_callers_who_arrive_together_share_one_question(memo: Memo[int], source: Source, now: float) -> None:
    if now > 100.0:
        memo.get("k", 100.0, source)
    expected = source.asked + 1
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(memo.get("k", now, source))) for _ in range(5)]
    source.gate.clear()
    for thread in threads:
        thread.start()
    source.gate.set()
    for thread in threads:
        thread.join(10)
    assert answers == [expected] * 5
    assert source.asked == expected


def test_a_failure_is_not_remembered(memo: Memo[int], source: Source) -> None:
    def fail() -> int:
        raise RuntimeError("away")

    with pytest.raises(RuntimeError):
        memo.get("k", 100.0, fail)
    assert memo.get("k", 100.0, source) == 1


def test_what_was_asked_for_longest_ago_is_forgotten(memo: Memo[int], source: Source) -> None:
    for key in ("a", "b", "a", "c"):
        memo.get(key, 100.0, source)
    assert source.asked == 3
    assert memo.get("a", 100.0, source) == 1
    assert memo.get("b", 100.0, source) == 4
