"""bin/abuse: every kind of abuse, each against a maicivy of its own; a table, and exit code 1 on any breach."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from tests.abuse.scenario import Finding, Options, Scenario

NAMES = ("corpus", "fuzz", "schema", "cardinality", "overload", "slow", "websocket")


def main() -> int:
    """Run what was asked for."""
    default = Options()
    parser = argparse.ArgumentParser(prog="bin/abuse", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="this scenario; may be repeated")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--requests", type=int, default=default.requests, help="of fuzz, schema and cardinality")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="that overload and slow last")
    given = parser.parse_args()
    options = Options(given.seed, given.requests, given.seconds)
    findings = {}
    for name in given.only or NAMES:
        print(f"{name}: ...", flush=True)
        began = time.monotonic()
        findings[name] = finding = _run(name, options)
        finding.figures["took"] = f"{time.monotonic() - began:.0f} s"
        _tell(name, finding)
    print(f"\n{'scenario':<14}{'held':<7}figures")
    for name, finding in findings.items():
        figures = ", ".join(f"{what} {value}" for what, value in finding.figures.items())
        print(f"{name:<14}{'NO' if finding.breaches else 'yes':<7}{figures}")
    return 1 if any(finding.breaches for finding in findings.values()) else 0


def _run(name: str, options: Options) -> Finding:
    try:
        return _scenario(name)(options)
    except Exception:
        return Finding(breaches=[traceback.format_exc()])


def _scenario(name: str) -> Scenario:
    if name == "websocket":
        websocket = importlib.import_module("tests.abuse.websocket")
        return lambda options: Finding(breaches=list(websocket.run(options.seed)))
    scenario: Scenario = importlib.import_module(f"tests.abuse.{name}").run
    return scenario


def _tell(name: str, finding: Finding) -> None:
    for what, value in finding.figures.items():
        print(f"  {what}: {value}")
    for breach in finding.breaches:
        print(f"  BREACH: {breach}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
