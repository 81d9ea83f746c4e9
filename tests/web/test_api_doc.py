"""docs/api.md against the application: its URLs, codes, parameters, limits and examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from maicivy.core import gate
from maicivy.web.openapi import document
from maicivy.web.openapi.error_codes import CODES
from tests.web.openapi.json_schema import problems

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^#+ (?:GET|POST) (\S+?),?(?: [^\n]*)?$|^```json\n(.*?)^```", TEXT, re.M | re.S)


def test_every_url_is_described() -> None:
    for path, methods in document()["paths"].items():
        assert path in TEXT
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                assert f"`{parameter['name']}`" in TEXT, (path, parameter["name"])


@pytest.mark.parametrize("code", list(CODES))
def test_every_code_stands_with_its_status_and_meaning(code: str) -> None:
    status, text = CODES[code]
    assert f"| `{code}` | {status} | {text} |" in TEXT


def test_every_reason_of_the_gate_is_there() -> None:
    for reason in gate.REASONS:
        assert f"| `{reason}` |" in TEXT


@pytest.mark.parametrize(
    "limit",
    [
        gate.MAX_BODY_BYTES,
        gate.MAX_EVENT_BYTES,
        gate.MAX_BATCH_EVENTS,
        gate.MAX_DEPTH,
        gate.MAX_PROPERTIES,
        gate.MAX_KEY_CHARS,
        gate.MAX_STRING_CHARS,
        gate.MAX_URL_CHARS,
        gate.MAX_SESSION_S,
        int(gate.MAX_FUTURE.total_seconds() // 60),
    ],
)
def test_every_limit_of_the_gate_is_there(limit: int) -> None:
    limits = TEXT.partition("\n## Limits\n")[2].partition("\n## ")[0]
    assert re.search(rf"\b{limit}\b", limits)


def test_every_live_message_is_described() -> None:
    live = document()["paths"]["/ws/analytics"]["get"]["x-websocket"]["examples"]
    section = TEXT.partition("\n## Live\n")[2].partition("\n## ")[0]
    for message in (*live["server"], *live["client"]):
        assert message["type"] in section


def examples() -> list[tuple[str, Any]]:
    path = ""
    found = []
    for heading, sample in EXAMPLES:
        path = heading or path
        if sample:
            found.append((path, json.loads(sample)))
    return found


@pytest.mark.parametrize(("path", "sample"), examples(), ids=[path for path, _ in examples()])
def test_every_example_answer_is_valid(path: str, sample: Any) -> None:
    operation = next(iter(document()["paths"][path].values()))
    answer = next(told for status, told in operation["responses"].items() if status < "300")
    assert problems(sample, answer["content"]["application/json"]["schema"], document()) == []


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = {
        re.sub(r"[^a-z ]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.M)
    }
    for anchor in re.findall(r"\]\(#([a-z-]+)\)", TEXT):
        assert anchor in headings
