"""A flood of nonsense: all of it is answered, at once and below 500, and what is accepted is stored as it was meant."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import UUID

import hypothesis
from hypothesis import strategies as st

from maicivy.core.gate import Gate, parse_event
from maicivy.web.openapi.error_codes import CODES
from tests.abuse.nonsense import EVENT_PATH, Generator, Shot
from tests.abuse.scenario import Finding, Options
from tests.abuse.target import Target, abused
from tests.abuse.wire import Answer, exchange, request

LIMIT_S = 1.0
_QUERY_PARAMS = frozenset({"theme", "ref", "source"})
CLIENTS = 4
MOST_BY_HYPOTHESIS = 3000


def run(options: Options) -> Finding:
    finding = Finding()
    with abused(finding) as target:
        flood(target, options, finding)
    return finding


def flood(target: Target, options: Options, finding: Finding) -> None:
    """Send the nonsense to `target`; the accounts are left to its `settle`."""
    judge = Judge(target.port, finding)
    by_hypothesis = min(MOST_BY_HYPOTHESIS, options.requests // 10)
    generator = Generator(options.seed)
    shots = chain(
        (Shot(*made) for made in _invented(by_hypothesis, options.seed)),
        (generator.shot() for _ in range(options.requests - by_hypothesis)),
    )
    with ThreadPoolExecutor(CLIENTS) as pool:
        while some := list(islice(shots, 1000)):
            list(pool.map(judge.send, some))
    target.settle(finding)
    judge.compare(target)
    judge.sum_up()


class Judge:
    """Sends, and looks at what comes back."""

    def __init__(self, port: int, finding: Finding) -> None:
        self._port = port
        self._finding = finding
        self._statuses: Counter[int] = Counter()
        self._seconds: list[float] = []
        self._accepted: dict[UUID, bytes] = {}
        self._lock = threading.Lock()

    def send(self, shot: Shot) -> None:
        shown = shot.sent[:1500]
        try:
            answers, seconds = exchange(self._port, shot.sent)
        except OSError as error:
            self._finding.must(False, f"{error!r} after {shown!r}")
            return
        with self._lock:
            self._judge(shot, shown, answers, seconds)

    def compare(self, target: Target) -> None:
        """Whether each accepted event stands in the database as the gate reads it."""
        gate = Gate(datetime.now(UTC), timedelta(days=90), _QUERY_PARAMS)
        query = (
            "SELECT id, event_type, event_data::text, page_url, referrer, session_duration FROM analytics_events"
            " WHERE id = ANY(%s)"
        )
        rows = {row[0]: row[1:] for row in target.rows(query, list(self._accepted))}
        for key, body in self._accepted.items():
            draft = parse_event(body, gate)
            expected = (draft.event_type, _floats(json.dumps(draft.event_data)), draft.page_url, draft.referrer)
            row = rows.get(key)
            if row is None:
                self._finding.breaches.append(f"answered 202 and not stored: {body[:500]!r}")
            else:
                found = (row[0], _floats(row[1]), row[2], row[3])
                self._finding.must(
                    found == expected and row[4] == draft.session_duration, f"{body[:500]!r} was stored as {row}"
                )

    def sum_up(self) -> None:
        ordered = sorted(self._seconds)
        self._finding.figures |= {
            "requests": f"{len(ordered):,}",
            "answers": " ".join(f"{status}:{n}" for status, n in sorted(self._statuses.items())),
            "compared with their rows": f"{len(self._accepted):,}",
            "p99": f"{ordered[int(len(ordered) * 0.99)] * 1000:.1f} ms",
            "slowest": f"{ordered[-1] * 1000:.0f} ms",
        }

    def _judge(self, shot: Shot, shown: bytes, answers: list[Answer], seconds: float) -> None:
        self._seconds.append(seconds)
        self._finding.must(seconds < LIMIT_S, f"{seconds:.2f} s for {len(shot.sent)} bytes: {shown!r}")
        self._finding.must(answers or _may_go_unanswered(shot.sent), f"no answer to {shown!r}")
        for answer in answers:
            self._look(answer, shown)
        if shot.event is not None and len(answers) == 1 and answers[0].status == 202:
            self._accept(answers[0], shot.event)

    def _look(self, answer: Answer, shown: bytes) -> None:
        self._statuses[answer.status] += 1
        self._finding.must(answer.status < 500, f"{answer.status} for {shown!r}: {answer.body[:300]!r}")
        if answer.status < 400 or not answer.body:  # an answer to HEAD has none
            return
        self._finding.must(answer.is_json, f"{answer.status} without JSON for {shown!r}: {answer.body[:300]!r}")
        if answer.is_json:
            body = answer.json()
            error = body.get("error", {})
            fits = body.get("success") is False and error.get("code") in CODES and error.get("message")
            self._finding.must(fits, f"not the shape of errors: {answer.body[:300]!r}")

    def _accept(self, answer: Answer, event: bytes) -> None:
        if "id" in (body := answer.json()):
            self._accepted.setdefault(UUID(body["id"]), event)


def _may_go_unanswered(sent: bytes) -> bool:
    """A header that ends in the middle is none of a request's: the connection closes without a word."""
    return b"\r\n\r\n" not in sent


def _floats(text: str) -> Any:
    return json.loads(text, parse_int=float)


# What hypothesis is better at: values at the edges of types, and texts of all planes.
_json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=70), inner, max_size=4),
    max_leaves=20,
)
_urls = st.text() | st.from_regex(r"(https?:/)?/[^\s]{0,40}", fullmatch=True) | st.builds("/{}".format, st.text())
_events = st.fixed_dictionaries(
    {"event_type": st.from_regex(r"[a-z0-9][a-z0-9_.:-]{0,49}", fullmatch=True) | st.text()},
    optional={
        "id": st.uuids().map(str) | st.text(),
        "event_data": st.dictionaries(st.text(max_size=70), _json_values, max_size=5) | _json_values,
        "page_url": _urls,
        "referrer": _urls,
        "session_duration": st.integers() | st.floats(),
        "timestamp": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.integers() | st.floats(),
    },
)
_headers = st.lists(
    st.tuples(st.sampled_from([b"User-Agent", b"X-Forwarded-For", b"Origin", b"Cookie", b"X-Request-ID"]), st.binary()),
    max_size=3,
)


@st.composite
def _requests(draw: st.DrawFn) -> tuple[bytes, bytes | None]:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(min_size=1)), None
    body = draw(_events.map(lambda event: json.dumps(event).encode()) | st.binary())
    extra = draw(_headers)
    own = [(b"Host", b"x"), (b"Content-Length", b"%d" % len(body))]
    return request(b"POST", EVENT_PATH, [*own, *extra], body), None if any(
        b"\r" in value or b"\n" in value for _, value in extra
    ) else body


def _invented(number: int, seed: int) -> Iterator[tuple[bytes, bytes | None]]:
    """So many requests of hypothesis's invention."""
    found: list[tuple[bytes, bytes | None]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(1, number),
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(_requests())
    def collect(made: tuple[bytes, bytes | None]) -> None:
        found.append(made)

    collect()
    return iter(found)
