"""Checks of the web: every documented GET URL answers as documented, and the WebSocket says hello.

Nothing is recorded: of the URLs that take events only the refusal of a GET is looked at.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import msgspec
import websocket

from maicivy.doctor.examine import Check, Installation
from maicivy.doctor.findings import Verdict, ok, problem, warning
from maicivy.errors import Unavailable
from maicivy.live_terminal import address

REACH: Final = "web"
TIMEOUT_S: Final = 2.5
MAX_BODY_BYTES: Final = 8 << 20
SLOW_METRICS_S: Final = 0.2
_API: Final = "/api/v1/analytics"
_SEE_LOG: Final = "See the log of the web process; the response's X-Request-ID is in its lines."

SNAPSHOT_FIELDS: Final = frozenset({"current_visitors", "unique_today", "total_events", "letters_today", "timestamp"})
_STATS_FIELDS: Final = frozenset(
    {"period", "period_key", "total_events", "letters_generated", "unique_visitors", "conversion_rate"}
)
_LETTERS_FIELDS: Final = frozenset(
    {"period", "total", "motivation", "anti_motivation", "unique_visitors", "conversion_rate"}
)
# Seeds 000 and 001, and the twelfth
METRICS: Final = (
    "maicivy_visitors_total",
    "maicivy_letters_generated_total",
    "maicivy_events_total",
    "maicivy_page_views_total",
    "maicivy_current_visitors",
    "maicivy_websocket_connections",
    "maicivy_conversion_rate",
    "maicivy_cv_theme_views",
    "maicivy_analytics_request_duration_seconds",
    "maicivy_redis_operation_duration_seconds",
    "maicivy_database_query_duration_seconds",
    "maicivy_events_rejected_total",
)


class Answer(msgspec.Struct, frozen=True):
    """What a GET brought."""

    status: int
    content_type: str
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def get(url: str) -> Answer:
    """Ask for `url`, without any proxy, following no redirect.

    Raises:
        Unavailable: no answer in time.
    """
    # Proxies of the environment are for the world outside, and this is mostly 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    request = urllib.request.Request(url, headers={"User-Agent": "maicivy-doctor", "Accept": "*/*"})  # noqa: S310
    started = time.monotonic()
    try:
        try:
            response = opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            body = response.read(MAX_BODY_BYTES)
            return Answer(response.status, response.headers.get("Content-Type", ""), body, time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise Unavailable("web", f"{url} does not answer: {reason}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        return None


def judge_alive(answer: Answer) -> Verdict:
    """`/healthz`: whether something answers there, and whether it is maicivy."""
    if answer.status == 200 and _data(answer) == {"status": "ok"}:
        return ok("it answers")
    return problem(
        f"/healthz answers {answer.status}, not as maicivy does",
        "Does another program listen on this port? Set PORT, or say where maicivy is with --url.",
    )


def judge_ready(answer: Answer) -> Verdict:
    """`/readyz`: which parts the web itself finds down."""
    body = answer.json()
    if answer.status == 200 and isinstance(_data(answer), dict):
        return ok("it is ready")
    if answer.status == 503 and isinstance(body, dict) and isinstance(body.get("error"), dict):
        return problem(
            f"it is {body['error'].get('message', 'not ready')}", "Mend these parts; the web finds out itself."
        )
    return problem(f"it answers {answer.status}", _SEE_LOG)


def judge_health(answer: Answer) -> Verdict:
    """`/health`: the same for people, with worker and beat."""
    data = _data(answer)
    if not isinstance(data, dict) or "status" not in data or "version" not in data:
        return problem(f"it answers {answer.status}, without status and version", _SEE_LOG)
    seen = f"version {data['version']}, {data['status']}"
    return ok(seen) if data["status"] == "ok" else warning(seen, "The lines about its parts tell more.")


def judge_metrics(answer: Answer) -> Verdict:
    """`/metrics`: the twelve names, in time for a scrape."""
    if answer.status != 200:
        return problem(f"it answers {answer.status}", _SEE_LOG)
    families = {line.split(b" ")[2] for line in answer.body.splitlines() if line.startswith(b"# TYPE ")}
    missing = [name for name in METRICS if not {name.encode(), name.removesuffix("_total").encode()} & families]
    if missing:
        return problem(f"it lacks {', '.join(missing)}", _SEE_LOG)
    if answer.seconds > SLOW_METRICS_S:
        return warning(f"it took {answer.seconds * 1000:.0f} ms", "Is this machine overloaded, or Redis far away?")
    return ok(f"all {len(METRICS)} metrics, in {answer.seconds * 1000:.0f} ms")


def judge_openapi(answer: Answer) -> Verdict:
    """The description of the API."""
    body = answer.json()
    if answer.status == 200 and isinstance(body, dict) and str(body.get("openapi", "")).startswith("3.1"):
        return ok(f"OpenAPI {body['openapi']}, {len(body.get('paths', {}))} paths")
    return problem(f"it answers {answer.status}, without an OpenAPI 3.1 document", _SEE_LOG)


def judge_object(fields: frozenset[str]) -> Callable[[Answer], Verdict]:
    """For a URL that answers one object with at least `fields`."""

    def judge(answer: Answer) -> Verdict:
        data = _data(answer)
        if answer.status == 200 and isinstance(data, dict) and fields <= data.keys():
            return ok("it answers as documented")
        return _not_as_documented(answer, ", ".join(sorted(fields)))

    return judge


def judge_list(answer: Answer) -> Verdict:
    """For a URL that answers a list."""
    if answer.status == 200 and isinstance(_data(answer), list):
        return ok("it answers as documented")
    return _not_as_documented(answer, "a list")


def judge_csv(answer: Answer) -> Verdict:
    """For an export."""
    if answer.status == 200 and answer.content_type.startswith("text/csv"):
        return ok("it answers as documented")
    return _not_as_documented(answer, "CSV")


def judge_post_only(answer: Answer) -> Verdict:
    """For a URL that takes events: a GET must be refused in the documented shape."""
    body = answer.json()
    if answer.status == 405 and isinstance(body, dict) and body.get("success") is False:
        return ok("it is there, and takes POST only")
    return problem(
        f"it answers a GET with {answer.status}, not 405", "Does a proxy stand before it that rewrites URLs?"
    )


def judge_websocket(message: Any) -> Verdict:
    """The first message."""
    if (
        isinstance(message, dict)
        and message.get("type") == "initial_stats"
        and isinstance(message.get("data"), dict)
        and message["data"].keys() >= SNAPSHOT_FIELDS
    ):
        return ok("it says hello with initial_stats")
    return problem("its first message is not initial_stats", _SEE_LOG)


def first_message(url: str) -> Any:
    """What `/ws/analytics` of the web at `url` says first; None when that is no JSON.

    Raises:
        Unavailable: no connection, or no message in time.
    """
    where = address(url)
    try:
        connection = websocket.create_connection(
            where, timeout=TIMEOUT_S, suppress_origin=True, http_no_proxy=["*"], redirect_limit=0
        )
    except websocket.WebSocketBadStatusException as error:
        reason = "all places for viewers are taken, or Redis is away" if error.status_code == 503 else "refused"
        raise Unavailable("web", f"{where} answers {error.status_code}: {reason}") from error
    except (websocket.WebSocketException, OSError) as error:
        raise Unavailable("web", f"{where} does not shake hands: {error}") from error
    try:
        return json.loads(connection.recv())
    except (websocket.WebSocketException, OSError) as error:
        raise Unavailable("web", f"{where} says nothing: {error}") from error
    except ValueError:
        return None
    finally:
        connection.close(timeout=0)


def _data(answer: Answer) -> Any:
    body = answer.json()
    return body.get("data") if isinstance(body, dict) and body.get("success") is True else None


def _not_as_documented(answer: Answer, wanted: str) -> Verdict:
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    told = f" ({error.get('message')})" if isinstance(error, dict) else ""
    return problem(f"it answers {answer.status}{told}; documented is {wanted}", _SEE_LOG)


def _url_check(path: str, judge: Callable[[Answer], Verdict], name: str | None = None) -> Check:
    def look(at: Installation) -> tuple[Answer]:
        return (get(at.url + path),)

    return Check(name or path.partition("?")[0], look, judge, () if name == REACH else (REACH,))


CHECKS: Final = (
    _url_check("/healthz", judge_alive, REACH),
    _url_check("/readyz", judge_ready),
    _url_check("/health", judge_health),
    _url_check("/metrics", judge_metrics),
    _url_check("/api/openapi.json", judge_openapi),
    _url_check(f"{_API}/realtime", judge_object(SNAPSHOT_FIELDS)),
    _url_check(f"{_API}/stats?period=day", judge_object(_STATS_FIELDS)),
    _url_check(f"{_API}/themes?limit=5", judge_list),
    _url_check(f"{_API}/letters?period=day", judge_object(_LETTERS_FIELDS)),
    _url_check(f"{_API}/timeline?limit=5&offset=0", judge_list),
    _url_check(f"{_API}/heatmap?hours=24", judge_list),
    *(
        _url_check(f"{_API}/export/{what}?period=day&format=csv", judge_csv)
        for what in ("visitors", "themes", "letters")
    ),
    *(_url_check(f"{_API}/{path}", judge_post_only) for path in ("event", "event/batch", "batch")),
    Check("/ws/analytics", lambda at: (first_message(at.url),), judge_websocket, (REACH,)),
)
