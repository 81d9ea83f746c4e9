"""Pages of the dashboard, drawn by the server over a million events of 90 days: see bench/dashboard.py."""

from __future__ import annotations

from bench.dashboard import EVENTS, loaded, pages
from bench.days import DAYS
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.queries import roll_up, traffic

TIMES = 7


def measure(wanted: frozenset[str], effort: Effort, _: object) -> Figures:  # noqa: ARG001 - there is one row
    """Each view some times with nothing known, and again."""
    figures = []
    with traffic(None, 2_000 if effort.quick else EVENTS, 2 if effort.quick else DAYS) as installed:
        roll_up(installed)
        for drawn in pages(installed, 1 if effort.quick else TIMES):
            figures += [
                Figure(f"first figures, {drawn.view}", "ms", drawn.first, Target("<", 200.0)),
                Figure(f"whole page, {drawn.view}", "ms", drawn.cold, note=f"{drawn.size / 1000:.1f} KB compressed"),
                Figure(f"again, {drawn.view}", "ms", drawn.warm),
                Figure(f"processor time of the server, {drawn.view}", "ms", drawn.python, is_detail=True),
                Figure(f"processor time of Postgres, {drawn.view}", "ms", drawn.postgres, is_detail=True),
            ]
        sizes = loaded(installed)
    note = ", ".join(f"{kind} {size / 1000:.1f}" for kind, size in sizes.items())
    figures.append(
        Figure("JS and CSS of a page, compressed", "KB", [sum(sizes.values()) / 1000], Target("<", 60.0), note=note)
    )
    return {"dashboard": figures}


SCENE = Scene({"dashboard": f"a page of the dashboard over {EVENTS:,} events, from the server"}, measure)
