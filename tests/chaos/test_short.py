"""The short form of `bin/chaos`: every fault that this machine can run, a few rounds each."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import catalogue, table
from tests.chaos.fault import run

ROUNDS = {"kill": 20}
SEED = 20251208

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", [fault.name for fault in catalogue() if fault.missing is None])
def test_the_law_holds_through(name: str) -> None:
    fault = next(fault for fault in catalogue() if fault.name == name)
    result = run(fault, ROUNDS.get(name, 1), SEED, print)
    print(table([result]))
    assert result.breaches == []
    assert result.rounds == ROUNDS.get(name, 1)
    assert result.stored >= result.acknowledged > 0
