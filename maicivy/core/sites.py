"""What is measured: a site, all sites as one book to look them up in, and what may be said of one.

Events and questions name a site by a reference: its number, its measurement id or its domain. A book answers for one
moment; `storage/sites.py` says which one that is. Here, too, is the only gate for what people write about a site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from maicivy.core.events import DEFAULT_SITE
from maicivy.errors import Refusal

MAX_HOST_CHARS: Final = 253
MAX_ALLOWED_HOSTS: Final = 100
MAX_RETENTION_DAYS: Final = 36_500

FIELDS: Final = ("domain", "timezone", "retention_days", "is_public", "allowed_hosts")
"""What people may say of a site."""

_MEASUREMENT_ID: Final = re.compile(r"MC-[A-Z0-9]{10}")
_MAX_ID_DIGITS: Final = 10
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+")
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_ZONE: Final = re.compile(r"(?!posix/|right/)[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,31}){0,2}")
# Files beside the zones that ZoneInfo reads as such: they are no zones, or another one on every machine.
_NO_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})


VISITS_KEPT_LONGER: Final = 2
"""Days for which visits outlive the events that they are made of. An event that is just young enough to be taken may
have its day rolled up anew, by the clock of any zone, and to that belongs what goes on from the day before."""


class Site(msgspec.Struct, frozen=True):
    """One thing that is measured. None stands for what the installation's settings say.

    Attributes:
        domain: in lower case, as ASCII, without `www.`; empty: not told.
        measurement_id: `MC-` and ten characters; empty only in `DEFAULT`.
        timezone: IANA name.
        retention_days: how long raw events are kept.
        is_public: readable without the admin token.
        allowed_hosts: hosts that its pages may have, `*.example.org` for any below; empty: any.
    """

    id: int
    domain: str = ""
    measurement_id: str = ""
    timezone: str | None = None
    retention_days: int | None = None
    is_public: bool = True
    allowed_hosts: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """Whether its pages may be on `host`. A page without a host may be anywhere."""
        if not self.allowed_hosts or not host:
            return True
        host = _as_stored(host)
        if self.domain and self.domain in (host, _bare(host)):
            return True
        return any(name in self.allowed_hosts for name in (host, *_wildcards(host)))


DEFAULT: Final = Site(DEFAULT_SITE)
"""What is known of the default site when nobody can be asked."""


class SiteBook:
    """All sites there are, looked up in a few dictionaries. Never changes; always knows the default site."""

    __slots__ = ("_by_domain", "_by_host", "_by_id", "_by_measurement_id", "_own_days", "_some_have_none", "default")

    def __init__(self, sites: Iterable[Site] = ()) -> None:
        self._by_id = {DEFAULT_SITE: DEFAULT} | {site.id: site for site in sites}
        self._by_measurement_id = {site.measurement_id: site for site in self if site.measurement_id}
        self._by_domain = {site.domain: site for site in self if site.domain}
        self._by_host: dict[str, Site] = {}
        for site in self:
            for host in site.allowed_hosts:
                self._by_host.setdefault(host, site)
        self.default = self._by_id[DEFAULT_SITE]
        self._own_days = max((site.retention_days or 0 for site in self), default=0)
        self._some_have_none = any(site.retention_days is None for site in self)

    def __iter__(self) -> Iterator[Site]:
        """All of them, by id."""
        return iter([self._by_id[number] for number in sorted(self._by_id)])

    def longest_retention(self, default_days: int) -> int:
        """Days after which no site keeps an event any more; `default_days` are those of sites that do not say."""
        return max(self._own_days, default_days) if self._some_have_none else self._own_days

    def by_id(self, number: int) -> Site | None:
        """The site with that number."""
        return self._by_id.get(number)

    def named(self, reference: int | str) -> Site | None:
        """The site that `reference` means: a number or ASCII digits, a measurement id or a domain, in any case."""
        if not isinstance(reference, str):
            return self._by_id.get(reference) if type(reference) is int else None
        if reference.isascii() and reference.isdigit():
            return self._by_id.get(int(reference)) if len(reference) <= _MAX_ID_DIGITS else None
        known = self._by_measurement_id
        found = known.get(reference) or self._by_domain.get(reference) or known.get(reference.upper())
        if found is not None:
            return found
        try:
            return self._by_domain.get(_bare(host_name(reference)))
        except ValueError:
            return None

    def of_host(self, host: str) -> Site | None:
        """The site whose pages are on `host`: by its domain, with or without `www.`, then by allowed hosts.

        Of allowed hosts the longest match counts, and of sites that name the same, the oldest.
        """
        found = self._by_domain.get(host)
        if found is not None or not host:
            return found
        host = _as_stored(host)
        found = self._by_domain.get(_bare(host)) or self._by_domain.get(host) or self._by_host.get(host)
        if found is not None or not self._by_host:
            return found
        return next((self._by_host[name] for name in _wildcards(host) if name in self._by_host), None)


def visits_kept_from(now: datetime, retention_days: int) -> datetime:
    """The moment from which on all visits of a site are there; of those that began before it, some may be gone."""
    first_day = (now - timedelta(days=retention_days + VISITS_KEPT_LONGER)).date()
    return datetime.combine(first_day, time(), UTC)


def host_name(text: str) -> str:
    """`text` as a host name is stored: lower case, ASCII (IDNA), without a dot at the end.

    Raises:
        ValueError: when it is none; a port, a scheme or a path is part of none.
    """
    if not 0 < len(text) <= MAX_HOST_CHARS:  # before idna, which takes long for long names
        raise ValueError("a host name has 1 to 253 characters")
    name = text.lower().removesuffix(".")
    if not name.isascii():
        name = name.encode("idna").decode("ascii").lower()  # UnicodeError is a ValueError
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARS or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not a host name")
    if _DIGITS.fullmatch(labels[-1]) and not _IPV4.fullmatch(name):
        raise ValueError("not a host name, nor an address")
    return name


def time_zone(name: str) -> ZoneInfo:
    """The zone of the tz database with that name, in its exact spelling.

    Raises:
        ValueError: there is none.
    """
    if not _ZONE.fullmatch(name) or name in _NO_ZONES:
        raise ValueError("not the name of a time zone")
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError; a directory is an OSError
        raise ValueError("no such time zone") from error


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of a site, member by member as it is stored; only members that were given.

    Raises:
        Refusal: `unknown_field` or `invalid_site`, naming the field.
    """
    for name in said:
        if name not in _CHECKS:
            shown = name[:64].encode("ascii", "backslashreplace").decode()
            raise Refusal("unknown_field", f"a site has no member {shown!r}", shown)
    values = {}
    for name, value in said.items():
        check, wanted = _CHECKS[name]
        try:
            values[name] = check(value)
        except ValueError as error:
            raise Refusal("invalid_site", f"{name} must be {wanted}", name) from error
    return values


def _domain(value: Any) -> str:
    domain = _bare(host_name(_text(value)))
    if _MEASUREMENT_ID.fullmatch(domain.upper()):
        raise ValueError("looks like a measurement id, by which it could not be told from another site")
    return domain


def _zone_name(value: Any) -> str | None:
    return None if value is None else str(time_zone(_text(value)))


def _retention(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MAX_RETENTION_DAYS:
        raise ValueError(value)
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(value)
    return value


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_ALLOWED_HOSTS:
        raise ValueError(value)
    return tuple(dict.fromkeys(_host_pattern(_text(item)) for item in value))


def _host_pattern(text: str) -> str:
    return f"*.{host_name(text[2:])}" if text.startswith("*.") else host_name(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)  # noqa: TRY004 - one kind of error for whatever is wrong with a value
    return value


_CHECKS: Final = {
    "domain": (_domain, "a host name such as example.org, without scheme, port or path"),
    "timezone": (_zone_name, "an IANA time zone such as Europe/Paris, or null"),
    "retention_days": (_retention, f"a whole number from 1 to {MAX_RETENTION_DAYS}, or null"),
    "is_public": (_flag, "true or false"),
    "allowed_hosts": (_hosts, f"a list of at most {MAX_ALLOWED_HOSTS} host names, `*.example.org` for any below"),
}


@lru_cache(maxsize=1000)
def _as_stored(host: str) -> str:
    """The host of a page, whose port says nothing, as `host_name` would have it; one that is none as it is."""
    if not host.startswith("["):
        host = host.partition(":")[0]
    try:
        return host_name(host)
    except ValueError:
        return host.lower()


def _bare(host: str) -> str:
    """Without `www.`, where that leaves a domain."""
    rest = host.removeprefix("www.")
    return rest if "." in rest else host


def _wildcards(host: str) -> Iterator[str]:
    """`*.b.c` and `*.c` of `a.b.c`."""
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
