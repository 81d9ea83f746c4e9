"""The short form of `bin/chaos`: every fault that this machine can run, a round or a few each.

Those that need no system of their own share one, so that starting and stopping does not take longer than the harm.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import catalogue, table
from tests.chaos.fault import Fault, Result, run, run_on_one

ROUNDS = {"kill": 10}
SEED = 20251208
POSSIBLE = [fault for fault in catalogue() if fault.missing is None]

pytestmark = pytest.mark.e2e


def test_the_law_holds_through_all_harm_to_one_system() -> None:
    plain = [(fault, ROUNDS.get(fault.name, 1)) for fault in POSSIBLE if fault.is_plain]
    results = run_on_one(plain, SEED, print)
    print(table(results))
    for (fault, rounds), result in zip(plain, results, strict=True):
        held(fault, rounds, result)


@pytest.mark.parametrize("name", [fault.name for fault in POSSIBLE if not fault.is_plain])
def test_the_law_holds_through(name: str) -> None:
    fault = next(fault for fault in catalogue() if fault.name == name)
    rounds = ROUNDS.get(name, 1)
    held(fault, rounds, run(fault, rounds, SEED, print))


def held(fault: Fault, rounds: int, result: Result) -> None:
    assert result.breaches == [], fault.name
    assert result.rounds == rounds
    assert result.stored >= result.acknowledged > 0
