"""That the traffic which questions are measured on is such as the store would have made."""

from __future__ import annotations

from bench.traffic_check import differences


def test_what_is_copied_in_is_what_the_store_makes_of_the_same_events() -> None:
    assert differences(6_000, days=3) == []
