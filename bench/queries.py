"""How long questions of the query engine take, over `POST /api/v2/query`, one at a time.

    python -m bench.queries [--at DIR] [--as-it-is] [--each 20] [--kind "by day"] [--explain] [--slowest 5]

Uncached, and each over a connection to Postgres that has asked nothing before: a server process that knows no table
yet and has no statement prepared. The application runs in this process, so that no client's time is in the figures.
`--at` takes what `bench.traffic --keep` left, and starts its servers unless they run. `--explain` shows the statements
of each kind's slowest question with their plans.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bench.days import DAYS, Span
from bench.population import population
from bench.questions import BIG, MONTH, SMALL, Asked, Questions
from bench.store import Installation, installation
from bench.surroundings import run_as_started
from bench.traffic import IN_HASTE, fill
from maicivy.storage.query_cache import RedisQueryCache
from maicivy.web import create_app

A_FEW: Final = 100_000
PATH: Final = "/api/v2/query"
_READS: Final = re.compile(r"\s*(/\*.*?\*/)?\s*(SELECT|WITH)\b")
SITES: Final = {BIG: "large site", SMALL: "small site"}


@dataclass(frozen=True, slots=True)
class Answered:
    """One question and how long it took, at first and when it was asked again.

    `python_ms` and `postgres_ms` are processor time of the first answer: what is left of it on a machine with nothing
    else to do.
    """

    asked: Asked
    took_ms: float
    again_ms: float
    python_ms: float
    postgres_ms: float
    statements: list[tuple[str, Any]] = field(repr=False)


class Asker:
    """Asks one installation."""

    def __init__(self, installed: Installation) -> None:
        self._parts = installed.parts
        self._client = create_app(installed.parts).test_client()
        self._cache = RedisQueryCache(installed.parts.redis)
        self._statements: list[tuple[str, Any]] = []
        sa.event.listen(installed.parts.engine, "before_cursor_execute", self._note)

    def ask(self, asked: Asked) -> Answered:
        """The answer's time.

        Raises:
            RuntimeError: the answer was another than 200.
        """
        engine = self._parts.engine
        engine.dispose()
        with engine.connect() as connection:
            server = Path(f"/proc/{connection.execute(sa.text('SELECT pg_backend_pid()')).scalar_one()}/schedstat")
        self._cache.forget()  # and begin an epoch: without one nothing is kept
        self._statements = []
        postgres_ms, python_ms = _on_cpu_ms(server), time.process_time() * 1000
        took_ms = self._post(asked.body)
        postgres_ms, python_ms = _on_cpu_ms(server) - postgres_ms, time.process_time() * 1000 - python_ms
        statements = self._statements
        return Answered(asked, took_ms, self._post(asked.body), python_ms, postgres_ms, statements)

    def explain(self, answered: Answered) -> str:
        """The statements of a question and what Postgres did for each."""
        shown = [json.dumps(answered.asked.body)]
        with self._parts.engine.connect() as connection:
            for statement, values in answered.statements:
                shown.append(f"{statement}\n{values}")
                if _READS.match(statement):
                    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, SETTINGS) {statement}", values)
                    shown.append("\n".join(plan.scalars()))
        return "\n\n".join(shown)

    def _post(self, body: Any) -> float:
        began = time.perf_counter()
        response = self._client.post(PATH, json=body)
        took_ms = (time.perf_counter() - began) * 1000
        if response.status_code != 200:
            raise RuntimeError(f"{response.status_code} {response.get_data(as_text=True)[:500]} to {json.dumps(body)}")
        return took_ms

    def _note(self, _: Any, __: Any, statement: str, values: Any, ___: Any, ____: Any) -> None:
        self._statements.append((statement, values))


def _on_cpu_ms(schedstat: Path) -> float:
    """Processor time of a process until now; 0 where Linux does not tell."""
    try:
        return int(schedstat.read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


def ask_all(asker: Asker, questions: Iterable[Asked]) -> list[Answered]:
    """All answers, after one that nobody counts: it loads what is loaded late."""
    asked = list(questions)
    asker.ask(replace(asked[0], body={**asked[0].body, "pagination": {"limit": 17}}))
    gc.freeze()  # what is here to stay is not looked through while somebody waits
    return [asker.ask(one) for one in asked]


def percentile(values: Sequence[float], percent: int) -> float:
    """By nearest rank."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


@contextmanager
def traffic(at: Path | None, events: int, days: int = DAYS) -> Iterator[Installation]:
    """An installation with traffic: what is kept `at` a directory, or else made now."""
    with ExitStack() as stack:
        if at is None:
            at = Path(tempfile.mkdtemp(prefix="mvt-", dir="/tmp"))
            stack.callback(shutil.rmtree, at, ignore_errors=True)
            with installation(at, IN_HASTE) as installed:
                span = Span.until(installed.parts.now(), events, length=days)
                fill(installed, span, population(), processes=1 if events < A_FEW else 2)
        yield stack.enter_context(installation(at))


def last_moment(installed: Installation) -> datetime:
    """When the last event was: what was kept for some days is asked about, and rolled up, as it was then, with a day
    that has only begun."""
    with installed.parts.engine.connect() as connection:
        moment: datetime = connection.execute(sa.text("SELECT max(ended) FROM visits")).scalar_one()
    return moment


def roll_up(installed: Installation) -> float:
    """Make every rollup that is due; seconds."""
    began = time.perf_counter()
    installed.parts.buckets.refresh(last_moment(installed))
    with installed.parts.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE buckets, dirty_hours"))  # as autovacuum does in time
    return time.perf_counter() - began


def main(argv: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", type=Path, metavar="DIR")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=20, help="questions of a kind")
    parser.add_argument("--kind", help="those kinds only whose names have this in them")
    parser.add_argument("--site", type=int, choices=list(SITES))
    parser.add_argument("--as-it-is", action="store_true", help="make no rollups")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--slowest", type=int, default=1, help="of each kind so many questions are shown")
    arguments = parser.parse_args(argv)
    with traffic(arguments.at, arguments.events) as installed:
        if not arguments.as_it_is:
            print(f"rolled up in {roll_up(installed):.1f} s", flush=True)
        asker = Asker(installed)
        questions = Questions(installed.parts.engine, last_moment(installed).date(), arguments.each)
        heads = f"{'asked':>6}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}{'again':>8}{'python':>8}{'postgres':>9}{'SQL':>5}"
        print(f"{'':<44}{heads}")
        for site in [arguments.site] if arguments.site else SITES:
            found = [(f"{MONTH} days", questions.plain(site, MONTH)), (f"{DAYS} days", questions.plain(site, DAYS))]
            found += [(f"{MONTH} days", questions.filtered(site)), (f"{DAYS} days", questions.narrowed(site))]
            for days, some in found:
                kinds: dict[str, list[Asked]] = {}
                for asked in some:
                    if arguments.kind is None or arguments.kind in asked.kind:
                        kinds.setdefault(asked.kind, []).append(asked)
                for kind, chosen in kinds.items():
                    answers = ask_all(asker, chosen)
                    _show(f"{SITES[site]}, {days}, {kind}", answers)
                    for slow in sorted(answers, key=lambda answer: -answer.took_ms)[: arguments.slowest]:
                        print(f"    {slow.took_ms:7.1f}  {json.dumps(dict(slow.asked.body))}")
                        if arguments.explain:
                            print(asker.explain(slow))
    return 0


def _show(name: str, answers: list[Answered]) -> None:
    took = [answer.took_ms for answer in answers]
    again = percentile([answer.again_ms for answer in answers], 95)
    statements = statistics.median(len(answer.statements) for answer in answers)
    python_ms = statistics.median(answer.python_ms for answer in answers)
    postgres_ms = percentile([answer.postgres_ms for answer in answers], 95)
    print(
        f"{name:<44}{len(took):6}{statistics.median(took):9.1f}{percentile(took, 95):9.1f}{max(took):9.1f}{again:8.1f}"
        f"{python_ms:8.1f}{postgres_ms:9.1f}{statements:5.0f}",
        flush=True,
    )


if __name__ == "__main__":
    run_as_started()
    sys.exit(main())
