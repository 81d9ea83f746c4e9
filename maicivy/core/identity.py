"""Who sent an event, told without keeping who it was.

A visitor id is a keyed hash of site, address and user agent under a random salt that lives for one UTC day (and one
more, so that a visit may cross midnight) and is then destroyed: from then on nobody, the operator included, can tie
an id to an address. The address stops here. The scheme is that of Plausible's data policy, with a keyed hash and a
secret that the database does not hold.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from maicivy.core.events import Event

VISIT_GAP_S: Final = 1800  # a visit ends after 30 minutes without an event: the field's usual figure
MAX_USER_AGENT_CHARS: Final = 512
_EPOCH = date(2020, 1, 1).toordinal()


class Salts(msgspec.Struct, frozen=True):
    """The two living salts, each already mixed with the installation's secret; `day` is the UTC day of `today`."""

    day: date
    today: bytes
    yesterday: bytes | None

    @classmethod
    def mixed(cls, secret_key: str, day: date, today: bytes, yesterday: bytes | None) -> Salts:
        """Salts that are worthless without `secret_key`, so that a copy of Redis alone reveals nobody."""

        def mix(salt: bytes) -> bytes:
            return hashlib.blake2b(salt, key=secret_key.encode()[:64], digest_size=32).digest()

        return cls(day, mix(today), mix(yesterday) if yesterday is not None else None)


class Visitor(msgspec.Struct, frozen=True):
    """The ids of one client on one site: today's, and the one it had yesterday."""

    id: UUID
    previous_id: UUID | None


def visitor(salts: Salts, site_id: int, domain: str, address: str, user_agent: str) -> Visitor:
    """The visitor behind a request. `domain` is the registrable domain of the site, `""` when it has none."""
    what = f"{site_id}\n{domain}\n{address}\n{user_agent[:MAX_USER_AGENT_CHARS]}".encode("utf-8", "replace")
    today = _id(salts.today, what, salts.day.toordinal())
    if salts.yesterday is None:
        return Visitor(today, None)
    return Visitor(today, _id(salts.yesterday, what, salts.day.toordinal() - 1))


def visitor_on(salts: Salts, day: date, site_id: int, domain: str, address: str, user_agent: str) -> UUID:
    """The visitor id for a line of a log of `day`, whose own salt is long gone: one id per client and day."""
    what = f"{day}\n{site_id}\n{domain}\n{address}\n{user_agent[:MAX_USER_AGENT_CHARS]}".encode("utf-8", "replace")
    return _id(salts.today, what, day.toordinal())


def first_id_of(day: date) -> UUID:
    """The smallest visitor id of a salt's day: ids sort by day, so a day's visitors are one range."""
    return UUID(int=(day.toordinal() - _EPOCH & 0xFFFF) << 112)


def day_of(visitor_id: UUID) -> date:
    """The salt's day that a visitor id carries."""
    return date.fromordinal(_EPOCH + (visitor_id.int >> 112))


def client_key(salts: Salts, address: str) -> bytes:
    """What stands for an address in the rate limiter: a keyed hash; all of an IPv6 /64 is one client."""
    if ":" in address:
        try:
            address = str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
        except ValueError:
            pass  # not an address: it limits as the text that it is
    return hashlib.blake2b(address.encode("utf-8", "replace"), key=salts.today, digest_size=12).digest()


def continue_visits(events: Iterable[Event], last_seen: Mapping[tuple[int, UUID], float]) -> list[Event]:
    """The events, with yesterday's visitor id on those that go on with a visit begun under it.

    `last_seen` holds Unix seconds of the latest known event of (site, visitor). An event continues when its client's
    previous id was seen within `VISIT_GAP_S` before it, by `last_seen` or by an earlier event of `events`; order of
    the input does not matter, order of the output is that of the input.
    """
    events = list(events)
    seen = dict(last_seen)
    chosen: dict[int, Event] = {}
    for index, event in sorted(enumerate(events), key=lambda pair: pair[1].created_at):
        at = event.created_at.timestamp()
        previous = event.previous_visitor_id
        if previous is not None:
            before = seen.get((event.site_id, previous))
            if before is not None and before >= at - VISIT_GAP_S:
                event = msgspec.structs.replace(event, visitor_id=previous)
        key = (event.site_id, event.visitor_id)
        seen[key] = max(at, seen.get(key, 0.0))
        chosen[index] = event
    return [chosen[index] for index in range(len(events))]


def _id(salt: bytes, what: bytes, day_ordinal: int) -> UUID:
    """A UUIDv8 (RFC 9562, 5.8): 16 bits of the salt's day, which keeps a day's visitors together, then hash."""
    digest = hashlib.blake2b(what, key=salt, digest_size=14).digest()
    value = (day_ordinal - _EPOCH & 0xFFFF) << 112 | int.from_bytes(digest, "big")
    return UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x8000 << 64 | 0x8000 << 48)
