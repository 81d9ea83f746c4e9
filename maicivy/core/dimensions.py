"""What visits are sorted by: the client, the place and the origin they come with, and the actions they are made of.

Each distinct value is one row of a dictionary table (`clients`, `places`, `origins`, `actions`) and found there by its
digest, which covers only what was observed; what follows from that (browser, channel, bot) can be judged anew. This
file says what they are; `maicivy/enrichment/` works them out.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

MAX_CHARS: Final = 500
"""Longest text in a dimension; a user agent may have `core.identity.MAX_USER_AGENT_CHARS`."""

CLICK_IDS: Final = (
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
    "yclid",
    "ysclid",
    "rdt_cid",
    "sccid",
    "qclid",
    "tblci",
    "obclid",
    "irclickid",
    "awc",
    "epik",
    "fbclid",
    "igshid",
    "mc_eid",
)
"""Parameters, in lower case, by which advertisers know their clicks. Of several in a URL the first here counts: those
that say that a click was paid for come before those that any link may carry."""


class Client(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What somebody reads with.

    Observed: `user_agent`, `language` (primary tag, `en`), `resolution` (`1920x1080`). Following from these: `screen`
    (a class of the width), browser and operating system with versions, `device` (`desktop`, `mobile`, `tablet`, `tv`,
    `console`, `bot`), and `bot`: why it is taken for one. An empty text always means: not known, or not so.
    """

    user_agent: str = ""
    language: str = ""
    resolution: str = ""
    screen: str = ""
    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    device: str = ""
    bot: str = ""

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for what was observed."""
        return digest_of(self.user_agent, self.language, self.resolution)


class Place(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Where somebody is: ISO 3166-1 alpha-2 in capitals, and names."""

    country: str = ""
    region: str = ""
    city: str = ""

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for the place."""
        return digest_of(self.country, self.region, self.city)


class Origin(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What brought somebody here.

    Observed: `referrer` (host and path of another site), the five of UTM, `click_id` (the name of its parameter).
    Following from these: `source` (`Google`; a host that has no name stands for itself; empty: direct), `channel`,
    and `bot` (`referrer_spam`, or empty).
    """

    referrer: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    click_id: str = ""
    source: str = ""
    channel: str = ""
    bot: str = ""

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for what was observed."""
        return digest_of(
            self.referrer,
            self.utm_source,
            self.utm_medium,
            self.utm_campaign,
            self.utm_term,
            self.utm_content,
            self.click_id,
        )


class Action(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Something that can happen in a visit: an event type on a page of a host; `hostname` is empty for a bare path."""

    site_id: int
    name: str
    hostname: str
    page: str

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for all of it."""
        return digest_of(str(self.site_id), self.name, self.hostname, self.page)


def digest_of(*fields: str) -> bytes:
    """BLAKE2b of the fields, each after its length, so that no two lists of fields run together."""
    state = hashlib.blake2b(digest_size=16)
    for field in fields:
        data = field.encode()
        state.update(len(data).to_bytes(4, "big") + data)
    return state.digest()
