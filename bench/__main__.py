"""`bin/bench`: measures every row of the table in docs/performance.md, prints it, and writes a JSON file.

Without options it takes most of an hour, for memory is looked at after ten minutes of load. --quick shows within two
minutes that everything runs; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import report
from bench.figures import Effort, Figure
from bench.servers import Servers
from bench.suite import SCENES, TITLES
from bench.surroundings import run_as_started

QUICK = Effort(rounds=1, seconds=0.3, quick=True)
FULL = Effort()


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 1 when a row could not be measured. A target that was missed is in the table, and no error."""
    parser = argparse.ArgumentParser(
        prog="bin/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="ROW", choices=TITLES, help="this row; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--quick", action="store_true", help="hardly any load: shows that all rows run")
    parser.add_argument("--rounds", type=int, help=f"turns of every participant (default {FULL.rounds})")
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"of one turn (default {FULL.seconds:g}); a round of sustained load lasts 15 times, the load before"
        " memory is looked at 150 times as long",
    )
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="PATH")
    parser.add_argument("--keep", action="store_true", help="the rows of that file that are not measured this time")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    arguments = parser.parse_args(argv)
    if arguments.list:
        print("\n".join(f"{row:<14}{title}" for row, title in TITLES.items()))
        return 0
    effort = QUICK if arguments.quick else FULL
    effort = replace(effort, rounds=arguments.rounds or effort.rounds, seconds=arguments.seconds or effort.seconds)
    facts = report.machine()
    kept = _read(arguments.json) if arguments.keep else {}
    measured, failed = _measured(frozenset(arguments.only or TITLES), effort)
    figures = {row: found for row in TITLES if (found := measured.get(row, kept.get(row)))}
    arguments.json.write_text(json.dumps(report.as_json(facts, effort, TITLES, figures), indent=1) + "\n")
    print(report.markdown(TITLES, figures) if arguments.markdown else report.table(figures))
    for row in failed:
        print(f"{row}: could not be measured", file=sys.stderr)
    return 1 if failed else 0


def _read(path: Path) -> dict[str, Sequence[Figure]]:
    """The figures of an earlier run; none when there was none."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text())["rows"]
    return {row["row"]: [Figure.from_json(figure) for figure in row["figures"]] for row in rows}


def _measured(wanted: frozenset[str], effort: Effort) -> tuple[dict[str, Sequence[Figure]], list[str]]:
    """Every scene has servers of its own, but for the quick run, which shows only that everything runs."""
    figures: dict[str, Sequence[Figure]] = {}
    failed: list[str] = []
    with contextlib.ExitStack() as shared:
        quick = shared.enter_context(Servers()) if effort.quick else None
        for scene in SCENES:
            rows = [row for row in scene.rows if row in wanted]
            if not rows:
                continue
            began = time.perf_counter()
            print(f"measuring {', '.join(rows)} ...", file=sys.stderr, flush=True)
            try:
                with contextlib.nullcontext(quick) if quick else Servers() as servers:
                    found = scene.measure(frozenset(rows), effort, servers)
            except Exception:  # noqa: BLE001 - an edge: an hour of other figures must not be lost for one
                traceback.print_exc()
                failed += rows
            else:
                figures |= {row: found[row] for row in rows}
                print(f"  took {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return figures, failed


if __name__ == "__main__":
    run_as_started()
    sys.exit(main())
