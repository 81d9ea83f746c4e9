"""Host names in stored URLs, and how a list of domains is asked for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maicivy.enrichment.texts import clean

_DEEPEST: Final = 8
"""Labels of a host that are looked at. Hosts with hundreds are nobody's that is in a list."""


def host_of(url: str) -> str:
    """The host of a URL in lower case, without user, port and a dot at the end; empty for a path and for no URL."""
    scheme, separator, rest = url.partition("://")
    if not separator or "/" in scheme:
        return ""
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return clean(host.lower().removesuffix("."))


def bare(host: str) -> str:
    """The host without `www.`: the name under which people know it."""
    return host.removeprefix("www.")


def domains(host: str) -> Iterator[str]:
    """The host and the domains above it, down to two labels: `a.b.example.org`, `b.example.org`, `example.org`."""
    labels = host.split(".")
    for first in range(max(0, len(labels) - _DEEPEST), len(labels) - 1):
        yield ".".join(labels[first:])
