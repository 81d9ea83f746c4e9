"""The gate: what becomes a draft, what is refused with which code, and that there is no third way."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.circumstances import MAX_UTM_CHARS, SITE_FIELDS, UTM_FIELDS
from maicivy.core.dimensions import CLICK_IDS
from maicivy.core.events import Event, decode, encode, timestamp_text
from maicivy.core.gate import (
    MAX_DEPTH,
    MAX_KEY_CHARS,
    MAX_PROPERTIES,
    MAX_SESSION_S,
    MAX_STRING_CHARS,
    MAX_URL_CHARS,
    REASONS,
    Draft,
    Gate,
    parse_batch,
    parse_event,
)
from maicivy.core.urls import clean_url
from maicivy.errors import Refusal
from tests.naughty import BATCHES, EVENTS, TYPE, NaughtyBatch, NaughtyEvent

NOW = datetime(2025, 12, 8, 12, 34, 56, 789_000, tzinfo=UTC)
GATE = Gate(NOW, timedelta(days=90), frozenset({"theme", "ref", "source"}))
ID = UUID("0193a5c0-0000-7000-8000-000000000001")

characters = st.characters(exclude_categories=()) | st.sampled_from('\0\ud800\udfff\\"/?#@:&=\ufffd\u0130')
strings = st.text(characters, max_size=30) | st.text(characters, min_size=1999, max_size=2002)
numbers = (
    st.integers() | st.floats() | st.sampled_from([2**64, 2**64 - 1, -(2**63), -(2**63) - 1, 1e-32, 1e-33, 2.0**64])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=20,
)
urls = st.tuples(
    st.sampled_from(["", "/", "http://", "HTTPS://", "https://u:p@", "android-app://", "javascript:"]),
    st.text(characters, max_size=20) | st.from_regex(r"[a-z.:\[\]/]{0,20}", fullmatch=True),
    st.sampled_from(["", "/", "?theme=", "?utm_a=/?", "/?x=1&ref=", "#"]),
    st.text(characters, max_size=10),
).map("".join)
moments = st.datetimes(NOW.replace(tzinfo=None) - timedelta(days=90), NOW.replace(tzinfo=None)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
times = (
    moments.map(timestamp_text)
    | moments.map(datetime.isoformat)
    | moments.map(datetime.timestamp)
    | moments.map(lambda moment: int(moment.timestamp() * 1000))
    | numbers
    | st.text("0123456789-:T+.Z ", max_size=30)
)
fields = {
    "event_data": st.dictionaries(strings, values, max_size=6) | values,
    "page_url": urls | values,
    "referrer": urls | values,
    "session_duration": st.integers(-1, MAX_SESSION_S + 1) | values,
    "id": st.uuids().map(str) | st.uuids().map(lambda u: u.hex) | values,
    "timestamp": times | values,
    "visitor_address": strings | values,
    "visitor_user_agent": strings | values,
    **dict.fromkeys(SITE_FIELDS, st.integers(0, 3) | st.sampled_from(["1", "MC-ABCDEFGHIJ", "a.example"]) | values),
    **dict.fromkeys(UTM_FIELDS, strings | values),
    **dict.fromkeys(("screen_width", "screen_height"), st.integers(-1, 100_001) | values),
    **dict.fromkeys(("interactive", "bot"), st.booleans() | values),
    "language": st.from_regex(r"[a-zA-Z]{1,9}([_-][a-z]*)?", fullmatch=True) | values,
    "engagement_ms": st.integers(-1, 86_400_001) | values,
    "scroll_depth": st.integers(-1, 101) | values,
}
types = st.just("engagement") | st.from_regex(r"[a-z0-9][a-z0-9_.:-]{0,49}", fullmatch=True) | values
events = st.fixed_dictionaries({}, optional={"event_type": types, **fields, "other": values})
# one member at a time is odd, so that enough of them pass
mostly_right = st.sampled_from(sorted(fields)).flatmap(
    lambda name: st.fixed_dictionaries({"event_type": st.sampled_from([TYPE, "engagement"]), name: fields[name]})
)
reading = st.fixed_dictionaries(
    {"event_type": st.sampled_from([TYPE, "engagement"])},
    optional={
        "event_data": st.dictionaries(st.sampled_from(["engagement_ms", "scroll_depth", "interactive"]), values),
        **{name: fields[name] for name in ("engagement_ms", "scroll_depth", "interactive")},
    },
)
of_seentics = st.fixed_dictionaries(
    {"event_type": st.sampled_from([TYPE, "pageview", "engagement"])},
    optional={
        "page": fields["page_url"],
        "properties": fields["event_data"],
        "siteId": fields["site_id"],
        "time_on_page": st.floats() | st.integers() | values,
        "visitor_id": values,
        **{name: fields[name] for name in ("referrer", "timestamp", "screen_width", "language", "utm_source")},
    },
)


def bodies(of: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """JSON with and without escapes, and as Python writes what is no JSON (NaN)."""

    def as_bytes(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")

    return of.map(lambda value: json.dumps(value).encode()) | of.map(as_bytes)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A naughty body with a piece of another one in it."""
    one = draw(st.sampled_from(EVENTS)).body[:500]
    other = draw(st.sampled_from(EVENTS)).body[:500]
    start, end = sorted((draw(st.integers(0, len(other))), draw(st.integers(0, len(other)))))
    at = draw(st.integers(0, len(one)))
    return one[:at] + other[start:end] + one[at + draw(st.integers(0, 9)) :]


def parsed(body: bytes, gate: Gate = GATE) -> Draft | Refusal:
    try:
        return parse_event(body, gate)
    except Refusal as refusal:
        return refusal


def code_of(body: bytes, gate: Gate = GATE) -> str | None:
    outcome = parsed(body, gate)
    return outcome.code if isinstance(outcome, Refusal) else None


def body_of(draft: Draft) -> bytes:
    """The body that says what a draft says; how a page was read, its event_data says."""
    said = {name: value for name, value in msgspec.structs.asdict(draft).items() if value is not None}
    sites, traits = said.pop("sites"), said.pop("traits")
    said |= dict(sites) | dict(zip(UTM_FIELDS, traits.utm or (), strict=False))
    for name in ("language", "screen_width", "screen_height", "bot"):
        if getattr(traits, name):
            said[name] = getattr(traits, name)
    if traits.click_id:
        said["page_url"] += ("&" if "?" in draft.page_url else "?") + traits.click_id
    if draft.timestamp is not None:
        said["timestamp"] = timestamp_text(draft.timestamp)
    return json.dumps(said, default=str).encode()


def signed(draft: Draft) -> Event:
    return draft.event(new_id=ID, site_id=1, visitor_id=ID, previous_visitor_id=None, now=NOW)


def exact(text: str) -> Any:
    """The value of a JSON text with its numbers as they are written, not as a float holds them."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def assert_storable(text: str, most: int) -> None:
    assert "\0" not in text
    text.encode()  # raises for a lone surrogate
    assert len(text) <= most


def assert_within_limits(value: Any, depth: int = 0) -> int:
    """Checks a value of event_data; how many members it has."""
    if isinstance(value, str):
        assert_storable(value, MAX_STRING_CHARS)
    elif isinstance(value, int | float):
        assert math.isfinite(value)
        assert -(2**63) <= value < 2**64
    elif value is not None:
        assert depth < MAX_DEPTH
        items = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict):
            for key in value:
                assert_storable(key, MAX_KEY_CHARS)
        return (len(value) if isinstance(value, dict) else 0) + sum(assert_within_limits(i, depth + 1) for i in items)
    return 0


def assert_sound_traits(draft: Draft) -> None:
    traits, data = draft.traits, draft.event_data
    assert re.fullmatch("[a-z]{2,8}|", traits.language, re.ASCII)
    assert (
        0 <= min(traits.screen_width, traits.screen_height) <= max(traits.screen_width, traits.screen_height) <= 10**5
    )
    assert traits.utm is None or any(traits.utm)
    for text in traits.utm or ():
        assert_storable(text, MAX_UTM_CHARS)
    assert traits.click_id in {*CLICK_IDS, ""}
    assert traits.interactive is (data.get("interactive") is not False)
    for name, most in (("engagement_ms", 86_400_000), ("scroll_depth", 100)):
        told = getattr(traits, name)
        assert type(told) is int
        assert 0 <= told <= most
        assert not told or (draft.event_type == "engagement" and data[name] == told)
    assert len({site for _, site in draft.sites}) == len(draft.sites)
    for _, site in draft.sites:
        assert type(site) in (int, str)
        assert_storable(str(site), 253)


def assert_sound(draft: Draft) -> None:
    """What everybody behind the gate relies on."""
    assert_sound_traits(draft)
    assert isinstance(draft.event_data, dict)
    assert assert_within_limits(draft.event_data) <= MAX_PROPERTIES
    for url in (draft.page_url, draft.referrer):
        assert_storable(url, MAX_URL_CHARS)
        assert not url or clean_url(url, GATE.query_params) == url
    assert 0 <= draft.session_duration <= MAX_SESSION_S
    if draft.timestamp is not None:
        assert draft.timestamp.tzinfo is UTC
    event = signed(draft)
    assert decode(encode([event])) == [event]
    if "siteId" in dict(draft.sites):  # which only the other form has
        draft = msgspec.structs.replace(draft, sites=())
    again = parse_event(body_of(draft), GATE)
    assert again == draft
    assert repr(again) == repr(draft)  # True is 1 to ==


@pytest.mark.parametrize("naughty", EVENTS, ids=str)
def test_a_naughty_event_meets_its_fate(naughty: NaughtyEvent) -> None:
    outcome = parsed(naughty.body)
    if isinstance(outcome, Draft):
        assert naughty.code is None
        assert outcome == msgspec.structs.replace(Draft(TYPE, {}), **naughty.kept)
        assert_sound(outcome)
    else:
        assert outcome.code == naughty.code
        assert len(outcome.message) < 300
        outcome.message.encode()


@pytest.mark.parametrize("naughty", BATCHES, ids=str)
def test_a_naughty_batch_meets_its_fate(naughty: NaughtyBatch) -> None:
    try:
        drafts = parse_batch(naughty.body, GATE)
    except Refusal as refusal:
        code, codes = refusal.code, []
    else:
        code, codes = None, [draft.code if isinstance(draft, Refusal) else None for draft in drafts]
    assert (code, codes) == (naughty.code, naughty.codes)


def test_every_code_of_the_naughty_ones_is_a_known_reason() -> None:
    refused = {naughty.code for naughty in [*EVENTS, *BATCHES]} | {code for batch in BATCHES for code in batch.codes}
    assert refused - {None} <= REASONS
    elsewhere = {"rate_limited", "do_not_track", "unauthorized", "incomplete_body", "unknown_site", "host_not_allowed"}
    assert REASONS - refused == elsewhere, "a reason nobody tests, or gives"


@given(
    bodies(mostly_right)
    | bodies(events)
    | bodies(reading)
    | bodies(of_seentics)
    | damaged()
    | st.binary()
    | bodies(values)
)
def test_whatever_comes_is_a_sound_draft_or_a_known_refusal(body: bytes) -> None:
    outcome = parsed(body)
    if isinstance(outcome, Draft):
        assert_sound(outcome)
    else:
        assert outcome.code in REASONS
        outcome.message.encode()


@given(damaged() | st.binary() | bodies(st.lists(events | values, max_size=5)))
def test_whatever_comes_as_a_batch_gives_drafts_and_refusals(body: bytes) -> None:
    for whole in (body, b"[" + body + b"]", b'{"events":[' + body + b"]}"):
        try:
            drafts = parse_batch(whole, GATE)
        except Refusal as refusal:
            drafts = [refusal]
        assert all(isinstance(draft, Draft) or draft.code in REASONS for draft in drafts)


@given(st.lists(bodies(events | mostly_right | of_seentics), min_size=1, max_size=5))
def test_an_event_fares_in_a_batch_as_it_does_alone(elements: list[bytes]) -> None:
    def told(outcome: Draft | Refusal) -> object:
        return outcome.code if isinstance(outcome, Refusal) else outcome

    alone = [told(parsed(element)) for element in elements]
    one = b",".join(elements)
    for batch in (
        b"[" + b" ,\n".join(elements) + b"]",
        b'{ "events":[' + one + b"] }",
        b'{"domain":null,"events":[%b]}' % one,
    ):
        assert [told(outcome) for outcome in parse_batch(batch, GATE)] == alone


def test_what_is_kept_comes_out_of_postgres_as_it_went_in_and_no_larger(postgres_url: str) -> None:
    kept = [(naughty, outcome) for naughty in EVENTS if isinstance(outcome := parsed(naughty.body), Draft)]
    with psycopg.connect(postgres_url) as connection:
        for naughty, draft in kept:
            given_text = json.dumps(draft.event_data)
            row = connection.execute(
                "SELECT (%s::text::jsonb)::text, %s::varchar(500), %s::varchar(500), %s::varchar(50)",
                (given_text, draft.page_url, draft.referrer, draft.event_type),
            ).fetchone()
            assert row is not None
            assert row[1:] == (draft.page_url, draft.referrer, draft.event_type)
            assert exact(row[0]) == exact(given_text), naughty.name
            assert len(row[0]) <= 6 * len(naughty.body)


@given(st.floats())
def test_a_number_is_taken_if_it_would_be_in_any_other_notation(number: float) -> None:
    """jsonb knows no exponents: what it hands back must be as good as what it was given."""
    body = b'{"event_type":"a","event_data":{"a":%b}}'
    code = code_of(body % repr(number).encode())
    if number == 0 or (math.isfinite(number) and abs(number) >= 1e-32):
        assert code == code_of(body % f"{number:.40f}".encode())
        if number == int(number):
            assert code == code_of(body % str(int(number)).encode())
    else:
        assert code == "invalid_number" or (code == "invalid_json" and not math.isfinite(number))


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        ("2025-12-08T12:34:56Z", "2025-12-08T12:34:56Z"),
        ("2025-12-08t12:34:56z", "2025-12-08T12:34:56Z"),
        ("2025-12-08 12:34:56Z", "2025-12-08T12:34:56Z"),
        ("2025-12-08T12:34:56.5Z", "2025-12-08T12:34:56.500Z"),
        ("2025-12-08T12:34:56.789Z", "2025-12-08T12:34:56.789Z"),
        ("2025-12-08T12:34:56.123456789Z", "2025-12-08T12:34:56.123456Z"),
        ("2025-12-08T12:34:56-00:00", "2025-12-08T12:34:56Z"),
        ("2025-12-08T23:59:59+23:59", "2025-12-08T00:00:59Z"),
        ("2025-12-07T12:35:56-23:59", "2025-12-08T12:34:56Z"),
        ("2025-12-08T18:19:56+05:45", "2025-12-08T12:34:56Z"),
        ("2025-12-08T12:39:56.789Z", "2025-12-08T12:39:56.789Z"),
        ("2025-09-09T12:34:56.789Z", "2025-09-09T12:34:56.789Z"),
        (1765197296, "2025-12-08T12:34:56Z"),
        (1765197296.5, "2025-12-08T12:34:56.500Z"),
        (1765197296123, "2025-12-08T12:34:56.123Z"),
        (1765197296123.456, "2025-12-08T12:34:56.123456Z"),
    ],
)
def test_a_time_is_read(given_time: object, expected: str) -> None:
    draft = parse_event(json.dumps({"event_type": TYPE, "timestamp": given_time}).encode(), GATE)
    assert draft.timestamp is not None
    assert timestamp_text(draft.timestamp) == expected


@pytest.mark.parametrize(
    ("given_time", "code"),
    [
        ("2025-12-08T12:39:56.789001Z", "timestamp_in_future"),
        ("2025-12-08T12:39:56.788999Z", None),
        ("2025-09-09T12:34:56.788999Z", "timestamp_too_old"),
        ("2025-09-09T12:34:56.789001Z", None),
        (NOW.timestamp() + 301, "timestamp_in_future"),
        (NOW.timestamp() - 90 * 86_400 - 1, "timestamp_too_old"),
        (99_999_999_999, "timestamp_in_future"),
        (100_000_000_000, "timestamp_too_old"),
    ],
)
def test_a_time_is_neither_ahead_nor_older_than_what_is_kept(given_time: object, code: str | None) -> None:
    assert code_of(json.dumps({"event_type": TYPE, "timestamp": given_time}).encode()) == code


@given(moments, st.integers(-1439, 1439))
def test_a_time_is_the_same_instant_in_every_notation(moment: datetime, offset_min: int) -> None:
    sign, (hours, minutes) = "-+"[offset_min >= 0], divmod(abs(offset_min), 60)
    local = (moment.replace(tzinfo=None) + timedelta(minutes=offset_min)).isoformat(timespec="microseconds")
    text = f"{local}{sign}{hours:02d}:{minutes:02d}"
    draft = parse_event(json.dumps({"event_type": TYPE, "timestamp": text}).encode(), GATE)
    assert draft.timestamp == moment


@pytest.mark.parametrize(
    "text", [str(ID), str(ID).upper(), ID.hex, ID.hex.upper(), "ffffffff-ffff-ffff-ffff-ffffffffffff"]
)
def test_an_id_is_any_uuid(text: str) -> None:
    assert parse_event(json.dumps({"event_type": TYPE, "id": text}).encode(), GATE).id == UUID(text)


def test_what_the_sender_gave_wins_over_what_is_made_on_arrival() -> None:
    then = NOW - timedelta(days=1)
    event = signed(Draft(TYPE, {"a": 1}, "/cv", "/", 7, UUID(int=5), then))
    assert event == Event(UUID(int=5), 1, ID, None, TYPE, {"a": 1}, "/cv", "/", 7, then)
    bare = signed(Draft(TYPE, {}))
    assert (bare.id, bare.created_at) == (ID, NOW)


@pytest.mark.parametrize(
    ("page_url", "kept", "utm"),
    [
        ("/a?utm_campaign=" + "y" * 484, "/a?utm_campaign=" + "y" * 484, None),
        ("/a?utm_campaign=" + "y" * 485, "/a", ("", "", "y" * 200, "", "")),
        ("/a?q=" + "y" * 600 + "&utm_source=x", "/a?utm_source=x", None),
        (
            "/a?utm_source=x&utm_campaign=" + "%C3%A9" * 100 + "&utm_medium=m%20+n&theme=t",
            "/a?utm_source=x&utm_medium=m%20+n&theme=t",
            ("x", "m  n", "é" * 100, "", ""),
        ),
        (
            "/a?utm_term=" + "y" * 300 + "&utm_term=z&ref=" + "y" * 300,
            "/a?utm_term=" + "y" * 300 + "&utm_term=z",
            ("", "", "", "y" * 200, ""),
        ),
        ("/a?utm_content=%00" + "y" * 600 + "#utm_source=no", "/a", ("", "", "", "", "\ufffd" + "y" * 199)),
        ("/a?utm_x=" + "y" * 600, "/a", None),
        ("https://a.example?utm_source=" + "y" * 60_000, "https://a.example/", ("y" * 200, "", "", "", "")),
        ("/" + "a" * 499 + "?utm_source=x", "/" + "a" * 499, ("x", "", "", "", "")),
        ("/a?gclid=1&utm_source=" + "y" * 600, "/a", ("y" * 200, "", "", "", "")),
    ],
)
def test_a_query_that_is_too_long_costs_neither_the_view_nor_its_campaign(
    page_url: str, kept: str, utm: tuple[str, ...] | None
) -> None:
    draft = parsed(json.dumps({"event_type": TYPE, "page_url": page_url}).encode())
    assert isinstance(draft, Draft)
    assert (draft.page_url, draft.traits.utm) == (kept, utm)
    assert_sound(draft)
    referred = parsed(json.dumps({"event_type": TYPE, "referrer": page_url}).encode())
    assert isinstance(referred, Draft)
    assert (referred.referrer, referred.traits.utm) == (kept, None)


def test_what_an_event_tells_of_its_campaign_counts_more_than_a_url_that_is_too_long() -> None:
    long = "/a?utm_source=url&utm_medium=url&utm_campaign=" + "y" * 600
    draft = parsed(json.dumps({"event_type": TYPE, "page_url": long, "utm_source": "told"}).encode())
    assert isinstance(draft, Draft)
    assert draft.traits.utm == ("told", "url", "y" * 200, "", "")


@pytest.mark.parametrize("end", ["", "?utm_source=x", "?utm_source=" + "x" * 600, "?q=1", "#top"])
def test_a_path_that_is_too_long_is_refused_with_and_without_a_query(end: str) -> None:
    body = json.dumps({"event_type": TYPE, "page_url": "/" + "a" * MAX_URL_CHARS + end}).encode()
    assert code_of(body) == "invalid_page_url"
    draft = parsed(body.replace(b"page_url", b"referrer"))
    assert isinstance(draft, Draft)
    assert draft.referrer == ""


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ('"event_data":[]', "event_data"),
        ('"event_data":{"a":1e999}', "event_data"),
        ('"page_url":1', "page_url"),
        ('"referrer":1', "referrer"),
        ('"session_duration":-1', "session_duration"),
        ('"id":1', "id"),
        ('"timestamp":"x"', "timestamp"),
        ('"visitor_address":1', "visitor_address"),
        ('"colour":1', "colour"),
    ],
)
def test_a_refusal_names_the_field(member: str, field: str) -> None:
    refusal = parsed(f'{{"event_type":"click",{member}}}'.encode())
    assert isinstance(refusal, Refusal)
    assert refusal.field == field


def test_a_broken_batch_names_the_place_in_the_whole_body() -> None:
    with pytest.raises(Refusal, match="character 36"):
        parse_batch(b'[{"event_type":"a"},{"event_type":a}]'.replace(b":a", b"\n:\na"), GATE)


def test_visitor_members_are_made_storable() -> None:
    body = b'{"event_type":"a","visitor_address":"\\u0000","visitor_user_agent":"\\ud800"}'
    draft = parse_event(body, GATE)
    assert (draft.visitor_address, draft.visitor_user_agent) == ("\ufffd", "\ufffd")


def test_references_to_a_site_are_made_storable_and_their_members_remembered() -> None:
    body = b'{"event_type":"a","domain":"\\u0000\\ud800","measurement_id":"MC-ABCDEFGHIJ","site_id":null}'
    assert parse_event(body, GATE).sites == (("measurement_id", "MC-ABCDEFGHIJ"), ("domain", "\ufffd\ufffd"))


@pytest.mark.parametrize(
    "batch",
    [
        b'{"site_id":7,"events":[{"event_type":"a"},{"event_type":"a","domain":"b.example"}]}',
        b'{"events":[{"event_type":"a"},{"event_type":"a","domain":"b.example"}],"site_id" : 7 }',
        b'{"site_id":7,"events":[{"event_type":"a"},{"event_type":"a","domain":"b.example"},NaN]}',
    ],
    ids=["in front", "behind", "with a NaN"],
)
def test_the_site_of_a_batch_is_that_of_its_events_that_name_none(batch: bytes) -> None:
    drafts = [draft for draft in parse_batch(batch, GATE) if isinstance(draft, Draft)]
    assert [draft.sites for draft in drafts] == [(("site_id", 7),), (("domain", "b.example"),)]


def test_what_names_no_page_in_a_batch_of_seentics_is_read_like_the_rest_of_it() -> None:
    [draft] = parse_batch(b'{"siteId":7,"events":[{"event_type":"pageview","referrer":"direct"}]}', GATE)
    assert draft == Draft("page_view", {}, sites=(("siteId", 7),))


def test_a_refusal_of_seentics_form_names_the_field_as_it_was_sent() -> None:
    for member, field in (('"page":1', "page"), ('"properties":[]', "properties"), ('"page":"/","id":1', "id")):
        refusal = parsed(f'{{"event_type":"click",{member}}}'.encode())
        assert isinstance(refusal, Refusal)
        assert refusal.field == field
