"""Who sent an event: the same client is the same all day, everything else differs, and no address is kept."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from uuid import RFC_4122, UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maicivy.core.events import Event
from maicivy.core.identity import (
    MAX_USER_AGENT_CHARS,
    VISIT_GAP_S,
    Salts,
    client_key,
    continue_visits,
    day_of,
    first_id_of,
    visitor,
    visitor_on,
)
from tests import events as make

DAY = date(2025, 12, 8)
SECRET = "0123456789abcdef0123456789abcdef"
SALTS = Salts.mixed(SECRET, DAY, b"t" * 32, b"y" * 32)
ADDRESS = "203.0.113.7"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
FIRST, LAST = date(1970, 1, 1), date(2149, 6, 5)

texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["\n", "1\n", "", "\ud800", "?", "1:"]
)
clients = st.tuples(st.integers(1, 20), texts, texts, texts)
days = st.dates(FIRST, LAST)


@given(clients)
def test_a_client_is_the_same_visitor_all_day_and_in_every_process(client: tuple[int, str, str, str]) -> None:
    again = Salts.mixed(SECRET, DAY, b"t" * 32, b"y" * 32)
    assert visitor(SALTS, *client) == visitor(again, *client)


@given(clients, clients)
def test_whatever_differs_makes_another_visitor(
    one: tuple[int, str, str, str], other: tuple[int, str, str, str]
) -> None:
    """Also where the parts, written one after the other, look the same."""
    assert (visitor(SALTS, *one) == visitor(SALTS, *other)) == (one == other)
    assert (visitor_on(SALTS, DAY, *one) == visitor_on(SALTS, DAY, *other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "", "a", "b"), (2, "", "a", "b")),
        ((1, "a", "", "b"), (1, "", "a", "b")),
        ((1, "", "a\nb", "c"), (1, "", "a", "b\nc")),
        ((1, "", "a", "\ud800"), (1, "", "a", "?")),
        ((1, "", "1", ""), (1, "", "", "1")),
        ((1, "", "2001:db8::1", ""), (1, "", "2001:db8::2", "")),
    ],
)
def test_look_alikes_are_told_apart(one: tuple[int, str, str, str], other: tuple[int, str, str, str]) -> None:
    assert visitor(SALTS, *one).id != visitor(SALTS, *other).id


def test_of_a_long_user_agent_only_the_beginning_counts() -> None:
    longest = "x" * MAX_USER_AGENT_CHARS
    assert visitor(SALTS, 1, "", ADDRESS, longest) == visitor(SALTS, 1, "", ADDRESS, longest + "y")
    assert visitor(SALTS, 1, "", ADDRESS, longest) != visitor(SALTS, 1, "", ADDRESS, longest[1:] + "y")


def test_yesterdays_id_is_the_one_that_the_client_had_yesterday() -> None:
    yesterday = Salts.mixed(SECRET, DAY - timedelta(days=1), b"y" * 32, None)
    before = visitor(yesterday, 1, "", ADDRESS, AGENT)
    after = visitor(SALTS, 1, "", ADDRESS, AGENT)
    assert before.previous_id is None
    assert after.previous_id == before.id
    assert after.id != before.id


@given(
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.text(min_size=16), st.text(min_size=16)
)
def test_ids_hang_on_the_salt_and_on_the_secret(salt: bytes, other_salt: bytes, secret: str, other_secret: str) -> None:
    one = visitor(Salts.mixed(secret, DAY, salt, None), 1, "", ADDRESS, AGENT).id
    other = visitor(Salts.mixed(other_secret, DAY, other_salt, None), 1, "", ADDRESS, AGENT).id
    assert (one == other) == ((salt, secret) == (other_salt, other_secret))


def test_all_of_a_long_secret_counts() -> None:
    one, other = (Salts.mixed("x" * 100 + end, DAY, b"t" * 32, None).today for end in "ab")
    assert one != other
    assert Salts.mixed("\udcff" * 16, DAY, b"t" * 32, None).today not in (one, other)  # not UTF-8 in the environment


@given(clients, days, days)
def test_ids_carry_their_day_and_sort_by_it(client: tuple[int, str, str, str], day: date, other_day: date) -> None:
    one = visitor(Salts(day, b"t" * 32, None), *client).id
    other = visitor(Salts(other_day, b"t" * 32, None), *client).id
    logged = visitor_on(SALTS, day, *client)
    for made in (one, logged):
        assert (made.version, made.variant) == (8, RFC_4122)
        assert day_of(made) == day
        assert first_id_of(day) <= made < first_id_of(day + timedelta(days=1))
    assert logged != one
    if day != other_day:
        assert (one < other) == (day < other_day)
        assert (one.bytes < other.bytes) == (day < other_day)


@pytest.mark.parametrize(
    ("day", "as_if"),
    [
        (date.min, FIRST),
        (date(1969, 12, 31), FIRST),
        (FIRST, FIRST),
        (date(1999, 12, 31), date(1999, 12, 31)),
        (date(2019, 12, 31), date(2019, 12, 31)),
        (LAST, LAST),
        (LAST + timedelta(days=1), LAST),
        (date.max, LAST),
    ],
)
def test_a_day_out_of_all_ranges_falls_into_the_nearest(day: date, as_if: date) -> None:
    """A log may hold any date; its visitors must still go into a partition that can be made."""
    made = visitor_on(SALTS, day, 1, "", ADDRESS, AGENT)
    assert day_of(made) == as_if
    assert first_id_of(as_if) <= made < first_id_of(as_if + timedelta(days=1))


@given(st.dates())
def test_the_bounds_of_days_never_go_back(day: date) -> None:
    following = min(day, date.max - timedelta(days=1)) + timedelta(days=1)
    assert first_id_of(day) <= first_id_of(following)


def test_a_visit_in_a_log_has_another_id_on_another_day() -> None:
    assert visitor_on(SALTS, DAY, 1, "", ADDRESS, AGENT) != visitor_on(SALTS, date(2025, 12, 9), 1, "", ADDRESS, AGENT)


@pytest.mark.parametrize("address", [ADDRESS, "2001:db8::5efe", "198.51.100.23", "not an address"])
def test_nothing_that_is_kept_holds_the_address(address: str) -> None:
    who = visitor(SALTS, 1, "example.org", address, AGENT)
    assert who.previous_id is not None
    kept = b"|".join([who.id.bytes, str(who).encode(), who.previous_id.bytes, client_key(SALTS, address)])
    for trace in (address.encode(), address.encode().hex().encode(), AGENT.encode()):
        assert trace not in kept


@given(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(str))
def test_an_ipv4_address_is_one_client_in_both_notations(one: str, other: str) -> None:
    assert client_key(SALTS, one) == client_key(SALTS, f"::ffff:{one}")
    assert (client_key(SALTS, one) == client_key(SALTS, f"::ffff:{other}")) == (one == other)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.integers(0, 127))
def test_all_of_an_ipv6_64_is_one_client(address: object, low: int, bit: int) -> None:
    number = int(address)  # type: ignore[call-overload]
    if number >> 32 == 0xFFFF:
        return
    text = str(type(address)(number >> 64 << 64 | low | 1 << 40))  # type: ignore[call-arg]
    flipped = str(type(address)((number >> 64 << 64 | low | 1 << 40) ^ 1 << bit))  # type: ignore[call-arg]
    assert (client_key(SALTS, text) == client_key(SALTS, flipped)) == (bit < 64)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:DB8:0:0::1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", " ", False),
        ("\ud800", "?", False),
        ("a:b", "a:c", False),
        ("[2001:db8::1]:80", "[2001:db8::2]:80", False),
        ("20010db800000000/64", "2001:db8::1", True),
    ],
)
def test_the_rate_limiter_knows_clients(one: str, other: str, same: bool) -> None:
    assert (client_key(SALTS, one) == client_key(SALTS, other)) == same


def test_the_key_of_a_client_is_no_visitor_id_and_dies_with_the_salt() -> None:
    key = client_key(SALTS, ADDRESS)
    assert key not in visitor(SALTS, 1, "", ADDRESS, "").id.bytes
    assert key != client_key(Salts.mixed(SECRET, DAY, b"u" * 32, None), ADDRESS)


MIDNIGHT = datetime(2025, 12, 8, tzinfo=UTC)
BEFORE = MIDNIGHT - timedelta(days=1)


def old(number: int) -> UUID:
    """The id that a client had under yesterday's salt."""
    return make.visitor_id(number, BEFORE)


def at(minutes: float, visitor_number: int = 1, *, yesterday: bool = False, site_id: int = 1) -> Event:
    """An event some minutes after midnight, signed with today's or still with yesterday's salt."""
    event = make.event(at=MIDNIGHT + timedelta(minutes=minutes), site_id=site_id)
    ids = (old(visitor_number), None) if yesterday else (make.visitor_id(visitor_number, MIDNIGHT), old(visitor_number))
    return msgspec.structs.replace(event, visitor_id=ids[0], previous_visitor_id=ids[1])


@pytest.mark.parametrize(
    ("seen_min", "events", "continued"),
    [
        (None, [at(1)], [False]),
        (-1, [at(1)], [True]),
        (-29, [at(1)], [True]),
        (-29.1, [at(1)], [False]),
        (5, [at(1)], [True]),
        (20, [at(1), at(45), at(76)], [True, True, False]),
        (-1, [at(1), at(31), at(61), at(92), at(93)], [True, True, True, False, False]),
        (None, [at(-1, yesterday=True), at(1)], [True, True]),
        (None, [at(1), at(-1, yesterday=True)], [True, True]),
        (None, [at(1), at(1, yesterday=True)], [True, True]),
        (None, [at(1, 2), at(-1, 1, yesterday=True)], [False, True]),
        (None, [at(1, site_id=2), at(-1, yesterday=True)], [False, True]),
    ],
)
def test_a_visit_goes_on_across_midnight(seen_min: float | None, events: list[Event], continued: list[bool]) -> None:
    seen = {} if seen_min is None else {(1, old(1)): MIDNIGHT.timestamp() + 60 * seen_min}
    visitors = {event.visitor_id for event, on in zip(continue_visits(events, seen), continued, strict=True) if on}
    assert visitors <= {old(1)}
    assert [event.visitor_id == old(1) for event in continue_visits(events, seen)] == continued


def reference(events: list[Event], last_seen: dict[tuple[int, UUID], float]) -> list[Event]:
    """The rule as it is told, looking at all events again for each: who is seen when, and does that reach to here?"""
    order = sorted(events, key=lambda event: (event.created_at, event.visitor_id))
    done: list[Event] = []
    for event in order:
        moment = event.created_at.timestamp()
        sightings = [
            e.created_at.timestamp()
            for e in done
            if (e.site_id, e.visitor_id) == (event.site_id, event.previous_visitor_id)
        ]
        sightings += [when for key, when in last_seen.items() if key == (event.site_id, event.previous_visitor_id)]
        goes_on = event.previous_visitor_id is not None and any(moment - when <= VISIT_GAP_S for when in sightings)
        done.append(msgspec.structs.replace(event, visitor_id=event.previous_visitor_id) if goes_on else event)
    return [next(e for e in done if e.id == event.id) for event in events]


some_events = st.lists(
    st.builds(
        at,
        st.sampled_from([-45, -30, -15, -1, 0, 0, 1, 15, 29, 30, 31, 59, 60, 90]),
        st.integers(1, 3),
        yesterday=st.booleans(),
        site_id=st.integers(1, 2),
    ),
    max_size=12,
)
sightings = st.dictionaries(
    st.tuples(st.integers(1, 2), st.integers(1, 3).map(old)),
    st.integers(-60, 60).map(lambda minutes: MIDNIGHT.timestamp() + 60 * minutes),
    max_size=4,
)


@given(some_events, sightings, st.randoms(use_true_random=False))
def test_visits_go_on_in_whatever_order_their_events_are_given(
    events: list[Event], last_seen: dict[tuple[int, UUID], float], chance: random.Random
) -> None:
    before = dict(last_seen)
    outcome = continue_visits(events, last_seen)
    assert outcome == reference(events, last_seen)
    assert last_seen == before
    shuffled = chance.sample(events, len(events))
    again = {event.id: event for event in continue_visits(shuffled, last_seen)}
    assert [again[event.id] for event in events] == outcome


@given(some_events, sightings)
def test_only_the_visitor_of_an_event_changes(events: list[Event], last_seen: dict[tuple[int, UUID], float]) -> None:
    for event, outcome in zip(events, continue_visits(iter(events), last_seen), strict=True):
        assert outcome.visitor_id in (event.visitor_id, event.previous_visitor_id)
        assert msgspec.structs.replace(outcome, visitor_id=event.visitor_id) == event


def test_nothing_goes_on_from_nothing() -> None:
    assert continue_visits([], {(1, old(1)): 0.0}) == []


def test_times_before_1970_are_times() -> None:
    long_ago = datetime(1969, 12, 31, 12, 0, tzinfo=UTC)
    first = msgspec.structs.replace(at(0, yesterday=True), created_at=long_ago)
    after = msgspec.structs.replace(at(0), created_at=long_ago + timedelta(hours=1))
    assert continue_visits([first, after], {})[1].visitor_id == after.visitor_id
