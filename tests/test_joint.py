"""Equal questions at the same moment share one computation, which begins after all of them were asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest

from maicivy import joint as module
from maicivy.joint import Joint


class Question:
    """A key that tells who looks for one that is equal to it: another caller, about to join."""

    def __init__(self) -> None:
        self.joined = threading.Semaphore(0)

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        self.joined.release()
        return isinstance(other, Question)


def together(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], int], callers: int) -> list[Future[int]]:
    """What each of `callers` gets that ask before the computation of the first begins."""
    joint, pool = Joint[int](), ThreadPoolExecutor(callers)
    first = Question()

    def let_join(_seconds: float) -> None:
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda _seconds: None))
        others.extend(pool.submit(joint.get, Question(), compute) for _ in range(callers - 1))
        for _ in range(callers - 1):
            assert first.joined.acquire(timeout=10)

    others: list[Future[int]] = []
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=let_join))  # not of threads of other tests, too
    with pool:
        lead = pool.submit(joint.get, first, compute)
        wait([lead])
        return [lead, *others]


def test_who_asks_alone_gets_an_answer_of_his_own() -> None:
    asked = iter(range(3))
    joint = Joint[int]()
    assert [joint.get("key", lambda: next(asked)) for _ in range(3)] == [0, 1, 2]


def test_all_who_ask_before_it_begins_share_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter(range(9))
    answers = together(monkeypatch, lambda: next(asked), 4)
    assert [answer.result(10) for answer in answers] == [0, 0, 0, 0]
    assert next(asked) == 1


def test_an_error_is_raised_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = together(monkeypatch, lambda: 1 // 0, 3)
    assert [type(answer.exception(10)) for answer in answers] == [ZeroDivisionError] * 3


def test_when_the_first_is_killed_the_others_ask_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter(range(9))

    def compute() -> int:
        if (turn := next(asked)) == 0:
            raise SystemExit
        return turn

    killed, *others = together(monkeypatch, compute, 3)
    assert isinstance(killed.exception(10), SystemExit)
    assert sorted(answer.result(10) for answer in others) == [1, 2]


def test_a_computation_that_has_begun_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has read already may have changed since. It is waited for, but not for ever."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    joint, asked = Joint[int](), iter(range(9))
    inner: list[int] = []

    def compute() -> int:
        turn = next(asked)
        if turn == 0:
            with ThreadPoolExecutor(1) as pool:
                inner.append(pool.submit(joint.get, "key", compute).result(10))
        return turn

    assert joint.get("key", compute) == 0
    assert inner == [1]


def test_the_next_computation_waits_until_the_one_before_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    joint, running, asked = Joint[int](), threading.Event(), iter(range(9))
    seen: list[int] = []
    go_on = threading.Event()

    def slow() -> int:
        turn = next(asked)
        seen.append(turn)
        running.set()
        assert go_on.wait(10)
        seen.append(turn)
        return turn

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(joint.get, "key", slow)
        assert running.wait(10)
        others = [pool.submit(joint.get, "key", slow) for _ in range(2)]
        go_on.set()
        assert first.result(10) == 0
        assert max(other.result(10) for other in others) in (1, 2)
    assert seen == sorted(seen)


def test_different_questions_have_different_answers() -> None:
    joint = Joint[int]()
    assert joint.get("one", lambda: joint.get("two", lambda: 2) + 1) == 3
