"""Events accepted, stored and counted, beside a bare route, the usual design and COPY; all of them take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.collect import SINGLE, Turn, batch_of, take_turn
from bench.copying import CopyReference
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.servers import Served, Servers

BATCH = 100
ROWS_PER_S_TO_COPY = 50_000


def measure(wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:
    """Turns of those participants that the wanted rows need, then the figures of the rows."""
    maicivy = servers.maicivy()
    takers: dict[str, Callable[[], Turn]] = {}
    if wanted & {"single-bare", "single-usual", "cpu"}:
        takers["maicivy"] = _taker(maicivy, effort, SINGLE, 1)
    if "single-bare" in wanted:
        takers["bare"] = _taker(servers.gunicorn("bench.bare:application"), effort, SINGLE, 1)
    if "single-usual" in wanted:
        takers["usual"] = _taker(servers.usual_design(), effort, SINGLE, 1)
    if wanted & {"batches", "cpu"}:
        takers["batches"] = _taker(maicivy, effort, batch_of(BATCH), BATCH)
    copy = CopyReference(maicivy.database_url) if "batches" in wanted else None
    turns: dict[str, list[Turn]] = {name: [] for name in takers}
    copied: list[float] = []
    for _ in range(effort.rounds):
        for name, take in takers.items():
            turns[name].append(take())
        if copy is not None:
            copied.append(copy.rows_per_s(int(ROWS_PER_S_TO_COPY * effort.seconds)))
    if copy is not None:
        copy.close()
    return {name: figures(turns, copied) for name, figures in _ROWS.items() if name in wanted}


def _taker(served: Served, effort: Effort, body: bytes, events: int) -> Callable[[], Turn]:
    take_turn(served, 0.2, body, events)  # the first requests load what is loaded late
    return lambda: take_turn(served, effort.seconds, body, events)


def _beside_bare(turns: dict[str, list[Turn]], _: Sequence[float]) -> list[Figure]:
    ours, bare = turns["maicivy"], turns["bare"]
    return [
        Figure(
            "accepted", "events/s", _accepted(ours), Target(">=", 0.75, "ratio"), "bare Flask route", _accepted(bare)
        ),
        Figure("p99", "ms", _p99(ours), Target("<", 50.0), "bare Flask route", _p99(bare)),
    ]


def _beside_usual(turns: dict[str, list[Turn]], _: Sequence[float]) -> list[Figure]:
    ours, usual = turns["maicivy"], turns["usual"]
    name = "delay() per event"
    return [
        Figure("accepted", "events/s", _accepted(ours), Target(">=", 2.5, "ratio"), name, _accepted(usual)),
        Figure(
            "counted", "events/s", _counted(ours), None, name, _counted(usual), "from the first sent to all counted"
        ),
        Figure("processor time", "us/event", _cpu(ours), None, name, _cpu(usual), f"of {name}: {_parts(usual)}"),
    ]


def _batches(turns: dict[str, list[Turn]], copied: Sequence[float]) -> list[Figure]:
    counted = _counted(turns["batches"])
    return [
        Figure("counted", "events/s", counted, Target(">=", 0.25, "ratio"), "COPY of the rows", copied),
        Figure("counted, at least", "events/s", counted, Target(">=", 40_000)),
    ]


def _processor(turns: dict[str, list[Turn]], _: Sequence[float]) -> list[Figure]:
    single, batches = turns["maicivy"], turns["batches"]
    return [
        Figure("single event", "us/event", _cpu(single), Target("<=", 240), note=_parts(single)),
        Figure(f"in a batch of {BATCH}", "us/event", _cpu(batches), Target("<=", 35), note=_parts(batches)),
    ]


def _accepted(turns: list[Turn]) -> list[float]:
    return [turn.accepted_per_s for turn in turns]


def _counted(turns: list[Turn]) -> list[float]:
    return [turn.counted_per_s for turn in turns]


def _p99(turns: list[Turn]) -> list[float]:
    return [turn.p99_ms for turn in turns]


def _cpu(turns: list[Turn]) -> list[float]:
    return [turn.all_cpu_us for turn in turns]


def _parts(turns: list[Turn]) -> str:
    middle = sorted(turns, key=lambda turn: turn.all_cpu_us)[len(turns) // 2]
    return ", ".join(f"{name} {us:.0f}" for name, us in middle.cpu_us.items() if us >= 0.5)


_ROWS: dict[str, Callable[[dict[str, list[Turn]], Sequence[float]], list[Figure]]] = {
    "single-bare": _beside_bare,
    "single-usual": _beside_usual,
    "batches": _batches,
    "cpu": _processor,
}
SCENE = Scene(
    {
        "single-bare": "single events accepted over HTTP, 64 connections, 1 web process",
        "single-usual": "the same beside the usual design",
        "batches": f"batches of {BATCH} events, accepted, stored and counted",
        "cpu": "processor time per event, all server processes",
    },
    measure,
)
