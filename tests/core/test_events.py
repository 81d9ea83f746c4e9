"""The event: its names, its id, and that it comes out of the queue as it went in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.events import ALIASES, LETTER, Event, announcement, decode, encode, timestamp_text, uuid7
from maicivy.core.gate import Gate, parse_event
from tests import events as make
from tests.naughty import STRINGS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
events = st.builds(
    Event,
    st.uuids(),
    st.integers(1, 2**31 - 1),
    st.uuids(),
    st.none() | st.uuids(),
    st.text(max_size=50),
    st.dictionaries(st.text(max_size=8), JSON, max_size=4),
    st.text(max_size=20),
    st.text(max_size=20),
    st.integers(0, 2**31 - 1),
    moments,
)


@given(st.lists(events, max_size=4))
def test_the_queue_gives_back_what_it_was_given(given_events: list[Event]) -> None:
    returned = decode(encode(given_events))
    assert returned == given_events
    assert repr(returned) == repr(given_events)


@given(st.integers(-1439, 1439), moments)
def test_the_queue_keeps_the_instant_of_any_offset(offset_min: int, moment: datetime) -> None:
    local = moment.replace(year=2025, tzinfo=timezone(timedelta(minutes=offset_min)), day=1)
    [event] = decode(encode([make.event(at=local)]))
    assert event.created_at == local
    assert event.created_at.utcoffset() == timedelta(0)


@given(st.binary(max_size=200))
def test_a_payload_of_anything_else_is_a_value_error(payload: bytes) -> None:
    try:
        decode(payload)
    except ValueError:
        return
    assert payload == b"\x90"  # no events


def _payload(raw_data: bytes) -> bytes:
    """A payload of one event with `raw_data`, MessagePack, for its event_data."""
    event = make.event(data={"marker": "marker"})
    marked = encode([event])
    packed = msgspec.msgpack.encode(event.event_data)
    assert marked.count(packed) == 1
    return marked.replace(packed, raw_data)


@pytest.mark.parametrize(
    "raw_data",
    [
        b"",
        b"\xc0",
        b"\xa1a",
        b"\x90",
        b"\x81\xa1a" + b"\x91" * 100_000,
        b"\x81\xa1a" + b"\x91" * 5_000 + b"\xc0",
        b"\x81\xa1a\xd4\x05\xff",
        b"\x81\xa1a\x81\x91\x01\x02",
        b"\x81\xa1a\xa1\xff",
        b"\x81\x01\x02",
    ],
    ids=[
        "nothing",
        "nil",
        "text",
        "list",
        "cut depth",
        "depth",
        "extension",
        "list as key",
        "no UTF-8",
        "number as key",
    ],
)
def test_data_that_could_not_be_stored_is_a_value_error(raw_data: bytes) -> None:
    assert decode(_payload(b"\x81\xa1a\xc0"))[0].event_data == {"a": None}
    with pytest.raises(ValueError, match=r".+"):
        decode(_payload(raw_data))


@given(events)
def test_every_cut_of_a_payload_is_refused(event: Event) -> None:
    payload = encode([event])
    for end in range(0, len(payload), max(1, len(payload) // 20)):
        with pytest.raises(ValueError, match=r".+"):
            decode(payload[:end])
    with pytest.raises(ValueError, match=r".+"):
        decode(payload + b"\0")


milliseconds = st.integers(0, 2**48 - 1)
random_bytes = st.binary(min_size=10, max_size=10)


@given(milliseconds, random_bytes)
def test_a_uuid7_holds_time_and_chance_as_rfc_9562_says(unix_ms: int, random: bytes) -> None:
    made = uuid7(unix_ms, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == unix_ms
    chance = int.from_bytes(random, "big")
    assert made.int >> 64 & 0x0FFF == chance >> 64 & 0x0FFF
    assert made.int & (1 << 62) - 1 == chance & (1 << 62) - 1


def test_a_uuid7_is_the_one_of_the_rfc() -> None:
    """RFC 9562, appendix A.6."""
    random = (0x0CC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, random) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(milliseconds, milliseconds, random_bytes, random_bytes)
def test_uuid7s_sort_by_time(one_ms: int, other_ms: int, random: bytes, other_random: bytes) -> None:
    one, other = uuid7(one_ms, random), uuid7(other_ms, other_random)
    if one_ms != other_ms:
        assert (one < other) == (one_ms < other_ms)
        assert (str(one) < str(other)) == (one_ms < other_ms)
        assert (one.bytes < other.bytes) == (one_ms < other_ms)


def test_a_uuid7_is_one_that_the_gate_takes_back() -> None:
    made = uuid7(1_765_197_296_789, bytes(10))
    body = json.dumps({"event_type": "a", "id": str(made)}).encode()
    assert parse_event(body, Gate(make.NOON, timedelta(days=90))).id == made


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2025, 12, 8, 12, 34, 56, tzinfo=UTC), "2025-12-08T12:34:56Z"),
        (datetime(2025, 12, 8, 12, 34, 56, 789_000, tzinfo=UTC), "2025-12-08T12:34:56.789Z"),
        (datetime(2025, 12, 8, 12, 34, 56, 1, tzinfo=UTC), "2025-12-08T12:34:56.000001Z"),
        (datetime(2025, 12, 8, 12, 34, 56, 10_000, tzinfo=UTC), "2025-12-08T12:34:56.010Z"),
        (datetime(2025, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1))), "2026-01-01T00:30:00Z"),
        (datetime(999, 1, 1, tzinfo=UTC), "0999-01-01T00:00:00Z"),
    ],
)
def test_a_timestamp_has_the_digits_it_needs(moment: datetime, text: str) -> None:
    assert timestamp_text(moment) == text


@given(moments)
def test_a_timestamp_is_rfc_3339_and_says_the_instant(moment: datetime) -> None:
    text = timestamp_text(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?Z", text)
    assert datetime.fromisoformat(text) == moment


@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS.keys())
def test_an_announcement_is_the_message_of_seed_001(text: str) -> None:
    event = make.event(data={"theme": text}, page_url="/cv?theme=backend")
    message: dict[str, Any] = json.loads(msgspec.json.encode(announcement(event)))
    assert message == {
        "type": "page_view",
        "visitor_id": str(event.visitor_id),
        "timestamp": "2025-12-08T12:00:00Z",
        "page_url": "/cv?theme=backend",
        "data": {"theme": text},
    }


def test_an_announcement_does_not_tell_the_other_id_nor_the_referrer() -> None:
    previous = UUID(int=0xDEADBEEF)
    event = msgspec.structs.replace(make.event(previous=previous), referrer="https://secret.example/")
    assert str(previous) not in str(announcement(event))
    assert "secret" not in str(announcement(event))


def test_no_alias_is_the_alias_of_an_alias() -> None:
    assert ALIASES["letter_generate"] == LETTER
    assert not ALIASES.keys() & set(ALIASES.values())
