"""The live channel under abuse: viewers who never read, broken frames, floods, strangers, crowds that come and go.

Whatever they do, the other viewers get every event soon and whole, everything that was taken is given back, and the web
process grows by no more than the places that there are.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import redis

from maicivy.storage.live_places import LivePlaces
from maicivy.web.websocket import SILENT_TIMEOUTS, TIMEOUT_S
from tests.abuse.scenario import Finding
from tests.abuse.target import Target, abused
from tests.abuse.viewers import (
    BINARY,
    CLOSE,
    PATH,
    PING,
    PONG,
    TEXT,
    Crowd,
    RefusedError,
    Viewer,
    address,
    frame,
    handshake,
    noise,
)
from tests.standalone.processes import wait_until

ORIGIN: Final = "https://ours.example"
VIEWERS: Final = 500
NEVER_READING: Final = 50
PER_ADDRESS: Final = 20
MOST_MS: Final = 100.0
MOST_GROWTH_MB: Final = 80.0
"""What the web process may grow by for 500 viewers, of whom 50 have a queue full of frames."""

GIVEN_UP_S: Final = SILENT_TIMEOUTS * TIMEOUT_S + 5
"""A viewer who has vanished without a word is noticed by then."""

_EVENT = "/api/v1/analytics/event"
_SMALL_BUFFER = 4096
_OVER = frozenset({"06", "0A"})  # TIME_WAIT, which holds nothing, and LISTEN


class Stage(Protocol):
    """What the parts need of a running maicivy."""

    port: int
    redis: redis.Redis


def run(seed: int) -> list[str]:
    """Everything, against a maicivy of its own. Prints its figures and returns the breaches."""
    finding = Finding()
    limits = {"MAICIVY_WS_MAX_CLIENTS": str(VIEWERS + 50), "MAICIVY_WS_MAX_PER_ADDRESS": str(PER_ADDRESS)}
    with abused(
        finding, MAICIVY_CORS_ORIGINS=ORIGIN, MAICIVY_TRUSTED_PROXIES="1", LOG_LEVEL="error", **limits
    ) as target:
        chance = random.Random(seed)
        come_as_strangers(target, finding)
        be_rude(target, finding, chance)
        come_and_go(target, finding, chance, 3000)
        storm(target, finding, VIEWERS)
        hog(target, finding, VIEWERS + 50, PER_ADDRESS)
        _measured_crowd(target, finding)
        vanish(target, finding, 30)
    for what, value in finding.figures.items():
        print(f"  {what}: {value}")
    return finding.breaches


def come_as_strangers(stage: Stage, finding: Finding) -> None:
    """Handshakes that must be refused, and what looks like one elsewhere."""
    refused = {
        "an evil origin": (handshake("Origin: https://evil.example"), 403),
        "an origin that begins like ours": (handshake(f"Origin: {ORIGIN}.evil.example"), 403),
        "an origin that ends like ours": (handshake("Origin: https://evilours.example"), 403),
        "ours in plain": (handshake("Origin: http://ours.example"), 403),
        "a null origin": (handshake("Origin: null"), 403),
        "two origins": (handshake(f"Origin: {ORIGIN}", "Origin: https://evil.example"), 403),
        "an origin of many bytes": (handshake(f"Origin: {'x' * 8000}"), 403),
        "an origin that is no text": (handshake("Origin: http://\xff\xfe"), 403),
        "an empty origin": (handshake("Origin: "), 403),
        "no upgrade": (f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 426),
        "another version": (handshake().replace(b"Version: 13", b"Version: 8"), 426),
        "a POST": (handshake("Content-Length: 0", method="POST"), 405),
        "another path": (handshake(path="/ws/other"), 404),
        "a path below": (handshake(path=PATH + "/x"), 404),
        "a page": (handshake(path="/healthz"), 400),
        "the API": (handshake(path="/api/v1/analytics/stats"), 400),
    }
    for what, (sent, status) in refused.items():
        answer = _answer(stage.port, sent)
        finding.must(answer == status, f"{what} is answered {answer}, not {status}")
    for what, headers in {"no origin": (), "our origin": (f"Origin: {ORIGIN}",)}.items():
        try:
            Viewer.come(stage.port, *headers).leave()
        except RefusedError as error:
            finding.breaches.append(f"{what} is answered {error.status}")
    _all_places_free(stage, finding, "strangers")


def be_rude(stage: Stage, finding: Finding, chance: random.Random) -> None:
    """One of every kind of broken frame, each on its own connection, while others watch and miss nothing."""
    text = b'{"type":"ping"}'
    small = frame(TEXT, text)
    kinds: dict[str, tuple[bytes, set[int]]] = {
        "a megabyte": (frame(TEXT, b"x" * (1 << 20)), {1009}),
        "a megabyte in fragments": (frame(0x01, b"x" * 1000) + frame(0x00, b"x" * 1000) * 1000, {1009}),
        "a claim of a petabyte": (frame(BINARY, noise(8192), size=1 << 50), {1009}),
        "a claim of 2^63": (frame(TEXT, b"x" * 8192, size=1 << 63), {1002}),
        "a flood of messages": (small * 20_000, {1008}),
        "a flood of empty messages": (frame(TEXT) * 20_000, {1008}),
        "a flood of empty fragments": (frame(0x01) + frame(0x00) * 20_000, {1008}),
        "a flood of pings": (frame(PING, b"x" * 125) * 20_000, {1008}),
        "a flood of pongs": (frame(PONG) * 20_000, {1008}),
        "an unmasked frame": (frame(TEXT, text, masked=False), {1002}),
        "a fragment of nothing": (frame(0x80, b"x"), {1002}),
        "a message within a message": (frame(0x01, b"{") + frame(TEXT, text), {1002}),
        "a ping in fragments": (frame(0x09, b"x") + frame(0x80, b"x"), {1002}),
        "a long ping": (frame(PING, b"x" * 126), {1002}),
        "no UTF-8": (frame(TEXT, b"\xff\xfe"), {1007}),
        "half a character": (frame(TEXT, b"\xe2\x82"), {1007}),
        "a goodbye of one byte": (frame(CLOSE, b"\x03"), {1002}),
        "a forbidden goodbye": (frame(CLOSE, (1005).to_bytes(2, "big")), {1002}),
        "a goodbye that is no text": (frame(CLOSE, b"\x03\xe8\xff"), {1002, 1007}),
        "a request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {1002}),
        "a handshake again": (handshake(), {1002}),
    }
    for opcode in (*range(0x83, 0x88), *range(0x8B, 0x90)):
        kinds[f"opcode {opcode & 15:#x}"] = (frame(opcode, b"x"), {1002})
    for bit in (0x40, 0x20, 0x10):
        kinds[f"reserved bit {bit:#x}"] = (frame(TEXT | bit, text), {1002})
    witnesses = Crowd([Viewer.come(stage.port) for _ in range(5)])
    for number, (what, (sent, codes)) in enumerate(kinds.items()):
        rude = Viewer.come(stage.port, address(number))
        _in_pieces(rude, sent, chance)
        took_s = rude.until_ended()
        finding.must(rude.ended and took_s < 10, f"{what} is let go on for {took_s:.0f} s")
        # Whoever goes on sending while being hung up on may find the goodbye overtaken by a reset.
        finding.must(
            rude.code in codes or (rude.code is None and len(sent) > 65_536), f"{what}: closed with {rude.code}"
        )
        finding.must(not rude.wrong, f"{what} is sent {rude.wrong[:3]}")
        rude.leave()
        witnesses.read(0.01)
    for _ in range(200):  # noise, most of which is a broken frame at once
        rude = Viewer.come(stage.port, address(200))
        rude.send(chance.randbytes(chance.randrange(1, 2000)))
        rude.leave(rudely=chance.random() < 0.5)
    _hear_an_event(stage, finding, witnesses, "rude clients")
    witnesses.leave()
    _all_places_free(stage, finding, "rude clients")
    finding.figures["broken frames"] = f"{len(kinds)} kinds, each closed with its code"


def come_and_go(stage: Stage, finding: Finding, chance: random.Random, times: int) -> None:
    """Connect, and hang up at any moment, many at a time; one viewer watches throughout."""
    witness = Crowd([Viewer.come(stage.port)])
    connections = _connections(stage)
    seeds = [chance.random() for _ in range(8)]
    refused: list[bytes] = []

    def come(seed: float, first: int) -> None:
        own = random.Random(seed)
        for number in range(first, times, len(seeds)):
            how = own.random()
            if how < 0.3:
                with socket.create_connection(("127.0.0.1", stage.port)) as sock:
                    sent = handshake(address(number))
                    sock.sendall(sent[: own.randrange(1, len(sent) + 1)])
                    if how < 0.15:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                continue
            try:
                viewer = Viewer.come(stage.port, address(number))
            except RefusedError as error:
                refused.append(error.answer)
                continue
            if how < 0.6:
                viewer.send(frame(CLOSE, (1000).to_bytes(2, "big")))
            viewer.leave(rudely=how > 0.8)

    began = time.monotonic()
    threads = [threading.Thread(target=come, args=(seed, first)) for first, seed in enumerate(seeds)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        witness.read(0.1)
    took_s = time.monotonic() - began
    finding.must(all(answer.startswith(b"HTTP/1.1 503") for answer in refused), f"refused: {refused[:1]}")
    _hear_an_event(stage, finding, witness, "a coming and going")
    witness.leave()
    _all_places_free(stage, finding, "a coming and going")
    with suppress(AssertionError):
        wait_until(lambda: _connections(stage) <= connections, 15)
    finding.must(_connections(stage) <= connections, f"connections {connections} before, {_connections(stage)} after")
    finding.figures["coming and going"] = (
        f"{times:,} in {took_s:.1f} s, {len(refused)} found all places taken; connections {connections} before, "
        f"{_connections(stage)} after"
    )


def storm(stage: Stage, finding: Finding, viewers: int) -> None:
    """All come at the same moment, as after a restart, and leave at the same moment, as when a network goes."""
    sockets = [socket.create_connection(("127.0.0.1", stage.port), timeout=DEADLINE_S) for _ in range(viewers)]
    began = time.monotonic()
    for sock in sockets:
        sock.sendall(handshake())
    answers = [sock.recv(12) for sock in sockets]
    took_s = time.monotonic() - began
    let_in = answers.count(b"HTTP/1.1 101")
    finding.must(let_in == viewers, f"of {viewers} at once {let_in} were let in")
    for sock in sockets:
        Viewer(sock).leave(rudely=True)
    _all_places_free(stage, finding, "a storm")
    finding.figures["at once"] = f"{viewers} let in within {took_s:.1f} s"


def hog(stage: Stage, finding: Finding, places: int, per_address: int) -> None:
    """One address takes all that it gets, then many addresses take all there is; whoever is refused is told."""
    hogs = _come_until_refused(stage, finding, lambda _: address(1), 429)
    finding.must(len(hogs) == per_address, f"one address took {len(hogs)} places, not {per_address}")
    with suppress(RefusedError):
        hogs.append(Viewer.come(stage.port, address(2)))
    finding.must(len(hogs) == per_address + 1, "another address found no place")
    hogs += _come_until_refused(stage, finding, lambda number: address(1000 + number // per_address), 503)
    finding.must(len(hogs) == places, f"{len(hogs)} places were taken, there are {places}")
    began = time.perf_counter()
    refusals = sum(_answer(stage.port, handshake(address(7000 + number))) == 503 for number in range(200))
    each_ms = (time.perf_counter() - began) / 200 * 1000
    finding.must(refusals == 200, f"{refusals} of 200 were refused while all places were taken")
    finding.must(_answer(stage.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200, "no health while it is full")
    for viewer in hogs:
        viewer.leave(rudely=True)
    _all_places_free(stage, finding, "hogs")
    finding.figures["all places taken"] = f"{places}, {per_address} an address; a refusal takes {each_ms:.1f} ms"


@dataclass
class Heard:
    """What became of numbered events among those who read."""

    posted_at: dict[int, float] = field(default_factory=dict)
    frames: int = 0
    seconds: list[float] = field(default_factory=list)

    def note(self, message: Any) -> None:
        data = message.get("data")
        posted = self.posted_at.get(data.get("n")) if isinstance(data, dict) else None
        if posted is not None:
            self.frames += 1
            self.seconds.append(time.perf_counter() - posted)

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.seconds) or [float("inf")]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


def watch_among_sleepers(
    stage: Stage, finding: Finding, viewers: int, sleepers: int, events: int, rate: float, flood: int
) -> Heard:
    """`viewers` come, `sleepers` of them never read. A flood fills what may wait for these, then `events` come at a
    `rate`: the others get each of them, and those who sleep are let go."""
    asleep = [Viewer.come(stage.port, address(n // 10), buffer_bytes=_SMALL_BUFFER) for n in range(sleepers)]
    awake = Crowd(Viewer.come(stage.port, address(1000 + n // 10)) for n in range(viewers - sleepers))
    heard = Heard()
    awake.read(0.5)
    _post_flood(stage.port, flood, awake)
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=DEADLINE_S)
    began = time.perf_counter()
    for number in range(events):
        awake.read(max(0.0, began + number / rate - time.perf_counter()), heard.note)
        heard.posted_at[number] = time.perf_counter()
        body = json.dumps({"event_type": "page_view", "event_data": {"n": number}, "page_url": "/cv"})
        connection.request("POST", _EVENT, body)
        response = connection.getresponse()
        response.read()
        finding.must(response.status == 202, f"an event was answered {response.status}")
    connection.close()
    expected = events * len(awake.viewers)
    until = time.monotonic() + 15
    while heard.frames < expected and time.monotonic() < until:
        awake.read(0.05, heard.note)
    finding.must(heard.frames == expected, f"{heard.frames} of {expected} frames arrived")
    for viewer in awake.viewers:
        finding.must(not viewer.wrong, f"a reader was sent {viewer.wrong[:3]}")
        finding.must(not viewer.dropped and not viewer.ended, f"a reader missed {viewer.dropped}, {viewer.code}")
    places = LivePlaces(stage.redis)
    with suppress(AssertionError):
        wait_until(lambda: awake.read(0.01) or places.taken() <= viewers - sleepers, 40)
    taken = places.taken()
    finding.must(taken == viewers - sleepers, f"{taken} places taken, {viewers - sleepers} viewers read")
    _check_sleepers(finding, asleep)
    awake.leave()
    _all_places_free(stage, finding, "a crowd")
    return heard


def vanish(stage: Stage, finding: Finding, count: int) -> None:
    """Viewers whose other end is gone without a word: they take what comes, until their buffers are full, and never
    answer. All are given up within `GIVEN_UP_S`, and so are handshakes that never end."""
    gone = [Viewer.come(stage.port, address(n)) for n in range(count)]
    dribbling = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", stage.port))
        sock.sendall(handshake()[:40])
        dribbling.append(sock)
    places = LivePlaces(stage.redis)
    finding.must(places.taken() == count, f"{places.taken()} places taken by {count}")
    began = time.monotonic()
    ended: dict[str, float] = {}
    while len(ended) < 2 and time.monotonic() - began < GIVEN_UP_S + 5:
        dribbling = [sock for sock in dribbling if _dribbles(sock)]
        if not dribbling:
            ended.setdefault("handshakes that never end", time.monotonic() - began)
        if not places.taken():
            ended.setdefault("viewers who vanished", time.monotonic() - began)
        time.sleep(0.25)
    for what in ("handshakes that never end", "viewers who vanished"):
        finding.must(ended.get(what, 1e9) < GIVEN_UP_S, f"{what} are not given up within {GIVEN_UP_S:.0f} s")
        if what in ended:
            finding.figures[what] = f"given up within {ended[what]:.0f} s"
    for viewer in gone:
        viewer.leave()


DEADLINE_S: Final = 15.0


def _measured_crowd(target: Target, finding: Finding) -> None:
    before = target.pss_mb("web")
    most = [before]
    over = threading.Event()

    def weigh() -> None:
        while not over.wait(0.5):
            most.append(target.pss_mb("web"))

    scale = threading.Thread(target=weigh)
    scale.start()
    began, waited_s = time.monotonic(), _waited_s(target)
    heard = watch_among_sleepers(target, finding, VIEWERS, NEVER_READING, 400, 20.0, 3000)
    waiting = (_waited_s(target) - waited_s) / (time.monotonic() - began)
    over.set()
    scale.join()
    after = target.pss_mb("web")
    slow = sum(seconds * 1000 >= MOST_MS for seconds in heard.seconds)
    finding.must(heard.percentile_ms(99) < MOST_MS, f"p99 {heard.percentile_ms(99):.0f} ms")
    finding.must(max(most) - before < MOST_GROWTH_MB, f"web grew from {before:.0f} to {max(most):.0f} MB")
    finding.figures["viewers"] = (
        f"{VIEWERS}, of whom {NEVER_READING} never read; {len(heard.seconds):,} frames to others"
    )
    finding.figures["post to frame"] = (
        f"p50 {heard.percentile_ms(50):.1f} ms, p99 {heard.percentile_ms(99):.1f} ms, max "
        f"{heard.percentile_ms(100):.1f} ms, {slow} frames of {MOST_MS:.0f} ms or more; "
        f"web was ready and had no processor {waiting:.0%} of the time"
    )
    finding.figures["web"] = f"{before:.1f} MB before, {max(most):.1f} MB at most, {after:.1f} MB after"


def _waited_s(target: Target) -> float:
    """How long the web processes were ready to run while others had the processors: what a slow machine adds."""
    tasks = [task for pid in target.processes()["web"] for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def _post_flood(port: int, events: int, awake: Crowd) -> None:
    """Large events in batches, as fast as they are taken, until the readers have had them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    large = {"event_type": "page_view", "event_data": {"pad": "x" * 1900}, "page_url": "/cv"}
    for _ in range(0, events, 100):
        connection.request("POST", _EVENT + "/batch", json.dumps([large] * 100))
        response = connection.getresponse()
        response.read()
        assert response.status == 202, response.status
        awake.read(0.05)
    connection.close()
    quiet = 0
    while quiet < 5:
        before = sum(viewer.messages for viewer in awake.viewers)
        awake.read(0.3)
        quiet = quiet + 1 if sum(viewer.messages for viewer in awake.viewers) - before < len(awake.viewers) + 1 else 0
    for viewer in awake.viewers:
        viewer.dropped = 0  # by the publisher: more than is announced at once


def _check_sleepers(finding: Finding, asleep: list[Viewer]) -> None:
    """Whoever wakes up late finds whole frames and then the end."""
    for viewer in asleep:
        viewer.until_ended(5.0)
        finding.must(viewer.ended, "one who never read is connected still")
        finding.must(not viewer.wrong, f"one who never read was sent {viewer.wrong[:3]}")
        viewer.leave()


def _come_until_refused(stage: Stage, finding: Finding, who: Callable[[int], str], status: int) -> list[Viewer]:
    viewers: list[Viewer] = []
    while len(viewers) < 2000:
        try:
            viewers.append(Viewer.come(stage.port, who(len(viewers))))
        except RefusedError as error:
            told = error.status == status and b"\nretry-after:" in error.answer.lower()
            finding.must(told, f"refused with {error.answer[:300]!r}, not {status}")
            break
    return viewers


def _hear_an_event(stage: Stage, finding: Finding, crowd: Crowd, what: str) -> None:
    """That everybody in the crowd still gets what is announced, and has got nothing wrong so far."""
    got: list[int] = []
    number = random.getrandbits(40)
    stage.redis.publish("analytics:realtime", json.dumps({"type": "page_view", "data": {"n": number}}))
    until = time.monotonic() + 10
    while len(got) < len(crowd.viewers) and time.monotonic() < until:
        crowd.read(0.02, lambda message: got.append(1) if message.get("data", {}).get("n") == number else None)
    finding.must(len(got) == len(crowd.viewers), f"after {what} {len(got)} of {len(crowd.viewers)} viewers hear events")
    for viewer in crowd.viewers:
        finding.must(not viewer.wrong and not viewer.ended, f"during {what} a viewer got {viewer.wrong} {viewer.code}")


def _all_places_free(stage: Stage, finding: Finding, what: str) -> None:
    places = LivePlaces(stage.redis)
    with suppress(AssertionError):
        wait_until(lambda: places.taken() == 0, 15)
    finding.must(places.taken() == 0, f"after {what} {places.taken()} places are taken")


def _in_pieces(viewer: Viewer, data: bytes, chance: random.Random) -> None:
    """What is short goes out a few bytes at a time."""
    viewer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    step = chance.randrange(1, 5) if len(data) < 64 else len(data)
    for at in range(0, len(data), step):
        viewer.send(data[at : at + step])


def _dribbles(sock: socket.socket) -> bool:
    """Whether a handshake that never ends is let go on."""
    sock.setblocking(False)
    try:
        sock.send(b"x")
        return bool(sock.recv(4096))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _answer(port: int, sent: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock:
        sock.sendall(sent)
        received = b""
        while b"\r\n" not in received and (data := sock.recv(4096)):
            received += data
    return int(received[9:12] or 0)


def _connections(stage: Stage) -> int:
    """Connections that the server or the kernel holds at the server's end."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(f":{stage.port:04X}") and line[3] not in _OVER for line in lines)
