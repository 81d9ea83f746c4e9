"""The naughty corpus all the way: over HTTP singly and in batches, into Postgres and Redis, and out of every answer."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from maicivy.bootstrap import Maicivy, build
from maicivy.config import Settings
from maicivy.core.gate import MAX_BATCH_EVENTS, MAX_BODY_BYTES
from maicivy.core.tallies import MAX_LABEL_CHARS
from maicivy.storage import keys
from maicivy.web import create_app
from maicivy.web.openapi.error_codes import EVENT_CODES
from tests.naughty import BATCHES, EVENTS, STRINGS, TYPE, NaughtyBatch, NaughtyEvent

URL = "/api/v1/analytics"
TEXTS = {name: text.replace("\0", "\ufffd") for name, text in STRINGS.items()}


@pytest.fixture
def parts(settings: Settings) -> Iterator[Maicivy]:
    parts = build(replace(settings, event_rate_limit=0))
    yield parts
    parts.close()


@pytest.fixture
def client(parts: Maicivy) -> FlaskClient:
    return create_app(parts).test_client()


def ingest(parts: Maicivy) -> None:
    while not parts.inbox.is_empty():
        parts.ingest.once("test", 0)


def check_the_accounts(parts: Maicivy, refused: Counter[str]) -> None:
    """received = stored + duplicate + rejected, Redis as Postgres has it, and nothing that Postgres did not take."""
    parts.refusals.flush()
    ledger = {name.decode(): int(n) for name, n in parts.redis.hgetall(keys.LEDGER).items()}
    assert {name.removeprefix("rejected:"): n for name, n in ledger.items() if name.startswith("rejected:")} == refused
    with parts.engine.connect() as connection:
        stored, duplicate, quarantined = connection.execute(
            sa.text("SELECT stored, duplicate, quarantined FROM ledger")
        ).one()
        assert connection.execute(sa.text("SELECT count(*) FROM analytics_events")).scalar() == stored
    assert (quarantined, ledger["stored"], ledger["duplicate"]) == (0, stored, duplicate)
    assert ledger["received"] == stored + duplicate + refused.total()
    assert parts.redis.hget(keys.CURSOR, "seq") == str(parts.store.head()[0]).encode()


def as_floats(text: str) -> Any:
    """A JSON text to be compared: 1e2 and 100 are the same number."""
    return json.loads(text, parse_int=float)


def outcome(client: FlaskClient, path: str, body: bytes) -> tuple[int, Any]:
    response = client.post(URL + path, data=body)
    assert response.mimetype == "application/json"
    return response.status_code, response.json


def check_refusal(status: int, answer: Any, code: str) -> None:
    assert answer["success"] is False
    assert (status, answer["error"]["code"]) == (EVENT_CODES[code].status, code)


def test_every_naughty_event_meets_its_fate_over_http(client: FlaskClient, parts: Maicivy) -> None:
    refused: Counter[str] = Counter()
    taken: dict[str, NaughtyEvent] = {}
    for naughty in EVENTS:
        status, answer = outcome(client, "/event", naughty.body)
        if naughty.code is None:
            assert status == 202, (naughty.name, answer)
            taken.setdefault(answer["id"], naughty)
        else:
            check_refusal(status, answer, naughty.code)
            refused[naughty.code] += 1
    ingest(parts)
    check_the_accounts(parts, refused)
    with parts.engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT id, event_type, event_data::text AS data, page_url, referrer FROM analytics_events")
        ).all()
    assert {str(row.id) for row in rows} == taken.keys()
    for row in rows:
        kept = taken[str(row.id)].kept
        assert row.event_type == kept.get("event_type", TYPE)
        assert as_floats(row.data) == as_floats(json.dumps(kept.get("event_data", {})))
        assert (row.page_url, row.referrer) == (kept.get("page_url", ""), kept.get("referrer", ""))


def test_naughty_events_in_batches_meet_the_same_fate(client: FlaskClient, parts: Maicivy) -> None:
    """Those apart that a batch as a whole is refused for: no JSON, or deeper than the stack."""
    of_the_body = {"invalid_json", "invalid_encoding", "event_too_large"}
    events = [one for one in EVENTS if one.code not in of_the_body and max(map(one.body.count, (b"[", b"{"))) < 900]
    refused: Counter[str] = Counter()
    batch: list[NaughtyEvent] = []
    for naughty in [*events, None]:
        full = naughty is None or sum(len(one.body) + 1 for one in [*batch, naughty]) >= MAX_BODY_BYTES
        if full or len(batch) == MAX_BATCH_EVENTS:
            status, answer = outcome(client, "/event/batch", b"[" + b",".join(one.body for one in batch) + b"]")
            assert status == 202, answer
            codes = [one.code for one in batch]
            found = {item["index"]: item["code"] for item in answer["rejected"]}
            assert [found.get(i) for i in range(len(batch))] == codes
            assert answer["accepted"] == codes.count(None)
            refused.update(code for code in codes if code is not None)
            batch = []
        if naughty is not None:
            batch.append(naughty)
    ingest(parts)
    check_the_accounts(parts, refused)


@pytest.mark.parametrize("path", ["/event/batch", "/batch"])
def test_every_naughty_batch_meets_its_fate_over_http(client: FlaskClient, parts: Maicivy, path: str) -> None:
    refused: Counter[str] = Counter()
    for naughty in BATCHES:
        status, answer = outcome(client, path, naughty.body)
        refused += check_batch(naughty, status, answer)
    ingest(parts)
    check_the_accounts(parts, refused)


def check_batch(naughty: NaughtyBatch, status: int, answer: Any) -> Counter[str]:
    if naughty.code is not None:
        check_refusal(status, answer, naughty.code)
        return Counter([naughty.code])
    assert status == 202, naughty.name
    codes = {index: code for index, code in enumerate(naughty.codes) if code is not None}
    assert {item["index"]: item["code"] for item in answer["rejected"]} == codes
    assert answer["accepted"] == len(naughty.codes) - len(codes)
    return Counter(codes.values())


def test_naughty_strings_come_out_of_every_answer_as_they_went_in(client: FlaskClient, parts: Maicivy) -> None:
    expected = {}
    themes = {}
    for name, text in STRINGS.items():
        key = str(uuid.uuid4())
        data = {"theme": text, "text": text, text[:64]: {text[:64]: [text]}, "x": 1e18, "y": -1e-30}
        body = {"id": key, "event_type": "page_view", "event_data": data, "page_url": "/" + str(len(expected))}
        assert client.post(f"{URL}/event", data=json.dumps(body, ensure_ascii=False).encode()).status_code == 202, name
        expected[key] = json.loads(json.dumps(data))
        if text and len(text) <= MAX_LABEL_CHARS:
            themes[text] = 1
    ingest(parts)
    check_the_accounts(parts, Counter())
    found = client.get(f"{URL}/timeline?limit=100").json["data"]
    assert {event["id"]: event["event_data"] for event in found} == expected
    shown = {item["theme"]: item["views"] for item in client.get(f"{URL}/themes?limit=20").json["data"]}
    assert len(shown) == 20
    assert shown.items() <= themes.items()
    scraped = client.get("/metrics").text
    (family,) = [f for f in text_string_to_metric_families(scraped) if f.name == "maicivy_cv_theme_views"]
    assert {sample.labels["theme"]: sample.value for sample in family.samples} == themes
    exported = client.get(f"{URL}/export/themes?period=day").data.decode()
    rows = [row["theme"] for row in csv.DictReader(io.StringIO(exported, newline=""))]
    assert not [cell for cell in rows if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert {cell.removeprefix("'") for cell in rows} >= {theme.removeprefix("'") for theme in themes}
    assert client.get(f"{URL}/heatmap").json["data"] == [], "no page is as long as that"
