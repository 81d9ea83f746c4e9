"""Servers and workers that hang, which is worse than to be gone; and a site with the hook that must not notice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.chaos import oracle
from tests.chaos.clients import event_of, post
from tests.chaos.fault import Arena, Fault
from tests.chaos.host import SECRET, TOKEN, Site, View
from tests.chaos.oracle import Verdict
from tests.chaos.system import System

HANG_S = 10
SHORT_HANG_S = 2
PAGE_S = 1.0
"""A page of the site takes 2 ms; one that waited for the hanging server would take as long as it hangs."""

ANSWER_S = 2.0
"""What a request may take until its 503: a second, and another one for a busy machine."""


class HostedSystem(System):
    """A maicivy, and a site that sends it its page views in both ways that there are."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, SECRET_KEY=SECRET, MAICIVY_INGEST_TOKEN=TOKEN)
        try:
            self.site = Site(self)
        except BaseException:
            self.abandon()
            raise

    def stop(self) -> list[str]:
        self.site.close()
        return super().stop()

    def abandon(self) -> None:
        if hasattr(self, "site"):
            self.site.close()
        super().abandon()


class Hang(Fault):
    """All processes of one part stand still for ten seconds."""

    rounds = 5

    def __init__(self, name: str, kind: str) -> None:
        self.name = f"hang:{name}"
        self.in_suite = name != "postgres"
        self.kind = kind

    @property
    def ground(self) -> object:
        return Hang

    def start(self, home: Path) -> System:
        return HostedSystem(home)

    def strike(self, arena: Arena) -> str:
        site = _site(arena)
        hang_s = SHORT_HANG_S if self.is_short else HANG_S
        seen = len(site.views)
        with standing_still(family(arena.system.pid(self.kind))):
            until = time.monotonic() + hang_s
            if self.kind == "valkey":
                longest = self._refused(arena, until)
                answered = f"503 within {longest:.1f} s"
            else:
                before = arena.load.count()
                arena.load.wait_acknowledged(100, hang_s)  # whatever hangs behind it, the inbox takes events in
                time.sleep(max(0.0, until - time.monotonic()))
                answered = f"{arena.load.count() - before} acknowledged meanwhile"
        return f"{hang_s} s; {answered}; {_unnoticed(site.views[seen:])}"

    def _refused(self, arena: Arena, until: float) -> float:
        """The longest time that a request took until it was refused, asking all the time."""
        longest = 0.0
        while time.monotonic() < until:
            event, at = event_of(arena.dice), time.monotonic()
            arena.sent(event)  # refused, and yet it may be kept: Valkey reads what lies in its socket when it wakes up
            assert not post(arena.system.port, event, 15), "acknowledged while Valkey stands still"
            longest = max(longest, time.monotonic() - at)
        assert longest < ANSWER_S, f"a request waited {longest:.1f} s for Valkey"
        return longest

    def check(self, arena: Arena) -> Verdict:
        site = _site(arena)
        site.pause()
        hooks = site.stats()
        with arena.system.redis() as client, arena.system.database() as database:
            with suppress(AssertionError):  # the oracle says so too
                oracle.settle(client, database)
            rows = database.execute(
                "SELECT uuid_send(id), page_url FROM analytics_events WHERE page_url LIKE '%?utm_id=%'"
            )
            stored = {url: event_id for event_id, url in rows}
        record = arena.record()
        record.sent |= set(stored.values())
        verdict = oracle.check(arena.system, record)
        asked = {view.url for view in site.views}
        if missing := asked - stored.keys():
            verdict.lost += len(missing)
            verdict.breaches.append(f"{len(missing)} of {len(asked)} page views of the site are not stored: {hooks}")
        if sum(hook["sent"] for hook in hooks) != len(asked):
            verdict.breaches.append(f"{len(asked)} pages were asked for, and the hooks say {hooks}")
        site.resume()
        return verdict


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Processes that run no further within the block."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _site(arena: Arena) -> Site:
    assert isinstance(arena.system, HostedSystem)
    return arena.system.site


def _unnoticed(views: Sequence[View]) -> str:
    """How the pages fared. An AssertionError when they noticed."""
    assert views, "the site answered no page at all"
    wrong = [view for view in views if view.status != 200]
    assert not wrong, f"{len(wrong)} of {len(views)} pages of the site failed"
    times = sorted(view.seconds for view in views)
    p99, longest = times[int(len(times) * 0.99)], times[-1]
    assert longest < PAGE_S, f"a page of the site took {longest:.1f} s"
    return f"{len(views)} pages, p99 {p99 * 1000:.0f} ms, longest {longest * 1000:.0f} ms"


FAULTS: list[Fault] = [Hang("valkey", "valkey"), Hang("postgres", "postmaster"), Hang("worker", "celery main")]
