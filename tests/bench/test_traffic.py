"""That the traffic which questions are measured on is such as the store would have made.

The seed is one by which two of the visits go on after midnight.
"""

from __future__ import annotations

from bench.traffic_check import differences


def test_what_is_copied_in_is_what_the_store_makes_of_the_same_events() -> None:
    assert differences(2_500, seed=25, days=3) == []
