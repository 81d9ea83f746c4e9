"""Names for where visits come from: hosts, app ids and the words that people put into `utm_source`.

Hundreds of hosts are one of some four hundred sources in `data/sources.txt`; what is not there stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from maicivy.enrichment.hosts import bare, domains
from maicivy.enrichment.lists import lines_of

_COUNTRIES: Final = re.compile(r"([a-z0-9-]+)\.(?:[a-z]{2,3}|(?:com?|net|org)\.[a-z]{2})")
"""`google.de`, `google.co.uk`, `google.com.br`: the name, and what of a host may follow it for `google.*`."""


class Source(NamedTuple):
    """Where visits come from; the category is one that `channels.py` knows, or empty."""

    name: str
    category: str = ""


class Table(NamedTuple):
    """The data file, by what is looked for."""

    hosts: Mapping[str, Source]
    names_in_all_countries: Mapping[str, Source]
    words: Mapping[str, Source]


def source_of_host(host: str) -> Source:
    """The source that a host (or app id, in lower case) belongs to, or the host itself without `www.`."""
    return _listed(host) or Source(bare(host))


def source_of_word(word: str) -> Source:
    """The source that a `utm_source` means: `fb`, `Google`, `chatgpt.com`; what means none stands as it was written."""
    lowered = word.strip().lower()
    named = table().words.get(lowered)
    if named is None and "." in lowered:
        named = _listed(bare(lowered))
    return named or Source(word.strip())


@cache
def table() -> Table:
    """The data file, read once."""
    hosts: dict[str, Source] = {}
    everywhere: dict[str, Source] = {}
    words: dict[str, Source] = {}
    for line in lines_of("sources.txt"):
        if not line or line.startswith("#"):
            continue
        category, name, places, aliases = (part.strip() for part in line.split("|"))
        source = Source(name, category)
        words.update(dict.fromkeys((name.lower(), name.lower().replace(" ", ""), *aliases.split()), source))
        for place in places.split():
            if place.endswith(".*"):
                everywhere[place[:-2]] = source
            else:
                hosts[place] = source
    return Table(hosts, everywhere, words)


def _listed(host: str) -> Source | None:
    hosts, everywhere, _ = table()
    for domain in domains(host):
        if source := hosts.get(domain):
            return source
        if (match := _COUNTRIES.fullmatch(domain)) and (source := everywhere.get(match[1])):
            return source
    return None
