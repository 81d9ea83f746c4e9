"""Access logs through the real inbox: everything once, in time, and without an address."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from maicivy.core.access_log import Skip
from maicivy.core.dimensions import Place
from maicivy.core.events import Event, Traits, decode
from maicivy.core.identity import Salts
from maicivy.errors import InboxFull, Unavailable
from maicivy.log_import.importer import LogImport, Plan, Report, Surroundings
from maicivy.log_import.source import Source
from maicivy.storage import keys
from maicivy.storage.inbox import RedisInbox
from tests.log_import.logs import BOT, FIREFOX, a_day_of_lines, log_line, write_log

NOW = datetime(2025, 12, 8, 12, 34, 56, tzinfo=UTC)
PLAN = Plan(
    now=NOW,
    retention=timedelta(days=90),
    query_params=frozenset({"theme", "ref", "source"}),
    salts=Salts.mixed("0123456789abcdef", NOW.date(), b"s" * 32, None),
    secret_key="0123456789abcdef",
    timeout_s=60.0,
)


class Waiting:
    """Time that passes only while somebody sleeps, what was said, and how often the bell rang."""

    def __init__(self) -> None:
        self.time = 0.0
        self.said: list[str] = []
        self.rings = 0
        self.steps: list[int] = []

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds

    def ring(self) -> None:
        self.rings += 1

    def around(self, inbox: Any) -> Surroundings:
        return Surroundings(
            inbox=inbox,
            ring=self.ring,
            step=lambda source: self.steps.append(source.position),
            say=self.said.append,
            sleep=self.sleep,
            monotonic=lambda: self.time,
        )


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def inbox(redis_client: redis.Redis) -> RedisInbox:
    return RedisInbox(redis_client, redis_client, 64 << 20)


Import = Callable[..., Report]


@pytest.fixture
def import_files(inbox: RedisInbox, waiting: Waiting) -> Iterator[Import]:
    def run(*paths: Path, inbox: Any = inbox, **changes: Any) -> Report:
        sources = [Source(str(path)) for path in paths]
        try:
            return LogImport(replace(PLAN, **changes), waiting.around(inbox)).run(sources)
        finally:
            for source in sources:
                source.close()

    return run


def arrived(client: redis.Redis) -> list[Event]:
    entries: Any = client.xrange(keys.INBOX)
    return [event for _, fields in entries for name, raw in fields.items() if name != b"n" for event in decode(raw)]


def test_every_line_is_accounted_for(import_files: Import, redis_client: redis.Redis, tmp_path: Path) -> None:
    report = import_files(write_log(tmp_path / "a.log", a_day_of_lines(NOW)))
    assert report.handed_in == 8
    assert report.skipped == {
        Skip.ASSET: 3,
        Skip.FEED: 1,
        Skip.STATUS: 2,
        Skip.METHOD: 1,
        Skip.NO_REQUEST: 1,
        Skip.NOT_A_PAGE: 1,
        Skip.BLANK: 1,
    }
    assert report.unreadable == 1
    assert report.lines == 19 == report.handed_in + report.skipped.total() + report.unreadable
    assert (report.first, report.last) == (NOW - timedelta(minutes=90), NOW)
    assert len(arrived(redis_client)) == 8
    assert redis_client.hget(keys.LEDGER, "received") == b"8"


def test_a_page_view_says_what_the_hook_would_say(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    import_files(write_log(tmp_path / "a.log", a_day_of_lines(NOW)))
    view = arrived(redis_client)[1]
    assert (view.event_type, view.site_id, view.previous_visitor_id) == ("page_view", 1, None)
    assert view.event_data == {"path": "/cv", "theme": "backend"}
    assert (view.page_url, view.referrer) == ("/cv?theme=backend", "https://example.org/")
    assert view.created_at == NOW - timedelta(minutes=80)
    assert view.traits == Traits(user_agent=FIREFOX)  # without one, all of them would be taken for bots
    assert arrived(redis_client)[7].event_data == {"path": "/caf%C3%A9"}


def test_place_and_click_id_are_those_of_the_line_and_what_cannot_be_stored_is_replaced(
    inbox: RedisInbox, waiting: Waiting, redis_client: redis.Redis, tmp_path: Path
) -> None:
    around = replace(waiting.around(inbox), locate={"192.0.2.16": Place("DE", "Hesse", "Kassel")}.__getitem__)
    line = log_line(NOW, "/cv?gclid=1", user_agent=r"a\x00b", address="192.0.2.16")
    source = Source(str(write_log(tmp_path / "a.log", [line])))
    LogImport(replace(PLAN, site_id=3), around).run([source])
    source.close()
    [view] = arrived(redis_client)
    assert (view.site_id, view.page_url) == (3, "/cv")
    assert view.traits == Traits("a\ufffdb", "", "DE", "Hesse", "Kassel", click_id="gclid")


def test_no_address_reaches_the_inbox(import_files: Import, redis_client: redis.Redis, tmp_path: Path) -> None:
    import_files(write_log(tmp_path / "a.log", a_day_of_lines(NOW)))
    everything = b"".join(raw for _, fields in redis_client.xrange(keys.INBOX) for raw in fields.values())  # type: ignore[union-attr]
    for address in (b"192.0.2.16", b"2001:db8", b"198.51.100", b"203.0.113"):
        assert address not in everything


def test_a_client_is_one_visitor_a_day(import_files: Import, redis_client: redis.Redis, tmp_path: Path) -> None:
    midnight = datetime(2025, 12, 8, tzinfo=UTC)
    before, after = midnight - timedelta(seconds=1), midnight
    lines = [
        log_line(before),
        log_line(before, "/letters"),
        log_line(before, user_agent=BOT),
        log_line(after),
        log_line(after, "/letters"),
        log_line(after, address="192.0.2.17"),
    ]
    import_files(write_log(tmp_path / "a.log", lines))
    a, a2, bot, b, b2, other = [event.visitor_id for event in arrived(redis_client)]
    assert (a, b) == (a2, b2)
    assert len({a, bot, b, other}) == 4


def test_the_same_file_again_brings_the_same_ids(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    path = write_log(tmp_path / "a.log", a_day_of_lines(NOW))
    import_files(path)
    import_files(path)
    ids = [event.id for event in arrived(redis_client)]
    assert ids[:8] == ids[8:]
    assert len(set(ids)) == 8


def test_a_file_named_twice_and_one_that_goes_on_bring_the_same_ids(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    path = write_log(tmp_path / "a.log", a_day_of_lines(NOW))
    longer = write_log(tmp_path / "b.log", [*a_day_of_lines(NOW), log_line(NOW, "/new")])
    report = import_files(path, path, longer)
    assert (report.handed_in, report.lines) == (25, 58)
    assert len({event.id for event in arrived(redis_client)}) == 9


def test_a_shift_moves_the_latest_line_to_now_and_keeps_ids_and_gaps(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    then = datetime(2015, 5, 20, 21, 5, 15, tzinfo=UTC)
    path = write_log(tmp_path / "a.log", a_day_of_lines(then))
    assert import_files(path, shift_to_now=True).shift == NOW - then
    import_files(path, shift_to_now=True, now=NOW + timedelta(days=3, microseconds=7))
    first, second = arrived(redis_client)[:8], arrived(redis_client)[8:]
    assert [event.id for event in first] == [event.id for event in second]
    assert max(event.created_at for event in first) == NOW
    assert max(event.created_at for event in second) == NOW + timedelta(days=3, microseconds=7)
    gaps = [[b.created_at - a.created_at for a, b in itertools.pairwise(events)] for events in (first, second)]
    assert gaps[0] == gaps[1]
    assert gaps[0][0] == timedelta(minutes=10)


def test_a_shift_looks_at_all_files_before_it_reads_the_first(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    then = datetime(2015, 5, 20, tzinfo=UTC)
    older = write_log(tmp_path / "a.log", [log_line(then - timedelta(days=1))])
    newer = write_log(tmp_path / "b.log", [log_line(then)])
    import_files(older, newer, shift_to_now=True)
    assert [event.created_at for event in arrived(redis_client)] == [NOW - timedelta(days=1), NOW]


def test_without_a_readable_line_there_is_no_shift(import_files: Import, tmp_path: Path) -> None:
    report = import_files(write_log(tmp_path / "a.log", [b"hello"]), shift_to_now=True)
    assert (report.shift, report.unreadable, report.handed_in) == (timedelta(), 1, 0)


def test_lines_out_of_time_are_counted_and_left_out(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    lines = [
        log_line(NOW - timedelta(days=90, seconds=1)),
        log_line(NOW - timedelta(days=90)),
        log_line(NOW + timedelta(minutes=5)),
        log_line(NOW + timedelta(minutes=5, seconds=1)),
    ]
    report = import_files(write_log(tmp_path / "a.log", lines))
    assert report.skipped == {Skip.TOO_OLD: 1, Skip.IN_FUTURE: 1}
    assert len(arrived(redis_client)) == 2


def test_lines_that_cannot_be_read_are_shown_with_their_place_ten_at_most(import_files: Import, tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.log", [log_line(NOW), *([b"198.51.100.7 \x1b[2J garbage"] * 12)])
    report = import_files(path)
    assert report.unreadable == 12
    assert [(shown.source, shown.number) for shown in report.shown] == [(str(path), n) for n in range(2, 12)]
    assert report.shown[0].excerpt == "(address) \\x1b[2J garbage"


def test_large_input_goes_in_by_batches_and_rings_now_and_then(
    import_files: Import, redis_client: redis.Redis, waiting: Waiting, tmp_path: Path
) -> None:
    lines = [log_line(NOW - timedelta(seconds=n), f"/page/{n}") for n in range(10_001)]
    path = write_log(tmp_path / "a.log", lines)
    assert import_files(path).handed_in == 10_001
    assert redis_client.xlen(keys.INBOX) == 21
    assert waiting.rings == 3
    assert waiting.steps[0] <= waiting.steps[-1] == path.stat().st_size
    assert len({event.id for event in arrived(redis_client)}) == 10_001


class Sometimes:
    """An inbox that refuses as it is told, then passes on."""

    def __init__(self, inbox: RedisInbox, refusals: list[Exception]) -> None:
        self._inbox = inbox
        self._refusals = refusals

    def append(self, events: Sequence[Event]) -> None:
        if self._refusals:
            raise self._refusals.pop(0)
        self._inbox.append(events)


def test_a_full_or_absent_inbox_is_waited_for(
    import_files: Import, inbox: RedisInbox, redis_client: redis.Redis, waiting: Waiting, tmp_path: Path
) -> None:
    refusing = Sometimes(inbox, [InboxFull(), Unavailable("redis", "gone"), InboxFull()])
    report = import_files(write_log(tmp_path / "a.log", a_day_of_lines(NOW)), inbox=refusing)
    assert (report.handed_in, report.gave_up) == (8, "")
    assert len(arrived(redis_client)) == 8
    assert waiting.time > 0
    assert waiting.rings > 0
    assert waiting.said == [
        "the inbox is full: the worker is behind, or not running; waiting up to 60 s",
        "going on",
    ]


def test_an_inbox_that_stays_full_is_given_up_on_and_the_next_run_finishes(
    import_files: Import, redis_client: redis.Redis, waiting: Waiting, tmp_path: Path
) -> None:
    path = write_log(tmp_path / "a.log", [log_line(NOW - timedelta(seconds=n)) for n in range(1_500)])
    small = RedisInbox(redis_client, redis_client, 100_000)
    report = import_files(path, inbox=small)
    assert report.gave_up.startswith("the inbox is full")
    assert 0 < report.handed_in < 1_500
    assert 60 <= waiting.time <= 66
    assert import_files(path).handed_in == 1_500
    assert len({event.id for event in arrived(redis_client)}) == 1_500


def test_without_redis_nothing_is_claimed_to_be_handed_in(
    import_files: Import, waiting: Waiting, tmp_path: Path
) -> None:
    with closing(redis.Redis(unix_socket_path=str(tmp_path / "nobody"))) as nobody:
        report = import_files(
            write_log(tmp_path / "a.log", a_day_of_lines(NOW)), inbox=RedisInbox(nobody, nobody, 1 << 20), timeout_s=0.0
        )
    assert report.handed_in == 0
    assert report.gave_up.startswith("redis does not answer")


def test_a_file_that_breaks_off_keeps_the_others_from_nothing(
    import_files: Import, redis_client: redis.Redis, tmp_path: Path
) -> None:
    broken = tmp_path / "cut.gz"
    broken.write_bytes(b"\x1f\x8b\x08\x00 this is no gzip")
    report = import_files(broken, write_log(tmp_path / "b.log", a_day_of_lines(NOW)), shift_to_now=True)
    assert [error.name for error in report.broken] == [str(broken)]
    assert report.handed_in == 8 == len(arrived(redis_client))
