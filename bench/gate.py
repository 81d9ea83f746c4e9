"""What the gate, the queue codec and the tally cost per event, beside json.loads of the same bytes in the same run.

    python -m bench.gate [seconds per line]

The ratios carry over to other machines, the microseconds do not. Below them are bodies made to be slow; what counts
there is milliseconds per body, for nothing else in the process runs meanwhile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

from maicivy.core.events import Event, decode, encode, timestamp_text, uuid7
from maicivy.core.gate import MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_EVENT_BYTES, Gate, parse_batch, parse_event
from maicivy.core.identity import Salts, client_key, visitor
from maicivy.core.tallies import tally, wanted_labels
from maicivy.errors import Refusal

NOW = datetime(2025, 12, 8, 12, 34, 56, tzinfo=UTC)
GATE = Gate(NOW, timedelta(days=90), frozenset({"theme", "ref", "source"}))
SALTS = Salts.mixed("0123456789abcdef", NOW.date(), b"t" * 32, b"y" * 32)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
WORTH_S = 0.5

CLICK = {"event_type": "button_click", "event_data": {"button": "cta", "x": 450, "y": 200}, "page_url": "/cv"}
VIEW = {
    "event_type": "page_view",
    "event_data": {"theme": "backend", "path": "/cv"},
    "page_url": "/cv?theme=backend&utm_source=newsletter",
    "referrer": "https://search.example/search?q=developer",
    "session_duration": 12,
    "id": "0193a5c0-0000-7000-8000-000000000001",
    "timestamp": timestamp_text(NOW),
}


def main() -> None:
    worth_s = float(sys.argv[1]) if len(sys.argv) > 1 else WORTH_S
    click, view = json.dumps(CLICK).encode(), json.dumps(VIEW).encode()
    escaped = json.dumps({**CLICK, "event_data": {"button": "é", "x": 450, "y": 200}}).encode()
    bodies = [json.dumps([event] * MAX_BATCH_EVENTS).encode() for event in (CLICK, VIEW)]
    queued = [_signed(view, n) for n in range(MAX_BATCH_EVENTS)]
    payload = encode(queued)
    zone, labels = ZoneInfo("Europe/Paris"), {key: frozenset(v) for key, v in wanted_labels(queued).items()}

    base = _us(lambda: json.loads(click), worth_s)
    print(f"{'':44}{'us':>8}{'x json.loads of the click':>28}")
    for name, run, events in (
        ("json.loads, a click", lambda: json.loads(click), 1),
        ("parse_event, a click", lambda: parse_event(click, GATE), 1),
        ("parse_event, a click with an escape", lambda: parse_event(escaped, GATE), 1),
        ("json.loads, a full page view", lambda: json.loads(view), 1),
        ("parse_event, a full page view", lambda: parse_event(view, GATE), 1),
        ("parse_batch, per click of 500", lambda: parse_batch(bodies[0], GATE), MAX_BATCH_EVENTS),
        ("parse_batch, per page view of 500", lambda: parse_batch(bodies[1], GATE), MAX_BATCH_EVENTS),
        ("visitor", lambda: visitor(SALTS, 1, "", "203.0.113.7", AGENT), 1),
        ("client_key, IPv4", lambda: client_key(SALTS, "203.0.113.7"), 1),
        ("client_key, IPv6", lambda: client_key(SALTS, "2001:db8::1"), 1),
        ("encode, one event", lambda: encode(queued[:1]), 1),
        ("encode, per event of 500", lambda: encode(queued), len(queued)),
        ("decode, per event of 500", lambda: decode(payload), len(queued)),
        ("tally, per event of 500", lambda: tally(queued, zone, labels), len(queued)),
    ):
        us = _us(run, worth_s) / events
        print(f"{name:44}{us:8.2f}{us / base:28.2f}")

    print(f"\n{'made to be slow':44}{'ms':>8}{'x json.loads of it':>28}")
    for name, body in _slow_bodies().items():
        ms = _us(lambda body=body: _attempt(body), worth_s) / 1000  # type: ignore[misc]
        plain_ms = _us(lambda body=body: _loads(body), worth_s) / 1000  # type: ignore[misc]
        print(f"{name:44}{ms:8.2f}{ms / plain_ms:28.2f}")


def _signed(body: bytes, n: int) -> Event:
    who = visitor(SALTS, 1, "", f"203.0.113.{n % 250}", AGENT)
    draft = parse_event(body, GATE)
    new_id = uuid7(int(NOW.timestamp() * 1000) + n, bytes(10))
    return draft.event(new_id=new_id, site_id=1, visitor_id=who.id, previous_visitor_id=who.previous_id, now=NOW)


def _slow_bodies() -> dict[str, bytes]:
    def event(data: str = "{}", url: str = "/") -> bytes:
        return f'{{"event_type":"a","event_data":{data},"page_url":{json.dumps(url, ensure_ascii=False)}}}'.encode()

    def full(element: bytes) -> bytes:
        """As many as a body takes."""
        return b"[" + b",".join([element] * (MAX_BODY_BYTES // (len(element) + 1) - 1)) + b"]"

    numbers = event('{"a":[' + "1," * ((MAX_EVENT_BYTES - 100) // 2) + "1]}")
    lists = event('{"a":[' + "[]," * ((MAX_EVENT_BYTES - 100) // 3) + "[]]}")
    accents = event(url="http://a" + "\u0315" * 16_000 + "\u0316" * 16_000)
    return {
        "64 KiB of numbers": numbers,
        "64 KiB of accents in a host name": accents,
        "64 KiB of user names in a URL": event(url="http://" + "a@" * 32_000),
        "64 KiB of query parameters": event(url="/?" + "a&" * 32_000),
        "64 KiB of opened lists": b"[" * MAX_EVENT_BYTES,
        "1 MiB of events full of numbers": full(numbers),
        "1 MiB of events full of lists": full(lists),
        "1 MiB of events full of parameters": full(event(url="/?" + "a&" * 32_000)),
        "1 MiB of numbers of 4,300 digits": full(b"9" * 4300),
        "1 MiB of numbers for events": full(b"1"),
        "1 MiB of empty objects": full(b"{}"),
        "1 MiB of empty objects, and no end": full(b"{}")[:-1],
        "1 MiB of empty objects behind a NaN": full(b"{}").replace(b"{}", b"NaN", 1),
        "1 MiB, 450 events with a NaN each": full(event('{"a":[NaN,"' + "x" * 2000 + '"],"b":"' + "y" * 200 + '"}')),
        "1 MiB, 450 events, the last one cut": full(event('{"a":"' + "x" * 2000 + '","b":"' + "y" * 200 + '"}'))[:-3],
        "1 MiB of opened lists": b"[" * MAX_BODY_BYTES,
        "1 MiB of blanks": b" " * MAX_BODY_BYTES,
    }


def _attempt(body: bytes) -> None:
    with suppress(Refusal):
        parse_event(body, GATE) if len(body) <= MAX_EVENT_BYTES else parse_batch(body, GATE)


def _loads(body: bytes) -> None:
    with suppress(ValueError, RecursionError):
        json.loads(body)


def _us(run: Callable[[], object], worth_s: float) -> float:
    """Microseconds per call: the best of several rounds, which is the one that was disturbed least."""
    run()
    calls, best, until = 1, float("inf"), perf_counter() + worth_s
    while perf_counter() < until:
        started = perf_counter()
        for _ in range(calls):
            run()
        taken = perf_counter() - started
        best = min(best, taken / calls)
        if taken < worth_s / 20:
            calls *= 2
    return best * 1e6


if __name__ == "__main__":
    main()
