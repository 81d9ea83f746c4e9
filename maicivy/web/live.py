"""`/ws/analytics`: who may watch which site, and the messages of seed 001.

flask-sock upgrades the connection before its view runs, when it is too late for a status code; so the blueprint looks
at every request to it first, and a stranger's page or one viewer too many is refused in the one error shape.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import time
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import Server
from wsproto.utilities import RemoteProtocolError

from maicivy.bootstrap import Maicivy
from maicivy.core.identity import client_key
from maicivy.core.ports import Snapshot
from maicivy.core.senders import client_address
from maicivy.errors import Refusal, Unavailable
from maicivy.storage.live import gap
from maicivy.storage.live_places import Taking
from maicivy.web.errors import error_response
from maicivy.web.live_hub import Hub
from maicivy.web.params import Query
from maicivy.web.sites import is_admin, readable_site
from maicivy.web.websocket import WebSocket, text_frame

PATH: Final = "/ws/analytics"
FULL_RETRY_S: Final = 10

_EXTENSION: Final = "maicivy_live"
_OF_THE_HANDSHAKE: Final = frozenset(
    {"HTTP_HOST", "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION"}
)
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

log = logging.getLogger(__name__)


class _Asked(msgspec.Struct, frozen=True):
    """A message from a client; members that a later client may add are passed over."""

    type: str


def init_app(app: Flask, parts: Maicivy) -> None:
    """Add the route. Nothing runs before the first viewer comes."""

    def read(site_id: int) -> Snapshot:
        now = parts.now()
        return parts.counters.realtime(site_id, now.astimezone(parts.settings.timezone).date(), now.timestamp())

    def may_watch(site_id: int, trusted: bool) -> bool:
        site = parts.site_directory.book(parts.now()).by_id(site_id)
        return site is not None and (site.is_public or trusted)

    hub = Hub(parts.live, read, may_watch)
    app.extensions[_EXTENSION] = hub
    app.config["SOCK_SERVER_OPTIONS"] = {"thread_class": _NoThread}
    blueprint = Blueprint("live", __name__)
    sock = Sock()

    @blueprint.before_request
    def admit() -> Response | None:
        return _admit(hub, parts)

    @blueprint.teardown_request
    def leave(_error: BaseException | None) -> None:
        place = g.pop("live_place", None)
        if place is not None:
            hub.vacate(place)

    def analytics(server: Server) -> None:
        _watch(hub, parts, server)

    sock.route(PATH, bp=blueprint, methods=["GET"])(analytics)

    @blueprint.errorhandler(UnicodeError)  # a Host that is no host name
    @blueprint.errorhandler(RemoteProtocolError)
    @blueprint.errorhandler(ConnectionError)  # hung up before it was over
    def broken_handshake(_error: Exception) -> Response:
        return error_response(400, "bad_request", "this is no WebSocket handshake")

    @blueprint.get(PATH)
    def not_a_websocket() -> Response:
        response = error_response(426, "upgrade_required", f"{PATH} speaks WebSocket (RFC 6455) only")
        response.headers["Upgrade"] = "websocket"
        response.headers["Connection"] = "Upgrade"
        return response

    app.register_blueprint(blueprint)


def hub_of(app: Flask) -> Hub:
    """The hub of an application: gunicorn's hooks tell it when the process is to end."""
    hub: Hub = app.extensions[_EXTENSION]
    return hub


class _NoThread:
    """Given to simple-websocket in place of a thread: it is to do the handshake and must not begin to read."""

    name = ""

    def __init__(self, **_arguments: Any) -> None:
        pass

    def start(self) -> None:
        pass


def _admit(hub: Hub, parts: Maicivy) -> Response | None:
    """Refuse a handshake, or take a place for it."""
    rule = request.url_rule
    if rule is None or not rule.websocket:
        return None
    if request.headers.get("Sec-WebSocket-Version") != "13":
        response = error_response(426, "upgrade_required", "Sec-WebSocket-Version must be 13")
        response.headers["Sec-WebSocket-Version"] = "13"
        return response
    if not _is_key(request.headers.get("Sec-WebSocket-Key", "")):
        return error_response(400, "bad_request", "Sec-WebSocket-Key must be 16 bytes in base64")
    origin = request.headers.get("Origin")
    if origin is not None and not _is_allowed(origin, request.host, parts.settings.cors_origins):
        log.warning("live_refused", extra={"reason": "origin"})
        return error_response(403, "forbidden", "pages of this origin may not watch; see MAICIVY_CORS_ORIGINS")
    try:
        query = Query(request.environ)
        query.known("site")
        site = readable_site(parts, request.environ, query.get("site"), "site")
    except Refusal as refusal:
        log.warning("live_refused", extra={"reason": refusal.code})
        if refusal.code != "unknown_site":
            raise
        return error_response(404, refusal.code, refusal.message, refusal.field)
    place = _name_of_place(parts)
    taking = Taking.FULL
    if not hub.closed:
        with hub.door():
            taking = parts.live.places.take(place, parts.settings.ws_max_clients, parts.settings.ws_max_per_address)
    if taking != Taking.TAKEN:
        log.warning("live_refused", extra={"reason": "address" if taking == Taking.ENOUGH_OF_KIN else "capacity"})
        if taking == Taking.ENOUGH_OF_KIN:
            response = error_response(429, "too_many_own_viewers", "your address has as many places as one may take")
        else:
            response = error_response(503, "too_many_viewers", "all places are taken; try again")
        response.headers["Retry-After"] = str(FULL_RETRY_S)
        return response
    g.live_place, g.live_site, g.live_trusted = place, site.id, is_admin(parts, request.environ)
    with hub.door():
        g.live_first = hub.prepare(site.id)
    # simple-websocket parses every header again, and fails over cookies of 16 KiB or a subprotocol that is not ASCII.
    # Nor is it to see extensions: compressed frames would differ from client to client, and cost each of them memory.
    for name in [name for name in request.environ if name.startswith("HTTP_") and name not in _OF_THE_HANDSHAKE]:
        del request.environ[name]
    return None


def _name_of_place(parts: Maicivy) -> str:
    """Random, behind what makes kin of an address's places: a keyed hash, which ends with the lease.

    The machine's own addresses have no kin: they are a proxy in front that `MAICIVY_TRUSTED_PROXIES` does not name.
    """
    name = os.urandom(12).hex()
    address = client_address(request.environ, parts.settings.trusted_proxies)
    if not parts.settings.ws_max_per_address or _is_local(address):
        return name
    return f"{client_key(parts.salts.current(parts.now()), address).hex()}:{name}"


def _is_local(address: str) -> bool:
    """Whether it is of this machine, a Unix socket's empty one included."""
    try:
        return not address or ip_address(address.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


class _Host(NamedTuple):
    name: str
    port: int


def _is_allowed(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may watch: listed, or everybody may, or it comes from the host asked itself."""
    if "*" in allowed or origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        own = urlsplit(f"{parts.scheme}://{host}")
        default = _PORTS.get(parts.scheme, 0)
        return bool(default) and _Host(parts.hostname or "", parts.port or default) == _Host(
            own.hostname or "", own.port or default
        )
    except ValueError:  # an origin that is no URL
        return False


def _watch(hub: Hub, parts: Maicivy, server: Server) -> None:
    """Serve one viewer until the connection is over."""
    server.connected = False  # from here on the socket is ours: flask-sock must not close it in its own way
    began = time.monotonic()
    site_id: int = g.live_site
    viewer = WebSocket(server.sock, lambda dropped: text_frame(gap(dropped)))
    try:
        log.info("live_viewer_came", extra={"site": site_id})
        hub.join(site_id, viewer, g.live_place, g.live_first, trusted=g.live_trusted)
        viewer.serve(lambda text: viewer.offer(_answer(hub, parts, site_id, text), events=0))
    except Exception:  # an edge: an error page has no place on an upgraded connection
        log.exception("live_viewer_failed")
    finally:
        hub.leave(site_id, viewer)
        seconds = round(time.monotonic() - began, 1)
        log.info("live_viewer_left", extra={"code": viewer.code, "seconds": seconds, "dropped": viewer.dropped})


def _answer(hub: Hub, parts: Maicivy, site_id: int, text: str | None) -> bytes:
    """The frame that answers a client's message."""
    if text is None:
        return _complaint("invalid_message", "messages are JSON text, not binary")
    try:
        asked = msgspec.json.decode(text, type=_Asked)
    except (msgspec.DecodeError, RecursionError):
        return _complaint("invalid_message", 'a message is a JSON object with a string "type"')
    if asked.type == "ping":
        return text_frame(msgspec.json.encode({"type": "pong", "time": int(parts.now().timestamp())}))
    if asked.type == "refresh_stats":
        try:
            return hub.stats(site_id)
        except Unavailable:
            return _complaint("unavailable", "the statistics cannot be read now")
    return _complaint("unknown_message", "known types are refresh_stats and ping")


def _complaint(code: str, message: str) -> bytes:
    return text_frame(msgspec.json.encode({"type": "error", "error": {"code": code, "message": message}}))
