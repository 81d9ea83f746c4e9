"""Questions to the query engine, on ten million events of 90 days: see bench/queries.py and bench/questions.py.

`BENCH_TRAFFIC` may name a directory that `python -m bench.traffic --keep` has filled: making it takes minutes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import sqlalchemy as sa

from bench.days import DAYS
from bench.figures import Effort, Figure, Figures, Scene, Target
from bench.queries import SITES, Answered, Asker, ask_all, last_moment, percentile, roll_up, traffic
from bench.questions import MONTH, Asked, Questions
from bench.store import Installation

EVENTS = 10_000_000
EACH = 20
_SIZES = """/* bench.querying */
SELECT regexp_replace(relname, '_[0-9]+$', '') AS name, sum(pg_total_relation_size(oid))::bigint AS size
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 2 DESC LIMIT 8
"""

_Kind = tuple[str, int, float | None]  # kind of question, days, and below how many milliseconds its p95 is to be


def measure(wanted: frozenset[str], effort: Effort, _: object) -> Figures:
    """All questions once; a cached answer is the same question again."""
    at = os.environ.get("BENCH_TRAFFIC")
    days = 2 if effort.quick else DAYS
    with traffic(Path(at) if at and not effort.quick else None, 2_000 if effort.quick else EVENTS, days) as installed:
        roll_up(installed)
        disk = _disk(installed) if "disk-visits" in wanted else []
        answers: dict[tuple[str, int, int], list[Answered]] = {}
        if wanted & {"questions", "filters", "cached"}:
            questions = Questions(installed.parts.engine, last_moment(installed).date(), EACH, days)
            answers = _answers(Asker(installed), questions, effort)
    rows: dict[str, Callable[[], list[Figure]]] = {
        "questions": lambda: _figures(answers, _PLAIN),
        "filters": lambda: _figures(answers, _FILTERED),
        "cached": lambda: _cached(answers),
        "disk-visits": lambda: disk,
    }
    return {row: figures() for row, figures in rows.items() if row in wanted}


def _answers(asker: Asker, questions: Questions, effort: Effort) -> dict[tuple[str, int, int], list[Answered]]:
    """Kind, days and site -> answers."""
    step = 25 if effort.quick else 1
    found: dict[tuple[str, int, int], list[Answered]] = {}
    for site in SITES:
        some: list[tuple[int, Iterator[Asked]]] = [
            (MONTH, questions.plain(site, MONTH)),
            (DAYS, questions.plain(site, DAYS)),
            (MONTH, questions.filtered(site, MONTH)),
            (DAYS, questions.narrowed(site, DAYS)),
        ]
        for days, asked in some:
            by_kind: dict[str, list[Asked]] = {}
            for one in asked:
                by_kind.setdefault(one.kind, []).append(one)
            for kind, these in by_kind.items():
                found[kind, days, site] = ask_all(asker, itertools.islice(these, 0, None, step))
    return found


_PLAIN: tuple[_Kind, ...] = tuple(
    (kind, days, limit)
    for days, limit in ((MONTH, 25.0), (DAYS, 60.0))
    for kind in ("summary", "by day", "by hour", "top 10")
)
_FILTERED: tuple[_Kind, ...] = (
    ("one filter, visit", MONTH, 300.0),
    ("one filter, page or event", MONTH, 300.0),
    ("one filter, property", MONTH, 300.0),
    ("two filters and pages", DAYS, 1500.0),
)


def _figures(answers: dict[tuple[str, int, int], list[Answered]], kinds: Iterable[_Kind]) -> list[Figure]:
    figures = []
    for kind, days, limit in kinds:
        for site, name in SITES.items():
            took = [answer.took_ms for answer in answers[kind, days, site]]
            target = Target("<", limit) if limit is not None else None
            note = f"{len(took)} questions, p50 {percentile(took, 50):.1f}, slowest {max(took):.1f}"
            figures.append(Figure(f"p95 {kind}, {days} days, {name}", "ms", [percentile(took, 95)], target, note=note))
    return figures


def _cached(answers: dict[tuple[str, int, int], list[Answered]]) -> list[Figure]:
    again = [answer.again_ms for some in answers.values() for answer in some]
    note = f"{len(again)} questions, p50 {percentile(again, 50):.1f}, slowest {max(again):.1f}"
    return [Figure("p95 of an answer that is known", "ms", [percentile(again, 95)], Target("<", 5.0), note=note)]


def _disk(installed: Installation) -> list[Figure]:
    with installed.parts.engine.connect() as connection:
        events = connection.execute(sa.text("SELECT count(*) FROM analytics_events")).scalar_one()
        size = connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()
        parts = connection.execute(sa.text(_SIZES)).all()
    note = ", ".join(f"{row.name} {row.size / events:.1f}" for row in parts if row.size >= events / 20)
    return [Figure("bytes per event", "bytes", [size / events], note=note)]


SCENE = Scene(
    {
        "questions": f"questions to the query engine, {EVENTS:,} events, uncached, new connections",
        "filters": "the same with filters",
        "cached": "the same questions once more, from the cache",
        "disk-visits": "disk per event after 90 days: events, visits, segments, rollups, dictionaries, indexes",
    },
    measure,
)
