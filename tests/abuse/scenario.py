"""What a scenario is: something hostile that is done to a running maicivy, and what must hold all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_BREACHES = 20
"""More would not tell more."""


@dataclass(frozen=True)
class Options:
    """How much is done. The same `seed` does the same again, as far as time and threads allow."""

    seed: int = 20251208
    requests: int = 100_000
    seconds: float = 60.0


@dataclass
class Finding:
    """What a scenario saw: `figures` for the table, and `breaches`, of which there must be none."""

    figures: dict[str, str] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)

    def must(self, holds: object, breach: str) -> None:
        """Note `breach` unless `holds`; no more than `MOST_BREACHES`, and the same one only once."""
        if not holds and breach not in self.breaches and len(self.breaches) < MOST_BREACHES:
            self.breaches.append(breach)


Scenario = Callable[[Options], Finding]
