"""The naughty corpus over the real thing: HTTP, Valkey, Celery, Postgres, and back through whatever can be read."""

from __future__ import annotations

import csv
import http.client
import io
import json
import uuid
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from maicivy.web.openapi.error_codes import EVENT_CODES
from tests.abuse.nonsense import BATCH_PATH, EVENT_PATH
from tests.abuse.scenario import Finding, Options
from tests.abuse.strings import TEXTS, kept
from tests.abuse.target import Target, abused
from tests.naughty import BATCHES, EVENTS, STRINGS, TYPE
from tests.standalone.processes import wait_until


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding) as target:
        send(target, finding)
    return finding


def send(target: Target, finding: Finding) -> None:
    """Everything of tests/naughty.py meets its fate, and every text comes out as it went in."""
    expected = _events(target.port, finding)
    _batches(target.port, finding)
    texts = _texts(target.port, finding)
    target.settle(finding)
    _compare(target, expected | texts, finding)
    _compare_answers(target, texts, finding)
    _check_metrics(target, finding)
    _check_exports(target, finding)
    ((quarantined,),) = target.rows("SELECT count(*) FROM quarantine")
    finding.must(quarantined == 0, f"{quarantined} quarantined: the gate let something pass")
    finding.figures |= {
        "bodies": str(len(EVENTS) + len(BATCHES)),
        "texts": str(len(texts)),
        "rows compared": str(len(expected) + len(texts)),
    }


def _post(port: int, path: bytes, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path.decode(), body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _events(port: int, finding: Finding) -> dict[uuid.UUID, dict[str, Any]]:
    """Posts `EVENTS`; what is to be found of those that are taken."""
    taken: dict[uuid.UUID, dict[str, Any]] = {}
    for naughty in EVENTS:
        status, answer = _post(port, EVENT_PATH, naughty.body)
        if naughty.code is None:
            finding.must(status == 202, f"{naughty.name}: {status} {answer}")
            if status == 202:
                taken.setdefault(uuid.UUID(answer["id"]), naughty.kept)
        else:
            found = (status, answer.get("error", {}).get("code"))
            finding.must(found == (EVENT_CODES[naughty.code].status, naughty.code), f"{naughty.name}: {found}")
    return taken


def _batches(port: int, finding: Finding) -> None:
    for naughty in BATCHES:
        status, answer = _post(port, BATCH_PATH, naughty.body)
        if naughty.code is not None:
            found = (status, answer.get("error", {}).get("code"))
            finding.must(found == (EVENT_CODES[naughty.code].status, naughty.code), f"{naughty.name}: {found}")
        else:
            codes = {item["index"]: item["code"] for item in answer.get("rejected", ())}
            finding.must(
                status == 202 and [codes.get(n) for n in range(len(naughty.codes))] == naughty.codes,
                f"{naughty.name}: {status} {answer}",
            )


def _texts(port: int, finding: Finding) -> dict[uuid.UUID, dict[str, Any]]:
    """Posts every text as theme, value, name and list, in escapes and raw."""
    sent: dict[uuid.UUID, dict[str, Any]] = {}
    for name, text in (STRINGS | TEXTS).items():
        for is_escaped in (True, False):
            if not is_escaped and any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
                continue  # it has no raw form
            event_id = uuid.uuid4()
            data = {"theme": text[:1000], "text": text, text[:64]: {text[:64]: [text]}}
            body = {"id": str(event_id), "event_type": "page_view", "event_data": data, "page_url": f"/t/{len(sent)}"}
            status, answer = _post(port, EVENT_PATH, json.dumps(body, ensure_ascii=is_escaped).encode())
            finding.must(status == 202, f"{name}: {status} {answer}")
            clean = {"theme": kept(text[:1000]), "text": kept(text), kept(text[:64]): {kept(text[:64]): [kept(text)]}}
            sent[event_id] = {"event_type": "page_view", "event_data": clean, "page_url": f"/t/{len(sent)}"}
    return sent


def _compare(target: Target, expected: dict[uuid.UUID, dict[str, Any]], finding: Finding) -> None:
    query = "SELECT id, event_type, event_data::text, page_url, referrer FROM analytics_events WHERE id = ANY(%s)"
    rows = {row[0]: row[1:] for row in target.rows(query, list(expected))}
    finding.must(len(rows) == len(expected), f"{len(expected) - len(rows)} of {len(expected)} are not stored")
    for key, (event_type, data, page_url, referrer) in rows.items():
        want = expected[key]
        found = (event_type, json.loads(data, parse_int=float), page_url, referrer)
        wanted = (
            want.get("event_type", TYPE),
            json.loads(json.dumps(want.get("event_data", {})), parse_int=float),
            want.get("page_url", ""),
            want.get("referrer", ""),
        )
        finding.must(found == wanted, f"stored {found!r:.300}, wanted {wanted!r:.300}")


def _compare_answers(target: Target, texts: dict[uuid.UUID, dict[str, Any]], finding: Finding) -> None:
    """The timeline, page by page."""
    seen: dict[uuid.UUID, Any] = {}
    for offset in range(0, 10_000, 100):
        page = target.data(f"/timeline?limit=100&offset={offset}")
        seen |= {uuid.UUID(event["id"]): event["event_data"] for event in page}
        if not page:
            break
    for key, want in texts.items():
        finding.must(seen.get(key) == want["event_data"], f"the timeline shows {seen.get(key)!r:.300}")


def _check_metrics(target: Target, finding: Finding) -> None:
    """The exposition can be parsed, and no label forged a metric."""
    _, text = target.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    finding.must("fake" not in families, "a label forged a metric")
    finding.must("maicivy_build_info" in families or "maicivy_build" in families, "the exposition is cut")
    finding.must(families["maicivy_cv_theme_views"].samples, "no themes in /metrics")
    status, text = target.get("/api/v1/analytics/themes?limit=20")
    finding.must(status == 200 and len(json.loads(text)["data"]) == 20, f"themes: {status} {text:.200}")


def _check_exports(target: Target, finding: Finding) -> None:
    found: list[str] = []

    def themes() -> list[str]:  # the answer to an earlier question is given for some seconds
        _, text = target.get("/api/v1/analytics/export/themes?period=day")
        found[:] = [row["theme"] for row in csv.DictReader(io.StringIO(text, newline=""))]
        return found

    wait_until(themes, 30, "themes in the export")
    dangerous = [cell for cell in found if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    finding.must(not dangerous, f"formulas in the export: {dangerous!r:.300}")
