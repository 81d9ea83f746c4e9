"""What a benchmark says: rows, each with figures, each beside its reference and its target."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.servers import Servers

_HOLDS = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached, by the figure itself, by its ratio to the reference, or by the difference from it."""

    sign: Literal[">=", "<=", "<"]
    value: float
    of: Literal["figure", "ratio", "difference"] = "figure"

    def __str__(self) -> str:
        unit = {"figure": "", "ratio": " of it", "difference": " more"}[self.of]
        return f"{self.sign} {self.value:,g}{unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: a value per round, and the value of the reference in the same round where there is one."""

    name: str
    unit: str
    rounds: Sequence[float]
    target: Target | None = None
    reference: str = ""
    reference_rounds: Sequence[float] = field(default_factory=list)
    note: str = ""
    is_detail: bool = False
    """Left out of the table; it is in the JSON file."""

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    @property
    def reference_value(self) -> float | None:
        """The median of the reference."""
        return statistics.median(self.reference_rounds) if self.reference_rounds else None

    @property
    def ratio(self) -> float | None:
        """The median of the ratios of each round, so that a slow minute of the machine weighs on both alike."""
        return self._paired(lambda value, reference: value / reference) if all(self.reference_rounds) else None

    @property
    def difference(self) -> float | None:
        """The median of the differences of each round."""
        return self._paired(operator.sub)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None when there is none."""
        if self.target is None:
            return None
        measured = {"figure": self.value, "ratio": self.ratio, "difference": self.difference}[self.target.of]
        return measured is not None and bool(_HOLDS[self.target.sign](measured, self.target.value))

    def as_json(self) -> dict[str, Any]:
        """Everything of it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "rounds": list(self.rounds),
            "reference": self.reference or None,
            "reference_value": self.reference_value,
            "reference_rounds": list(self.reference_rounds),
            "ratio": self.ratio,
            "difference": self.difference,
            "target": None if self.target is None else asdict(self.target),
            "met": self.met,
            "note": self.note,
            "is_detail": self.is_detail,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Figure:
        """The figure that `as_json` was of."""
        return cls(
            written["name"],
            written["unit"],
            written["rounds"],
            None if written["target"] is None else Target(**written["target"]),
            written["reference"] or "",
            written["reference_rounds"],
            written["note"],
            written.get("is_detail", False),
        )

    def _paired(self, combine: Callable[[float, float], float]) -> float | None:
        if not self.reference_rounds:
            return None
        return statistics.median(map(combine, self.rounds, self.reference_rounds))


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: `seconds` is one turn of one participant, and everything else follows from it."""

    rounds: int = 5
    seconds: float = 4.0
    quick: bool = False

    def events(self, full: int) -> int:
        """How many events are prepared where the full run prepares so many."""
        return full // 100 if self.quick else full

    @property
    def sustained_s(self) -> float:
        """One round of sustained load: 60 s by default."""
        return self.seconds * (2 if self.quick else 15)

    @property
    def long_s(self) -> float:
        """The load before memory is looked at: 10 minutes by default."""
        return self.seconds * (2 if self.quick else 150)


Figures = Mapping[str, Sequence[Figure]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Rows that share their servers. `measure` is told which of them are wanted, and returns the figures of those."""

    rows: Mapping[str, str]
    measure: Callable[[frozenset[str], Effort, Servers], Figures] = field(compare=False)
