"""The live channel under abuse in short: what tests/abuse/websocket.py does to a whole maicivy for long."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from maicivy.storage import keys
from maicivy.storage.live_places import LivePlaces
from tests.abuse import websocket
from tests.abuse.scenario import Finding
from tests.abuse.viewers import Viewer, address, frame
from tests.live_server import Server
from tests.standalone.processes import wait_until

PLACES = 150
PER_ADDRESS = 5


@dataclass
class Stage:
    """A server for all tests of this file, and the Redis behind it."""

    port: int
    redis: redis.Redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, valkey_url: str, postgres_url: str) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("abused"),
        valkey_url,
        postgres_url,
        MAICIVY_CORS_ORIGINS=websocket.ORIGIN,
        MAICIVY_TRUSTED_PROXIES="1",
        MAICIVY_WS_MAX_CLIENTS=str(PLACES),
        MAICIVY_WS_MAX_PER_ADDRESS=str(PER_ADDRESS),
    )
    yield server
    server.stop()
    assert "Traceback" not in server.log
    assert "live_viewer_failed" not in server.log


@pytest.fixture
def stage(server: Server, redis_client: redis.Redis) -> Stage:
    return Stage(server.port, redis_client)


@pytest.fixture
def finding() -> Iterator[Finding]:
    finding = Finding()
    yield finding
    assert not finding.breaches


def test_strangers_are_refused_before_the_handshake(stage: Stage, finding: Finding) -> None:
    websocket.come_as_strangers(stage, finding)


def test_broken_frames_end_their_own_connection_and_no_other(stage: Stage, finding: Finding) -> None:
    websocket.be_rude(stage, finding, random.Random(1))


def test_after_many_have_come_and_gone_nothing_is_left(stage: Stage, finding: Finding) -> None:
    websocket.come_and_go(stage, finding, random.Random(2), 300)


def test_a_crowd_that_comes_and_leaves_at_once_is_let_in_and_forgotten(stage: Stage, finding: Finding) -> None:
    websocket.storm(stage, finding, PLACES)


def test_one_address_cannot_take_all_places(stage: Stage, finding: Finding) -> None:
    websocket.hog(stage, finding, PLACES, PER_ADDRESS)


def test_whoever_never_reads_is_given_up_and_the_others_miss_nothing(stage: Stage, finding: Finding) -> None:
    """No worker runs here, so events are published as it would: large ones until nothing more fits, then small."""
    asleep = [Viewer.come(stage.port, address(n), buffer_bytes=4096) for n in range(4)]
    awake = websocket.Crowd(Viewer.come(stage.port, address(100 + n)) for n in range(12))
    heard: list[int] = []

    def hear(message: object) -> None:
        if isinstance(message, dict) and message["type"] == "page_view":
            heard.append(message["data"]["n"])

    for number in range(2000):
        pad = "x" * (1900 if number < 1800 else 10)
        text = f'{{"type":"page_view","data":{{"n":{number},"pad":"{pad}"}}}}'
        stage.redis.publish(keys.channel(1), text)
        if number % 20 == 0:
            awake.read(0.005, hear)
    wait_until(lambda: awake.read(0.02, hear) or len(heard) >= 2000 * len(awake.viewers), 20, "all events")
    assert len(heard) == 2000 * len(awake.viewers)
    assert not any(viewer.wrong or viewer.dropped or viewer.ended for viewer in awake.viewers)
    places = LivePlaces(stage.redis)
    wait_until(lambda: awake.read(0.02, hear) or places.taken() == len(awake.viewers), 30, "sleepers to be given up")
    kept = websocket._connections(stage) - len(awake.viewers)
    assert not kept, "the kernel keeps what nobody reads"
    for viewer in asleep:
        viewer.until_ended()
        assert viewer.ended
        assert not viewer.wrong
        viewer.leave()
    awake.leave()
    wait_until(lambda: places.taken() == 0, 10, "all places to be free")


def test_a_message_that_is_never_finished_keeps_nobody_from_being_served(stage: Stage, finding: Finding) -> None:
    beginnings = [frame(0x01, b"x" * 100), frame(0x81, b"x" * 50, size=100), frame(0x81, size=125)[:3], b"\x81"]
    unfinished = [Viewer.come(stage.port, address(n)) for n in range(len(beginnings) * 4)]
    for number, viewer in enumerate(unfinished):
        viewer.send(beginnings[number % len(beginnings)])
    crowd = websocket.Crowd([Viewer.come(stage.port)])
    websocket._hear_an_event(stage, finding, crowd, "unfinished messages")
    crowd.leave()
    for viewer in unfinished:
        viewer.sock.shutdown(socket.SHUT_WR)
        viewer.until_ended()
        assert viewer.ended
        viewer.leave()
    wait_until(lambda: LivePlaces(stage.redis).taken() == 0, 10, "all places to be free")
