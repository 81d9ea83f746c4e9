"""What brought somebody here: from referrer, UTM fields and click id to an `Origin`.

Each of these says where a visit comes from, and they may disagree. `utm_source` (or `ref`, or `source`, which are taken
for it) was put there by whoever made the link and wins; then a click id that was paid for; then the referrer; then a
click id that any link may carry. A click id also stands in for a medium that nobody gave.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from maicivy.core.dimensions import Origin
from maicivy.core.events import Event
from maicivy.enrichment.bots import reason_of_referrer
from maicivy.enrichment.channels import DIRECT, Signs, channel_of
from maicivy.enrichment.hosts import bare, domains, host_of
from maicivy.enrichment.lists import forgets
from maicivy.enrichment.sources import Source, source_of_host, source_of_word
from maicivy.enrichment.texts import clean

UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_SOURCE_TOO: Final = ("ref", "source")
_NO_UTM: Final = ("", "", "", "", "")
_MAX_FIELDS: Final = 50  # of a query; a URL has 500 characters


class ClickId(NamedTuple):
    """Whose clicks an id marks (a word of sources.py), and the medium that it tells of; empty: any link may have it."""

    source: str
    medium: str = ""


# Names in lower case; core.dimensions.CLICK_IDS has them in the order in which they count.
CLICKS: Final = {
    "gclid": ClickId("google", "cpc"),
    "gbraid": ClickId("google", "cpc"),
    "wbraid": ClickId("google", "cpc"),
    "dclid": ClickId("google", "display"),
    "msclkid": ClickId("bing", "cpc"),
    "ttclid": ClickId("tiktok", "cpc"),
    "twclid": ClickId("x", "cpc"),
    "li_fat_id": ClickId("linkedin", "cpc"),
    "yclid": ClickId("yandex", "cpc"),
    "rdt_cid": ClickId("reddit", "cpc"),
    "sccid": ClickId("snapchat", "cpc"),
    "qclid": ClickId("quora", "cpc"),
    "tblci": ClickId("taboola", "cpc"),
    "obclid": ClickId("outbrain", "cpc"),
    "irclickid": ClickId("impact", "affiliate"),
    "awc": ClickId("awin", "affiliate"),
    "ysclid": ClickId("yandex"),
    "epik": ClickId("pinterest"),
    "fbclid": ClickId("facebook"),
    "igshid": ClickId("instagram"),
    "mc_eid": ClickId("mailchimp", "email"),
}
_DIRECT: Final = Origin(channel=DIRECT)


def origin_of(event: Event, own_hosts: frozenset[str]) -> Origin:
    """What brought somebody here. `own_hosts` are host names of the site, in lower case, `*.example.org` being all
    below that: referrers there, and on the host of the page itself, are none.

    0.3 us when there is nothing or it was asked lately, else some 20 us.
    """
    traits = event.traits
    referrer = event.referrer
    url, _, query = event.page_url.partition("?")
    page_host = url.partition("://")[2].partition("/")[0]
    # Most page views follow a link on the same host. Seen here, its thousands of pages do not fill the cache.
    if page_host and referrer.partition("://")[2].partition("/")[0] == page_host:
        referrer = ""
    if not (query or referrer or traits.utm or traits.click_id):
        return _DIRECT
    return _origin(referrer, page_host, query, traits.utm, traits.click_id, own_hosts)


def judged_origin(referrer: str, utm: tuple[str, str, str, str, str], click_id: str) -> Origin:
    """The origin of what was observed, with all that follows from it by today's lists."""
    host = referrer.partition("/")[0]
    click = CLICKS.get(click_id.lower(), ClickId(""))
    source = Source("")
    if utm[0]:
        source = source_of_word(utm[0])
    elif click.medium:
        source = source_of_word(click.source)
    elif host:
        source = source_of_host(host)
    elif click.source:
        source = source_of_word(click.source)
    signs = Signs(source.name.lower(), source.category, utm[1].strip().lower() or click.medium, utm[2].lower())
    return Origin(referrer, *utm, click_id, clean(source.name), channel_of(signs), reason_of_referrer(host))


@lru_cache(maxsize=20_000)
def _origin(
    referrer: str,
    page_host: str,
    query: str,
    given: tuple[str, str, str, str, str] | None,
    click_id: str,
    own_hosts: frozenset[str],
) -> Origin:
    fields = _fields(query)
    said = given or _NO_UTM
    utm = [clean(value.strip()) or fields.get(name, "") for name, value in zip(UTM, said, strict=True)]
    utm[0] = utm[0] or next((fields[name] for name in _SOURCE_TOO if fields.get(name)), "")
    own = {bare(host) for host in own_hosts} | {bare(host_of(f"http://{page_host}"))}
    return judged_origin(_outside(referrer, own), (utm[0], utm[1], utm[2], utm[3], utm[4]), clean(click_id, 50))


def _fields(query: str) -> dict[str, str]:
    """The first value of each field that matters."""
    fields: dict[str, str] = {}
    for field in query.split("&")[:_MAX_FIELDS]:
        name, _, value = field.partition("=")
        if value and (name in UTM or name in _SOURCE_TOO):
            fields.setdefault(name, clean(unquote_plus(value).strip()))
    return fields


def _outside(referrer: str, own: set[str]) -> str:
    """Host and path of a referrer that is not of the site itself, without `www.`; empty when there is none."""
    host = bare(host_of(referrer))
    if not host or host in own or any(f"*.{above}" in own for above in islice(domains(host), 1, None)):
        return ""
    path = referrer.partition("://")[2].partition("?")[0].partition("#")[0].partition("/")[2]
    return clean(f"{host}/{path}").rstrip("/")


forgets(_origin.cache_clear)
