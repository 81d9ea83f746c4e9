"""The list in memory and its thread: every hit is accounted for, whatever the transport does."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from maicivy.core.gate import Draft
from maicivy.tracking import backlog as backlog_module
from maicivy.tracking.backlog import Backlog
from maicivy.tracking.hits import Hit, page_view, tracked
from maicivy.tracking.options import Options
from maicivy.tracking.transports import NotNow, Receipt

OPTIONS = Options(url="http://127.0.0.1:1", token="t" * 16, linger_s=0.0)
NOW = 1_765_195_200.0


class Collector:
    """A transport that keeps what it is sent, after first doing what `script` says for each call of `send`."""

    def __init__(self, *script: Exception | Receipt) -> None:
        self.script = list(script)
        self.sent: list[Draft] = []
        self.tried: list[UUID | None] = []
        self.released = threading.Event()
        self.released.set()
        self.busy = threading.Event()
        self.closed = False

    def prepare(self, drafts: Sequence[Draft], now: datetime) -> list[Draft]:
        return list(drafts)

    def send(self, parcels: Sequence[Draft]) -> Receipt:
        self.busy.set()
        assert self.released.wait(10)
        self.tried.append(parcels[0].id)
        step = self.script.pop(0) if self.script else Receipt(len(parcels))
        if isinstance(step, Exception):
            raise step
        self.sent += parcels[: step.done]
        return step

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "FIRST_PAUSE_S", 0.001)


def view(path: str = "/", at: float = NOW) -> Hit:
    return page_view({"PATH_INFO": path}, "192.0.2.1", at)


def make(transport: Collector, options: Options = OPTIONS, clock: Callable[[], float] = lambda: NOW) -> Backlog:
    return Backlog(options, lambda: transport, clock)


def counted(backlog: Backlog) -> dict[str, Any]:
    stats = backlog.stats()
    assert stats["recorded"] == stats["sent"] + stats["queued"] + sum(stats["dropped"].values())
    return stats


def test_hits_are_delivered_in_order_with_ids_of_their_time() -> None:
    transport = Collector()
    backlog = make(transport)
    for n in range(1200):
        backlog.put(view(f"/{n}", NOW + n / 1000))
    assert backlog.flush(10)
    assert [draft.page_url for draft in transport.sent] == [f"/{n}" for n in range(1200)]
    assert len({draft.id for draft in transport.sent}) == 1200
    assert [draft.id.int >> 80 for draft in transport.sent if draft.id] == [int(NOW * 1000) + n for n in range(1200)]
    assert counted(backlog) == {"recorded": 1200, "sent": 1200, "queued": 0, "dropped": {}, "do_not_track": 0}


def test_a_failed_batch_is_sent_again_with_the_same_ids() -> None:
    transport = Collector(NotNow("away"), NotNow("busy", 0.001), Receipt(1), NotNow("away"))
    backlog = make(transport)
    transport.released.clear()
    backlog.put(view("/first"))
    assert transport.busy.wait(10)
    for path in ("/a", "/b"):
        backlog.put(view(path))
    transport.released.set()
    assert backlog.flush(10)
    assert [draft.page_url for draft in transport.sent] == ["/first", "/a", "/b"]
    first, again, and_again, second, second_again = transport.tried
    assert first == again == and_again
    assert second == second_again
    assert counted(backlog)["sent"] == 3


def test_a_full_list_drops_and_counts() -> None:
    transport = Collector()
    transport.released.clear()
    backlog = make(transport, Options(url="u", token="t", linger_s=0.0, queue_size=3))
    backlog.put(view("/0"))
    assert transport.busy.wait(10)
    for n in range(1, 6):
        backlog.put(view(f"/{n}"))
    assert counted(backlog) == {
        "recorded": 6,
        "sent": 0,
        "queued": 4,
        "dropped": {"queue_full": 2},
        "do_not_track": 0,
    }
    transport.released.set()
    assert backlog.flush(10)
    assert [draft.page_url for draft in transport.sent] == ["/0", "/1", "/2", "/3"]


def test_bytes_are_bounded_as_well_as_hits() -> None:
    transport = Collector()
    transport.released.clear()
    backlog = make(transport, Options(url="u", token="t", linger_s=0.0, queue_bytes=1 << 16))
    backlog.put(view())
    assert transport.busy.wait(10)
    big = tracked({}, "", NOW, event_type="click", data={"text": "x" * 2000}, page_url=None)
    for _ in range(100):
        backlog.put(big)
    kept = counted(backlog)["queued"] - 1
    assert kept == (1 << 16) // big.size
    transport.released.set()
    assert backlog.flush(10)
    for _ in range(kept):
        backlog.put(big)
    assert backlog.flush(10)
    assert counted(backlog)["sent"] == 1 + 2 * kept


def test_what_the_gate_refuses_is_counted_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    transport = Collector()
    backlog = make(transport)
    with caplog.at_level(logging.WARNING, "maicivy.tracking"):
        backlog.put(tracked({}, "", NOW, event_type="No", data={}, page_url=None))
        backlog.put(view())
        backlog.drop("refused", "invalid_event_data")
        assert backlog.flush(10)
        backlog.close(10)
    assert counted(backlog)["dropped"]["refused"] == 2
    assert len(transport.sent) == 1
    assert "tracking_dropped reason=refused" in caplog.text
    assert "192.0.2.1" not in caplog.text


def test_what_the_other_side_refuses_is_counted() -> None:
    backlog = make(Collector(Receipt(1, 1, "status 401")))
    backlog.put(view())
    assert backlog.flush(10)
    assert counted(backlog)["dropped"] == {"refused": 1}


def test_what_cannot_be_delivered_in_time_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    now = [NOW]

    class Away(Collector):
        def send(self, parcels: Sequence[Draft]) -> Receipt:
            self.tried.append(parcels[0].id)
            now[0] += 100
            raise NotNow("away")

    transport = Away()
    backlog = make(transport, clock=lambda: now[0])
    with caplog.at_level(logging.INFO, "maicivy.tracking"):
        backlog.put(view())
        assert backlog.flush(10)
    assert len(transport.tried) == 4
    assert counted(backlog)["dropped"] == {"gave_up": 1}
    assert caplog.text.count("tracking_unreachable reason=away") == 1


def test_an_unexpected_fault_costs_one_batch_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    transport = Collector(ZeroDivisionError("of the transport"))
    backlog = make(transport)
    backlog.put(view("/lost"))
    assert backlog.flush(10)
    backlog.put(view("/kept"))
    assert backlog.flush(10)
    assert [draft.page_url for draft in transport.sent] == ["/kept"]
    assert counted(backlog)["dropped"] == {"error": 1}
    assert "tracking_failed" in caplog.text


def test_a_transport_that_cannot_be_made_costs_hits_and_nothing_else() -> None:
    def fail() -> Collector:
        raise OSError("no such thing")

    backlog = Backlog(OPTIONS, fail, lambda: NOW)
    backlog.put(view())
    assert backlog.flush(10)
    assert counted(backlog)["dropped"] == {"error": 1}


def test_closing_delivers_what_waits_and_lets_go() -> None:
    transport = Collector()
    backlog = make(transport, Options(url="u", token="t", linger_s=60.0))
    for _ in range(3):
        backlog.put(view())
    backlog.close(10)
    assert counted(backlog)["sent"] == 3
    deadline = time.monotonic() + 10
    while not transport.closed and time.monotonic() < deadline:
        os.sched_yield()
    assert transport.closed


def test_closing_does_not_wait_for_a_transport_that_hangs() -> None:
    transport = Collector()
    transport.released.clear()
    backlog = make(transport)
    backlog.put(view())
    assert transport.busy.wait(10)
    for _ in range(5):
        backlog.put(view())
    backlog.close(0.01)
    assert counted(backlog)["dropped"] == {"at_exit": 5}
    assert counted(backlog)["queued"] == 1
    transport.script.append(NotNow("away"))
    transport.released.set()
    assert backlog.flush(10)
    assert counted(backlog)["dropped"] == {"at_exit": 6}


def test_a_hit_after_closing_is_still_delivered() -> None:
    transport = Collector()
    backlog = make(transport)
    backlog.close(0)
    backlog.put(view())
    assert backlog.flush(10)
    assert counted(backlog)["sent"] == 1


def test_threads_may_record_together() -> None:
    transport = Collector()
    backlog = make(transport)
    threads = [threading.Thread(target=lambda: [backlog.put(view()) for _ in range(300)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert backlog.flush(10)
    assert counted(backlog)["sent"] == len(transport.sent) == 2400


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_begins_anew_and_its_parent_goes_on() -> None:
    transport = Collector()
    transport.released.clear()
    backlog = make(transport)
    backlog.put(view("/parent"))
    assert transport.busy.wait(10)
    backlog.put(view("/parent"))
    reader, writer = multiprocessing.get_context("fork").Pipe(duplex=False)

    def child() -> None:
        before = backlog.stats()
        transport.released = threading.Event()
        transport.released.set()
        backlog.put(view("/child"))
        flushed = backlog.flush(10)
        writer.send((before, flushed, backlog.stats(), [draft.page_url for draft in transport.sent]))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert reader.poll(20)
    before, flushed, after, sent = reader.recv()
    process.join(10)
    assert before["recorded"] == before["queued"] == 0
    assert (flushed, after["sent"], sent) == (True, 1, ["/child"])
    transport.released.set()
    assert backlog.flush(10)
    assert [draft.page_url for draft in transport.sent] == ["/parent", "/parent"]
