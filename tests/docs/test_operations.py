"""The tables of docs/operations.md and the code name the same settings, metrics, keys and log fields."""

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from maicivy import logs, metrics
from maicivy.config import ALIASES
from maicivy.core.periods import Period
from maicivy.storage import keys

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DAY = date(2025, 12, 8)

BUILT: dict[str, Callable[[], str]] = {
    "unique_visitors": lambda: keys.unique_visitors(1, Period.DAY, DAY),
    "stat": lambda: keys.stat(1, Period.DAY, DAY, "total_events"),
    "themes": lambda: keys.themes(1),
    "totals": lambda: keys.totals(1),
    "presence": lambda: keys.presence(1),
    "bots": lambda: keys.bots(1),
    "minute_events": lambda: keys.minute_events(1, 1_765_202_700 // 60),
    "active_users": lambda: keys.active_users(1),
    "day_metrics": lambda: keys.day_metrics(1, DAY),
    "changed": lambda: keys.changed(1),
    "query": lambda: keys.query(b"\x01\x02"),
    "salt": lambda: keys.salt(DAY),
    "rate": lambda: keys.rate(b"\x01\x02"),
    "guesses": lambda: keys.guesses(b"\x01\x02"),
    "rebuild": lambda: keys.rebuild("1f"),
    "scratch": lambda: keys.scratch("1f"),
}
"""One key of each function; `prefix`, `channel` and `all_of` build no key."""


def section(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_is_explained_and_no_other() -> None:
    source = (ROOT / "maicivy" / "config.py").read_text(encoding="utf-8")
    read = set(re.findall(r'self\._(?!problems)\w+\("([A-Z_]+)"', source))
    assert sorted(name for row in rows("Settings") for name in code(row[0])) == sorted(read)


def test_every_other_name_of_a_setting_is_told() -> None:
    assert set(ALIASES.values()) | set(ALIASES) <= set(code(section("Settings")))


def test_every_metric_is_listed_with_its_labels() -> None:
    declared = {told.name: list(told.labels) for told in metrics.TOLD}
    for metric in metrics.OBSERVED:
        for family in metric.describe():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            declared[name] = list(metric._labelnames)
    assert {code(row[0])[0]: code(row[1]) for row in rows("Metrics")} == declared


def test_every_redis_key_is_listed() -> None:
    public = {name: thing for name, thing in vars(keys).items() if not name.startswith("_")}
    functions = {name for name, thing in public.items() if getattr(thing, "__module__", "") == keys.__name__}
    constants = {name for name, thing in public.items() if isinstance(thing, str)}
    assert functions == set(BUILT) | {"prefix", "channel", "all_of"}
    listed = {code(row[1])[0] for row in rows("Redis keys")}
    assert listed == (constants | functions) - {"INBOX_GROUP", "prefix", "channel", "all_of"}


@pytest.mark.parametrize("row", rows("Redis keys"), ids=lambda row: code(row[1])[0])
def test_a_key_is_written_as_it_is_built(row: list[str]) -> None:
    name = code(row[1])[0]
    built = BUILT[name]() if name in BUILT else getattr(keys, name)
    pattern = re.escape(code(row[0])[0]).replace(r"\.\.\.", ".*")
    for placeholder in ("TOKEN", "HASH"):
        pattern = pattern.replace(placeholder, "[0-9a-f]+")
    assert re.fullmatch(pattern, built)


def test_every_field_of_a_log_line_is_explained() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs._formatter(on_terminal=False))
    token = logs.REQUEST_ID.set("0123456789abcdef")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        handler.emit(logging.LogRecord("maicivy", logging.ERROR, "", 0, "event", (), sys.exc_info()))
    finally:
        logs.REQUEST_ID.reset(token)
    assert set(json.loads(stream.getvalue())) <= {name for row in rows("Logs") for name in code(row[0])}


def test_links_within_the_repository_lead_somewhere() -> None:
    wanted_later = {"architecture.md", "api.md", "privacy.md"}
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target in wanted_later or (ROOT / "docs" / target).resolve().exists(), target


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
