"""Batches over HTTP, against a real server that misbehaves on demand."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import pytest

from maicivy.core.events import Traits
from maicivy.core.gate import MAX_BODY_BYTES, Draft, Gate, parse_batch
from maicivy.tracking import http_transport
from maicivy.tracking.http_transport import HttpTransport
from maicivy.tracking.transports import NotNow, Receipt
from tests.tracking.stub_server import Stub, serving

NOON = datetime(2025, 12, 8, 12, tzinfo=UTC)
TOKEN = "a token of some length"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


def drafts(count: int = 1, text: str = "") -> list[Draft]:
    return [
        Draft(
            "click",
            {"n": n, "text": text},
            "/cv",
            "",
            0,
            UUID(int=n + 1),
            NOON + timedelta(milliseconds=n),
            "192.0.2.1",
            "Browser",
        )
        for n in range(count)
    ]


def deliver(transport: HttpTransport, drafts: list[Draft]) -> list[Receipt]:
    parcels, receipts = transport.prepare(drafts, NOON), []
    while parcels:
        receipts.append(transport.send(parcels))
        del parcels[: receipts[-1].done]
    return receipts


def test_what_is_sent_passes_the_gate_on_the_other_side_unchanged(stub: Stub) -> None:
    transport = HttpTransport(stub.url + "/prefix", TOKEN, 5.0)
    parcels = transport.prepare(drafts(3), NOON)
    assert transport.send(parcels) == Receipt(3)
    (request,) = stub.received
    assert request.path == "/prefix/api/v1/analytics/event/batch"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/json"
    assert parse_batch(b"[" + b",".join(parcels) + b"]", Gate(NOON, timedelta(days=90))) == drafts(3)
    transport.close()


def test_an_unknown_address_is_sent_as_such(stub: Stub) -> None:
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    transport.send(transport.prepare([Draft("click", {}, id=UUID(int=1), timestamp=NOON)], NOON))
    assert stub.received[0].events == [
        {
            "id": str(UUID(int=1)),
            "timestamp": "2025-12-08T12:00:00Z",
            "event_type": "click",
            "event_data": {},
            "visitor_address": "",
            "visitor_user_agent": "",
        }
    ]
    transport.close()


def test_language_click_id_campaign_and_site_travel_too() -> None:
    told = Traits(language="fr", click_id="gclid", utm=("news", "", "", "", "x"))
    views = [
        Draft("page_view", {}, url, id=UUID(int=1), timestamp=NOON, traits=told) for url in ("/a", "/a?utm_term=b")
    ]
    transport = HttpTransport("http://127.0.0.1:1", TOKEN, 5.0, "shop.example")
    arrived = parse_batch(b"[" + b",".join(transport.prepare(views, NOON)) + b"]", Gate(NOON, timedelta(days=90)))
    assert [(one.page_url, one.traits, one.sites) for one in arrived if isinstance(one, Draft)] == [
        (view.page_url, told, (("site_id", "shop.example"),)) for view in views
    ]


def test_batches_hold_at_most_500_events_and_1_mib_and_share_a_connection(stub: Stub) -> None:
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    assert [receipt.done for receipt in deliver(transport, drafts(1001))] == [500, 500, 1]
    deliver(transport, drafts(500, "x" * 2000 + "\u00e9" * 2000))
    assert max(request.body_bytes for request in stub.received) <= MAX_BODY_BYTES
    assert min(request.body_bytes for request in stub.received[3:-1]) > MAX_BODY_BYTES - 7000
    assert sum(len(request.events) for request in stub.received[3:]) == 500
    assert len({request.peer for request in stub.received}) == 1
    transport.close()


def test_events_that_the_server_takes_out_of_a_batch_are_told(stub: Stub) -> None:
    stub.answers.append((202, {}, {"accepted": 1, "rejected": [{"index": 0, "code": "invalid_id", "message": ""}]}))
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    assert deliver(transport, drafts(2)) == [Receipt(2, 1, "invalid_id")]
    transport.close()


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"rejected": 7}', b'{"rejected": [{}]}', b"null", b"\xff"])
def test_an_accepted_batch_is_done_whatever_the_answer_looks_like(stub: Stub, body: bytes) -> None:
    stub.answers.append((202, {}, body))
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    assert deliver(transport, drafts(2)) == [Receipt(2)]
    transport.close()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413])
def test_a_batch_that_is_refused_as_a_whole_is_refused_for_good(stub: Stub, status: int) -> None:
    stub.answers.append((status, {}, {"success": False}))
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    assert deliver(transport, drafts(2)) == [Receipt(2, 2, f"status {status}")]
    transport.close()


@pytest.mark.parametrize(
    ("status", "retry_after", "after_s"),
    [
        (429, "7", 7.0),
        (503, "2", 2.0),
        (503, "1.5", 1.5),
        (500, None, 0.0),
        (502, "soon", 0.0),
        (504, "", 0.0),
        (408, "-3", 0.0),
        (429, "999999", 300.0),
        (429, "nan", 0.0),
        (503, "Mon, 08 Dec 2025 12:00:00 GMT", 0.0),
        (503, "Mon, 08 Dec 2025 12:00:00 -0000", 0.0),
    ],
)
def test_a_busy_server_is_asked_again_when_it_says(
    stub: Stub, status: int, retry_after: str | None, after_s: float
) -> None:
    stub.answers.append((status, {"Retry-After": retry_after} if retry_after is not None else {}, {}))
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    with pytest.raises(NotNow) as refused:
        transport.send(transport.prepare(drafts(), NOON))
    assert (refused.value.reason, refused.value.after_s) == (f"status {status}", after_s)
    transport.close()


def test_a_retry_date_in_the_future_is_waited_for() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < http_transport._pause_s(format_datetime(moment, usegmt=True)) <= 60


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_at_once(stub: Stub) -> None:
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    deliver(transport, drafts())
    stub.hang_up = 1
    assert deliver(transport, drafts(2)) == [Receipt(2)]
    assert [[event["id"] for event in request.events] for request in stub.received[1:]] == [
        [str(UUID(int=1)), str(UUID(int=2))]
    ] * 2
    assert len({request.peer for request in stub.received}) == 2
    stub.hang_up = 2
    with pytest.raises(NotNow):
        deliver(transport, drafts())
    transport.close()


def test_a_server_that_is_not_there_is_not_now() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = HttpTransport(f"http://127.0.0.1:{unused.getsockname()[1]}", TOKEN, 5.0)
        with pytest.raises(NotNow, match="ConnectionRefusedError"):
            deliver(transport, drafts())
    transport.close()


@pytest.mark.parametrize("answer", [b"", b"what?\r\n\r\n"])
def test_a_server_that_does_not_speak_http_is_not_now(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN, 5.0)
        with pytest.raises(NotNow):
            deliver(transport, drafts())
        thread.join(5)
        transport.close()


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN, 0.1)
        with pytest.raises(NotNow, match="Timeout"):
            deliver(transport, drafts())
        transport.close()


def test_an_endless_answer_is_not_read_to_its_end(stub: Stub) -> None:
    stub.answers.append((202, {}, b"x" * (http_transport.MAX_ANSWER_BYTES + 1)))
    transport = HttpTransport(stub.url, TOKEN, 5.0)
    assert deliver(transport, drafts()) == [Receipt(1)]
    assert deliver(transport, drafts()) == [Receipt(1)]
    assert len({request.peer for request in stub.received}) == 2
    transport.close()
