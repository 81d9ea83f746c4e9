"""The short form of `bin/chaos`: the faults that this machine can run, a round or a few each.

Those that need no system of their own share one, so that starting and stopping does not take longer than the harm.
"""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import catalogue, table
from tests.chaos.fault import Fault, run_on_one

ROUNDS = {"kill": 5}
SEED = 20251208

pytestmark = pytest.mark.e2e


def grounds() -> list[list[Fault]]:
    """The faults of this machine, those together that may share a system."""
    shared: dict[object, list[Fault]] = {}
    for fault in catalogue():
        if fault.missing is None and fault.in_suite:
            shared.setdefault(fault.ground, []).append(fault)
    return list(shared.values())


@pytest.mark.parametrize("faults", grounds(), ids=lambda faults: " ".join(fault.name for fault in faults))
def test_the_law_holds_through(faults: list[Fault], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fault, "is_short", True)
    results = run_on_one([(fault, ROUNDS.get(fault.name, 1)) for fault in faults], SEED, print)
    print(table(results))
    for fault, result in zip(faults, results, strict=True):
        assert result.breaches == [], fault.name
        assert result.rounds == ROUNDS.get(fault.name, 1)
        assert result.stored >= result.acknowledged > 0
