"""Paths of lines over buckets of time: two units along for each bucket, whole numbers upwards, so that two thousand
points are a few kilobytes. A height of None is a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Heights = Sequence[int | None]
"""By bucket, from the top of the box down."""


def runs(flags: Sequence[bool]) -> Iterable[tuple[int, int]]:
    """Half-open ranges in which the flag is set."""
    first = None
    for i, flag in enumerate((*flags, False)):
        if flag and first is None:
            first = i
        elif not flag and first is not None:
            yield first, i
            first = None


def edges(heights: Heights) -> list[int]:
    """Buckets that are known and followed by one that is."""
    return [i for i in range(len(heights) - 1) if heights[i] is not None and heights[i + 1] is not None]


def strokes(heights: Heights, edges: Iterable[int]) -> str:
    """A path along these edges, lifted between those that do not touch."""
    path, end = [], -1
    for i in edges:
        here, there = heights[i] or 0, heights[i + 1] or 0
        if i != end:
            path.append(f"M{2 * i + 1} {here}l")
        elif path[-1][-1] != "l":
            path.append(" ")
        path.append(f"2 {there - here}" if there >= here else f"2{there - here}")
        end = i + 1
    return "".join(path)


def areas(heights: Heights, base: int) -> str:
    """Closed paths down to the base, one for each stretch of what is known."""
    paths = []
    for first, end in runs([height is not None for height in heights]):
        if end - first > 1:
            paths.append(f"{strokes(heights, range(first, end - 1))}V{base}H{2 * first + 1}z")
    return "".join(paths)


def dots(heights: Heights) -> str:
    """Paths without length, whose round ends are the dots of buckets that have no neighbours."""
    alone = (2 * first + 1 for first, end in runs([height is not None for height in heights]) if end - first == 1)
    return "".join(f"M{x} {heights[x // 2]}h0" for x in alone)
