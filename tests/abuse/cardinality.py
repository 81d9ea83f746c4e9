"""A hundred thousand different everything: whatever is counted by name stays bounded, and unique visitors are right."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime
from typing import Any, Final

from maicivy.core.gate import MAX_BATCH_EVENTS
from maicivy.core.periods import Period
from maicivy.core.tallies import LABEL_CAPS
from maicivy.storage import keys
from tests.abuse.nonsense import BATCH_PATH, EVENT_PATH
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import TOKEN, Target, abused
from tests.abuse.wire import exchange, request

MOST_SERIES: Final = 2000
MOST_ERROR: Final = 0.03
MOST_GROWTH_MB: Final = 100
MOST_KEYS: Final = 3 * (sum(LABEL_CAPS.values()) + 20)
"""By day, week and month: a counter for each admitted name, and a few for everything together."""

_SINGLES: Final = 0.1
_METHODS: Final = 0.02


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding, MAICIVY_TRUSTED_PROXIES="1", MAICIVY_EVENT_RATE_LIMIT="100", LOG_LEVEL="warning") as target:
        vary(target, options, finding)
    return finding


def vary(target: Target, options: Options, finding: Finding) -> None:
    """Everything different, `options.requests` times; unique visitors are half of that."""
    before = {kind: target.pss_mb(kind) for kind in ("web", "worker", "valkey")}
    named = _many_names(target, options.requests, finding)
    alone = _many_addresses(target, int(options.requests * _SINGLES), finding)
    _many_methods(target, int(options.requests * _METHODS), finding)
    target.settle(finding)
    _check_rate_keys(target, alone, finding)
    _check_keys(target, finding)
    _check_series(target, finding)
    _check_uniques(target, named + alone, finding)
    after = {kind: target.pss_mb(kind) for kind in before}
    finding.figures["memory"] = ", ".join(f"{kind} {before[kind]:.0f} to {after[kind]:.0f} MB" for kind in before)
    for kind, was in before.items():
        finding.must(after[kind] < was + MOST_GROWTH_MB, f"{kind} grew: {finding.figures['memory']}")


def _many_names(target: Target, events: int, finding: Finding) -> int:
    """Batches in which everything has a name of its own; each visitor comes twice. How many visitors that were."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    visitors = max(1, events // 2)
    for start in range(0, events, MAX_BATCH_EVENTS):
        batch = [_event(n, n % visitors) for n in range(start, min(events, start + MAX_BATCH_EVENTS))]
        connection.request("POST", BATCH_PATH.decode(), json.dumps(batch), {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        finding.must(response.status == 202 and answer["accepted"] == len(batch), f"{response.status}: {answer}")
    connection.close()
    return visitors


def _event(n: int, visitor: int) -> dict[str, Any]:
    """Ids, addresses and agents count up: in a hash that is not keyed, some such series falls into few registers."""
    kinds = (f"t{n}", "page_view", "cv_theme_change", "letter_generated")
    return {
        "id": f"{n + 1:08x}-0000-4000-8000-000000000000",
        "event_type": kinds[n % 4],
        "event_data": {"theme": f"theme {n}", "type": f"kind {n}", f"key{n}": n},
        "page_url": f"https://host{n}.example/path/{n}?utm_source={n}",
        "referrer": f"https://from{n}.example/",
        "visitor_address": f"10.{visitor >> 16}.{visitor >> 8 & 255}.{visitor & 255}",
        "visitor_user_agent": "same",
    }


def _many_addresses(target: Target, requests: int, finding: Finding) -> int:
    """Single events from as many addresses, as a proxy tells them."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    for n in range(requests):
        headers = {"X-Forwarded-For": f"1.1.1.1, 11.{n >> 16}.{n >> 8 & 255}.{n & 255}", "User-Agent": "same"}
        connection.request("POST", EVENT_PATH.decode(), '{"event_type":"click"}', headers)
        response = connection.getresponse()
        response.read()
        finding.must(response.status == 202, f"{response.status} for an address of its own")
    one = 0
    for _ in range(150):  # and one that has no limit left
        headers = {"X-Forwarded-For": "203.0.113.7"}
        connection.request("POST", EVENT_PATH.decode(), '{"event_type":"click"}', headers)
        response = connection.getresponse()
        response.read()
        one += response.status == 202
    connection.close()
    finding.must(one == 100, f"{one} of 150 events of one address were taken, 100 are allowed")
    return requests + 1


def _many_methods(target: Target, requests: int, finding: Finding) -> None:
    for n in range(requests):
        path = b"/no/such/path/%d" % n if n % 2 else b"/api/v1/analytics/stats"
        headers = [(b"Host", b"h%d.example" % n), (b"Connection", b"close")]
        answers, _ = exchange(target.port, request(b"METHOD-%d" % n, path, headers))
        finding.must([answer.status for answer in answers] == [405 - n % 2], f"{answers} for method {n}")


def _check_rate_keys(target: Target, clients: int, finding: Finding) -> None:
    pipe = target.redis.pipeline()
    names = list(target.redis.scan_iter("maicivy:rate:*", count=1000))
    for name in names:
        pipe.ttl(name)
    lives = [life for life in pipe.execute() if life != -2]
    longest = max(lives, default=0)
    finding.must(len(names) <= clients, f"{len(names)} keys of rate limiting for {clients} clients")
    finding.must(all(0 <= life <= 60 for life in lives), "a key of rate limiting outlives its window")
    finding.figures["rate keys"] = f"{len(names):,} for {clients:,} clients of a minute, gone within {longest} s"


def _check_keys(target: Target, finding: Finding) -> None:
    names = [name.decode() for name in target.redis.scan_iter("*", count=1000)]
    lasting = [name for name in names if not name.startswith("maicivy:rate:")]
    finding.must(len(lasting) < MOST_KEYS, f"{len(lasting)} keys in Redis")
    themes = target.redis.zcard(keys.themes(1))
    totals = target.redis.hlen(keys.totals(1))
    finding.must(themes <= 1000, f"{themes} themes")  # type: ignore[operator]
    finding.must(totals < MOST_KEYS, f"{totals} fields of totals")  # type: ignore[operator]
    presence = target.redis.zcard(keys.presence(1))
    memory = int(target.redis.info("memory")["used_memory"]) / 2**20  # type: ignore[index]
    finding.figures["Redis"] = f"{len(lasting)} keys, {themes} themes, {presence:,} present, {memory:.0f} MB"


def _check_series(target: Target, finding: Finding) -> None:
    status, text = target.get("/metrics")
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    finding.must(status == 200 and len(series) < MOST_SERIES, f"{len(series)} series, status {status}")
    finding.figures["series"] = f"{len(series):,}"


def _check_uniques(target: Target, visitors: int, finding: Finding) -> None:
    today = datetime.now(UTC).date()
    found = target.redis.pfcount(keys.unique_visitors(1, Period.DAY, today))
    ((stored,),) = target.rows("SELECT count(DISTINCT visitor_id) FROM analytics_events")
    told = target.data("/stats?period=day")["unique_visitors"]
    error = abs(found - visitors) / visitors  # type: ignore[operator]
    finding.must(stored == visitors, f"{stored} visitors stored, {visitors} came")
    finding.must(told == found and error <= MOST_ERROR, f"{found} unique visitors, told {told}, of {visitors}")
    finding.figures["unique visitors"] = f"{found:,} of {visitors:,}, {error:.2%} off"
