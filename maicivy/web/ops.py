"""`/metrics`, `/health`, `/healthz`, `/readyz`: what those who run maicivy ask it.

None of them needs anything to be well, each answers within about a second whatever hangs, and none tells more than
states and counts. They are for the inside: docs/operations.md shows how a proxy keeps them there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from flask import Blueprint, Flask, Response, current_app, jsonify
from flask.blueprints import BlueprintSetupState
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_flask_exporter import PrometheusMetrics

from maicivy import __version__
from maicivy.bootstrap import Maicivy
from maicivy.core.periods import local_day
from maicivy.errors import Unavailable
from maicivy.storage.probes import Part, Probes, Standing
from maicivy.storage.scrape import Scraped, Scraper
from maicivy.web import context
from maicivy.web.errors import error_body
from maicivy.web.exposition import Exposition

SILENT_S: Final = 180
"""A worker or beat that has not shown itself for so long counts as silent; they do every 15 s."""

blueprint = Blueprint("ops", __name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What these routes look through; apart from the connections of requests, and less patient."""

    scraper: Scraper
    probes: Probes


@blueprint.record
def install(state: BlueprintSetupState) -> None:
    """Give the application its watch, and `/metrics`."""
    app = cast(Flask, state.app)
    parts: Maicivy = app.extensions["maicivy"]
    scraper = Scraper(parts.settings.redis_url)
    app.extensions["maicivy_watch"] = Watch(scraper, Probes(parts.settings.database_url, scraper))
    Exporter(app=None, path=None, export_defaults=False).register_endpoint("/metrics", app)


class Exporter(PrometheusMetrics):  # type: ignore[misc] # it has no annotations
    """The exporter with families of ours: its own `generate_metrics` knows no custom collector with several processes,
    and fails on `name[]` there."""

    def generate_metrics(self, accept_header: str | None = None, names: list[str] | None = None) -> tuple[str, str]:
        """The text and its content type, as the exporter wants them; `names` restricts it to these samples."""
        parts = context.parts()
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(Exposition(*look(), parts.settings.inbox_max_bytes))
        encode, content_type = choose_encoder(accept_header or "")
        shown = registry.restricted_registry(names) if names else registry
        return encode(shown).decode(), content_type


def look() -> tuple[Standing, Scraped | None]:
    """How things stand, and what Redis holds unless it is down."""
    watch, parts = _watch(), context.parts()
    standing = watch.probes.look()
    if standing.parts["redis"].state != "up":
        return standing, None
    now = parts.now()
    try:
        return standing, watch.scraper.scrape(local_day(now, parts.settings.timezone), now.timestamp())
    except Unavailable:  # it went away since
        return Standing({**standing.parts, "redis": Part("down", "does not answer")}, {}, standing.ledger_seq), None


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process serves requests. Asks nothing of anybody, so that a broken database restarts no web process."""
    return _fresh(jsonify({"success": True, "data": {"status": "ok"}}))


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when Redis and Postgres answer and the schema fits; else 503 with the names of the parts that do not."""
    standing = _watch().probes.look()
    return _verdict(standing, {"status": _status(standing), "parts": _states(standing)})


@blueprint.get("/health")
def health() -> Response:
    """`/readyz` for people, with version and clock, and whether worker and beat show signs of life.

    Without these the answer stays 200, `degraded`: events are still accepted, and stored once they are back.
    """
    standing = _watch().probes.look()
    now = time.time()
    states = _states(standing)
    silent = []
    for kind in ("worker", "beat"):
        states[kind] = _sign_of_life(standing, kind, now)
        silent += [kind] if states[kind]["status"] != "up" else []
    status = _status(standing)
    data = {
        "status": "degraded" if status == "ok" and silent else status,
        "service": "maicivy",
        "version": __version__,
        "timestamp": datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "parts": states,
    }
    return _verdict(standing, data)


def _watch() -> Watch:
    return cast(Watch, current_app.extensions["maicivy_watch"])


def _status(standing: Standing) -> str:
    return "down" if standing.down else "ok"


def _states(standing: Standing) -> dict[str, dict[str, Any]]:
    return {name: _state(part.state, part.reason) for name, part in standing.parts.items()}


def _state(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason} if reason else {"status": status}


def _sign_of_life(standing: Standing, kind: str, now: float) -> dict[str, Any]:
    if standing.parts["redis"].state != "up":
        return _state("unknown", "redis does not tell")
    seen = standing.last_seen.get(kind)
    if seen is None:
        return _state("silent", "never seen")
    quiet_s = max(0, int(now - seen))
    return _state("up", "") if quiet_s < SILENT_S else _state("silent", f"last seen {quiet_s} s ago")


def _verdict(standing: Standing, data: dict[str, Any]) -> Response:
    if not standing.down:
        return _fresh(jsonify({"success": True, "data": data}))
    names = ", ".join(standing.down)
    body = error_body("not_ready", f"not ready: {names}") | {"data": data}
    response = _fresh(jsonify(body))
    response.status_code = 503
    response.headers["Retry-After"] = "2"
    return response


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
