"""What is kept: retention, rebuild, rollups, judging anew, and bytes on disk.

Each is measured by its module, on servers of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bench import disk, rebuild, reclassify, retention, rollups
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.servers import Servers

EVENTS = 1_000_000
EVENTS_ON_DISK = 100_000
EVENTS_OF_AN_HOUR = 100_000

# The first pattern that a name matches says its unit and its target.
_MEANING: tuple[tuple[str, str, Target | None], ...] = (
    (r"^retention_s\b|^retention_s_", "s", Target("<", 1.0)),
    (r"^rebuild_s\b", "s", Target("<", 30.0)),
    (r"^rollup_s\b", "s", Target("<", 1.0)),
    (r"^reclassify_s\b", "s", Target("<", 60.0)),
    (r"visits$", "visits", None),
    (r"mix|half", "answers", Target("<=", 0)),
    (r"^bytes_per_event$", "bytes", Target("<", 180)),
    (r"bytes", "bytes", None),
    (r"_ms\b|_ms_", "ms", None),
    (r"_s\b|_s_", "s", None),
)


def _scene(row: str, title: str, take: Callable[[int], dict[str, float]], events: int) -> Scene:
    def measure(_: frozenset[str], effort: Effort, __: Servers) -> Figures:
        rounds = [take(effort.events(events)) for _ in range(effort.rounds)]
        return {row: [_figure(name, [figures[name] for figures in rounds]) for name in rounds[0]]}

    return Scene({row: title}, measure)


def _figure(name: str, rounds: list[float]) -> Figure:
    unit, target = next(((unit, target) for pattern, unit, target in _MEANING if re.search(pattern, name)), ("", None))
    return Figure(name.replace("_", " "), unit, rounds, target, is_detail=target is None)


SCENES = (
    _scene("retention", f"retention of {EVENTS:,} expired events", retention.measure, EVENTS),
    _scene("rebuild", f"rebuild of Redis from {EVENTS:,} events", rebuild.measure, EVENTS),
    _scene("rollup", f"rollups of an hour with {EVENTS_OF_AN_HOUR:,} events", rollups.measure, EVENTS_OF_AN_HOUR),
    _scene("reclassify", f"judging {EVENTS:,} events anew, half of them wrong", reclassify.measure, EVENTS),
    _scene("disk", "disk per event, indexes included", disk.measure, EVENTS_ON_DISK),
)
