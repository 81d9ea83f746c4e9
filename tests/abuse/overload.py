"""Five times as much as it can take: it goes on taking what it can, as fast as before, and sends the others away."""

from __future__ import annotations

import json
from typing import Final

from bench import closed_loop
from maicivy.storage import keys
from tests.abuse.flood import Flood
from tests.abuse.nonsense import EVENT_PATH
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import Target, abused
from tests.abuse.wire import request

TIMES: Final = 5
CONNECTIONS: Final = 2500
CLIENTS: Final = 64
LEAST_SHARE: Final = 0.9
MOST_P99_MS: Final = 250.0
MOST_WEB_GROWTH_MB: Final = 100.0
MOST_BYTES_PER_EVENT: Final = 1000

BODY: Final = json.dumps(
    {"event_type": "page_view", "event_data": {"theme": "backend"}, "page_url": "/cv?theme=backend"}
).encode()


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding, LOG_LEVEL="warning") as target:
        overload(target, options.seconds, finding)
    return finding


def overload(target: Target, seconds: float, finding: Finding, is_measured: bool = True) -> None:
    """Flood `target`. What depends on the machine's mood is judged only if `is_measured`."""
    capacity_s = max(2.0, min(10.0, seconds / 6))
    closed_loop.run(target.port, EVENT_PATH.decode(), CLIENTS, 1.0, body=BODY)  # warm
    target.settle(finding)
    capacity = closed_loop.run(target.port, EVENT_PATH.decode(), CLIENTS, capacity_s, body=BODY).rate
    target.settle(finding)
    before = {kind: target.pss_mb(kind) for kind in ("web", "valkey")}
    headers = [(b"Host", b"x"), (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(BODY))]
    flood = Flood(target.port, request(b"POST", EVENT_PATH, headers, BODY), TIMES * capacity, CONNECTIONS)
    cpu = {kind: target.cpu_s(kind) for kind in ("web", "worker", "valkey")}
    told = flood.run(seconds)
    cores = {"client": told.busy_s / seconds} | {
        kind: (target.cpu_s(kind) - was) / seconds for kind, was in cpu.items()
    }
    after = {kind: target.pss_mb(kind) for kind in before}
    waiting = int(target.redis.hget(keys.INBOX_SIZE, "events") or 0)  # type: ignore[arg-type]
    share = told.rate(202) / capacity
    p99 = told.percentile_ms(99)
    turned_away = told.statuses[429] + told.statuses[503]
    sent = told.due - told.unsent
    finding.figures |= {
        "capacity": f"{capacity:,.0f}/s ({CLIENTS} connections, closed loop, {capacity_s:.0f} s)",
        "due": f"{told.due / seconds:,.0f}/s for {seconds:.0f} s over {CONNECTIONS} connections",
        "sent": f"{sent / seconds:,.0f}/s",
        "accepted": f"{told.rate(202):,.0f}/s, {share:.0%} of capacity",
        "turned away": f"{turned_away / seconds:,.0f}/s",
        "no answer within 5 s": f"{told.unanswered / seconds:,.1f}/s",
        "cut off": f"{told.cut / seconds:,.1f}/s",
        "p50, p99 of accepted": f"{told.percentile_ms(50):.0f}, {p99:.0f} ms",
        "cores": ", ".join(f"{kind} {busy:.2f}" for kind, busy in cores.items()),
        "memory": ", ".join(f"{kind} {before[kind]:.0f} to {after[kind]:.0f} MB" for kind in before),
        "in the inbox at the end": f"{waiting:,}",
    }
    finding.must(told.statuses.keys() <= {202, 429, 503}, f"statuses {dict(told.statuses)}")
    finding.must(not told.without_retry_after, f"{told.without_retry_after} without Retry-After")
    finding.must(after["web"] - before["web"] < MOST_WEB_GROWTH_MB, f"web grew: {finding.figures['memory']}")
    bound = before["valkey"] + 64 + waiting * MOST_BYTES_PER_EVENT / 2**20
    finding.must(after["valkey"] < bound, f"Valkey grew beyond {bound:.0f} MB: {finding.figures['memory']}")
    if is_measured:
        finding.must(share >= LEAST_SHARE, f"accepted only {share:.0%} of capacity")
        finding.must(p99 < MOST_P99_MS, f"p99 of accepted {p99:.0f} ms")
