"""Who sent an event, told without keeping who it was.

A visitor id is a keyed hash of site, address and user agent under a random salt that lives for one UTC day (and one
more, so that a visit may cross midnight) and is then destroyed: from then on nobody, the operator included, can tie
an id to an address. The address stops here. The scheme is that of Plausible's data policy, with a keyed hash and a
secret that the database does not hold.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from maicivy.core.events import Event, uuid_of

VISIT_GAP_S: Final = 1800  # a visit ends after 30 minutes without an event: the field's usual figure
MAX_USER_AGENT_CHARS: Final = 512
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_DAY = 0xFFFE  # 2149-06-05; one more day is left for the end of its range


class Salts(msgspec.Struct, frozen=True):
    """The two living salts, each already mixed with the installation's secret; `day` is the UTC day of `today`."""

    day: date
    today: bytes
    yesterday: bytes | None

    @classmethod
    def mixed(cls, secret_key: str, day: date, today: bytes, yesterday: bytes | None) -> Salts:
        """Salts that are worthless without `secret_key`, so that a copy of Redis alone reveals nobody."""

        key = hashlib.blake2b(_bytes(secret_key)).digest()

        def mix(salt: bytes) -> bytes:
            return hashlib.blake2b(salt, key=key, digest_size=32).digest()

        return cls(day, mix(today), mix(yesterday) if yesterday is not None else None)


class Visitor(msgspec.Struct, frozen=True):
    """The ids of one client on one site: today's, and the one it had yesterday."""

    id: UUID
    previous_id: UUID | None


def visitor(salts: Salts, site_id: int, domain: str, address: str, user_agent: str) -> Visitor:
    """The visitor behind a request. `domain` is the registrable domain of the site, `""` when it has none."""
    who = _joined(str(site_id), domain, address, user_agent[:MAX_USER_AGENT_CHARS])
    day = salts.day.toordinal()
    today = _id(salts.today, who, day)
    return Visitor(today, None if salts.yesterday is None else _id(salts.yesterday, who, day - 1))


def visitor_on(salts: Salts, day: date, site_id: int, domain: str, address: str, user_agent: str) -> UUID:
    """The visitor id for a line of a log of `day`, whose own salt is long gone: one id per client and day."""
    who = _joined(day.isoformat(), str(site_id), domain, address, user_agent[:MAX_USER_AGENT_CHARS])
    return _id(salts.today, who, day.toordinal())


def first_id_of(day: date) -> UUID:
    """The lower bound of the visitor ids of a salt's day: ids sort by day, so a day's visitors are one range.

    Days from 1970 to 2149-06-05 have a range each; earlier and later ones fall into the first and the last.
    """
    return UUID(int=min(max(day.toordinal() - _EPOCH, 0), _LAST_DAY + 1) << 112)


def day_of(visitor_id: UUID) -> date:
    """The salt's day that a visitor id carries."""
    return date.fromordinal(_EPOCH + (visitor_id.int >> 112))


def client_key(salts: Salts, address: str) -> bytes:
    """What stands for an address in the rate limiter: a keyed hash; all of an IPv6 /64 is one client."""
    if ":" in address:
        with suppress(ValueError):  # not an address: it limits as the text that it is
            ip = ipaddress.IPv6Address(address.partition("%")[0])
            # A socket that listens on both writes IPv4 as ::ffff:203.0.113.7, and all of those are in one /64.
            address = str(ip.ipv4_mapped) if ip.ipv4_mapped else f"{ip.packed[:8].hex()}/64"
    return hashlib.blake2b(_bytes(address), key=salts.today, digest_size=12, person=b"client").digest()


def continue_visits(events: Iterable[Event], last_seen: Mapping[tuple[int, UUID], float]) -> list[Event]:
    """The events, with yesterday's visitor id on those that go on with a visit begun under it.

    `last_seen` holds Unix seconds of the latest known event of (site, visitor). An event continues when its client's
    previous id was seen no longer than `VISIT_GAP_S` before it, by `last_seen` or by an earlier event of `events`; of
    two at one instant, the one whose own id is of the earlier day counts as the earlier. The order of the input does
    not matter, the order of the output is that of the input.
    """
    events = list(events)
    seen = dict(last_seen)
    chosen = events.copy()
    for index in sorted(range(len(events)), key=lambda i: (events[i].created_at, events[i].visitor_id)):
        event = events[index]
        at = event.created_at.timestamp()
        visitor_id, previous = event.visitor_id, event.previous_visitor_id
        if previous is not None and seen.get((event.site_id, previous), -math.inf) >= at - VISIT_GAP_S:
            visitor_id = previous
            chosen[index] = msgspec.structs.replace(event, visitor_id=previous)
        key = (event.site_id, visitor_id)
        seen[key] = max(at, seen.get(key, at))
    return chosen


def _joined(*parts: str) -> bytes:
    """The parts, each behind its length, so that no text in one of them looks like the end of it."""
    return _bytes("".join([f"{len(part)}:{part}" for part in parts]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _id(salt: bytes, who: bytes, day_ordinal: int) -> UUID:
    """A UUIDv8 (RFC 9562, 5.8): 16 bits of the salt's day, which keeps a day's visitors together, then hash."""
    digest = hashlib.blake2b(who, key=salt, digest_size=14, person=b"visitor").digest()
    value = min(max(day_ordinal - _EPOCH, 0), _LAST_DAY) << 112 | int.from_bytes(digest, "big")
    return uuid_of(value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48)
