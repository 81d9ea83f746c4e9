"""`/ws/analytics` as gunicorn serves it, gevent and all, on a real Valkey."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import redis
import websocket

from maicivy.core.events import announcement
from maicivy.core.periods import Period
from maicivy.core.sites import Site
from maicivy.standalone.datadir import DataDir
from maicivy.standalone.process import start_ready
from maicivy.standalone.valkey import Valkey
from maicivy.storage import keys
from maicivy.storage.live import ANNOUNCED_EVENTS, RedisLiveFeed
from maicivy.storage.live_places import LEASE_S
from maicivy.storage.redis_clients import fast_redis
from tests.events import event
from tests.live_server import Json, Server, close_code, receive, receive_until
from tests.standalone.processes import wait_until

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

TOKEN = "a-token-for-tests-only"
SITES = [
    Site(1, measurement_id="MC-0000000001"),
    Site(2, "two.example", "MC-0000000002"),
    Site(3, "three.example", "MC-0000000003", is_public=False),
]

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(
    tmp_path: Path, valkey_url: str, postgres_url: str, redis_client: redis.Redis
) -> Iterator[StartServer]:
    """Starts servers with settings of the test's own."""
    servers: list[Server] = []

    def start(redis_url: str = valkey_url, **environ: str) -> Server:
        servers.append(Server(tmp_path, redis_url, postgres_url, **environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        assert "Traceback" not in server.log


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory, valkey_url: str, postgres_url: str) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("live"),
        valkey_url,
        postgres_url,
        MAICIVY_CORS_ORIGINS="https://ours.example",
        MAICIVY_ADMIN_TOKEN=TOKEN,
    )
    yield server
    server.stop()
    assert "Traceback" not in server.log


@pytest.fixture
def server(shared_server: Server, redis_client: redis.Redis) -> Iterator[Server]:
    """The server that most tests share; their viewers are gone when they end."""
    yield shared_server
    shared_server.release()
    wait_until(lambda: redis_client.zcard(keys.LIVE_CLIENTS) == 0, what="places to be free")


@pytest.fixture
def feed(valkey_url: str) -> Iterator[RedisLiveFeed]:
    with fast_redis(valkey_url) as client:
        yield RedisLiveFeed(client, client)


# Before the handshake


def test_a_request_that_is_no_handshake_is_told_to_upgrade(server: Server) -> None:
    status, headers, body = server.answer({})
    assert status == 426
    assert headers["Upgrade"] == "websocket"
    assert body["success"] is False
    assert body["error"]["code"] == "upgrade_required"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"Sec-WebSocket-Version": "8"}, 426, "upgrade_required"),
        ({"Sec-WebSocket-Version": ""}, 426, "upgrade_required"),
        ({"Sec-WebSocket-Key": ""}, 400, "bad_request"),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400, "bad_request"),
        ({"Sec-WebSocket-Key": "!" * 24}, 400, "bad_request"),
        ({"Origin": "https://theirs.example"}, 403, "forbidden"),
        ({"Origin": "null"}, 403, "forbidden"),
        ({"Origin": "http://[broken"}, 403, "forbidden"),
        ({"Origin": "https://ours.example.evil.example"}, 403, "forbidden"),
        ({"Origin": "http://127.0.0.1:1"}, 403, "forbidden"),
    ],
)
def test_a_handshake_is_refused_in_the_one_error_shape(
    server: Server, changed: dict[str, str], status: int, code: str
) -> None:
    got, headers, body = server.answer(HANDSHAKE | changed)
    assert (got, body["success"], body["error"]["code"]) == (status, False, code)
    assert headers["X-Request-ID"]
    if "Sec-WebSocket-Version" in changed:
        assert headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    status, _, body = server.answer(HANDSHAKE, method)
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")


def test_a_listed_origin_the_own_host_and_no_origin_may_watch(server: Server) -> None:
    server.watch(suppress_origin=False, origin="https://ours.example")
    server.watch(suppress_origin=False, origin=f"http://127.0.0.1:{server.port}")
    server.watch(suppress_origin=False, origin="http://www.example", host="www.example:80")
    server.watch()


def test_by_default_every_origin_may_watch(start_server: StartServer) -> None:
    start_server().watch(suppress_origin=False, origin="https://any.example")


def test_compression_is_not_agreed_to(server: Server) -> None:
    viewer = server.watch(header=["Sec-WebSocket-Extensions: permessage-deflate"])
    assert "sec-websocket-extensions" not in viewer.getheaders()


def test_places_are_counted_over_all_processes(start_server: StartServer, feed: RedisLiveFeed) -> None:
    one, other = (start_server(MAICIVY_WS_MAX_CLIENTS="3") for _ in range(2))
    viewers = [one.watch(), other.watch(), other.watch()]
    assert feed.places.taken() == 3
    for server in (one, other):
        refusal = server.refused()
        assert refusal.status_code == 503
        assert refusal.resp_headers is not None
        assert int(refusal.resp_headers["retry-after"]) > 0
        assert json.loads(refusal.resp_body or b"")["error"]["code"] == "too_many_viewers"
    viewers[0].close()
    wait_until(lambda: feed.places.taken() == 2)
    other.watch()


def test_one_address_takes_no_more_places_than_its_own_limit(start_server: StartServer, feed: RedisLiveFeed) -> None:
    limits = {"MAICIVY_WS_MAX_CLIENTS": "6", "MAICIVY_WS_MAX_PER_ADDRESS": "2", "MAICIVY_TRUSTED_PROXIES": "1"}
    one, other = (start_server(**limits) for _ in range(2))

    def of(address: str) -> list[str]:
        return [f"X-Forwarded-For: {address}"]

    first = one.watch(header=of("203.0.113.7"))
    other.watch(header=of("203.0.113.7"))
    refusal = one.refused(header=of("203.0.113.7"))
    assert refusal.status_code == 429
    assert refusal.resp_headers is not None
    assert int(refusal.resp_headers["retry-after"]) > 0
    assert json.loads(refusal.resp_body or b"")["error"]["code"] == "too_many_own_viewers"
    one.watch(header=of("203.0.113.8"))
    one.watch(header=of("2001:db8::1"))
    one.watch(header=of("2001:db8::2"))
    assert one.refused(header=of("2001:db8::3")).status_code == 429
    first.close()
    wait_until(lambda: feed.places.taken() == 4)
    one.watch(header=of("203.0.113.7"))
    one.watch()  # of the machine itself
    assert one.refused().status_code == 503


def test_no_address_is_kept_with_a_place(start_server: StartServer, redis_client: redis.Redis) -> None:
    server = start_server(MAICIVY_TRUSTED_PROXIES="1")
    server.watch(header=["X-Forwarded-For: 203.0.113.7"])
    [place] = redis_client.zrange(keys.LIVE_CLIENTS, 0, -1)
    assert b"203.0.113.7" not in place
    assert b"203.0.113.7" not in server.log.encode()


def test_a_killed_process_holds_its_places_no_longer_than_a_lease(
    start_server: StartServer, feed: RedisLiveFeed, redis_client: redis.Redis
) -> None:
    server = start_server()
    server.watch()
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    [(_, ends)] = redis_client.zrange(keys.LIVE_CLIENTS, 0, -1, withscores=True)
    assert ends <= redis_client.time()[0] + LEASE_S + 1


def test_a_place_is_held_for_as_long_as_somebody_watches(server: Server, redis_client: redis.Redis) -> None:
    viewer = server.watch()
    [(place, ends)] = redis_client.zrange(keys.LIVE_CLIENTS, 0, -1, withscores=True)
    receive_until(viewer, "heartbeat")
    renewed = redis_client.zscore(keys.LIVE_CLIENTS, place)
    assert renewed is not None
    assert renewed > ends


def test_without_redis_there_is_no_place(start_server: StartServer) -> None:
    refusal = start_server("unix:///nonexistent/valkey.sock").refused()
    assert refusal.status_code == 503
    assert json.loads(refusal.resp_body or b"")["error"]["code"] == "unavailable"


# Messages


def test_the_first_message_and_the_heartbeats_are_the_realtime_statistics(
    server: Server, redis_client: redis.Redis
) -> None:
    now = datetime.now(UTC)
    redis_client.set(keys.stat(1, Period.DAY, now.date(), "total_events"), 2340)
    redis_client.set(keys.stat(1, Period.DAY, now.date(), "letters_generated"), 23)
    redis_client.pfadd(keys.unique_visitors(1, Period.DAY, now.date()), *(UUID(int=n).bytes for n in range(3)))
    redis_client.zadd(keys.presence(1), {str(UUID(int=1)): now.timestamp()})
    viewer = server.open()
    for message, kind in ((receive(viewer), "initial_stats"), (receive(viewer), "heartbeat")):
        assert message["type"] == kind
        timestamp = message["data"].pop("timestamp")
        assert abs(timestamp - now.timestamp()) < 60
        assert message["data"] == {
            "current_visitors": 1,
            "unique_today": 3,
            "total_events": 2340,
            "letters_today": 23,
        }


def test_an_event_is_seen_by_every_viewer_as_it_was_announced(server: Server, feed: RedisLiveFeed) -> None:
    viewers = [server.watch() for _ in range(3)]
    happened = event(data={"theme": "backend", "text": "é \U0001f600", "n": 2**53 + 1})
    feed.publish([happened])
    for viewer in viewers:
        assert receive(viewer) == announcement(happened)


@pytest.fixture
def sites(server: Server, redis_client: redis.Redis) -> None:
    """The server knows `SITES`."""
    redis_client.set(keys.SITES, msgspec.json.encode(SITES))

    def known() -> bool:
        with contextlib.suppress(websocket.WebSocketBadStatusException):
            server.watch(site="MC-0000000002").shutdown()
            return True
        return False

    wait_until(known, what="the server to know the sites")


@pytest.mark.usefixtures("sites")
def test_who_watches_a_site_sees_that_site_and_no_other(
    server: Server, feed: RedisLiveFeed, redis_client: redis.Redis
) -> None:
    today = datetime.now(UTC).date()
    for site_id in (1, 2, 3, 4):
        redis_client.set(keys.stat(site_id, Period.DAY, today, "total_events"), site_id)
    viewers = {
        1: [server.watch(), server.watch(site="1"), server.watch(site="MC-0000000001")],
        2: [server.watch(site="2"), server.watch(site="www.Two.example"), server.watch(site="MC-0000000002")],
        3: [server.watch(site="three.example", header=[f"Authorization: Bearer {TOKEN}"])],
    }
    feed.publish([event(f"of_site_{n % 4 + 1}", site_id=n % 4 + 1) for n in range(40)])
    for site_id, its_viewers in viewers.items():
        for viewer in its_viewers:
            viewer.send('{"type": "refresh_stats"}')
            stats, events = {}, []
            while len(events) < 10 or stats.keys() != {"initial_stats", "heartbeat"}:
                message = receive(viewer)
                if message["type"] in ("initial_stats", "heartbeat"):
                    stats[message["type"]] = message["data"]["total_events"]
                else:
                    events.append(message["type"])
            assert set(stats.values()) == {site_id}
            assert set(events) == {f"of_site_{site_id}"}


@pytest.mark.usefixtures("sites")
@pytest.mark.parametrize(
    ("site", "token", "status", "code"),
    [
        ("4", None, 404, "unknown_site"),
        ("four.example", None, 404, "unknown_site"),
        ("MC-0000000004", None, 404, "unknown_site"),
        ("%F0%9F%98%80%00", None, 404, "unknown_site"),
        ("1&site=2", None, 400, "repeated_parameter"),
        ("1&days=7", None, 400, "unknown_parameter"),
        ("3", None, 401, "unauthorized"),
        ("three.example", "a-guess-of-somebody", 401, "unauthorized"),
    ],
)
def test_a_site_that_is_not_there_or_not_for_everybody_is_refused_before_the_handshake(
    server: Server, feed: RedisLiveFeed, site: str, token: str | None, status: int, code: str
) -> None:
    refusal = server.refused(site=site, header=[f"Authorization: Bearer {token}"] if token else [])
    assert refusal.status_code == status
    assert json.loads(refusal.resp_body or b"")["error"]["code"] == code
    wait_until(lambda: feed.places.taken() == 0, what="no place to be taken")


def test_a_large_event_arrives_whole(server: Server, redis_client: redis.Redis) -> None:
    viewer = server.watch()
    large = json.dumps({"type": "large", "data": "x" * 300_000})
    redis_client.publish(keys.channel(1), large)
    assert viewer.recv() == large


def test_a_ping_gets_a_pong_with_the_time(server: Server) -> None:
    viewer = server.watch()
    viewer.send('{"type": "ping"}')
    pong = receive(viewer)
    assert pong == {"type": "pong", "time": pong["time"]}
    assert abs(pong["time"] - datetime.now(UTC).timestamp()) < 60


def test_refreshing_gets_statistics_of_now(server: Server, redis_client: redis.Redis) -> None:
    viewer = server.watch()
    redis_client.set(keys.stat(1, Period.DAY, datetime.now(UTC).date(), "total_events"), 7)

    def refreshed() -> bool:
        viewer.send('{"type": "refresh_stats"}')
        message = receive_until(viewer, "initial_stats")
        return bool(message["data"]["total_events"] == 7)

    wait_until(refreshed)


def test_refreshing_after_an_event_gets_statistics_with_that_event(
    server: Server, feed: RedisLiveFeed, redis_client: redis.Redis
) -> None:
    viewer = server.watch()
    for total in range(1, 20):
        redis_client.set(keys.stat(1, Period.DAY, datetime.now(UTC).date(), "total_events"), total)
        feed.publish([event()])
        receive_until(viewer, "page_view")
        viewer.send('{"type": "refresh_stats"}')
        assert receive_until(viewer, "initial_stats")["data"]["total_events"] == total


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "invalid_message"),
        ("{", "invalid_message"),
        ("null", "invalid_message"),
        ("[]", "invalid_message"),
        ('"ping"', "invalid_message"),
        ('{"type": 1}', "invalid_message"),
        ('{"Type": "ping"}', "invalid_message"),
        ("[" * 4000, "invalid_message"),
        ('{"type": "ping", "deep": ' + "[" * 2000 + "]" * 2000 + "}", "invalid_message"),
        ('{"type": "shutdown"}', "unknown_message"),
    ],
)
def test_a_message_that_is_not_understood_is_answered_with_an_error(server: Server, message: str, code: str) -> None:
    viewer = server.watch()
    viewer.send(message)
    answer = receive(viewer)
    assert answer["type"] == "error"
    assert answer["error"]["code"] == code
    viewer.send('{"type": "ping", "more": true}')
    assert receive(viewer)["type"] == "pong"


def test_a_binary_message_is_answered_with_an_error(server: Server) -> None:
    viewer = server.watch()
    viewer.send_binary(b'{"type": "ping"}')
    assert receive(viewer)["error"]["code"] == "invalid_message"


def test_a_message_that_is_too_long_closes_with_1009(server: Server) -> None:
    viewer = server.watch()
    viewer.send("x" * 5000)
    assert close_code(viewer) == 1009


def test_a_flood_of_messages_closes_with_1008(server: Server) -> None:
    viewer = server.watch()
    with contextlib.suppress(OSError, websocket.WebSocketException):
        for _ in range(500):
            viewer.send('{"type": "ping"}')
    assert close_code(viewer) == 1008


def test_a_goodbye_is_answered_and_frees_the_place(server: Server, feed: RedisLiveFeed) -> None:
    viewer = server.watch()
    viewer.send_close(4001, b"done")
    assert close_code(viewer) == 4001
    wait_until(lambda: feed.places.taken() == 0)


# Viewers that are slow or gone


def test_a_viewer_who_does_not_read_gets_a_gap_and_the_others_everything(server: Server, feed: RedisLiveFeed) -> None:
    slow = server.watch(sockopt=((socket.SOL_SOCKET, socket.SO_RCVBUF, 8192),))
    fast = [server.watch() for _ in range(3)]
    counts = [0] * len(fast)
    problems: list[Json] = []

    def read(index: int) -> None:
        while counts[index] < 10_000:
            message = receive(fast[index])
            if message["type"] == "page_view" and message["data"]["n"] == counts[index]:
                counts[index] += 1
            elif message["type"] != "heartbeat":
                problems.append(message)
                return

    readers = [threading.Thread(target=read, args=(index,)) for index in range(len(fast))]
    for reader in readers:
        reader.start()
    pad = "x" * 200
    for start in range(0, 10_000, ANNOUNCED_EVENTS):
        feed.publish([event(data={"n": n, "pad": pad}) for n in range(start, start + ANNOUNCED_EVENTS)])
        wait_until(lambda: problems or min(counts) == start + ANNOUNCED_EVENTS, 30)  # noqa: B023
    for reader in readers:
        reader.join(30)
    assert not problems
    assert counts == [10_000] * len(fast)

    seen, gaps = 0, []
    while seen < 10_000:
        message = receive(slow)
        if message["type"] == "gap":
            gaps.append(message["dropped"])
            seen += message["dropped"]
        elif message["type"] == "page_view":
            assert message["data"]["n"] == seen
            seen += 1
    assert seen == 10_000
    assert len(gaps) == 1


def test_a_viewer_who_vanishes_frees_the_place(server: Server, feed: RedisLiveFeed) -> None:
    viewer = server.watch()
    assert feed.places.taken() == 1
    viewer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of a goodbye
    viewer.sock.close()
    wait_until(lambda: feed.places.taken() == 0)


# Redis and the end


def test_viewers_stay_when_redis_restarts(start_server: StartServer, server_home: DataDir) -> None:
    directory = DataDir(server_home.path / "restarted")
    directory.claim()
    valkey = Valkey(directory)
    process = start_ready(valkey.command(), valkey.is_ready, "valkey")
    server = start_server(f"unix://{valkey.socket}")
    viewer = server.watch()
    with fast_redis(f"unix://{valkey.socket}") as client:
        feed = RedisLiveFeed(client, client)
        feed.publish([event("before")])
        assert receive_until(viewer, "before")
        process.stop(5.0)
        process = start_ready(valkey.command(), valkey.is_ready, "valkey")
        wait_until(lambda: client.pubsub_numsub(keys.channel(1))[0][1], 20, "the subscription to come back")
        feed.publish([event("after")])
        assert receive_until(viewer, "after")
        assert receive_until(viewer, "heartbeat")
    server.stop()
    process.stop(5.0)
    directory.release()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_at_the_end_viewers_are_told_and_the_graceful_timeout_is_not_used_up(
    start_server: StartServer, feed: RedisLiveFeed, signum: int
) -> None:
    server = start_server(WEB_CONCURRENCY="2")
    viewers = [server.watch() for _ in range(6)]
    server.watch()  # one that will not answer
    server.process.send_signal(signum)
    assert [close_code(viewer) for viewer in viewers] == [1001] * len(viewers)
    server.process.wait(7)  # graceful_timeout is 8 s, and the log would say so
    assert "graceful timeout" not in server.log.lower()
    if signum == signal.SIGTERM:
        assert feed.places.taken() == 0
