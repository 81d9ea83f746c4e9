"""What visits cost: batches of events of many visitors, stored with visits and everything worked out, and without."""

from __future__ import annotations

from collections.abc import Iterator

from bench.collect import Turn, take_turn
from bench.crowd import bodies
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.servers import INGEST_TOKEN, ROOT, Maicivy, Servers

BATCH = 100
_WITHOUT = {"PYTHONPATH": f"{ROOT / 'bench' / 'without_visits'}:{ROOT}"}


def measure(_wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:
    """Turns of two installations that differ in that only one records visits."""
    takers = {
        "with": _Taker(servers.maicivy(), effort),
        "without": _Taker(servers.another_maicivy("without", **_WITHOUT), effort),
    }
    turns: dict[str, list[Turn]] = {name: [] for name in takers}
    for _ in range(effort.rounds):
        for name, taker in takers.items():
            turns[name].append(taker.take(effort.seconds))
    takers["with"].check(has_visits=True)
    takers["without"].check(has_visits=False)
    counted, cpu = ({name: [of(turn) for turn in some] for name, some in turns.items()} for of in (_rate, _cpu))
    name = "without visits"
    note = ", ".join(f"{part} {us:.0f}" for part, us in turns["with"][-1].cpu_us.items() if us >= 0.5)
    return {
        "visits-cost": [
            Figure("counted", "events/s", counted["with"], Target(">=", 0.5, "ratio"), name, counted["without"]),
            Figure("processor time", "us/event", cpu["with"], Target("<=", 70.0), name, cpu["without"], note),
        ]
    }


class _Taker:
    def __init__(self, maicivy: Maicivy, effort: Effort) -> None:
        self._maicivy = maicivy
        self._bodies: Iterator[bytes] = bodies(BATCH, batches=10 if effort.quick else 200)
        self.take(0.3)  # the first requests load what is loaded late

    def take(self, seconds: float) -> Turn:
        headers = f"Authorization: Bearer {INGEST_TOKEN}\r\n"
        return take_turn(self._maicivy, seconds, self._bodies, BATCH, headers=headers)

    def check(self, *, has_visits: bool) -> None:
        """That what was measured is what it is called."""
        row = self._maicivy.postgres.execute("SELECT count(*) > 0 FROM visits").fetchone()
        assert row == (has_visits,), row


def _rate(turn: Turn) -> float:
    return turn.counted_per_s


def _cpu(turn: Turn) -> float:
    return turn.all_cpu_us


SCENE = Scene(
    {"visits-cost": f"batches of {BATCH} events of many visitors, with visits and all that is worked out for them"},
    measure,
)
