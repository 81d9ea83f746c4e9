"""The lists that are judged by: what comes with maicivy, and what the operator adds or takes away.

`lists/bots.txt` and `lists/referrer_spam.txt` in the data directory hold an entry a line, `-entry` to take one of
ours away, `#` for remarks. They are read when a process starts to judge; after a change, restart the workers and run
`maicivy bots reclassify`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

Name = Literal["bots", "referrer_spam"]

MAX_ENTRIES: Final = 10_000
"""Of an operator's list; the rest is ignored, and the log says so."""
MIN_ENTRY_CHARS: Final = 3
MAX_ENTRY_CHARS: Final = 100
"""Shorter and longer entries are ignored: two letters would be found in every user agent."""

log = logging.getLogger(__name__)
_directory: Path | None = None
_readers: list[Callable[[], None]] = []


def adopt(data_dir: Path) -> None:
    """Have this process judge by the operator's lists in `data_dir` too, from now on. Reads nothing yet."""
    global _directory
    _directory = data_dir / "lists"
    for forget in (entries.cache_clear, *_readers):
        forget()


def forgets(cache_clear: Callable[[], None]) -> None:
    """Have `cache_clear` called when other lists are adopted: what the old ones said must not be remembered."""
    _readers.append(cache_clear)


@cache
def entries(name: Name) -> frozenset[str]:
    """The entries of a list in lower case: ours, and the operator's additions and removals."""
    ours = set(_lines(lines_of(f"{name}.txt")))
    for entry in _lines(_own(name)):
        if entry.startswith("-"):
            ours.discard(entry[1:].strip())
        else:
            ours.add(entry)
    return frozenset(ours)


def lines_of(file: str) -> list[str]:
    """The lines of a data file of this package."""
    return (files("maicivy.enrichment") / "data" / file).read_text("utf-8").splitlines()


def version() -> str:
    """Of our lists, as `bots=1 referrer_spam=1`: raised whenever one of them changes."""
    marks = {
        name: line for name in ("bots", "referrer_spam") for line in lines_of(f"{name}.txt") if "# version" in line
    }
    return " ".join(f"{name}={line.rpartition(' ')[2]}" for name, line in marks.items())


def _own(name: Name) -> list[str]:
    if _directory is None:
        return []
    path = _directory / f"{name}.txt"
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("list_unreadable", extra={"list": name, "error": error.strerror})
        return []
    lines = text.splitlines()
    if len(lines) > MAX_ENTRIES:
        log.warning("list_too_long", extra={"list": name, "lines": len(lines), "read": MAX_ENTRIES})
    return lines[:MAX_ENTRIES]


def _lines(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        entry = line.partition("#")[0].strip().lower()
        if len(entry.lstrip("-")) >= MIN_ENTRY_CHARS and len(entry) <= MAX_ENTRY_CHARS:
            yield entry
