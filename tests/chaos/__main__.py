"""bin/chaos: hurts a running maicivy in every way there is, and checks after each that the law holds."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
import time

from tests import chaos
from tests.chaos.fault import Fault, Result, run
from tests.chaos.soak import Soak


def catalogue() -> list[Fault]:
    """Every fault of every module beside this one that has `FAULTS`, in the order of the modules' names."""
    found: list[Fault] = []
    for module in sorted(module.name for module in pkgutil.iter_modules(chaos.__path__)):
        if not module.startswith(("_", "test_")):
            found += getattr(importlib.import_module(f"tests.chaos.{module}"), "FAULTS", [])
    return found


def chosen(faults: list[Fault], names: list[str] | None) -> list[Fault]:
    """The faults that go by one of the names, or whose names begin with one that is no whole name; all for None."""
    if names is None:
        return faults
    whole = {fault.name for fault in faults}
    return [
        fault
        for fault in faults
        if any(fault.name == name or (name not in whole and fault.name.startswith(name)) for name in names)
    ]


def main() -> int:
    """Run what was asked for; 1 when the law was broken anywhere."""
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds of each fault (default: each fault's own)")
    parser.add_argument(
        "--only", action="append", metavar="FAULT", help="by name, or all that begin so; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=1, help="makes a run repeatable (default: 1)")
    parser.add_argument("--events", type=int, default=Soak.events, help=f"of the soak (default: {Soak.events})")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    arguments = parser.parse_args()
    faults = chosen(catalogue(), arguments.only)
    if not faults:
        parser.error("there is no such fault; --list names them")
    if arguments.list:
        for fault in faults:
            print(f"{fault.name:<24}{fault.rounds:>4} rounds  {(type(fault).__doc__ or '').partition(chr(10))[0]}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without stopping what was started
    results = []
    for fault in faults:
        if isinstance(fault, Soak):
            fault.events = arguments.events
        rounds = arguments.rounds or fault.rounds
        print(f"{fault.name}: {rounds} rounds", flush=True)
        if fault.missing:
            print(f"  not run: this machine lacks {fault.missing}")
            results.append(Result(fault.name, breaches=[f"not run: this machine lacks {fault.missing}"]))
            continue
        started = time.monotonic()
        results.append(run(fault, rounds, arguments.seed, lambda text: print(text, flush=True)))
        for breach in results[-1].breaches:
            print(f"  BREACH: {breach}")
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
    print(table(results))
    return 1 if any(result.breaches for result in results) else 0


def table(results: list[Result]) -> str:
    """One line per fault."""
    lines = ["", "fault                    rounds    acked   stored  lost  double  p50 s  p95 s  max s"]
    for result in results:
        times = sorted(result.recovery_s) or [0.0]
        p50, p95 = (times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.95))
        lines.append(
            f"{result.name:<24}{result.rounds:>7}{result.acknowledged:>9}{result.stored:>9}{result.lost:>6}"
            f"{result.doubled:>8}{p50:>7.1f}{p95:>7.1f}{times[-1]:>7.1f}"
            + ("" if not result.breaches else f"  {len(result.breaches)} BREACHES")
        )
    everything = sorted(seconds for result in results for seconds in result.recovery_s)
    if everything:
        lines.append(
            f"recovery over all: p95 {everything[int(len(everything) * 0.95)]:.1f} s of {len(everything)} rounds"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
