"""Requests that nobody in their right mind sends: well-formed ones, broken in every way that comes to mind.

`Generator` makes them from a seed. Hypothesis makes others, in `fuzz.py`: it is better at values and slower.
"""

from __future__ import annotations

import json
import random
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maicivy.web.openapi import document
from tests.abuse.target import SECRET
from tests.abuse.wire import request
from tests.naughty import BATCHES, EVENTS, STRINGS

EVENT_PATH = b"/api/v1/analytics/event"
BATCH_PATH = b"/api/v1/analytics/event/batch"

_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"XYZZY", b"A")
_NUMBERS = ("0", "-1", "1e308", "-0", "9" * 400, "1e-400", "0x10", "NaN", str(2**63), str(2**64), "1.5", "\u0661", "")
_VALUES = (
    *_NUMBERS,
    *STRINGS.values(),
    *("day", "week", "month", "true", "null", "[]", "{}", "2025-12-08", "9999-12-31T23:59:59Z", "-271821-04-20"),
    *("a" * 3000, "%", "%00", "%zz", "%c0%80", "..%2f..%2f", "%f0%9f%98%80"),
)
_HEADERS: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"Host", (b"", b"a b", b"[::1", b"x" * 5000, b"evil.example:99999999", b"\xff\xfe", b"a,b")),
    (b"Origin", (b"null", b"https://evil.example", b"\xff", b"", b"http://" + b"a" * 4000)),
    (b"User-Agent", (b"", SECRET.encode(), b"\xff\xfe\x80", b"${jndi:ldap://a}", b"x" * 8000, b"\x1b[2J")),
    (b"X-Forwarded-For", (SECRET.encode(), b"1.2.3.4, " * 500, b"::ffff:1.2.3.4", b"[::1]:5", b"\xff", b",,,", b"%0")),
    (b"DNT", (b"1", b"0", b"\xff", b"11")),
    (b"Sec-GPC", (b"1", b"true")),
    (b"Authorization", (b"Bearer", b"Bearer \xff", b"Basic YTpi", b"Bearer " + b"x" * 7000, b"bearer  a b")),
    (b"Content-Length", (b"-1", b"0", b"9" * 30, b"1e3", b"0x10", b"\xd9\xa2", b"5, 5", b"")),
    (b"Transfer-Encoding", (b"chunked", b"chunked, chunked", b"identity", b"gzip, chunked", b"\x0bchunked", b"xyz")),
    (b"Content-Type", (b"text/plain", b"application/json; charset=utf-16", b"\xff", b"multipart/form-data", b"")),
    (b"Content-Encoding", (b"gzip", b"br", b"deflate, gzip")),
    (b"Expect", (b"100-continue", b"200-ok")),
    (b"Connection", (b"close", b"keep-alive", b"Upgrade", b"close, keep-alive", b"\xff")),
    (b"Upgrade", (b"websocket", b"h2c", b"WebSocket, h2c")),
    (b"Sec-WebSocket-Key", (b"", b"a", b"dGhlIHNhbXBsZSBub25jZQ==")),
    (b"Sec-WebSocket-Version", (b"13", b"0", b"99")),
    (b"Accept", (b"*/*;q=x", b"application/openmetrics-text", b"\xff", b"," * 3000)),
    (b"Accept-Encoding", (b"gzip;q=1e999", b"*;q=0", b"gzip, " * 500)),
    (b"If-None-Match", (b'"', b"W/", b"*", b'"a",' * 500)),
    (b"If-Modified-Since", (b"yesterday", b"Fri, 99 Xyz 99999 25:61:61 GMT")),
    (b"Range", (b"bytes=5-1", b"bytes=-", b"bytes=0-0,0-0," + b"1-1," * 500)),
    (b"Cookie", (b"=", b";;;", b"a=" + b"b" * 7000, b"\xff=\xfe")),
    (b"X-Request-ID", (b"", b"a" * 100, b"\xff" * 9, b"../../etc", b"0123456789abcdef")),
    (b"Access-Control-Request-Method", (b"POST", b"\xff")),
    (b"X-HTTP-Method-Override", (b"DELETE",)),
    (b"Forwarded", (b'for="' + SECRET.encode() + b'"',)),
    (b"X-Forwarded-Host", (b"evil.example",)),
    (b"X-Forwarded-Proto", (b"https", b"\xff")),
    (b"SCRIPT_NAME", (b"/evil",)),
    (b"X\xff", (b"a",)),
    (b"Bad Name", (b"a",)),
    (b"", (b"a",)),
    (b"Trailer", (b"X",)),
)


@dataclass(frozen=True)
class Shot:
    """What is sent. `event` is the body of the one event in it, where the request around that is in order."""

    sent: bytes
    event: bytes | None = None


class Generator:
    """An endless supply, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._paths = [(path, list(item)) for path, item in document()["paths"].items()]
        self._kinds: tuple[Callable[[], Shot], ...] = (
            self._good_event,
            self._broken_event,
            self._broken_event,
            self._batch,
            self._naughty,
            self._headers,
            self._headers,
            self._query,
            self._query,
            self._query,
            self._method,
            self._chunks,
            self._raw,
            self._length,
            self._pipeline,
        )

    def shot(self) -> Shot:
        return self._dice.choice(self._kinds)()

    def event(self) -> dict[str, Any]:
        """A good event with its own id."""
        dice = self._dice
        event: dict[str, Any] = {"id": str(uuid.UUID(int=dice.getrandbits(128), version=4)), "event_type": "click"}
        if dice.random() < 0.7:
            event["event_type"] = dice.choice(("page_view", "letter_generated", "pdf_download", self._word()))
        if dice.random() < 0.7:
            event["event_data"] = self._object(dice.randrange(4))
        if dice.random() < 0.6:
            event["page_url"] = "/" + self._word() + dice.choice(("", "?theme=a&x=1", "#top", "?utm_source=%ff"))
        if dice.random() < 0.3:
            event["referrer"] = f"https://{SECRET}:pw@example.org/" + self._word()
        if dice.random() < 0.3:
            event["session_duration"] = dice.randrange(100_000)
        return event

    def broken(self) -> bytes:
        """The body of an event that something is wrong with."""
        return self._broken_event().event or b""

    def _good_event(self) -> Shot:
        text = json.dumps(self.event(), ensure_ascii=self._dice.random() < 0.5)
        return _post(text.encode("utf-8", "surrogatepass"))

    def _broken_event(self) -> Shot:
        event = self.event()
        dice = self._dice
        if dice.random() < 0.4:
            event[dice.choice((*event, "timestamp", "referrer", "__proto__", "id", "\ud800"))] = self._any(3)
            return _post(json.dumps(event).encode())
        return _post(self._mutate(json.dumps(event).encode()))

    def _batch(self) -> Shot:
        dice = self._dice
        events = [self.event() for _ in range(dice.choice((0, 1, 2, 20, 501)))]
        body = json.dumps(events if dice.random() < 0.5 else {"events": events}).encode()
        if dice.random() < 0.7:
            body = self._mutate(body)
        return Shot(_post(body, path=dice.choice((BATCH_PATH, b"/api/v1/analytics/batch"))).sent)

    def _naughty(self) -> Shot:
        if self._dice.random() < 0.7:
            return _post(self._dice.choice(EVENTS).body)
        return Shot(_post(self._dice.choice(BATCHES).body, path=BATCH_PATH).sent)

    def _headers(self) -> Shot:
        dice = self._dice
        body = json.dumps(self.event()).encode()
        headers = [(b"Host", b"x"), (b"Content-Length", b"%d" % len(body))]
        for _ in range(dice.randrange(1, 5)):
            name, values = dice.choice(_HEADERS)
            pair = (name, dice.choice(values))
            if dice.random() < 0.5:
                headers = [(known, value) for known, value in headers if known != name]
            headers.insert(dice.randrange(len(headers) + 1), pair)
        if dice.random() < 0.1:
            headers *= 2
        if dice.random() < 0.3:
            path, _ = dice.choice(self._paths)
            return Shot(request(b"GET", path.encode(), headers))
        return Shot(request(b"POST", EVENT_PATH, headers, body))

    def _query(self) -> Shot:
        """An operation of the document, its parameters wild: from their own names, others', and nobody's."""
        dice = self._dice
        path, methods = dice.choice(self._paths)
        known = [p["name"] for method in methods for p in document()["paths"][path][method].get("parameters", ())]
        names = [*known, *known, "period", "limit", self._word(), "", "a[]", "\u202e"]
        fields = [f"{dice.choice(names)}={dice.choice(_VALUES)}" for _ in range(dice.choice((0, 1, 1, 2, 3, 300)))]
        target = (path + "?" + dice.choice("&&&;").join(fields)).encode("utf-8", "surrogatepass")
        if dice.random() < 0.8:
            target = b"".join(b"%%%02x" % byte if byte <= 32 or byte >= 127 else bytes([byte]) for byte in target)
        return Shot(request(dice.choice((b"GET", b"GET", b"GET", b"HEAD")), target[:8000], [(b"Host", b"x")]))

    def _method(self) -> Shot:
        path, _ = self._dice.choice(self._paths)
        if self._dice.random() < 0.4:
            path += self._dice.choice(
                ("/", "//", "/..", "/%2e%2e/%2e%2e/etc/passwd", "%00", ".php", "/" + self._word())
            )
        body = self._dice.choice((b"", b"{}", b"\xff"))
        headers = [(b"Host", b"x"), (b"Content-Length", b"%d" % len(body))]
        return Shot(request(self._dice.choice(_METHODS), path.encode(), headers, body))

    def _chunks(self) -> Shot:
        dice = self._dice
        body = json.dumps(self.event()).encode()
        cut = sorted(dice.randrange(len(body) + 1) for _ in range(dice.randrange(4)))
        parts = [body[a:b] for a, b in zip([0, *cut], [*cut, len(body)], strict=True)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
        if dice.random() < 0.7:
            chunks = self._mutate(chunks)
        return Shot(request(b"POST", EVENT_PATH, [(b"Host", b"x"), (b"Transfer-Encoding", b"chunked")], chunks))

    def _raw(self) -> Shot:
        """A whole request with its bytes shaken."""
        return Shot(self._mutate(self._dice.choice((self._good_event, self._query, self._headers))().sent))

    def _length(self) -> Shot:
        """A length that is not the body's."""
        body = json.dumps(self.event()).encode()
        length = self._dice.choice((len(body) - 1, len(body) + 1, 0, 1, 2**20, 2**20 + 1, 10**18))
        return Shot(request(b"POST", EVENT_PATH, [(b"Host", b"x"), (b"Content-Length", b"%d" % length)], body))

    def _pipeline(self) -> Shot:
        shots = [self._dice.choice((self._good_event, self._query, self._broken_event))().sent for _ in range(4)]
        return Shot(b"".join(shots))

    def _mutate(self, data: bytes) -> bytes:
        dice = self._dice
        mutated = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(mutated) + 1)
            match dice.randrange(9):
                case 0 if mutated:
                    mutated[at % len(mutated)] ^= 1 << dice.randrange(8)
                case 1:
                    del mutated[at:]
                case 2:
                    del mutated[at : at + dice.randrange(1, 20)]
                case 3:
                    mutated[at:at] = dice.randbytes(dice.randrange(1, 20))
                case 4:
                    mutated[at:at] = dice.choice(_NUMBERS).encode()
                case 5:
                    mutated[at:at] = dice.choice((b"[", b'{"a":', b"[[]", b'"\\ud800"')) * dice.choice((1, 12, 3000))
                case 6:
                    mutated[at:at] = dice.choice(
                        (b"\0", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\r\n")
                    )
                case 7:
                    other = dice.randrange(len(mutated) + 1)
                    mutated[at:at] = mutated[other : other + dice.randrange(100)]
                case _:
                    mutated[at:at] = dice.choice((b"NaN", b"Infinity", b"-", b"\\", b'"', b",", b":", b"}", b"]"))
        return bytes(mutated)

    def _object(self, depth: int) -> dict[str, Any]:
        return {self._text()[:64]: self._any(depth) for _ in range(self._dice.randrange(5))}

    def _any(self, depth: int) -> Any:
        dice = self._dice
        kind = dice.randrange(8 if depth else 6)
        if kind == 6:
            return self._object(depth - 1)
        if kind == 7:
            return [self._any(depth - 1) for _ in range(dice.randrange(5))]
        return (
            dice.randrange(-(2**63), 2**64),
            dice.uniform(-1e6, 1e6),
            dice.choice((True, False, None)),
            self._text(),
            dice.choice(tuple(STRINGS.values())),
            dice.choice((0, -1, 2**64 - 1, 2**64, -(2**63) - 1, 1e308, 1e-320, float("nan"), "9" * 300)),
        )[kind]

    def _text(self) -> str:
        dice = self._dice
        if dice.random() < 0.5:
            return self._word()
        planes = (128, 0x3000, 0x110000)
        return "".join(chr(dice.randrange(dice.choice(planes))) for _ in range(dice.randrange(1, 12)))

    def _word(self) -> str:
        return "".join(self._dice.choices(string.ascii_lowercase, k=self._dice.randrange(1, 10)))


def _post(body: bytes, path: bytes = EVENT_PATH) -> Shot:
    headers = [(b"Host", b"x"), (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
    return Shot(request(b"POST", path, headers, body), body)
