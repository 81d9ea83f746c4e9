"""The reads of the API over a month of history while events flow in, beside a route that does nothing."""

from __future__ import annotations

import time

import sqlalchemy as sa

from bench import history
from bench.closed_loop import Samples, run
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.inflow import inflow
from bench.reads import EMPTY, paths
from bench.servers import Maicivy, Servers
from maicivy.config import sqlalchemy_url

CONNECTIONS = 16
EVENTS_PER_S = 1000.0
EVENTS, DAYS, CLICKS = 100_000, 30.0, 0.1


def measure(wanted: frozenset[str], effort: Effort, servers: Servers) -> Figures:  # noqa: ARG001 - there is one row
    """Every path has a turn of a quarter of the seconds in each round; the empty route has one in each round too."""
    maicivy = servers.maicivy()
    chosen = [path for path in paths(_filled(maicivy, effort.events(EVENTS))) if "/export/" not in path]
    turn_s = effort.seconds / 4
    already = maicivy.counted()
    with inflow(maicivy.port, maicivy.events_path, EVENTS_PER_S) as accepted:
        for path in chosen:
            run(maicivy.port, path, CONNECTIONS, min(0.3, turn_s))
        before, began = accepted.value, time.perf_counter()
        rounds = [{path: run(maicivy.port, path, CONNECTIONS, turn_s) for path in chosen} for _ in range(effort.rounds)]
        flowed_in = (accepted.value - before) / (time.perf_counter() - began)
    maicivy.settle(already + accepted.value)
    empty = [each[EMPTY] for each in rounds]
    figures = [
        Figure(
            f"p99 {path.rpartition('analytics/')[2].partition('before=')[0]}",
            "ms",
            [each[path].percentile_ms(99) for each in rounds],
            Target("<", 20.0),
            "empty route",
            [each.percentile_ms(99) for each in empty],
            _refusals([each[path] for each in rounds]),
        )
        for path in chosen
        if path != EMPTY
    ]
    worst = max(figures, key=lambda figure: figure.value)
    rest = [figure for figure in figures if figure is not worst]
    return {"reads": [worst, *rest, Figure("accepted meanwhile", "events/s", [flowed_in])]}


def _filled(maicivy: Maicivy, events: int) -> str:
    """Loads the history; a place in its middle, as `before` of the timeline takes it."""
    engine = sa.create_engine(sqlalchemy_url(maicivy.database_url))
    happened = list(history.events(events, DAYS, history.now(), CLICKS))
    history.load(engine, maicivy.redis, happened)
    engine.dispose()
    return happened[len(happened) // 2].created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _refusals(samples: list[Samples]) -> str:
    refused = sum(count for each in samples for status, count in each.statuses.items() if status != 200)
    return f"{refused} answers were not 200" if refused else ""


SCENE = Scene({"reads": f"reads at {CONNECTIONS} connections while {EVENTS_PER_S:,.0f} events/s flow in"}, measure)
